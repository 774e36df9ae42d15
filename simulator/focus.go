package simulator

import (
	"math"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// A plan costs a microsecond or two for each workload and pod that it looks at, and most of them have nothing to decide. So
// the simulator leaves out of a State:
//
//   - workloads that sleep: no replica, no pod, no request for two windows and more. Plan leaves those at zero, and they take
//     no room. (Cluster.Partial tells Memory that they are not gone.)
//   - between ticks, those to which nothing has happened: their windows move on by the second only.
//   - at ticks, those that are settled on one replica that cannot change before a request comes or the wait for zero is over.
//
// Of nodes it leaves out those that are ready and in use, by workloads that are left out, but for the few with the most
// room. When the plan then wants to buy, it is made again with all nodes.
//
// The pods of workloads that are left out stand in the State as pods of nobody's, which take room. PlanAll turns all of this off, and
// TestFocusDecidesAlike holds the two to the same decisions, but for the fractions of a second that docs/simulator.md names.

// focus is what the one loop knows of a workload.
type focus struct {
	awake, marked bool
	// told is whether the last report had requests of it; lastBusy when it last had any.
	told     bool
	lastBusy time.Duration
	// memo is what the last plan about it remembers; known that there is one.
	memo  autoscaler.WorkloadMemo
	known bool
	// until is up to when a plan would leave it as it is, if nothing happens to it.
	until time.Duration
	// plan is the number of the last plan that was about it.
	plan int
}

// mark makes the next plan look at a workload.
func (l *oneLoop) mark(w *workload) {
	w.focus.until = 0
	if !w.focus.marked {
		w.focus.marked = true
		l.marked = append(l.marked, w)
	}
	if !w.focus.awake {
		w.focus.awake = true
		i, _ := slices.BinarySearchFunc(l.awake, w, byID)
		l.awake = slices.Insert(l.awake, i, w)
	}
}

// simple says that a workload's rules are those that focus knows: no other signal, no floor, no delay.
func (w *workload) simple() bool {
	p := &w.Policy
	return p.Objective.Price == 0 && !p.Auto && p.RateTarget == 0 && len(w.Signals) == 0 && len(p.Floors) == 0 && w.Floors == nil &&
		p.ScaleDownDelay == 0 && p.Ramp == (autoscaler.Ramp{}) && p.Activation <= 1 && p.Initial == 0 && p.Min <= 1
}

// settled says that a workload has what it was given.
func (w *workload) settled() bool {
	return w.queued() == 0 && w.replicas == w.live && w.live == w.ready && len(w.pods) == w.live
}

// settledSince says that what happened to a workload leaves nothing to decide before the next tick.
func (l *oneLoop) settledSince(w *workload) bool {
	return w.simple() && w.settled() && w.replicas <= 1 && !l.freed(w)
}

// freed says that a node stands empty: its time runs from the moment at which a plan sees it.
func (l *oneLoop) freed(*workload) bool {
	for _, p := range l.s.pools {
		for _, n := range p.nodes {
			if len(n.pods) == 0 && n.emptySince == l.s.now && n.ready {
				return true
			}
		}
	}
	return false
}

// still says that a plan at now would leave a workload as it is.
func (l *oneLoop) still(w *workload) bool {
	if l.s.now < w.focus.until {
		return true
	}
	if !w.simple() || !w.settled() || w.replicas > 1 || w.replicas == 1 && w.pods[0].cost != 0 {
		return false
	}
	if !w.focus.known || !w.focus.memo.PanicSince.IsZero() {
		return false
	}
	if w.replicas == 0 {
		w.focus.until = math.MaxInt64
		return true
	}
	until := l.memory.Steady(l.s.clock(), &w.Workload.Workload, w.focus.told)
	if until.IsZero() {
		return false
	}
	w.focus.until = until.Sub(epoch)
	return true
}

// sleeps says that a workload may be left out until something happens to it.
func (l *oneLoop) sleeps(w *workload) bool {
	p := &w.Policy
	return w.replicas == 0 && len(w.pods) == 0 && w.busy() == 0 && w.simple() && p.Min == 0 &&
		l.s.now > w.focus.lastBusy+2*p.StableWindow+p.ZeroRetention+2*time.Second
}

// choose fills in whom the plan is about, sorted by id.
func (l *oneLoop) choose(tick bool) {
	s := l.s
	l.chosen = l.chosen[:0]
	switch {
	case s.PlanAll:
		l.chosen = append(l.chosen, s.sorted...)
	case tick || l.whole:
		kept := l.awake[:0]
		for _, w := range l.awake {
			if w.busy() > 0 {
				w.focus.lastBusy = s.now
			}
			if !w.focus.marked && l.sleeps(w) {
				w.focus.awake = false
				w.focus.known = false
				continue
			}
			kept = append(kept, w)
			if w.focus.marked || l.whole || !l.still(w) {
				l.chosen = append(l.chosen, w)
			}
		}
		clear(l.awake[len(kept):])
		l.awake = kept
	default:
		// Beside those to which something happened, those that have not got what they want: they compete for the same room. Those
		// that move wait for the tick.
		for _, w := range l.awake {
			if w.focus.marked || !w.settled() && !w.moves() {
				l.chosen = append(l.chosen, w)
			}
		}
	}
	for _, w := range l.marked {
		w.focus.marked = false
	}
	l.marked = l.marked[:0]
	for _, w := range l.chosen {
		w.focus.plan = s.result.plans + 1
	}
}

// enough says that a queue asks for nothing: the replicas that there are, or that come, take all that is held and in flight.
// A plan for it would find that; with many workloads it can wait for the tick.
func (l *oneLoop) enough(w *workload) bool {
	s := l.s
	return !s.PlanAll && len(s.workloads) > wholeReports && s.now < s.reported+autoscaler.Tick && l.reportedOnce &&
		float64(w.busy()) <= float64(w.replicas)*w.perPod()
}

// roomyNodes is how many nodes with room a picture has at least, where there are as many.
const roomyNodes = 8

// roomiest finds the nodes of a pool with the most free CPU, the first of equals.
func (l *oneLoop) roomiest(p *pool) {
	l.roomy = l.roomy[:0]
	for _, n := range p.nodes {
		if !n.ready || n.draining || n.deleting || len(l.roomy) == roomyNodes && n.free.CPU <= l.roomy[roomyNodes-1].free.CPU {
			continue
		}
		if len(l.roomy) < roomyNodes {
			l.roomy = append(l.roomy, n)
		}
		i := len(l.roomy) - 1
		for ; i > 0 && l.roomy[i-1].free.CPU < n.free.CPU; i-- {
			l.roomy[i] = l.roomy[i-1]
		}
		l.roomy[i] = n
	}
}

// passOver says that a node may be left out.
func (l *oneLoop) passOver(n *node) bool {
	if !n.ready || n.draining || n.deleting || len(n.pods) == 0 || slices.Contains(l.roomy, n) {
		return false
	}
	return !slices.ContainsFunc(n.pods, func(p *pod) bool { return l.isChosen(p.w) })
}

// others adds the pods on a node whose workloads the plan is not about, as pods of nobody's. Between ticks, when nothing
// is lowered, one that takes the room of all is enough.
func (l *oneLoop) others(n *node) {
	sum := autoscaler.Pod{ID: autoscaler.PodID("-others/" + n.id), Node: autoscaler.NodeID(n.id), Phase: autoscaler.Ready, Since: epoch}
	for _, p := range n.pods {
		switch {
		case l.isChosen(p.w):
		case l.ticking:
			v := p.w.podView(p)
			v.Workload, v.DeletionCost = "", 0
			l.buffer.Pods = append(l.buffer.Pods, v)
		default:
			have, need := &sum.Shape.Needs, p.w.Shape.Needs
			have.CPU, have.Memory, have.Pods = have.CPU+need.CPU, have.Memory+need.Memory, have.Pods+need.Pods
		}
	}
	if sum.Shape.Needs != (autoscaler.Resources{}) {
		l.buffer.Pods = append(l.buffer.Pods, sum)
	}
}

func (l *oneLoop) isChosen(w *workload) bool { return w.focus.plan == l.s.result.plans+1 }

// disrupts: nodes in use may be emptied. (RepairAfter is of nodes that stop being ready, which the model has none of.)
func (p *pool) disrupts() bool {
	d := &p.Disruption
	return d.ConsolidateAfter > 0 || d.ExpireAfter > 0 || p.DisruptionAt != nil
}

// wholeEvery is how often a plan looks at all for nodes in use that may be emptied, while none is: with few workloads each
// second, as the controller does.
const wholeEvery = 10 * time.Second

// emptied says that a node in use is on its way out. How it goes on with it is decided at ticks; between them it takes no pods, and
// a picture leaves it out.
func (n *node) emptied() bool { return n.draining && len(n.pods) > 0 }

// looksAtAll says whether a plan is to be about all: each of the pods on a node that is emptied matters by itself, and so does
// all the room that there is for them.
func (l *oneLoop) looksAtAll(tick bool) bool {
	s := l.s
	if s.PlanAll {
		return true
	}
	disrupts := false
	for _, p := range s.pools {
		counted := tick || p.target > p.Max || p.outOfStock(s.now, stockMemory)
		if counted && slices.ContainsFunc(p.nodes, (*node).emptied) {
			return true
		}
		disrupts = disrupts || p.disrupts()
	}
	if !disrupts || !tick {
		return false
	}
	return len(s.workloads) <= wholeReports || s.now >= l.lookedAtAll+wholeEvery
}

// moves says that a plan is about a workload with a pod on a node that is emptied.
func (l *oneLoop) moves() bool {
	return slices.ContainsFunc(l.chosen, (*workload).moves)
}

func (w *workload) moves() bool {
	return slices.ContainsFunc(w.pods, func(p *pod) bool { return p.node != nil && p.node.draining })
}

// keepNodes takes a plan's memory of nodes over, with that of the nodes that it was not about.
func (l *oneLoop) keepNodes(list []autoscaler.NodeMemo) {
	if l.whole || !l.leftOut {
		l.memo.Nodes = list
		return
	}
	var all []autoscaler.NodeMemo
	for _, m := range l.memo.Nodes {
		for len(list) > 0 && list[0].ID < m.ID {
			all, list = append(all, list[0]), list[1:]
		}
		if len(list) > 0 && list[0].ID == m.ID {
			continue
		}
		if !slices.ContainsFunc(l.buffer.Nodes, func(n autoscaler.Node) bool { return n.ID == m.ID }) && l.s.nodeByID(m.ID) != nil {
			m.EmptySince = time.Time{} // it was left out because it is in use
			all = append(all, m)
		}
	}
	l.memo.Nodes = append(all, list...)
}
