package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values says what the numbers of a Prometheus export are.
type Values string

// What they may be.
const (
	ValuesAuto    Values = ""        // a counter when the metric's name ends in _total, _count or _sum; else a rate
	ValuesCounter Values = "counter" // ever growing, from 0 after a restart
	ValuesRate    Values = "rate"    // a second
	ValuesCount   Values = "count"   // in the step
)

func (v Values) validate() error {
	switch v {
	case ValuesAuto, ValuesCounter, ValuesRate, ValuesCount:
		return nil
	}
	return fmt.Errorf("values %q: it is counter, rate or count", v)
}

// prometheusFile reads the answer to query_range, series by series. A sample is of the step before it. A gap and NaN are
// unknown, and no zero.
type prometheusFile struct {
	*objects
	trace    *Trace
	series   prometheusSeries
	function int
	counter  bool
	at       int
	run      []float64
}

type prometheusSeries struct {
	Metric map[string]string  `json:"metric"`
	Values []prometheusSample `json:"values"`
}

type prometheusSample struct {
	when  int64
	value float64
	known bool
}

// UnmarshalJSON reads [1700158546.123,"42"].
func (s *prometheusSample) UnmarshalJSON(b []byte) error {
	when, value, ok := bytes.Cut(bytes.Trim(b, "[] \n\r\t"), []byte(","))
	if !ok {
		return fmt.Errorf("%s is not a sample such as [1700158546,\"42\"]", clip(b))
	}
	var err error
	if s.when, err = moment(when); err != nil {
		return err
	}
	value = bytes.Trim(value, "\" \n\r\t")
	if s.value, err = strconv.ParseFloat(string(value), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is not a number", clip(value))
	}
	s.known = !math.IsNaN(s.value) && !math.IsInf(s.value, 0)
	return nil
}

func openPrometheus(t *Trace, s *source) (raw, error) {
	p := &prometheusFile{objects: newObjects(s), trace: t}
	err := p.enter([]string{"data", "result"}, func(key string) (bool, error) {
		if key != "resultType" && key != "status" {
			return false, nil
		}
		var got string
		if err := p.json.Decode(&got); err != nil {
			return true, p.fail(key, err)
		}
		if want := map[string]string{"resultType": "matrix", "status": "success"}[key]; got != want {
			return true, p.failf(key, "%q; expected %q, the answer to query_range", clip([]byte(got)), want)
		}
		return true, nil
	})
	return p, err
}

func (p *prometheusFile) event(e *event) error {
	for {
		for p.at >= len(p.series.Values) {
			if !p.json.More() {
				return p.leave(2)
			}
			if err := p.next(); err != nil {
				return err
			}
		}
		if len(p.collect(e)) > 0 {
			for _, n := range e.Counts {
				if err := p.trace.tooMany(n); err != nil {
					return p.fail("values", err)
				}
				if n < 0 {
					return p.failf("values", "%g; expected no number below 0", n)
				}
			}
			e.Function = p.function
			return nil
		}
	}
}

// next reads a series.
func (p *prometheusFile) next() error {
	p.series, p.at = prometheusSeries{}, 0
	if err := p.json.Decode(&p.series); err != nil {
		return p.fail("data.result", err)
	}
	v := p.series.Values
	step := time.Duration(0)
	for i := 1; i < len(v); i++ {
		d := time.Duration(v[i].when - v[i-1].when)
		if d <= 0 {
			return p.failf("values", "sample %d is not after the one before; expected rising times", i+1)
		}
		if step == 0 || d < step {
			step = d
		}
	}
	name := p.series.Metric["__name__"]
	p.counter = p.trace.options.Values == ValuesCounter
	if p.trace.options.Values == ValuesAuto {
		p.counter = strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_sum")
	}
	switch {
	case step == 0 && p.trace.period == 0 || len(v) == 0:
		p.trace.drop(&lines{source: p.source, line: p.line()}, "a series of less than two samples")
		p.at = len(v)
		return nil
	case p.trace.period == 0:
		if err := p.trace.steps(step); err != nil {
			return p.fail("values", err)
		}
	case step != 0 && step%p.trace.period != 0:
		return p.failf("values", "a step of %s, but %s in the series before; expected one step in an export", step, p.trace.period)
	}
	what := "rates a second"
	if p.counter {
		what = "counters"
	} else if p.trace.options.Values == ValuesCount {
		what = "counts"
	}
	p.trace.note("the numbers were taken as %s; --values says otherwise", what)
	var err error
	if p.function, err = p.trace.named([]byte(seriesName(p.series.Metric))); err != nil {
		return p.fail("metric", err)
	}
	return nil
}

// collect takes samples from at on that follow one another.
func (p *prometheusFile) collect(e *event) []float64 {
	v, period := p.series.Values, int64(p.trace.period)
	p.run = p.run[:0]
	for ; p.at < len(v) && len(p.run) < runMost; p.at++ {
		if len(p.run) > 0 && v[p.at].when-v[p.at-1].when != period {
			break
		}
		n, known := p.count(p.at)
		if !known && len(p.run) > 0 {
			p.at++
			break
		}
		if !known {
			continue
		}
		if len(p.run) == 0 {
			e.when = v[p.at].when - period
		}
		p.run = append(p.run, n*p.trace.options.scale())
	}
	e.Counts = p.run
	return p.run
}

// count is the requests in the step before a sample, when they are known; else it is said why not.
func (p *prometheusFile) count(i int) (n float64, known bool) {
	s := p.series.Values[i]
	switch {
	case !s.known:
		p.trace.drop(&lines{source: p.source, line: p.line()}, "NaN or infinite: unknown")
		return 0, false
	case !p.counter && p.trace.options.Values == ValuesCount:
		return s.value, true
	case !p.counter:
		return s.value * p.trace.period.Seconds(), true
	case i == 0:
		return 0, false // a counter's first sample is what it grows from
	}
	before := p.series.Values[i-1]
	if !before.known || s.when-before.when != int64(p.trace.period) {
		p.trace.drop(&lines{source: p.source, line: p.line()}, "a counter after a gap: when it grew is unknown")
		return 0, false
	}
	if s.value < before.value { // it began anew
		return s.value, true
	}
	return s.value - before.value, true
}

// seriesName is a metric as Prometheus writes it, labels sorted; a series without any is named requests.
func seriesName(metric map[string]string) string {
	var labels []string
	for k, v := range metric {
		if k != "__name__" {
			labels = append(labels, k+"="+strconv.Quote(v))
		}
	}
	slices.Sort(labels)
	name := metric["__name__"]
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	if name == "" {
		return "requests"
	}
	return name
}

// newPrometheus counts time from the earliest moment of any series. Series may begin in any order: files are read once for it.
func newPrometheus(t *Trace, files []file) (rowReader, error) {
	first := int64(math.MaxInt64)
	for _, f := range files {
		if f.once {
			continue
		}
		f.src = nil
		at, err := earliest(f, t.options)
		if err != nil {
			return nil, err
		}
		first = min(first, at)
	}
	r, err := newUnordered(t, Counts, files, openPrometheus, true)
	if err != nil {
		return nil, err
	}
	if u, ok := r.(*unordered); ok && first < math.MaxInt64 {
		u.started, u.first = true, first
		t.start = time.Unix(0, first).UTC()
	}
	return r, nil
}

// earliest is the first moment of any series: series may begin in any order, and the file is read twice for it.
func earliest(f file, o Options) (int64, error) {
	s, err := f.source()
	if err != nil {
		return 0, err
	}
	scratch := &Trace{format: Prometheus, byName: map[string]int{}, options: o}
	r, err := openPrometheus(scratch, s)
	if err != nil {
		return 0, errors.Join(err, s.Close())
	}
	defer r.Close() // read only: nothing to lose
	first := int64(math.MaxInt64)
	var e event
	for {
		switch err := r.event(&e); {
		case errors.Is(err, io.EOF):
			return first, nil
		case err != nil:
			return 0, err
		}
		first = min(first, e.when)
	}
}
