package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
	"github.com/wholescale/wholescale/simulator/report"
)

// epoch is when a run begins: a fixed even second, as nothing of the real clock may come into a result.
var epoch = time.Unix(1_700_000_000, 0).UTC()

// Result is what a run came to.
type Result struct {
	report.Run
	// Decisions is each decision that changed something, printed as people and scenarios see it.
	Decisions string
}

// Run replays the requests. It fails when the Config makes no sense, or when Check finds fault with a decision; the error
// then holds the State that replays it.
func Run(c Config) (Result, error) {
	if err := c.complete(); err != nil {
		return Result{}, err
	}
	s := &simulation{Config: c, memory: autoscaler.NewMemory(), reported: epoch}
	s.now = epoch
	s.result.run.Name = "simulated"
	for _, w := range c.Workloads {
		s.workloads = append(s.workloads, &workload{Workload: w, metered: epoch})
	}
	for _, p := range c.Pools {
		s.pools = append(s.pools, &pool{Pool: p})
	}
	s.nextRequest(0)
	s.startTicks()
	for s.fault == nil && s.next() {
		if s.over() {
			break
		}
	}
	if s.fault != nil {
		return Result{}, s.fault
	}
	s.result.finish(s)
	return Result{Run: s.result.run, Decisions: s.decisions.String()}, nil
}

// simulation is a run under way.
type simulation struct {
	Config
	events
	workloads   []*workload
	pools       []*pool
	memory      *autoscaler.Memory
	reported    time.Time
	urgentSince time.Time
	ticking     bool
	planning    bool
	sent        int // requests that have arrived
	lastBusy    time.Time
	result      result
	decisions   strings.Builder
	fault       error
}

// nextRequest lets the i-th request arrive, and then the one after it: one event in the queue for the whole trace.
func (s *simulation) nextRequest(i int) {
	if i >= len(s.Requests) {
		return
	}
	r := s.Requests[i]
	s.at(epoch.Add(r.At), func() {
		s.sent++
		w := s.workloads[0]
		if r.Workload != "" {
			k := slices.IndexFunc(s.workloads, func(w *workload) bool { return string(w.ID) == r.Workload })
			if k < 0 {
				s.fault = fmt.Errorf("request %d is for %s, which is no workload of this run", i+1, r.Workload)
				return
			}
			w = s.workloads[k]
		}
		s.startTicks()
		s.arrive(w, r.Service)
		s.nextRequest(i + 1)
	})
}

// idle says that there is nothing that a tick could change.
func (s *simulation) idle() bool {
	for _, w := range s.workloads {
		if len(w.queue)+w.inFlight+len(w.pods)+w.replicas > 0 {
			return false
		}
	}
	for _, p := range s.pools {
		if len(p.nodes)+p.target > p.Min {
			return false
		}
	}
	return true
}

// over says that all requests have come, and all is quiet or has had its time.
func (s *simulation) over() bool {
	if s.sent < len(s.Requests) {
		return false
	}
	for _, w := range s.workloads {
		if len(w.queue)+w.inFlight > 0 {
			s.lastBusy = s.now
			return false
		}
	}
	return s.idle() || s.now.Sub(s.lastBusy) > s.Settle
}

// startTicks makes the ticks run, on whole seconds, for as long as there is anything.
func (s *simulation) startTicks() {
	if s.ticking {
		return
	}
	s.ticking = true
	s.reported = s.now
	for _, w := range s.workloads {
		w.metered = s.now
	}
	s.at(s.now.Truncate(autoscaler.Tick).Add(autoscaler.Tick), s.tick)
}

func (s *simulation) tick() {
	s.result.point(s)
	s.report()
	s.plan(s.now)
	if s.idle() && s.sent > 0 {
		s.ticking = false
		return
	}
	s.after(autoscaler.Tick, s.tick)
}

// change makes the controller look again, as an informer's event does; several at one moment make one plan.
func (s *simulation) change() {
	if s.planning {
		return
	}
	s.planning = true
	s.after(time.Millisecond, func() {
		s.planning = false
		s.plan(s.now)
	})
}

// plan decides and carries out, with the delays that doing so takes. observed is when what caused it happened.
func (s *simulation) plan(observed time.Time) {
	state := s.memory.State(s.now, s.picture())
	d := autoscaler.Plan(state)
	if faults := autoscaler.Check(state, d); len(faults) > 0 {
		s.fault = fmt.Errorf("at %s the decision breaks an invariant: %v\nthe state that replays it:\n%s", s.now.Sub(epoch), faults, scenario.Print(state))
		return
	}
	s.memory.Keep(d)
	s.note(d)
	s.mark(d)
	for i := range d.Scales {
		if sc := d.Scales[i]; sc.Changes() {
			w := s.workloads[i]
			w.replicas = sc.To
			s.after(s.Delays.Write, func() {
				s.result.scaled(s.now.Sub(observed), sc.To > sc.From)
				s.result.account(s, s.now)
				s.setReplicas(w, w.replicas)
			})
		}
	}
	for i := range d.Orders {
		if o := d.Orders[i]; o.Changes() {
			p := s.pools[i]
			p.target = o.To
			s.after(s.Delays.Order, func() {
				s.result.bought(s.now.Sub(observed), o.To > o.From)
				s.setTarget(p, p.target, o.Delete)
			})
		}
	}
	s.drain(d)
}

func (s *simulation) mark(d autoscaler.Decision) {
	for _, c := range d.Costs {
		for _, w := range s.workloads {
			for _, p := range w.pods {
				if p.id == c.Pod {
					p.cost = c.Cost
				}
			}
		}
	}
}

func (s *simulation) drain(d autoscaler.Decision) {
	for _, n := range d.Drains {
		for _, p := range s.pools {
			for _, m := range p.nodes {
				if autoscaler.NodeID(m.id) != n.Node {
					continue
				}
				switch n.Step {
				case autoscaler.Cordon:
					s.after(s.Delays.Write, func() { m.draining = true; s.change() })
				case autoscaler.Uncordon:
					s.after(s.Delays.Write, func() { m.draining = false; s.schedule() })
				}
			}
		}
	}
}

// note writes down a decision that changes something.
func (s *simulation) note(d autoscaler.Decision) {
	changes := slices.ContainsFunc(d.Scales, autoscaler.Scale.Changes) || slices.ContainsFunc(d.Orders, autoscaler.Order.Changes)
	if changes {
		fmt.Fprintf(&s.decisions, "# +%s\n%s\n", s.now.Sub(epoch), autoscaler.Describe(d, false))
	}
}
