package autoscaler

import (
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// refusal is why pods have no place: what is nearest to a machine that could be bought for them, and if no machine would
// do, the scheduler's word for it.
func (p *placer) refusal(a *ask, c *fit.Compiled, u pack.Unplaced) Reason {
	pod := p.v.indexed(p.s).Pod(a.class)
	if pod.Foreign != "" {
		return Reason{Rule: NotUnderstood, Subject: pod.Foreign}
	}
	worst := Reason{Rule: NoPoolFits, Observed: float64(a.shape.Needs.CPU), Bound: float64(a.shape.Needs.Memory), Subject: p.against(a, c.Why(u.Group, u.Why))}
	rank := map[Rule]int{NoPoolFits: 0, PoolsUnknown: 1, PoolsOut: 2, PriceCapped: 3, PoolsFull: 4}
	for k := range p.s.Pools {
		if r := p.barred(k, a); rank[r.Rule] > rank[worst.Rule] {
			worst = r
		}
	}
	return p.waits(worst, a)
}

// against is the scheduler's word for why no machine would do: what stands against the pool that comes nearest, unless
// the search has said it.
func (p *placer) against(a *ask, said fit.Refusal) string {
	if said != fit.None && said != fit.NodeMismatch {
		return said.String()
	}
	if len(p.s.Pools) == 0 {
		return "there is no pool"
	}
	nearest := fit.NodeMismatch
	for k := range p.s.Pools {
		why := fit.Runs(a.shape.Pod(), &p.v.offers[k])
		if why == fit.None {
			why = fit.NoRoom
		}
		nearest = max(nearest, why)
	}
	return nearest.String()
}

// barred is what keeps a machine of the pool, which would do for the pods of an ask, from being bought.
func (p *placer) barred(k int, a *ask) Reason {
	pool := &p.s.Pools[k]
	capped, left := p.capLeft(pool.PriceCap, []int{k})
	allCapped, all := p.capLeft(p.s.PriceCap, p.all())
	var group Group
	groupCapped, ofGroup, room := false, 0.0, 1
	if g := p.v.groupOf[k]; g >= 0 {
		group, room = p.s.Groups[g], p.groupLeft(int(g))
		groupCapped, ofGroup = p.capLeft(group.PriceCap, p.v.members[g])
	}
	switch {
	case !p.suits(k, a.shape):
	case pool.Unknown != "":
		return Reason{Rule: PoolsUnknown, Subject: string(pool.ID)}
	case pool.StockOut != "":
		return Reason{Rule: PoolsOut, Subject: string(pool.ID)}
	case p.left(k) <= 0:
		return Reason{Rule: PoolsFull, Subject: string(pool.ID), Bound: float64(pool.Max)}
	case room <= 0:
		return Reason{Rule: PoolsFull, Subject: string(group.ID), Bound: float64(group.Max)}
	case groupCapped && ofGroup < pool.PricePerHour:
		return Reason{Rule: PriceCapped, Subject: "pool " + string(group.ID), Bound: group.PriceCap}
	case capped && left < pool.PricePerHour:
		return Reason{Rule: PriceCapped, Subject: "pool " + string(pool.ID), Bound: pool.PriceCap}
	case allCapped && all < pool.PricePerHour:
		return Reason{Rule: PriceCapped, Subject: "the cluster", Bound: p.s.PriceCap}
	}
	return Reason{}
}

// waits tells the priority of pods that a bound keeps out, where others are placed before them by theirs.
func (p *placer) waits(r Reason, a *ask) Reason {
	if p.ranked && a.buffer == "" && (r.Rule == PoolsFull || r.Rule == PriceCapped) {
		r.Observed, r.Result = float64(a.priority)+float64(a.shape.Pod().Priority), 1
	}
	return r
}

// suits says that a new machine of the pool could hold a pod of the shape, if nothing else were there.
func (p *placer) suits(k int, shape *Shape) bool {
	return p.v.fresh[k].Holds(shape.Needs) && fit.Runs(shape.Pod(), &p.v.offers[k]) == fit.None
}

// shutBecause says, of each pool, what keeps it from having a machine for the pods without a place; nil when all have one.
func (p *placer) shutBecause() []string {
	if len(p.short) == 0 {
		return nil
	}
	shut := make([]string, len(p.s.Pools))
	for k := range shut {
		shut[k] = "its machines do not suit them"
		for i := range p.short {
			shape := p.short[i].shape
			if r := p.barred(k, &p.short[i]); r.Rule != 0 {
				shut[k] = r.Sentence()
				break
			}
			if p.suits(k, shape) {
				shut[k] = "rules between pods keep them from it"
			}
		}
	}
	return shut
}
