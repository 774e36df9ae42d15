package trace

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Info is what a trace is, at a glance.
type Info struct {
	Format        Format  `json:"format"`
	Kind          Kind    `json:"kind"`
	Start         string  `json:"start,omitempty"` // RFC 3339; empty when the trace has no date
	SpanSeconds   float64 `json:"span_s"`
	PeriodSeconds float64 `json:"period_s,omitempty"`
	Rows          int64   `json:"rows"`
	Functions     int     `json:"functions"`
	WithDurations int     `json:"functions_with_durations"`
	WithMemory    int     `json:"functions_with_memory"`
	Requests      float64 `json:"requests"`
	MeanPerSecond float64 `json:"mean_per_s"`
	// PeakPerSecond is the busiest period's rate, of requests the busiest second's; PeakAt is when it began.
	PeakPerSecond float64 `json:"peak_per_s"`
	PeakAtSeconds float64 `json:"peak_at_s"`
	// TopPercent is what the busiest hundredth of the functions (one at least) got of all requests.
	TopPercent float64  `json:"top_1pct_functions_load_pct"`
	Dropped    []Drop   `json:"dropped"`
	Notes      []string `json:"notes"`
}

// Describe reads a trace to its end.
func Describe(t *Trace) (Info, error) {
	d := describer{second: -1}
	err := t.Each(func(row *Row) error { return d.row(t, row) })
	if err != nil {
		return Info{}, err
	}
	i := Info{
		Format: t.format, Kind: t.kind, PeriodSeconds: t.period.Seconds(), SpanSeconds: d.span.Seconds(), Rows: d.rows, Functions: len(t.functions),
		Requests: digits3(d.requests), Dropped: append([]Drop{}, t.Drops()...), Notes: append([]string{}, t.notes...),
	}
	if !t.start.IsZero() {
		i.Start = t.start.Format(time.RFC3339Nano)
	}
	for _, f := range t.functions {
		if f.Durations.Known || d.timed[f.Name] {
			i.WithDurations++
		}
		if f.MemoryMB > 0 {
			i.WithMemory++
		}
	}
	if t.kind == Pods {
		return i, nil
	}
	i.PeakPerSecond, i.PeakAtSeconds = d.peak(t)
	if d.span > 0 {
		i.MeanPerSecond = digits3(d.requests / d.span.Seconds())
	}
	slices.SortFunc(d.byFunction, func(a, b float64) int { return cmp.Compare(b, a) })
	top := 0.0
	for _, n := range d.byFunction[:max(1, len(d.byFunction)/100)] {
		top += n
	}
	if d.requests > 0 {
		i.TopPercent = math.Round(1000*top/d.requests) / 10
	}
	return i, nil
}

type describer struct {
	rows, second, inSecond, mostInSecond, peakSecond int64
	requests                                         float64
	span                                             time.Duration
	byFunction                                       []float64
	totals                                           []float64 // by period, of counts
	timed                                            map[string]bool
}

func (d *describer) row(t *Trace, row *Row) error {
	d.rows++
	for len(d.byFunction) < len(t.functions) {
		d.byFunction = append(d.byFunction, 0)
	}
	switch t.kind {
	case Requests:
		d.requests++
		d.byFunction[row.Function]++
		d.span = max(d.span, row.At)
		if s := int64(row.At / time.Second); s != d.second {
			d.second, d.inSecond = s, 0
		}
		if d.inSecond++; d.inSecond > d.mostInSecond {
			d.mostInSecond, d.peakSecond = d.inSecond, d.second
		}
		if row.HasDuration {
			if d.timed == nil {
				d.timed = map[string]bool{}
			}
			d.timed[t.functions[row.Function].Name] = true
		}
	case Counts:
		begin := int64(row.At / t.period)
		if begin+int64(len(row.Counts)) > mostSpan {
			return fmt.Errorf("the trace spans more than %d periods of %s", mostSpan, t.period)
		}
		for int64(len(d.totals)) < begin+int64(len(row.Counts)) {
			d.totals = append(d.totals, 0)
		}
		for i, n := range row.Counts {
			d.requests += n
			d.byFunction[row.Function] += n
			d.totals[begin+int64(i)] += n
		}
		d.span = max(d.span, row.At+time.Duration(len(row.Counts))*t.period)
	default:
		d.span = max(d.span, row.At)
	}
	return nil
}

// peak is the highest rate a second, and when.
func (d *describer) peak(t *Trace) (rate, at float64) {
	if t.kind == Requests {
		return float64(d.mostInSecond), float64(d.peakSecond)
	}
	best := 0
	for i, n := range d.totals {
		if n > d.totals[best] {
			best = i
		}
	}
	if len(d.totals) == 0 {
		return 0, 0
	}
	return digits3(d.totals[best] / t.period.Seconds()), float64(best) * t.period.Seconds()
}

func digits3(v float64) float64 { return math.Round(v*1000) / 1000 }
