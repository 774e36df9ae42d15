package autoscaler

import (
	"cmp"
	"math"
	"slices"

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
	lately := r.v.cameLately(r.s, node)
	again := r.v.tally(r.s, nil, lately, -1)
	for i := range again {
		again[i].priority = math.MinInt32
	}
	if len(r.unfit(slices.Concat(moving, again), node)) == 0 {
		return Reason{}
	}
	if len(r.unfit(moving, node)) > 0 {
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
	within := againWithin * r.s.Pools[r.v.poolOf[node]].Disruption.ConsolidateAfter
	return Reason{Rule: RoomForMore, Observed: float64(len(lately)), Bound: within.Seconds()}
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

// cameLately is the pods that came within a time before now, which depends on the node's pool.
func (v *view) cameLately(s *State, node int) []int32 {
	since := s.Now.Add(-againWithin * s.Pools[v.poolOf[node]].Disruption.ConsolidateAfter)
	var pods []int32
	for k := range s.Pods {
		if p := &s.Pods[k]; p.Node != "" && p.Daemon == "" && !p.Mirror && p.Phase != Leaving && p.Since.After(since) {
			pods = append(pods, int32(k))
		}
	}
	return pods
}

// lacks says that not all had room on what there is.
func (p *placing) lacks() bool { return p.buying || len(p.short) > 0 }

// costsLess says that fewer pods have no place than in another placing or, when as many have none, that less is paid for machines.
func (p *placing) costsLess(s *State, than *placing) bool {
	short, price := p.costs(s)
	shortThan, priceThan := than.costs(s)
	return short < shortThan || short == shortThan && price < priceThan
}

// costs is how many pods have no place, and the price of an hour of the machines that are to be bought.
func (p *placing) costs(s *State) (short int, price float64) {
	for i := range p.short {
		short += p.short[i].count
	}
	for k, n := range p.buy {
		price += cmp.Or(s.Pools[k].PricePerHour, unknownPrice) * float64(n)
	}
	return short, price
}
