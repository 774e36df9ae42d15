package autoscaler

import (
	"math"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// againWithin, in times of a pool's consolidateAfter, is how far back pods are looked for of which as many may come again: for so
// many there is room after a node was saved. Without it a busy cluster buys back in minutes what it saves, while requests wait
// (docs/algorithm.md has the figures).
const againWithin = 10

// elsewhere says why a node in use cannot be saved for want of room; rule 0 when all that is to be placed, the pods of the node
// and as many more as came lately have room on other nodes that are ready. The pods of the node are there until others serve in
// their stead, as they will be.
func (r *drainer) elsewhere(node int) Reason {
	moving := r.v.tally(r.s, slices.Clone(r.placed.asks), r.v.movable(r.s, node), node)
	within := againWithin * r.s.Pools[r.v.poolOf[node]].Disruption.ConsolidateAfter
	again := r.v.tally(r.s, nil, cameWithin(r.s, within), -1)
	for i := range again {
		again[i].priority = math.MinInt32
	}
	if len(r.unfit(slices.Concat(moving, again), node)) == 0 {
		return Reason{}
	}
	if len(again) == 0 || len(r.unfit(moving, node)) > 0 {
		return Reason{Rule: NoRoomElsewhere, Observed: float64(len(r.v.movable(r.s, node)))}
	}
	// What would have no room on the node either says nothing of it.
	for _, u := range r.unfit(slices.Concat(r.placed.asks, again), -1) {
		if k := u.Group - len(r.placed.asks); k >= 0 {
			again[k].count -= u.Count
		}
	}
	if len(r.unfit(slices.Concat(moving, again), node)) == 0 {
		return Reason{}
	}
	more := 0
	for i := range again {
		more += again[i].count
	}
	return Reason{Rule: RoomForMore, Observed: float64(more), Bound: within.Seconds()}
}

// unfit is which of the asks have no room on nodes that are ready, but for one of them.
func (r *drainer) unfit(asks []ask, without int) []pack.Unplaced {
	q := fit.Ask{Cluster: r.v.indexed(r.s), Daemons: r.v.daemonClasses}
	for _, i := range r.v.open(r.s) {
		if n := &r.s.Nodes[i]; i != without && n.Phase == Ready && !n.Draining {
			q.Open = append(q.Open, i)
		}
	}
	for _, a := range asks {
		q.Want = append(q.Want, fit.Want{Class: r.v.classOf(r.s, a.shape), Count: a.count})
	}
	problem := &fit.Compile(q).Problem
	rank(problem, asks)
	return pack.Solve(problem).Unplaced
}

// cameWithin is the pods that are on a node since less than that long.
func cameWithin(s *State, within time.Duration) []int32 {
	since := s.Now.Add(-within)
	var pods []int32
	for k := range s.Pods {
		if p := &s.Pods[k]; p.Node != "" && p.Daemon == "" && !p.Mirror && p.Phase != Leaving && p.Since.After(since) {
			pods = append(pods, int32(k))
		}
	}
	return pods
}
