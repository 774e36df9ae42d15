package tune

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is what the values of a setting are.
type Kind int

// The kinds.
const (
	Number Kind = iota
	Whole
	Time
)

// Value is one value of a setting.
type Value struct {
	// Text is as people write it; Number is the same, in seconds when it is a time.
	Text   string
	Number float64
}

// Duration is the value of a time.
func (v Value) Duration() time.Duration {
	return time.Duration(math.Round(v.Number * float64(time.Second)))
}

// Axis is one setting and the values to try.
type Axis struct {
	Name   string
	Values []Value
}

const (
	// stepsOfRange is how many values a range has when it does not say, both ends among them.
	stepsOfRange = 5
	// mostValues bounds an axis, mostPoints a grid.
	mostValues = 1000
	mostPoints = 10000
)

// ParseAxis reads name=a,b,c or name=a..b or name=a..b/steps. A range whose ends are above 0 and at least four times apart
// has steps of equal ratio, another one steps of equal size. kind says what a setting's values are; its error stands for an
// unknown name.
func ParseAxis(text string, kind func(name string) (Kind, error)) (Axis, error) {
	name, list, ok := strings.Cut(text, "=")
	a := Axis{Name: strings.TrimSpace(name)}
	fail := func(err error) (Axis, error) { return Axis{}, fmt.Errorf("%q: %w", text, err) }
	if !ok || strings.TrimSpace(list) == "" {
		return fail(errors.New("it is like node.join=20s,60s or objective.wait=50ms..5s/6"))
	}
	k, err := kind(a.Name)
	if err != nil {
		return fail(err)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(list, ",") {
		values, err := parsePart(strings.TrimSpace(part), k)
		if err != nil {
			return fail(err)
		}
		for _, v := range values {
			if !seen[v.Text] {
				seen[v.Text], a.Values = true, append(a.Values, v)
			}
		}
	}
	if len(a.Values) > mostValues {
		return fail(fmt.Errorf("it has %d values, more than %d", len(a.Values), mostValues))
	}
	return a, nil
}

func parsePart(text string, k Kind) ([]Value, error) {
	from, rest, isRange := strings.Cut(text, "..")
	if !isRange {
		v, err := parse(text, k)
		return []Value{v}, err
	}
	to, count, counted := strings.Cut(rest, "/")
	steps := stepsOfRange
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil || n < 2 || n > mostValues {
			return nil, fmt.Errorf("the steps of a range are 2 to %d, not %q", mostValues, count)
		}
		steps = n
	}
	a, err := parse(from, k)
	if err != nil {
		return nil, err
	}
	b, err := parse(to, k)
	if err != nil {
		return nil, err
	}
	if b.Number < a.Number {
		return nil, fmt.Errorf("range %s: its end is below its beginning", text)
	}
	var list []Value
	for i := range steps {
		list = append(list, between(a, b, float64(i)/float64(steps-1), k))
	}
	return list, nil
}

func between(a, b Value, part float64, k Kind) Value {
	if part == 0 {
		return a
	}
	if part == 1 {
		return b
	}
	n := a.Number + part*(b.Number-a.Number)
	if a.Number > 0 && b.Number >= 4*a.Number {
		n = a.Number * math.Pow(b.Number/a.Number, part)
	}
	return value(n, k)
}

// value rounds to three digits that mean something, so that a value can be read and written.
func value(n float64, k Kind) Value {
	if k == Whole {
		n = math.Round(n)
		return Value{Text: strconv.FormatFloat(n, 'f', -1, 64), Number: n}
	}
	if n != 0 {
		scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(n))))
		n = math.Round(n*scale) / scale
	}
	if k == Time {
		d := time.Duration(math.Round(n * float64(time.Second)))
		return Value{Text: short(d), Number: d.Seconds()}
	}
	return Value{Text: strconv.FormatFloat(n, 'f', -1, 64), Number: n}
}

// short is a duration without what is zero: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func parse(text string, k Kind) (Value, error) {
	if k == Time {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return Value{}, fmt.Errorf("%q is no time such as 20s", text)
		}
		return Value{Text: short(d), Number: d.Seconds()}, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return Value{}, fmt.Errorf("%q is no number that is not below 0", text)
	}
	if k == Whole && v != math.Trunc(v) {
		return Value{}, fmt.Errorf("%q is no whole number", text)
	}
	return Value{Text: strconv.FormatFloat(v, 'f', -1, 64), Number: v}, nil
}
