package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wholescale/wholescale/autoscaler"
)

// The bounds of what a record may ask for, so that a slip of the pen fills neither the memory nor the day.
const (
	mostCount   = 1_000_000 // replicas, requests and the like
	mostNodes   = 100_000   // of a pool
	mostPods    = 100_000   // of all workloads
	mostSeconds = 7_200     // of a series: twice the longest window
	leastTarget = 0.001     // requests per pod
)

// none is an empty list or name where a missing field would mean another one.
const none = "-"

// record is one line: a kind, a name, words without a key, and fields with one. It notes which fields were asked for, so
// that one that nobody knows is an error.
type record struct {
	kind, name string
	words      []string
	fields     map[string]string
	used       map[string]bool
	err        error
}

// split cuts a line into words; a double-quoted part (Go's quoting) may hold spaces.
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		i := 0
		for i < len(line) && line[i] != ' ' && line[i] != '\t' {
			if line[i] != '"' {
				i++
				continue
			}
			quoted, err := strconv.QuotedPrefix(line[i:])
			if err != nil {
				return nil, errors.New("a quote is not closed")
			}
			i += len(quoted)
		}
		words = append(words, line[:i])
		line = line[i:]
	}
	return words, nil
}

func parseRecord(line string) (*record, error) {
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	if len(words) < 2 {
		return nil, fmt.Errorf("%q: a record has a kind and a name", line)
	}
	if !plain(words[1]) {
		return nil, fmt.Errorf("%q is no name", words[1])
	}
	r := &record{kind: words[0], name: words[1], fields: map[string]string{}, used: map[string]bool{}}
	for _, w := range words[2:] {
		key, value, found := strings.Cut(w, "=")
		if !found || strings.HasPrefix(w, `"`) {
			r.words = append(r.words, w)
			continue
		}
		if _, twice := r.fields[key]; twice {
			return nil, fmt.Errorf("field %s is given twice", key)
		}
		if strings.HasPrefix(value, `"`) {
			if value, err = strconv.Unquote(value); err != nil {
				return nil, fmt.Errorf("field %s: not a quoted text", key)
			}
		}
		r.fields[key] = value
	}
	return r, nil
}

// plain says that a word reads back as it was written, without quotes.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c == utf8.RuneError || unicode.IsSpace(c) || !unicode.IsGraphic(c) })
}

// unused is an error that names a field or word that no reader of the record asked for.
func (r *record) unused() error {
	if r.err != nil {
		return r.err
	}
	for _, key := range slices.Sorted(maps.Keys(r.fields)) {
		if !r.used[key] {
			return fmt.Errorf("unknown field %s", key)
		}
	}
	return nil
}

func (r *record) fail(key string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("field %s=%s: %w", key, r.fields[key], err)
	}
}

func field[T any](r *record, key string, otherwise T, parse func(string) (T, error)) T {
	r.used[key] = true
	text, ok := r.fields[key]
	if !ok {
		return otherwise
	}
	v, err := parse(text)
	if err != nil {
		r.fail(key, err)
	}
	return v
}

func (r *record) text(key string) string {
	return field(r, key, "", func(s string) (string, error) { return s, nil })
}

func (r *record) int(key string, otherwise int) int {
	return field(r, key, otherwise, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < -1<<31 || n > 1<<31-1 {
			return 0, errors.New("not a whole number")
		}
		return n, nil
	})
}

// count is a whole number of something.
func (r *record) count(key string, otherwise int) int {
	return field(r, key, otherwise, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > mostCount {
			return 0, fmt.Errorf("not a whole number of 0 to %d", mostCount)
		}
		return n, nil
	})
}

// amount is a number of at least 0.
func (r *record) amount(key string, otherwise float64) float64 {
	return field(r, key, otherwise, parseAmount)
}

func parseAmount(s string) (float64, error) {
	f, err := parseFloat(s)
	if err != nil || f < 0 || f > 1e9 {
		return 0, errors.New("not a number of 0 to 1e9")
	}
	return f, nil
}

func (r *record) float(key string, otherwise float64) float64 {
	return field(r, key, otherwise, parseFloat)
}

func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f > 1e15 || f < -1e15 {
		return 0, errors.New("not a number")
	}
	return f, nil
}

func (r *record) duration(key string, otherwise time.Duration) time.Duration {
	return field(r, key, otherwise, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > 1000*time.Hour {
			return 0, errors.New("not a duration such as 30s")
		}
		return d, nil
	})
}

func (r *record) time(key string) time.Time { return field(r, key, time.Time{}, parseTime) }

// day is the date of a time that is given without one.
var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse("15:04:05.999999999", s); err == nil {
		return day.Add(t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	// Beyond these years, a zone or a window leads out of what can be written.
	if t = t.UTC(); err != nil || !t.IsZero() && (t.Year() < 1970 || t.Year() > 2999) {
		return time.Time{}, errors.New("not a time such as 10:00:00")
	}
	return t, nil
}

// pair is what bounds have.
type pair struct{ low, high int }

// bounds reads a..b.
func (r *record) bounds(key string, otherwise pair, most int) (low, high int) {
	p := field(r, key, otherwise, func(s string) (pair, error) {
		a, b, found := strings.Cut(s, "..")
		low, err1 := strconv.Atoi(a)
		high, err2 := strconv.Atoi(b)
		if !found || err1 != nil || err2 != nil || low < 0 || high < 0 {
			return pair{}, errors.New("not bounds such as 0..10")
		}
		if max(low, high) > most {
			return pair{}, fmt.Errorf("bounds are %d at most", most)
		}
		return pair{low, high}, nil
	})
	return p.low, p.high
}

func (r *record) resources(otherwise autoscaler.Resources) autoscaler.Resources {
	return autoscaler.Resources{
		CPU:    field(r, "cpu", otherwise.CPU, parseCPU),
		Memory: field(r, "mem", otherwise.Memory, parseMemory),
		Pods:   int64(r.count("pods", int(otherwise.Pods))),
	}
}

// parseCPU reads cores ("2", "0.5") or millicores ("250m").
func parseCPU(s string) (int64, error) {
	number, small := strings.CutSuffix(s, "m")
	f, err := parseFloat(number)
	if !small {
		f *= 1000
	}
	if err != nil || f < 0 || f > 1e11 {
		return 0, errors.New("not an amount of CPU such as 2 or 250m")
	}
	if small {
		return int64(f), nil
	}
	return int64(f + 0.5), nil
}

// parseMemory reads bytes, or Ki, Mi, Gi, Ti.
func parseMemory(s string) (int64, error) {
	scale := 1.0
	for i, suffix := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, scale = number, float64(int64(1)<<(10*(i+1)))
		}
	}
	f, err := parseFloat(s)
	if err != nil || f < 0 || f*scale > 1e13 {
		return 0, errors.New("not an amount of memory such as 512Mi")
	}
	return int64(f * scale), nil
}
