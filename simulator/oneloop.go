package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// oneLoop is the controller: reports into Memory, Memory and the cluster into State, Plan, Check, and both halves of the
// Decision carried out at once.
type oneLoop struct {
	s      *simulation
	memory *autoscaler.Memory
	// urgentSince is when the queue formed that a plan is under way for; below 0 for none.
	urgentSince time.Duration
	planning    bool
	// last is when the last plan was made, took how long it takes the controller.
	last, took   time.Duration
	reportedOnce bool
	// awake are the workloads in which anything goes on, sorted by id; marked are those to look at in the next plan.
	awake  []*workload
	marked []*workload
	memo   autoscaler.Memo
	buffer autoscaler.Cluster
	chosen []*workload
	// roomy are the nodes with the most room; leftOut that nodes are missing in the picture, of so many.
	roomy   []*node
	leftOut bool
	nodes   int
	ticking bool // the picture is for a tick
	// whole: the plan is about all; lookedAtAll is when one last was.
	whole       bool
	lookedAtAll time.Duration
	pools       map[autoscaler.PoolID]*pool
}

func newOneLoop(s *simulation) *oneLoop {
	l := &oneLoop{s: s, memory: autoscaler.NewMemory(), urgentSince: -1, pools: map[autoscaler.PoolID]*pool{}}
	for _, p := range s.pools {
		l.pools[p.ID] = p
	}
	return l
}

func (l *oneLoop) heard(h happening) {
	s := l.s
	switch h.what {
	case queueFormed:
		// What a gateway reports at once; several in a row make one plan.
		l.mark(h.workload)
		if l.enough(h.workload) {
			return
		}
		if l.urgentSince < 0 {
			l.urgentSince = s.now
			s.at(max(s.now+s.Delays.Decide, l.last+2*l.took), func() {
				since := l.urgentSince
				l.urgentSince = -1
				if s.PlanAll || len(s.workloads) <= wholeReports || s.reported < s.now-autoscaler.Tick || !l.reportedOnce {
					s.report(l.memory)
				} else {
					s.reportPart(l.memory, l.marked)
				}
				l.reportedOnce = true
				l.plan(since, false)
			})
		}
	case cameBack:
		l.forget()
	case reportDue:
		s.report(l.memory)
		l.reportedOnce = true
	case workloadAdded:
		l.mark(h.workload)
	case podStarted:
		l.memory.Started(h.workload.ID, h.took)
		l.progress(h.workload)
	case podWaits:
		l.progress(h.workload)
	case nodeJoined:
		l.memory.Joined(h.pool.ID, h.took)
		l.progress(nil)
	case worldChanged:
		if h.workload != nil {
			if !s.PlanAll && l.settledSince(h.workload) {
				return
			}
			l.mark(h.workload)
		}
		l.again()
	}
}

// wholeReports is up to how many workloads a report of a queue between ticks has all averages, as the gateway's has. With
// more, Memory would go through all of them for each queue.
const wholeReports = 32

// progress is what goes as it was planned. The controller plans then too; there is nothing for it to decide that cannot
// wait for the tick.
func (l *oneLoop) progress(w *workload) {
	if w != nil {
		l.mark(w)
	}
	if l.s.PlanAll {
		l.again()
	}
}

// After a plan, the controller lets as long pass as it took before it plans for a queue, and changeGap before it plans for a
// change of the world (autoscaler/controller, loop.run). How long a plan takes is reckoned by what it is about.
const (
	changeGap = 5 * time.Millisecond
	planItem  = 2 * time.Microsecond // for each workload, pod and node
)

// again makes the controller look again, as an informer's event does; several at one moment make one plan.
func (l *oneLoop) again() {
	if l.planning {
		return
	}
	l.planning = true
	l.s.at(max(l.s.now+time.Millisecond, l.last+l.took+changeGap), func() {
		l.planning = false
		l.plan(l.s.now, false)
	})
}

func (l *oneLoop) tick() {
	if l.s.Counts != nil {
		l.s.report(l.memory)
	}
	l.plan(l.s.now, true)
}

// plan decides and carries out, with the delays that doing so takes. observed is when what caused it happened.
func (l *oneLoop) plan(observed time.Duration, tick bool) {
	s := l.s
	if s.undecided() {
		return
	}
	l.whole = l.looksAtAll(tick)
	l.choose(tick)
	if !l.whole && l.moves() {
		l.whole = true
		l.choose(tick)
	}
	if l.whole {
		l.lookedAtAll = s.now
	}
	c, any := l.picture(tick, !l.whole)
	if !any {
		return
	}
	l.last, l.took = s.now, planItem*time.Duration(len(c.Workloads)+len(c.Pods)+l.nodes)
	state := l.memory.State(s.clock(), c)
	state.Memo = l.remember()
	d := autoscaler.Plan(state)
	if l.leftOut && slices.ContainsFunc(d.Orders, func(o autoscaler.Order) bool { return o.To > o.From }) {
		// What is to be bought may have room on a node that was left out.
		c, _ = l.picture(tick, false)
		state = l.memory.State(s.clock(), c)
		state.Memo = l.remember()
		d = autoscaler.Plan(state)
	}
	s.result.plans++
	if !s.Unchecked {
		if faults := autoscaler.Check(state, d); len(faults) > 0 {
			s.result.violations += len(faults)
			if !s.Tolerant {
				s.fault = fmt.Errorf("at %s the decision breaks an invariant: %v\nthe state that replays it:\n%s", s.now, faults, scenario.Print(state))
			}
			return
		}
	}
	l.keep(d)
	l.note(d)
	l.carryOut(d, observed)
}

// remember is the memo for a plan: that of the workloads that it is about.
func (l *oneLoop) remember() autoscaler.Memo {
	l.memo.Workloads = l.memo.Workloads[:0]
	for _, w := range l.chosen {
		if w.focus.known {
			l.memo.Workloads = append(l.memo.Workloads, w.focus.memo)
		}
	}
	return l.memo
}

func (l *oneLoop) keep(d autoscaler.Decision) {
	l.keepNodes(d.Memo.Nodes)
	l.memo.Bought = d.Memo.Bought
	for i, w := range l.chosen {
		w.focus.memo, w.focus.known = d.Memo.Workloads[i], true
	}
}

func (l *oneLoop) carryOut(d autoscaler.Decision, observed time.Duration) {
	s := l.s
	for _, c := range d.Costs {
		for _, w := range l.chosen {
			for _, p := range w.pods {
				if p.id == c.Pod {
					p.cost, w.focus.until = c.Cost, 0
				}
			}
		}
	}
	for i := range d.Scales {
		if sc := d.Scales[i]; sc.Changes() {
			w := l.chosen[i]
			s.scale(w, sc.To, observed)
			l.mark(w)
		}
	}
	for i := range d.Orders {
		if o := d.Orders[i]; o.Changes() {
			p := l.pools[o.Pool]
			p.target = o.To
			s.after(s.way(&s.Delays.Order, "order"), func() {
				s.order(p, o.Delete, func() { s.result.bought(s.now-observed, o.To > o.From) })
			})
		}
	}
	for _, n := range d.Drains {
		l.drain(n)
	}
}

func (l *oneLoop) drain(d autoscaler.Drain) {
	if d.Step != autoscaler.Cordon && d.Step != autoscaler.Uncordon && d.Step != autoscaler.Evict {
		return
	}
	s := l.s
	n := s.nodeByID(d.Node)
	if n == nil {
		return
	}
	switch d.Step {
	case autoscaler.Cordon:
		s.after(s.way(&s.Delays.Write, "write"), func() { n.draining = true; l.again() })
	case autoscaler.Uncordon:
		s.after(s.way(&s.Delays.Write, "write"), func() { n.draining = false; s.wake(); l.again() })
	case autoscaler.Evict:
		s.after(s.way(&s.Delays.Write, "write"), func() {
			for _, id := range d.Evict {
				for _, p := range slices.Clone(n.pods) {
					if p.id == id {
						s.evict(p)
					}
				}
			}
		})
	}
}

// note writes down a decision that changes something.
func (l *oneLoop) note(d autoscaler.Decision) {
	s := l.s
	if !s.Log && s.Moments == 0 {
		return
	}
	if !slices.ContainsFunc(d.Scales, autoscaler.Scale.Changes) && !slices.ContainsFunc(d.Orders, autoscaler.Order.Changes) {
		return
	}
	if s.Log {
		fmt.Fprintf(&s.decisions, "# +%s\n%s\n", s.now, autoscaler.Describe(d, false))
	}
	if s.result.moments.due(s.now) {
		s.result.moments.add(s.now, autoscaler.Describe(d, false))
	}
}

// picture is the cluster as the core sees it, and whether there is anything to plan for; with few, nodes that are in use
// and in which nothing goes on may be left out.
func (l *oneLoop) picture(tick, few bool) (autoscaler.Cluster, bool) {
	s := l.s
	c := &l.buffer
	l.leftOut, l.nodes, l.ticking = false, 0, tick
	c.Workloads, c.Pools, c.Nodes, c.Pods, c.Partial = c.Workloads[:0], c.Pools[:0], c.Nodes[:0], c.Pods[:0], !s.PlanAll
	upkeep := false
	for _, p := range s.pools {
		upkeep = l.pool(p, few) || upkeep
	}
	if len(l.chosen) == 0 && !(tick && upkeep) {
		return *c, false
	}
	for _, w := range l.chosen {
		v := w.Workload.Workload
		v.Replicas, v.Initialized = w.replicas, v.Policy.Initial == 0
		if w.Floors != nil {
			v.Policy.Floors = w.Floors(s.clock())
		}
		c.Workloads = append(c.Workloads, v)
		for _, p := range w.pods {
			c.Pods = append(c.Pods, w.podView(p))
		}
	}
	return *c, true
}

// pool adds a pool with its nodes to the picture; true when a node is empty, on its way or leaving, so that a tick may matter.
func (l *oneLoop) pool(p *pool, few bool) (upkeep bool) {
	s, c := l.s, &l.buffer
	view := p.Pool.Pool
	view.Target = p.target
	if p.DisruptionAt != nil {
		view.Disruption = p.DisruptionAt(s.clock(), len(p.nodes))
	}
	if !l.whole {
		view.Disruption.ConsolidateAfter, view.Disruption.ExpireAfter = 0, 0 // there are plans about all for that
	}
	if p.outOfStock(s.now, stockMemory) {
		view.StockOut = "the provider had none"
	}
	c.Pools = append(c.Pools, view)
	l.nodes += len(p.nodes)
	few = few && view.StockOut == "" && p.target <= p.Max
	if few {
		l.roomiest(p)
	}
	for _, n := range p.nodes {
		if !l.whole && n.emptied() || few && l.passOver(n) {
			l.leftOut = true
			continue
		}
		v := autoscaler.Node{
			ID: autoscaler.NodeID(n.id), Pool: p.ID, Instance: n.id, Phase: autoscaler.Coming, Allocatable: p.Allocatable,
			Labels: n.named(), Taints: p.Taints, Draining: n.draining, Since: epoch.Add(n.ordered),
		}
		switch {
		case n.deleting:
			v.Phase = autoscaler.Leaving
		case n.ready:
			v.Phase = autoscaler.Ready
		}
		if n.ready {
			v.Allocatable = n.has
		}
		upkeep = upkeep || len(n.pods) == 0 || n.draining || n.deleting || !n.ready
		c.Nodes = append(c.Nodes, v)
		if !l.whole {
			l.others(n)
		}
	}
	for k := p.staying(); k < p.target; k++ {
		upkeep = true
		c.Nodes = append(c.Nodes, autoscaler.Node{
			ID: autoscaler.NodeID(fmt.Sprintf("%s/ordered-%d", p.ID, k)), Pool: p.ID, Phase: autoscaler.Coming,
			Allocatable: p.Allocatable, Labels: p.Labels, Taints: p.Taints, Since: s.clock(),
		})
	}
	return upkeep || p.target < p.Min || l.whole && p.disrupts()
}

func (w *workload) podView(p *pod) autoscaler.Pod {
	v := autoscaler.Pod{ID: p.id, Workload: w.ID, Phase: autoscaler.Pending, Shape: w.Shape, Since: epoch.Add(p.created), DeletionCost: p.cost}
	if p.node != nil {
		v.Node, v.Phase, v.Since = autoscaler.NodeID(p.node.id), autoscaler.Starting, epoch.Add(p.bound)
	}
	if p.ready {
		v.Phase = autoscaler.Ready
	}
	if p.leaving {
		v.Phase = autoscaler.Leaving
	}
	return v
}

func byID(a, b *workload) int { return cmp.Compare(a.ID, b.ID) }
