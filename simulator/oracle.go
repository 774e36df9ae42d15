package simulator

import (
	"math"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/simulator/report"
)

// runOracle is the floor: what nobody can do better, since it knows each request beforehand. Nobody waits. A replica is
// there for as long as it has requests, started so early that it serves in time, and kept through a gap that is shorter
// than its start; between two uses it costs the lesser of the gap and the start. Machines come by the fraction and in no
// time: their hours are what the replicas ask for of the scarcer resource, at the best price for it. So it is a bound and
// no schedule; no policy can have no waits for less.
func runOracle(c Config) (Result, error) {
	s := &simulation{Config: c, byName: map[string]*workload{}, shapes: map[autoscaler.Resources]*fit.Pod{}, result: newResult(string(Oracle), 0)}
	s.decider = nobody{}
	for _, w := range c.Workloads {
		s.add(w)
	}
	o := oracle{s: s, of: map[*workload]*oracleWorkload{}}
	if err := o.run(); err != nil {
		return Result{}, err
	}
	return Result{Run: o.finish()}, nil
}

// nobody decides nothing.
type nobody struct{}

func (nobody) tick()           {}
func (nobody) heard(happening) {}

// Floor is the peak of each workload's replicas when nobody waits, which Policy static runs all the time.
func Floor(c Config) (map[autoscaler.WorkloadID]int, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Traffic == nil {
		c.Traffic = &list{requests: c.Requests}
	}
	s := &simulation{Config: c, byName: map[string]*workload{}, shapes: map[autoscaler.Resources]*fit.Pod{}, decider: nobody{}, result: newResult("", 0)}
	for _, w := range c.Workloads {
		s.add(w)
	}
	o := oracle{s: s, of: map[*workload]*oracleWorkload{}}
	if err := o.run(); err != nil {
		return nil, err
	}
	peaks := make(map[autoscaler.WorkloadID]int, len(o.of))
	for w, v := range o.of {
		peaks[w.ID] = v.most
	}
	return peaks, nil
}

type oracle struct {
	s         *simulation
	of        map[*workload]*oracleWorkload
	used, top int
}

// oracleWorkload has its replicas one above the other: the n-th is in use while there are more requests than those below
// it take. (Requests can not be moved in truth; that they could makes the floor lower.)
type oracleWorkload struct {
	slots      int
	since      []time.Duration // by replica: since when it is in use, or idle
	used, most int
	podSeconds float64
	start      time.Duration
}

func (o *oracle) run() error {
	s := o.s
	s.read()
	for s.fault == nil {
		if s.steps++; s.steps%often == 0 && s.Progress != nil {
			if err := s.Progress(s.now, int(s.result.requests)); err != nil {
				return err
			}
		}
		at, any := s.next()
		switch {
		case !s.ended && (!any || s.coming.At <= at):
			s.now = s.coming.At
			w, err := s.workloadOf(&s.coming)
			if err != nil {
				return err
			}
			o.point()
			o.arrive(w, s.coming.Service)
			s.read()
		case !any:
			return s.fault
		default:
			e := s.pop()
			o.point()
			o.answer(e.index)
		}
	}
	return s.fault
}

func (o *oracle) arrive(w *workload, service time.Duration) {
	s := o.s
	v := o.of[w]
	if v == nil {
		v = &oracleWorkload{slots: w.Policy.Slots, start: w.PodStart.typical() + w.Pull.typical()}
		if v.slots <= 0 {
			v.slots = max(1, int(math.Ceil(w.Policy.Total)))
		}
		o.of[w] = v
	}
	s.result.arrived(s.now)
	w.meter(s.now)
	w.inFlight++
	if w.inFlight > v.used*v.slots {
		idle := v.start // not there before
		if v.used < len(v.since) {
			idle = min(idle, s.now-v.since[v.used])
			v.since[v.used] = s.now
		} else {
			v.since = append(v.since, s.now)
		}
		v.podSeconds += idle.Seconds()
		v.used++
		v.most = max(v.most, v.used)
		o.used++
		o.top = max(o.top, o.used)
	}
	i := s.newRequest(w, service)
	s.result.waits.add(0)
	s.push(event{at: s.now + service, kind: answers, index: i})
}

func (o *oracle) answer(i int32) {
	s := o.s
	w := s.requests[i].w
	v := o.of[w]
	w.meter(s.now)
	w.inFlight--
	s.result.answered(s.now)
	s.result.serviceSeconds += s.requests[i].service.Seconds()
	if w.inFlight <= (v.used-1)*v.slots {
		v.used--
		o.used--
		v.podSeconds += (s.now - v.since[v.used]).Seconds()
		v.since[v.used] = s.now
	}
	s.spare = append(s.spare, i)
}

// point adds to the series each pointEvery.
func (o *oracle) point() {
	r := &o.s.result
	if r.lastPoint >= 0 && o.s.now-r.lastPoint < r.pointEvery {
		return
	}
	p := report.Point{At: o.s.now, Wanted: o.used, Ready: o.used, Arrivals: float64(r.sincePoint)}
	if d := (o.s.now - r.lastPoint).Seconds(); r.lastPoint >= 0 && d > 0 {
		p.Arrivals /= d
	}
	for _, w := range o.s.workloads {
		p.InFlight += w.inFlight
	}
	p.Cost, _ = o.price()
	r.sincePoint, r.lastPoint = 0, o.s.now
	r.run.Series = append(r.run.Series, p)
	if len(r.run.Series) >= mostPoints {
		r.thin()
	}
}

// price is the least that the replicas' hours cost so far, and in how many hours of a node.
func (o *oracle) price() (money, nodeHours float64) {
	var cpu, memory float64 // unit-seconds
	for _, w := range o.s.workloads {
		v := o.of[w]
		if v == nil {
			continue
		}
		cpu += float64(w.Shape.Needs.CPU) * v.podSeconds
		memory += float64(w.Shape.Needs.Memory) * v.podSeconds
	}
	best := func(used float64, of func(autoscaler.Resources) int64) (m, h float64) {
		m, h = math.Inf(1), math.Inf(1)
		for _, p := range o.s.Config.Pools {
			hours := used / float64(max(of(p.Allocatable), 1)) / 3600
			m, h = math.Min(m, hours*p.PricePerHour), math.Min(h, hours)
		}
		return m, h
	}
	m1, h1 := best(cpu, func(r autoscaler.Resources) int64 { return r.CPU })
	m2, h2 := best(memory, func(r autoscaler.Resources) int64 { return r.Memory })
	return math.Max(m1, m2), math.Max(h1, h2)
}

func (o *oracle) finish() report.Run {
	s, r := o.s, &o.s.result
	trend := 0
	podSeconds, slotSeconds := 0.0, 0.0
	for _, w := range s.workloads {
		w.meter(s.now)
		trend += w.trend.moved
		if v := o.of[w]; v != nil {
			podSeconds += v.podSeconds
			slotSeconds += v.podSeconds * float64(v.slots)
		}
	}
	f := &report.Figures{Requests: r.requests, Answered: r.answers, PodHours: podSeconds / 3600, ReplicasMax: o.top}
	f.Money, f.NodeHours = o.price()
	if slotSeconds > 0 {
		f.Utilisation = r.serviceSeconds / slotSeconds
	}
	sum := &r.run.Summary
	sum.Requests, sum.Answered, sum.Cost, sum.PodSeconds, sum.NodeSeconds, sum.ReplicasMax = int(r.requests), int(r.answers), f.Money, podSeconds, f.NodeHours*3600, o.top
	r.run.Figures = f
	return r.run
}
