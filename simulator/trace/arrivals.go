package trace

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Placement is where in a period the requests of a count arrive.
type Placement string

// The placements.
const (
	Uniform     Placement = "uniform"     // anywhere, each for itself
	Equidistant Placement = "equidistant" // as far apart as they can be, from a moment that is the function's own
	Exponential Placement = "exponential" // with exponential gaps, stretched so that they fill the period
)

// ArrivalOptions are how counts become requests, and what is made of requests without a duration. The zero value is Uniform.
type ArrivalOptions struct {
	// Placement of requests within a period; empty means Uniform.
	Placement Placement
	// Seed of all chance. Each function has a stream of its own, made of the seed and its name: one more function changes
	// nothing for the others.
	Seed uint64
	// LLM makes service times of tokens; the zero value means DefaultServiceModel.
	LLM ServiceModel
	// Service is how long a request takes of which the trace says nothing; 0 means 100 ms.
	Service time.Duration
}

// Validate says which field is wrong.
func (o ArrivalOptions) Validate() error {
	switch o.Placement {
	case "", Uniform, Equidistant, Exponential:
	default:
		return fmt.Errorf("placement %q: it is uniform, equidistant or exponential", o.Placement)
	}
	if o.Service < 0 || o.Service > mostDuration {
		return fmt.Errorf("service %s: it is 0 to a year", o.Service)
	}
	return nil
}

// mostInPeriod bounds how many requests are placed at a time; they are held in memory, 24 bytes each.
const mostInPeriod = 1 << 23

// Arrivals gives single requests in order of arrival, of requests as of counts. Its memory does not grow with the trace.
type Arrivals struct {
	trace   *Trace
	options ArrivalOptions
	periods *Periods
	chance  []*stream // by function
	placed  []placed  // of the period at hand, in order, from next on
	next    int
	later   []placed // of counts whose own period ends after the period at hand
	spare   []placed
	slots   []int32
	bound   time.Duration
	ended   bool
}

type placed struct {
	at, service time.Duration
	function    int32
}

// stream is a function's own chance.
type stream struct {
	*rand.Rand
	phase float64 // of Equidistant
}

// Arrivals gives the trace's requests one by one. The trace must not have been read from yet, and not be of Kind Pods.
func (t *Trace) Arrivals(o ArrivalOptions) (*Arrivals, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if t.kind == Pods {
		return nil, fmt.Errorf("%s: the trace has pods and no requests", t.format)
	}
	if o.Placement == "" {
		o.Placement = Uniform
	}
	if o.LLM == (ServiceModel{}) {
		o.LLM = DefaultServiceModel
	}
	if o.Service == 0 {
		o.Service = 100 * time.Millisecond
	}
	a := &Arrivals{trace: t, options: o}
	if t.kind == Counts {
		a.periods = t.Periods()
	}
	return a, nil
}

// Next fills r with the next request; it is io.EOF after the last.
func (a *Arrivals) Next(r *Request) error {
	if a.periods == nil {
		return a.request(r)
	}
	for a.next == len(a.placed) {
		if a.ended && len(a.later) == 0 {
			return io.EOF
		}
		if err := a.place(); err != nil {
			return err
		}
	}
	p := &a.placed[a.next]
	a.next++
	*r = Request{At: p.at, Workload: a.trace.functions[p.function].Name, Function: int(p.function), Service: p.service}
	return nil
}

// request takes a row of a trace of requests.
func (a *Arrivals) request(r *Request) error {
	var row Row
	if err := a.trace.Next(&row); err != nil {
		return err
	}
	*r = Request{At: row.At, Workload: a.trace.functions[row.Function].Name, Function: row.Function, Service: row.Duration}
	switch {
	case row.HasDuration:
	case row.ContextTokens > 0 || row.GeneratedTokens > 0:
		r.Service = a.options.LLM.Of(row.ContextTokens, row.GeneratedTokens)
	default:
		r.Service = a.service(row.Function, a.stream(row.Function))
	}
	return nil
}

// service draws how long a request of a function takes.
func (a *Arrivals) service(function int, chance *stream) time.Duration {
	if d := &a.trace.functions[function].Durations; d.Known {
		return d.At(chance.Float64())
	}
	return a.options.Service
}

// stream is the function's own chance, by its name.
func (a *Arrivals) stream(function int) *stream {
	for len(a.chance) <= function {
		s := &stream{Rand: chanceOf(a.options.Seed, a.trace.functions[len(a.chance)].Name)}
		s.phase = s.Float64()
		a.chance = append(a.chance, s)
	}
	return a.chance[function]
}

// place makes the requests of the next period.
func (a *Arrivals) place() error {
	begin, cells, err := a.periods.Next()
	if errors.Is(err, io.EOF) {
		a.ended = true
		a.placed, a.next = append(a.placed[:0], a.later...), 0
		a.later = a.later[:0]
		a.sort(a.bound, a.periods.period)
		return nil
	}
	if err != nil {
		return err
	}
	total := int64(len(a.later))
	for _, c := range cells {
		total += c.Count
	}
	if total > mostInPeriod {
		return fmt.Errorf("%d requests in the %s from %s on; at most %d can be told apart, use the counts", total, a.periods.period, begin, mostInPeriod)
	}
	a.placed, a.next = append(a.placed[:0], a.later...), 0
	a.later = a.later[:0]
	phased := false
	for _, c := range cells {
		phased = phased || c.phase > 0
		a.cell(begin+c.phase, c)
	}
	span := a.periods.period
	a.bound = begin + span
	if phased {
		span *= 2
	}
	a.sort(begin, span)
	if phased { // the last belong after the next period's first
		for i := range a.placed {
			if a.placed[i].at >= a.bound {
				a.later = append(a.later, a.placed[i:]...)
				a.placed = a.placed[:i]
				break
			}
		}
	}
	return nil
}

// cell places the requests of one count.
func (a *Arrivals) cell(begin time.Duration, c Cell) {
	chance := a.stream(c.Function)
	period := float64(a.periods.period)
	n := int(c.Count)
	from := len(a.placed)
	switch a.options.Placement {
	case Equidistant:
		step := period / float64(n)
		for i := range n {
			a.add(c.Function, begin+time.Duration((float64(i)+chance.phase)*step))
		}
	case Exponential:
		sum := 0.0
		for range n {
			sum += chance.ExpFloat64()
			a.add(c.Function, time.Duration(sum*1e6))
		}
		// The gap from the last to the first goes round the end of the period: where in it the period begins is chance too.
		turn := chance.Float64() * float64(a.placed[from].at)
		scale := period / (sum * 1e6)
		for i := from; i < len(a.placed); i++ {
			a.placed[i].at = begin + time.Duration((float64(a.placed[i].at)-turn)*scale)
		}
	default:
		for range n {
			a.add(c.Function, begin+time.Duration(chance.Float64()*period))
		}
	}
	for i := from; i < len(a.placed); i++ {
		p := &a.placed[i]
		p.at = min(p.at, begin+a.periods.period-1)
		p.service = a.service(c.Function, chance)
	}
}

func (a *Arrivals) add(function int, at time.Duration) {
	a.placed = append(a.placed, placed{at: at, function: int32(function)})
}

// sort orders placed, which lie within span of begin: first roughly by place, then exactly among neighbours. Requests at the
// same moment keep their order, which is that of the functions.
func (a *Arrivals) sort(begin, span time.Duration) {
	n := len(a.placed)
	if n < 2 {
		return
	}
	a.slots = append(a.slots[:0], make([]int32, n+1)...)
	scale := float64(n) / float64(span+1)
	slot := func(p *placed) int { return min(max(int(float64(p.at-begin)*scale), 0), n-1) }
	for i := range a.placed {
		a.slots[slot(&a.placed[i])+1]++
	}
	for i := range n {
		a.slots[i+1] += a.slots[i]
	}
	a.spare = append(a.spare[:0], a.placed...)
	for i := range a.spare {
		s := slot(&a.spare[i])
		a.placed[a.slots[s]] = a.spare[i]
		a.slots[s]++
	}
	for i := 1; i < n; i++ {
		p := a.placed[i]
		j := i
		for ; j > 0 && a.placed[j-1].at > p.at; j-- {
			a.placed[j] = a.placed[j-1]
		}
		a.placed[j] = p
	}
}
