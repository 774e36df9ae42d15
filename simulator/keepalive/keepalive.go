package keepalive

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/wholescale/wholescale/simulator/trace"
)

// policies are the rules, in the order of the results.
var policies = []struct {
	name  string
	fixed int64 // minutes; 0 is the histogram
}{
	{"fixed5m", 5}, {"fixed10m", 10}, {"fixed20m", 20}, {"fixed60m", 60}, {"fixed120m", 120}, {"fixed240m", 240}, {"hybrid4h_noARIMA", 0},
}

const (
	policyCount = 7
	reference   = 1 // fixed10m, which the others' waste is measured in
)

// Result is what one rule would have done. Percentages are of 0 to 100.
type Result struct {
	Policy string `json:"-"`
	// P50, P75 and Mean are over functions with any invocation: the share of their invocations that were cold.
	P50  float64 `json:"p50"`
	P75  float64 `json:"p75"`
	Mean float64 `json:"mean"`
	// AlwaysColdPct is how many functions had no warm invocation.
	AlwaysColdPct float64 `json:"always_cold_pct"`
	// IdleMin is minutes loaded without work, of all functions.
	IdleMin int64 `json:"idle_min"`
	// NormWaste is IdleMin over that of fixed10m; 0 when that is 0.
	NormWaste float64 `json:"norm_waste_vs_fixed10"`
	// FloorIdleMin is the memoryless bound: if a function's gaps have no memory (in each minute the same chance p of an
	// event, whatever came before), each minute loaded is hit with chance p, so that by Wald's identity a warm start takes
	// 1/p = the mean gap of loaded minutes, whatever rule chooses them. The floor is the sum over functions of the rule's
	// warm starts x the function's mean gap. A rule below it makes use of gaps that can be told beforehand.
	FloorIdleMin float64 `json:"-"`
	// OracleIdleMin is what an oracle needs that knows each next gap, keeps or drops (it does not warm before), and may have
	// as many cold starts of each function as the rule had: it keeps through the shortest gaps and drops at once after the last
	// event. No rule that only keeps can need less. (One that warms before its time would need none at this grain.)
	OracleIdleMin int64 `json:"-"`
}

// function is what the rules have done to one function so far.
type function struct {
	last        int64 // minute of the last event; -1 before the first
	first       int64
	events      int64
	invocations int64
	cold        [policyCount]int64
	idle        [policyCount]int64
	gaps        *histogram // of the hybrid rule; nil before the first gap
	all         map[int64]int64
}

// Evaluate reads a trace to its end. It takes counts per minute or finer, and requests; bounds adds the floor and the
// oracle, which takes a little longer.
func Evaluate(t *trace.Trace, bounds bool) ([]Result, error) {
	if t.Kind() == trace.Pods {
		return nil, fmt.Errorf("%s: keep-alive needs requests or counts, and this trace has pods", t.Format())
	}
	if t.Period() > time.Minute || t.Period() > 0 && time.Minute%t.Period() != 0 {
		return nil, fmt.Errorf("keep-alive needs counts of a minute or a part of it, and a count of this trace is of %s", t.Period())
	}
	var functions []*function
	end := int64(0)
	err := t.Each(func(row *trace.Row) error {
		for len(functions) <= row.Function {
			functions = append(functions, &function{last: -1})
		}
		f := functions[row.Function]
		if t.Kind() == trace.Requests {
			minute := int64(row.At / time.Minute)
			end = max(end, minute+1)
			return f.event(minute, 1, bounds)
		}
		end = max(end, int64((row.At+time.Duration(len(row.Counts))*t.Period()+time.Minute-1)/time.Minute))
		for i, n := range row.Counts {
			if n > 0 {
				minute := int64((row.At + time.Duration(i)*t.Period()) / time.Minute)
				if err := f.event(minute, max(int64(math.Round(n)), 1), bounds); err != nil {
					return fmt.Errorf("function %s: %w", t.Functions()[row.Function].Name, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results(functions, end)
}

var errBack = errors.New("its counts are not in order of time")

// event is n invocations in a minute.
func (f *function) event(minute, n int64, bounds bool) error {
	f.invocations += n
	switch {
	case f.last < 0:
		f.first = minute
		for i := range f.cold {
			f.cold[i]++
		}
	case minute == f.last:
		return nil
	case minute < f.last:
		return errBack
	default:
		f.gap(minute-f.last, bounds)
	}
	f.events++
	f.last = minute
	return nil
}

// gap is what a gap costs under each rule; the histogram learns of it afterwards.
func (f *function) gap(gap int64, bounds bool) {
	if f.gaps == nil {
		f.gaps = &histogram{}
	}
	for i := range policies {
		cold, idle := f.window(i).after(gap)
		if cold {
			f.cold[i]++
		}
		f.idle[i] += idle
	}
	f.gaps.add(gap)
	if bounds {
		if f.all == nil {
			f.all = map[int64]int64{}
		}
		f.all[gap]++
	}
}

func (f *function) window(policy int) window {
	switch fixed := policies[policy].fixed; {
	case fixed > 0:
		return window{keep: fixed}
	case f.gaps == nil:
		return window{keep: histogramBins}
	}
	return f.gaps.window()
}

// results sums up, when the trace ends at minute end.
func results(functions []*function, end int64) ([]Result, error) {
	list := make([]Result, policyCount)
	shares := make([][]float64, policyCount)
	for _, f := range functions {
		if f.last < 0 {
			continue
		}
		for i := range policies {
			r := &list[i]
			r.IdleMin += f.idle[i] + f.window(i).last(end-f.last)
			share := 100 * float64(f.cold[i]) / float64(f.invocations)
			shares[i] = append(shares[i], share)
			if f.cold[i] == f.invocations {
				r.AlwaysColdPct++
			}
			if f.events > 1 {
				r.FloorIdleMin += float64(f.events-f.cold[i]) * float64(f.last-f.first) / float64(f.events-1)
			}
		}
		f.oracle(list)
	}
	if len(shares[0]) == 0 {
		return nil, errors.New("no function of the trace was invoked")
	}
	for i := range list {
		r := &list[i]
		r.Policy = policies[i].name
		slices.Sort(shares[i])
		r.P50, r.P75, r.Mean = percentile(shares[i], 0.5), percentile(shares[i], 0.75), mean(shares[i])
		r.AlwaysColdPct *= 100 / float64(len(shares[i]))
		if idle := list[reference].IdleMin; idle > 0 {
			r.NormWaste = float64(r.IdleMin) / float64(idle)
		}
	}
	return list, nil
}

// oracle adds the shortest gaps, as many as each rule had warm.
func (f *function) oracle(list []Result) {
	if f.all == nil {
		return
	}
	gaps := make([]int64, 0, len(f.all))
	for g := range f.all {
		gaps = append(gaps, g)
	}
	slices.Sort(gaps)
	for i := range list {
		warm := f.events - f.cold[i]
		for _, g := range gaps {
			n := min(warm, f.all[g])
			list[i].OracleIdleMin += n * g
			if warm -= n; warm == 0 {
				break
			}
		}
	}
}

// percentile is straight between the two values beside it (R's type 7) of a sorted list.
func percentile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}

// Rounded is the result with the digits that are printed: three for shares, one for AlwaysColdPct, four for NormWaste.
func (r Result) Rounded() Result {
	r.P50, r.P75, r.Mean = round(r.P50, 3), round(r.P75, 3), round(r.Mean, 3)
	r.AlwaysColdPct, r.NormWaste, r.FloorIdleMin = round(r.AlwaysColdPct, 1), round(r.NormWaste, 4), round(r.FloorIdleMin, 0)
	return r
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.RoundToEven(v*scale) / scale
}
