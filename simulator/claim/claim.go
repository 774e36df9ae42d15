package claim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
)

// Rival stands for the best of the policies that are not the first.
const Rival = "rival"

// oracle is no rival: it knows the future.
const oracle = "oracle"

// Claim is one that has been read and whose names are known.
type Claim struct {
	text        string
	left, right product
	operator    string
}

// Verdict is what a claim came to.
type Verdict struct {
	Holds bool
	// Text has the claim and both values.
	Text string
}

// product is values multiplied, or divided where over says so.
type product struct {
	values []value
	over   []bool
	time   bool
}

// value is a number, or a field of a policy.
type value struct {
	number float64
	policy string // empty for the first
	field  *report.Field
	scale  float64
	time   bool
}

// Parse reads a claim about runs of these policies, of which the first is the one that fields without a policy are of. Its
// error names what is wrong, and what would be right.
func Parse(text string, policies []string) (Claim, error) {
	c := Claim{text: text}
	fail := func(err error) (Claim, error) { return Claim{}, fmt.Errorf("claim %q: %w", text, err) }
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return fail(errors.New("it compares nothing: there is no <=, >=, <, >, == or !="))
	}
	end := at + 1
	if end < len(text) && text[end] == '=' {
		end++
	}
	c.operator = text[at:end]
	if c.operator == "=" || c.operator == "!" {
		return fail(fmt.Errorf("%q compares nothing: it is <=, >=, <, >, == or !=", c.operator))
	}
	var err error
	if c.left, err = parseProduct(text[:at], policies); err != nil {
		return fail(err)
	}
	if c.right, err = parseProduct(text[end:], policies); err != nil {
		return fail(err)
	}
	if c.left.time != c.right.time && !c.left.zero() && !c.right.zero() {
		return fail(errors.New("it compares a time with a plain number: a time has a unit, such as 500ms"))
	}
	return c, nil
}

// zero is 0 of whatever it is compared with.
func (p *product) zero() bool {
	return len(p.values) == 1 && p.values[0].field == nil && p.values[0].number == 0
}

func parseProduct(text string, policies []string) (p product, err error) {
	rest, over, seconds := text, false, 0
	for {
		end := strings.IndexAny(rest, "*/")
		word := rest
		if end >= 0 {
			word = rest[:end]
		}
		v, err := parseValue(strings.TrimSpace(word), policies)
		if err != nil {
			return p, err
		}
		p.values, p.over = append(p.values, v), append(p.over, over)
		if v.time && over {
			seconds--
		} else if v.time {
			seconds++
		}
		if end < 0 {
			break
		}
		rest, over = rest[end+1:], rest[end] == '/'
	}
	if seconds != 0 && seconds != 1 {
		return p, fmt.Errorf("%q is neither a time nor a number", strings.TrimSpace(text))
	}
	p.time = seconds == 1
	return p, nil
}

func parseValue(word string, policies []string) (value, error) {
	if word == "" {
		return value{}, errors.New("a value is missing")
	}
	if word[0] >= '0' && word[0] <= '9' || word[0] == '.' {
		return parseNumber(word)
	}
	if f, scale := fieldOf(word); f != nil {
		return value{field: f, scale: scale, time: isTime(f, word)}, nil
	}
	policy, name, _ := strings.Cut(word, ".")
	f, scale := fieldOf(name)
	known := policy == Rival || slices.Contains(policies, policy)
	switch {
	case f == nil:
		return value{}, fmt.Errorf("there is no field %q; there are %s, each also of a policy or of %s, as %s.money", word, strings.Join(names(), ", "), Rival, Rival)
	case !known:
		return value{}, fmt.Errorf("%q: no run of policy %q; there are %s", word, policy, strings.Join(policies, ", "))
	case policy == Rival && len(rivals(policies)) == 0:
		return value{}, fmt.Errorf("%q: there is no rival; name others in --policy beside %s", word, strings.Join(policies, ", "))
	}
	return value{policy: policy, field: f, scale: scale, time: isTime(f, name)}, nil
}

func parseNumber(word string) (value, error) {
	if v, err := strconv.ParseFloat(word, 64); err == nil {
		return finite(word, value{number: v})
	}
	if text, ok := strings.CutSuffix(word, "%"); ok {
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			return finite(word, value{number: v / 100})
		}
	}
	if d, err := time.ParseDuration(word); err == nil {
		return value{number: d.Seconds(), time: true}, nil
	}
	return value{}, fmt.Errorf("%q is no number; one is like 0.8, 80%%, 500ms or 1.5h", word)
}

func finite(word string, v value) (value, error) {
	if math.IsInf(v.number, 0) || math.IsNaN(v.number) {
		return v, fmt.Errorf("%q is no finite number", word)
	}
	return v, nil
}

// fieldOf finds a field by its name or alias, with what turns it into that.
func fieldOf(name string) (*report.Field, float64) {
	list := report.Fields()
	for i := range list {
		switch f := &list[i]; name {
		case f.Name:
			return f, 1
		case f.Alias:
			if name != "" {
				return f, f.Scale
			}
		}
	}
	return nil, 0
}

func isTime(f *report.Field, name string) bool { return f.Alias == name && name != "" }

func names() (list []string) {
	for _, f := range report.Fields() {
		if f.Alias != "" {
			list = append(list, f.Alias)
		}
		list = append(list, f.Name)
	}
	return list
}

func rivals(policies []string) []string {
	if len(policies) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(policies[1:]), func(p string) bool { return p == oracle })
}

// Judge holds the claim to runs, which are those that it was read for, in that order, with Figures.
func (c *Claim) Judge(runs []report.Run) Verdict {
	left, right := c.left.of(runs), c.right.of(runs)
	holds := false
	switch c.operator {
	case "<=":
		holds = left <= right
	case ">=":
		holds = left >= right
	case "<":
		holds = left < right
	case ">":
		holds = left > right
	case "==":
		holds = left == right
	case "!=":
		holds = left != right
	}
	time := c.left.time || c.right.time
	return Verdict{Holds: holds, Text: fmt.Sprintf("%s: %s %s %s", c.text, show(left, time), c.operator, show(right, time))}
}

func (p *product) of(runs []report.Run) float64 {
	result := 1.0
	for i := range p.values {
		v := p.values[i].of(runs)
		if p.over[i] {
			result /= v
		} else {
			result *= v
		}
	}
	return result
}

func (v *value) of(runs []report.Run) float64 {
	if v.field == nil {
		return v.number
	}
	if v.policy != Rival {
		at := max(0, slices.IndexFunc(runs, func(r report.Run) bool { return r.Name == v.policy }))
		return v.field.Of(runs[at].Figures) * v.scale
	}
	best := math.NaN()
	for i := 1; i < len(runs); i++ {
		if x := v.field.Of(runs[i].Figures) * v.scale; runs[i].Name != oracle && (math.IsNaN(best) || x < best != v.field.MoreIsBetter) {
			best = x
		}
	}
	return best
}

func show(v float64, time bool) string {
	switch text := strconv.FormatFloat(v, 'g', 6, 64); {
	case !time:
		return text
	case v != 0 && math.Abs(v) < 1:
		return strconv.FormatFloat(1000*v, 'g', 6, 64) + "ms"
	default:
		return text + "s"
	}
}
