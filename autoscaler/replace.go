package autoscaler

import (
	"time"

	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// Nodes whose pods have no room on others may still be too dear: a price has changed, or a small machine would do, or one for
// several. Then what is cheaper is bought first; once it is ready, the nodes leave as underused ones do.

const (
	// mostReplaced is how many nodes may be replaced at once.
	mostReplaced = 3
	// leastSaved is the least part of the price that a replacement must save: less is noise in prices.
	leastSaved = 0.05
)

// replacement is machines that cost less than the nodes that they would be for.
type replacement struct {
	by           PoolID // of the first of them
	price, saves float64
	cost         float64
}

// replace looks for cheaper machines for a node, or for it and those that are looked at next; it returns for how many nodes
// these are, 0 when there are none.
func (r *drainer) replace(candidates []int) (int, replacement) {
	for n := 1; n <= min(mostReplaced, len(candidates)); n++ {
		nodes := candidates[:n]
		if !r.mayReplace(nodes) {
			break
		}
		if x, ok := r.cheaper(nodes); ok {
			return n, x
		}
	}
	return 0, replacement{}
}

// mayReplace says that budgets and bounds let all of these nodes go, and that their prices are known.
func (r *drainer) mayReplace(nodes []int) bool {
	of := map[int32]int{}
	for _, i := range nodes {
		of[r.v.poolOf[i]]++
	}
	for k, n := range of {
		if r.s.Pools[k].PricePerHour <= 0 || r.v.budget(r.s, int(k), LeaveUnderused) < n {
			return false
		}
	}
	return true
}

// cheaper is the machines that would be bought for the pods of nodes, if these and their moves cost less.
func (r *drainer) cheaper(nodes []int) (replacement, bool) {
	machines := r.without(nodes)
	if len(machines) == 0 {
		return replacement{}, false
	}
	old, life, moves := 0.0, mostLife, 0.0
	for _, i := range nodes {
		old += r.s.Pools[r.v.poolOf[i]].PricePerHour
		life = min(life, r.life(i))
		moves += r.cost(i)
	}
	x := replacement{by: r.s.Pools[machines[0]].ID}
	join := time.Duration(0)
	for _, k := range machines {
		p := &r.s.Pools[k]
		if p.PricePerHour <= 0 {
			return x, false
		}
		x.price += p.PricePerHour
		join = max(join, p.Join)
	}
	x.saves = (old - x.price) * life.Hours()
	x.cost = moves + x.price*join.Hours() // both are paid for until the new ones have joined
	return x, old-x.price > leastSaved*old && x.saves > x.cost
}

// without is the pools of the machines that would be bought if nodes were not there, by their positions; none when not all pods
// would have a place.
func (r *drainer) without(nodes []int) []int {
	gone := make(map[int]bool, len(nodes))
	for _, i := range nodes {
		gone[i] = true
	}
	c := r.v.indexed(r.s)
	p := placer{s: r.s, v: r.v, placing: r.placed}
	q := fit.Ask{Cluster: c, Daemons: r.v.daemonClasses}
	for _, i := range r.v.open(r.s) {
		if n := &r.s.Nodes[i]; !gone[i] && n.Phase == Ready && !n.Draining {
			q.Open = append(q.Open, i)
		}
	}
	asks := append([]ask(nil), r.placed.asks...)
	for _, i := range nodes {
		asks = r.v.tally(r.s, asks, r.v.movable(r.s, i), i)
	}
	for _, a := range asks {
		q.Want = append(q.Want, fit.Want{Class: r.v.classOf(r.s, a.shape), Count: a.count})
	}
	defer r.v.lift(r.s, nodes)()
	offers := p.offer(&q)
	problem := &fit.Compile(q).Problem
	problem.Pools = p.limits()
	problem.Capped, problem.PriceCap = p.capLeft(r.s.PriceCap, p.all())
	solution := pack.Solve(problem)
	if len(solution.Unplaced) > 0 {
		return nil
	}
	var pools []int
	for _, offer := range solution.Machines {
		pools = append(pools, offers[offer].pool)
	}
	return pools
}

// lift takes the pods of nodes out of the cluster, where they count for no rule, and returns how to put them back.
func (v *view) lift(s *State, nodes []int) (back func()) {
	c := v.indexed(s)
	on := make([][]fit.Tally, len(nodes))
	for k, i := range nodes {
		on[k] = append([]fit.Tally(nil), c.On(i)...)
		for _, t := range on[k] {
			c.Add(t.Class, i, -t.Count)
		}
	}
	return func() {
		for k, i := range nodes {
			for _, t := range on[k] {
				c.Add(t.Class, i, t.Count)
			}
		}
	}
}

// replacing says that cheaper machines are coming for a node: as long as they are, and could be, for the time that machines
// may take.
func (v *view) replacing(s *State, node int) bool {
	m := &v.memos[node]
	if m.ReplaceBy == "" {
		return false
	}
	for k := range s.Pools {
		if p := &s.Pools[k]; p.ID == m.ReplaceBy {
			return p.Unknown == "" && p.StockOut == "" && s.Now.Before(m.Tried.Add(JoinDeadline))
		}
	}
	return false
}
