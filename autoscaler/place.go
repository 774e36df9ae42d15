package autoscaler

import (
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// ask is a number of equal pods that have no node yet.
type ask struct {
	workload int // position, or -1
	shape    *Shape
	count    int
}

// placing is the answer of place: what later steps need of it.
type placing struct {
	placements []Placement
	// taken is how many pods were placed on each node, by position.
	taken []int
	// buy is how many machines to buy of each pool, by position.
	buy []int
}

// place finds room for each pod that has no node: on nodes that are ready, on nodes that are draining but still whole,
// on nodes that are coming, and then on machines to buy. Larger pods go first (first-fit decreasing). Nodes that are
// coming are opened in the order in which they would be bought, so that a pod does not take the node that was bought for
// another one, for which a second would then be bought.
func place(s *State, v *view, scales []Scale) placing {
	p := placer{
		s: s, v: v,
		placing: placing{taken: make([]int, len(s.Nodes)), buy: make([]int, len(s.Pools))},
	}
	p.openNodes()
	for _, a := range p.asks(scales) {
		p.settle(a)
	}
	slices.SortStableFunc(p.placements, func(a, b Placement) int { return strings.Compare(string(a.Workload), string(b.Workload)) })
	return p.placing
}

type placer struct {
	placing
	s *State
	v *view
	// node and pool are, for each bin, the position of its node, or -1 and that of the pool to buy it from.
	bins       *pack.Bins
	node, pool []int
	// coming are, by pool, the positions of nodes that are coming and that nothing is placed on yet, soonest first.
	coming [][]int
}

func (p *placer) asks(scales []Scale) []ask {
	var asks []ask
	for i := range p.s.Workloads {
		bound := 0
		for _, k := range p.v.podsOf[i] {
			if pod := &p.s.Pods[k]; pod.Node != "" && pod.Phase != Leaving {
				bound++
			}
		}
		if missing := scales[i].To - bound; missing > 0 {
			asks = append(asks, ask{workload: i, shape: &p.s.Workloads[i].Shape, count: missing})
		}
	}
	for _, k := range p.v.waiting {
		shape := &p.s.Pods[k].Shape
		if n := len(asks) - 1; n >= 0 && asks[n].workload < 0 && asks[n].shape.equal(shape) {
			asks[n].count++
			continue
		}
		asks = append(asks, ask{workload: -1, shape: shape, count: 1})
	}
	slices.SortStableFunc(asks, func(a, b ask) int { return compareSize(b.shape.Needs, a.shape.Needs) })
	return asks
}

// compareSize orders by CPU plus memory at 4 GiB a core, the middle of what clouds sell.
func compareSize(a, b Resources) int {
	const bytesPerMilli = 4 << 30 / 1000
	size := func(r Resources) int64 { return r.CPU + r.Memory/bytesPerMilli }
	return int(max(min(size(a)-size(b), 1), -1))
}

// openNodes makes a bin of each node that can take pods now, in the order in which they should be filled: ready ones, then
// those that are draining and still whole (keeping one is cheaper than buying one). It sets those that are coming aside.
func (p *placer) openNodes() {
	var ready, draining []int
	p.coming = make([][]int, len(p.s.Pools))
	for i := range p.s.Nodes {
		n := &p.s.Nodes[i]
		switch {
		case n.Cordoned, n.overdue(p.s.Now), p.v.surplus[i]:
		case n.Phase == Coming:
			if k := p.v.poolOf[i]; k >= 0 {
				p.coming[k] = append(p.coming[k], i)
			}
		case n.Phase == Ready && !n.Draining:
			ready = append(ready, i)
		case n.Phase == Ready && p.v.busy[i] == 0:
			draining = append(draining, i)
		}
	}
	for _, list := range p.coming {
		slices.SortStableFunc(list, func(a, b int) int { return p.s.Nodes[a].Due.Compare(p.s.Nodes[b].Due) })
	}
	order := slices.Concat(ready, draining)
	free := make([]Resources, len(order))
	for k, i := range order {
		free[k] = p.v.free[i]
	}
	p.bins, p.node, p.pool = pack.NewBins(free), order, make([]int, len(order))
}

func (p *placer) settle(a ask) {
	var spots []Spot
	left := a.count
	for from := 0; left > 0; from++ {
		bin := p.bins.Next(a.shape.Needs, from)
		if bin < 0 {
			break
		}
		from = bin
		if !p.allows(bin, a.shape) {
			continue
		}
		n := p.bins.Free(bin).Count(a.shape.Needs, left)
		p.bins.Take(bin, a.shape.Needs.Times(n))
		spots = p.spot(spots, bin, n)
		left -= n
	}
	for left > 0 {
		bin := p.openComing(a.shape, left)
		if bin < 0 {
			bin = p.openBought(a.shape, left)
		}
		if bin < 0 {
			break
		}
		n := p.bins.Free(bin).Count(a.shape.Needs, left)
		p.bins.Take(bin, a.shape.Needs.Times(n))
		spots = p.spot(spots, bin, n)
		left -= n
	}
	placement := Placement{Spots: spots, Unplaced: left}
	if a.workload >= 0 {
		placement.Workload = p.s.Workloads[a.workload].ID
	}
	if left > 0 {
		placement.Why = p.refusal(a.shape)
	}
	p.placements = append(p.placements, placement)
}

// openComing makes a bin of the node that would be bought first for count pods, of those that are coming; -1 when none
// can hold one.
func (p *placer) openComing(shape *Shape, count int) int {
	best, at, bestPrice := -1, 0, 0.0
	for k := range p.coming {
		pool := &p.s.Pools[k]
		i := slices.IndexFunc(p.coming[k], func(i int) bool {
			n := &p.s.Nodes[i]
			return p.v.free[i].Holds(shape.Needs) && runsOn(shape, n.Labels, n.Taints)
		})
		if i < 0 {
			continue
		}
		price := pool.PricePerHour / float64(p.v.free[p.coming[k][i]].Count(shape.Needs, count))
		if best < 0 || p.better(pool, price, &p.s.Pools[best], bestPrice) {
			best, at, bestPrice = k, i, price
		}
	}
	if best < 0 {
		return -1
	}
	node := p.coming[best][at]
	p.coming[best] = slices.Delete(p.coming[best], at, at+1)
	p.node, p.pool = append(p.node, node), append(p.pool, best)
	return p.bins.Add(p.v.free[node])
}

// openBought buys the cheapest machine for count pods and makes a bin of it; -1 when none can be bought.
func (p *placer) openBought(shape *Shape, count int) int {
	pool := p.cheapest(shape, count)
	if pool < 0 {
		return -1
	}
	p.buy[pool]++
	p.node, p.pool = append(p.node, -1), append(p.pool, pool)
	return p.bins.Add(p.v.fresh[pool])
}

// spot notes n pods on a bin, joined with what the last spot says of the same pool.
func (p *placer) spot(spots []Spot, bin, n int) []Spot {
	if i := p.node[bin]; i >= 0 {
		p.taken[i] += n
		return append(spots, Spot{Node: p.s.Nodes[i].ID, Count: n, Due: later(p.s.Now, p.s.Nodes[i].Due)})
	}
	pool := &p.s.Pools[p.pool[bin]]
	if k := len(spots) - 1; k >= 0 && spots[k].Pool == pool.ID {
		spots[k].Count += n
		return spots
	}
	return append(spots, Spot{Pool: pool.ID, Count: n, Due: p.s.Now.Add(pool.Join)})
}

func (p *placer) allows(bin int, shape *Shape) bool {
	if i := p.node[bin]; i >= 0 {
		return runsOn(shape, p.s.Nodes[i].Labels, p.s.Nodes[i].Taints)
	}
	pool := &p.s.Pools[p.pool[bin]]
	return runsOn(shape, pool.Labels, pool.Taints)
}

// cheapest is the pool to buy the next machine from: the highest weight, then the lowest price per pod that it would
// hold of the count pods left, then the one that joins soonest, then by id; -1 when none can be bought.
func (p *placer) cheapest(shape *Shape, count int) int {
	best, bestPrice := -1, 0.0
	for i := range p.s.Pools {
		pool := &p.s.Pools[i]
		if p.barred(i, shape) != 0 {
			continue
		}
		price := pool.PricePerHour / float64(p.v.fresh[i].Count(shape.Needs, count))
		if best < 0 || p.better(pool, price, &p.s.Pools[best], bestPrice) {
			best, bestPrice = i, price
		}
	}
	return best
}

func (p *placer) better(a *Pool, aPrice float64, b *Pool, bPrice float64) bool {
	if a.Weight != b.Weight {
		return a.Weight > b.Weight
	}
	if aKnown, bKnown := aPrice > 0, bPrice > 0; aKnown != bKnown {
		return aKnown
	}
	if aPrice != bPrice {
		return aPrice < bPrice
	}
	return a.Join < b.Join
}

// barred is the rule that keeps a machine of the pool from being bought for a pod of the shape, or 0.
func (p *placer) barred(i int, shape *Shape) Rule {
	pool := &p.s.Pools[i]
	switch {
	case !p.v.fresh[i].Holds(shape.Needs) || !runsOn(shape, pool.Labels, pool.Taints):
		return NoPoolFits
	case pool.Unknown != "":
		return PoolsUnknown
	case pool.StockOut != "":
		return PoolsOut
	case p.v.instances[i]+p.buy[i] >= pool.Max:
		return PoolsFull
	}
	return 0
}

// refusal is why no machine can be bought: of all pools the reason that is nearest to buying.
func (p *placer) refusal(shape *Shape) Reason {
	worst := Reason{Rule: NoPoolFits, Observed: float64(shape.Needs.CPU), Bound: float64(shape.Needs.Memory)}
	rank := map[Rule]int{NoPoolFits: 0, PoolsUnknown: 1, PoolsOut: 2, PoolsFull: 3}
	for i := range p.s.Pools {
		pool := &p.s.Pools[i]
		rule := p.barred(i, shape)
		if rank[rule] <= rank[worst.Rule] {
			continue
		}
		worst = Reason{Rule: rule, Subject: string(pool.ID)}
		if rule == PoolsFull {
			worst.Bound = float64(pool.Max)
		}
	}
	return worst
}

func (a *Shape) equal(b *Shape) bool {
	return a.Needs == b.Needs && slices.Equal(a.Selector, b.Selector) && slices.Equal(a.Tolerations, b.Tolerations)
}

// runsOn says that a pod's selector and tolerations allow a node with these labels and taints.
func runsOn(shape *Shape, labels []Label, taints []Taint) bool {
	for _, want := range shape.Selector {
		i, ok := slices.BinarySearchFunc(labels, want.Key, func(l Label, key string) int { return strings.Compare(l.Key, key) })
		if !ok || labels[i].Value != want.Value {
			return false
		}
	}
	for i := range taints {
		if taints[i].Effect != "PreferNoSchedule" && !tolerates(shape.Tolerations, &taints[i]) {
			return false
		}
	}
	return true
}

func tolerates(tolerations []Toleration, taint *Taint) bool {
	return slices.ContainsFunc(tolerations, func(t Toleration) bool {
		return (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == taint.Key || t.Key == "" && t.Exists) &&
			(t.Exists || t.Value == taint.Value)
	})
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
