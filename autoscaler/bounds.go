package autoscaler

import (
	"cmp"
	"math"
	"slices"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// What pools and groups of pools still let be bought, and what they must keep.

// peers are the pools that share a pool's group, itself among them.
func (v *view) peers(pool int) []int {
	if g := v.groupOf[pool]; g >= 0 {
		return v.members[g]
	}
	return []int{pool}
}

// sum adds up figures of pools.
func sum(figures []int, pools []int) (n int) {
	for _, k := range pools {
		n += figures[k]
	}
	return n
}

// spare is how many nodes a pool could give back without falling below its least or its group's, and which bound is nearer.
func (v *view) spare(s *State, pool int, leaving []int) (n, bound int) {
	n, bound = v.instances[pool]-leaving[pool]-s.Pools[pool].Min, s.Pools[pool].Min
	if g := v.groupOf[pool]; g >= 0 {
		if of := sum(v.instances, v.members[g]) - sum(leaving, v.members[g]) - s.Groups[g].Min; of < n {
			n, bound = of, s.Groups[g].Min
		}
	}
	return n, bound
}

// left is how many more machines of a pool may be bought by its own bound.
func (p *placer) left(pool int) int { return p.s.Pools[pool].Max - p.v.instances[pool] - p.buy[pool] }

// groupLeft is how many more machines of a group may be bought.
func (p *placer) groupLeft(g int) int {
	return p.s.Groups[g].Max - sum(p.v.instances, p.v.members[g]) - sum(p.buy, p.v.members[g])
}

// forSale is how many more machines of a pool may be bought by all that bounds it alone: of a pool in a group its own price
// cap too, as the packer knows one shared bound for each offer, which is then the group's.
func (p *placer) forSale(pool int) int {
	n, price := p.left(pool), p.s.Pools[pool].PricePerHour
	if capped, left := p.capLeft(p.s.Pools[pool].PriceCap, []int{pool}); capped && price > 0 && p.v.groupOf[pool] >= 0 {
		n = min(n, whole(math.Floor(left/price*(1+1e-9))))
	}
	return n
}

// bound is the position among limits of what bounds a pool.
func (p *placer) bound(pool int) int {
	if g := p.v.groupOf[pool]; g >= 0 {
		return len(p.s.Pools) + int(g)
	}
	return pool
}

// limits are the bounds that offers share: first those of each pool, then those of each group.
func (p *placer) limits() []pack.Pool {
	bounds := make([]pack.Pool, len(p.s.Pools)+len(p.s.Groups))
	for k := range p.s.Pools {
		bounds[k].Machines = max(0, p.left(k))
		bounds[k].Capped, bounds[k].PriceCap = p.capLeft(p.s.Pools[k].PriceCap, []int{k})
	}
	for g := range p.s.Groups {
		b := &bounds[len(p.s.Pools)+g]
		b.Machines = max(0, p.groupLeft(g))
		b.Capped, b.PriceCap = p.capLeft(p.s.Groups[g].PriceCap, p.v.members[g])
	}
	return bounds
}

// capLeft is what a price cap leaves for more machines of some pools.
func (p *placer) capLeft(limit float64, pools []int) (bool, float64) {
	if limit <= 0 {
		return false, 0
	}
	for _, k := range pools {
		limit -= p.s.Pools[k].PricePerHour * float64(p.v.instances[k]+p.buy[k])
	}
	return true, math.Max(0, limit)
}

// all are the positions of all pools.
func (p *placer) all() []int {
	list := make([]int, len(p.s.Pools))
	for k := range list {
		list[k] = k
	}
	return list
}

// surplusNodes are the nodes that a pool or a group has beyond its bound and that may leave: those that were only ordered, as
// their order is taken back, and of the ready ones those that drain already, then the ones with the fewest pods.
func surplusNodes(s *State, v *view) []bool {
	surplus := make([]bool, len(s.Nodes))
	for k := range s.Pools {
		v.markSurplus(s, surplus, []int{k}, s.Pools[k].Max)
	}
	for g := range s.Groups {
		v.markSurplus(s, surplus, v.members[g], s.Groups[g].Max)
	}
	return surplus
}

func (v *view) markSurplus(s *State, surplus []bool, pools []int, most int) {
	if slices.ContainsFunc(pools, func(k int) bool { return s.Pools[k].Unknown != "" }) {
		return
	}
	over := sum(v.there, pools) - most
	ordered := max(0, -over)
	var ready []int
	for i := range s.Nodes {
		switch n := &s.Nodes[i]; {
		case v.poolOf[i] < 0 || !slices.Contains(pools, int(v.poolOf[i])):
		case n.Phase == Coming && n.Instance == "":
			if !surplus[i] {
				ordered--
				surplus[i] = ordered < 0
			}
		case n.Phase == Failed, n.overdue(s.Now), surplus[i]:
			over-- // it ends by itself, or as it is beyond its pool's own bound
		case n.Phase == Ready && n.Keep == "":
			ready = append(ready, i)
		}
	}
	slices.SortStableFunc(ready, func(a, b int) int {
		return cmp.Or(-compareBool(s.Nodes[a].Draining, s.Nodes[b].Draining), cmp.Compare(v.busy[a], v.busy[b]))
	})
	for _, i := range ready[:max(0, min(over, len(ready)))] {
		surplus[i] = true
	}
}

// most is the bound that a node of a pool with too many is beyond.
func (v *view) most(s *State, node int) int {
	k := v.poolOf[node]
	if g := v.groupOf[k]; g >= 0 && v.there[k] <= s.Pools[k].Max {
		return s.Groups[g].Max
	}
	return s.Pools[k].Max
}
