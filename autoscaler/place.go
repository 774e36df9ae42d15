package autoscaler

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// ask is a number of equal pods that have no node yet, or that are to leave the one they have.
type ask struct {
	workload int    // position, or -1
	buffer   string // id of the buffer whose room it is
	leaving  int    // position of the node that they are to leave, or -1
	shape    *Shape
	class    int
	count    int
	priority int
	choice   int // how many pools have a machine for it
}

// placing is the answer of place: what later steps need of it.
type placing struct {
	placements []Placement
	// taken is how many pods were placed on each node, by position.
	taken []int
	// buy is how many machines to buy of each pool, by position; buying that there are any.
	buy    []int
	buying bool
	// hedges are, by pool, those of buy that stand beside machines of others.
	hedges [][]hedge
	// awaiting is, by node that is to be replaced, how many of its pods have no room on ready nodes.
	awaiting []int
	// asks are all that was to be placed and has a place, buffers left out.
	asks []ask
	// short are the asks that have none, with how many pods of each, in the order of asks.
	short []ask
	// shut is, by pool, why none of its machines is bought for those, in words.
	shut      []string
	bought    []Bought
	truncated bool
}

// place finds room for each pod that has no node: on nodes that are ready, on nodes that are draining but still whole, on
// nodes that are coming, and then on the cheapest set of machines for all that is left. Rules are the scheduler's
// (package fit), and so is what is said of pods that have no place. Headroom comes after everything that is wanted.
func place(s *State, v *view, scales []Scale) placing {
	p := placer{
		s: s, v: v, room: slices.Clone(v.free), contents: map[int]Contents{},
		placing: placing{taken: make([]int, len(s.Nodes)), buy: make([]int, len(s.Pools)), awaiting: make([]int, len(s.Nodes))},
	}
	p.asks = p.wanted(scales)
	p.ranked = slices.ContainsFunc(p.asks, func(a ask) bool {
		return a.priority != p.asks[0].priority || a.shape.Pod().Priority != p.asks[0].shape.Pod().Priority
	})
	if len(p.asks) > 0 {
		p.apart(p.solve(p.asks))
	}
	p.hedge()
	if headroom := p.headroom(); len(headroom) > 0 {
		p.solve(headroom)
	}
	p.bought = p.holdings()
	p.shut = p.shutBecause()
	p.release()
	slices.SortStableFunc(p.placements, func(a, b Placement) int {
		return cmp.Or(strings.Compare(string(a.Workload), string(b.Workload)), strings.Compare(string(a.Leaving), string(b.Leaving)), strings.Compare(a.Buffer, b.Buffer))
	})
	return p.placing
}

// apart takes the pods without a place out of the asks: what cannot be placed anywhere says nothing of other pods' room.
func (p *placer) apart(unplaced []int) {
	for i, n := range unplaced {
		if n == 0 {
			continue
		}
		short := p.asks[i]
		short.count = n
		p.short = append(p.short, short)
		p.asks[i].count -= n
	}
	p.asks = slices.DeleteFunc(p.asks, func(a ask) bool { return a.count <= 0 })
}

type placer struct {
	placing
	s *State
	v *view
	// ranked says that not all that is wanted has one priority.
	ranked bool
	// machines are what was bought so far, by pool, with what was placed there: the second solving fills them up.
	machines []machine
	// room is what is left on each node once what is planned there runs.
	room     []Resources
	kept     []kept
	contents map[int]Contents // of coming machines, by position
}

// machine is one that is to be bought.
type machine struct {
	pool    int
	resumes bool // it is stopped now
	pods    []fit.Tally
	holds   Contents
}

// wanted is what has no node: replicas that are missing, pods of nobody's that wait, and pods on nodes that are replaced.
func (p *placer) wanted(scales []Scale) []ask {
	var asks []ask
	for i := range p.s.Workloads {
		bound := 0
		for _, k := range p.v.podsOf[i] {
			if pod := &p.s.Pods[k]; pod.Node != "" && pod.Phase != Leaving {
				bound++
			}
		}
		if missing := scales[i].To - bound; missing > 0 {
			w := &p.s.Workloads[i]
			asks = append(asks, ask{workload: i, leaving: -1, shape: &w.Shape, count: missing, priority: w.Priority})
		}
	}
	asks = p.v.tally(p.s, asks, p.waiting(), -1)
	for i := range p.s.Nodes {
		if p.v.renew[i] == "" {
			continue
		}
		var pods []int32
		for _, k := range p.v.movable(p.s, i) {
			// What is started beside them is wanted as a replica already.
			if w := p.v.workloadOf[k]; w < 0 || !p.v.surging[w] {
				pods = append(pods, k)
			}
		}
		asks = p.v.tally(p.s, asks, pods, i)
	}
	// Of equals, those that fewer pools would do for go first: they leave what is coming to whom it was bought for.
	for i := range asks {
		asks[i].choice = p.v.choice(&asks[i])
	}
	slices.SortStableFunc(asks, func(a, b ask) int { return cmp.Compare(a.choice, b.choice) })
	return asks
}

// choice is how many pools have a machine for an ask.
func (v *view) choice(a *ask) int {
	n := 0
	for k := range v.offers {
		if runs(a.shape, &v.offers[k]) {
			n++
		}
	}
	return n
}

// waiting are the pods of nobody's that are short of room: for one that the scheduler makes room for, by preempting others of
// lower priority, nothing is bought.
func (p *placer) waiting() []int32 {
	var short []int32
	preempting := map[int]bool{}
	counts := map[int]int{}
	var order []int
	for _, k := range p.v.waiting {
		shape := &p.s.Pods[k].Shape
		if shape.Rules == nil || shape.Rules.Priority <= 0 {
			short = append(short, k)
			continue
		}
		class := p.v.classOf(p.s, shape)
		if _, known := preempting[class]; !known {
			preempting[class] = p.preempts(class)
			order = append(order, class)
		}
		if counts[class]++; !preempting[class] {
			short = append(short, k)
		}
	}
	for _, class := range order {
		if preempting[class] {
			p.placements = append(p.placements, Placement{Unplaced: counts[class], Why: Reason{Rule: Preempts}})
		}
	}
	return short
}

func (p *placer) preempts(class int) bool {
	c := p.v.indexed(p.s)
	for _, i := range p.v.open(p.s) {
		if p.s.Nodes[i].Phase == Ready && c.Fits(class, i) == fit.None {
			return false // it has room as things are
		}
	}
	return slices.ContainsFunc(p.v.open(p.s), func(i int) bool { return p.s.Nodes[i].Phase == Ready && c.Preempts(class, i) })
}

// tally appends pods as asks, equal ones joined.
func (v *view) tally(s *State, asks []ask, pods []int32, leaving int) []ask {
	at := map[int]int{}
	for _, k := range pods {
		shape := &s.Pods[k].Shape
		class := v.classOf(s, shape)
		if i, ok := at[class]; ok {
			asks[i].count++
			continue
		}
		at[class] = len(asks)
		priority := 0
		if w := v.workloadOf[k]; w >= 0 {
			priority = s.Workloads[w].Priority
		}
		asks = append(asks, ask{workload: -1, leaving: leaving, shape: shape, class: class, count: 1, priority: priority})
	}
	return asks
}

func (p *placer) headroom() []ask {
	var asks []ask
	for i := range p.s.Buffers {
		if b := &p.s.Buffers[i]; b.Count > 0 {
			asks = append(asks, ask{workload: -1, buffer: b.ID, leaving: -1, shape: &b.Shape, count: b.Count, priority: math.MinInt32})
		}
	}
	return asks
}

// open are the nodes that can take pods, in the order in which they should be filled: ready ones, then those that are
// draining and empty, or are not to leave any more (keeping one is cheaper than buying one), then those that are coming, soonest first.
func (v *view) open(s *State) []int {
	var ready, draining, coming []int
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case n.Cordoned, n.overdue(s.Now), v.surplus[i], v.renew[i] != "":
		case n.Phase == Coming && v.poolOf[i] >= 0:
			coming = append(coming, i)
		case n.Phase == Ready && !n.Draining:
			ready = append(ready, i)
		case n.Phase == Ready && (v.busy[i] == 0 || v.leaving(i) == ""):
			draining = append(draining, i)
		}
	}
	slices.SortStableFunc(coming, func(a, b int) int { return s.Nodes[a].Due.Compare(s.Nodes[b].Due) })
	return slices.Concat(ready, draining, coming)
}

// solve places asks and adds what it decides to the placing. When some are spread, what has room is placed before machines
// are for sale: a machine that could be bought is a host and perhaps a zone without pods, beside which those that are there
// look too full.
// It returns how many pods of each ask have no place.
func (p *placer) solve(asks []ask) []int {
	c := p.v.indexed(p.s)
	for i := range asks {
		asks[i].class = p.v.classOf(p.s, asks[i].shape)
	}
	spots := make([][]Spot, len(asks))
	if asks = slices.Clone(asks); len(p.s.Memo.Bought) > 0 {
		p.keep(asks, spots)
	}
	if slices.ContainsFunc(asks, func(a ask) bool { return len(a.shape.Pod().Spread) > 0 }) {
		p.fill(asks, spots)
	}
	q := fit.Ask{Cluster: c, Open: p.v.open(p.s), Daemons: p.v.daemonClasses}
	for i := range asks {
		q.Want = append(q.Want, fit.Want{Class: asks[i].class, Count: asks[i].count})
	}
	// What was bought for the asks before these is there to be filled up, and gone again afterwards.
	first := c.Nodes()
	for _, m := range p.machines {
		node := c.AddNode(named(&p.v.offers[m.pool], "\x00"+strconv.Itoa(c.Nodes())))
		c.AddDaemons(node, p.v.daemonClasses)
		for _, t := range m.pods {
			c.Add(t.Class, node, t.Count)
		}
		q.Open = append(q.Open, node)
	}
	offers := p.offer(&q)
	compiled := fit.Compile(q)
	problem := &compiled.Problem
	problem.Pools, problem.NodePrice = p.limits(), 0
	problem.Capped, problem.PriceCap = p.capLeft(p.s.PriceCap, p.all())
	rank(problem, asks)
	solution := pack.Solve(problem)
	p.truncated = p.truncated || solution.Truncated
	unplaced := p.take(asks, spots, compiled, &solution, offers)
	for node := first; node < c.Nodes(); node++ {
		c.RemoveNode(node)
	}
	return unplaced
}

// rank says who goes without first: the lowest of a pod's own priority and its workload's together.
func rank(p *pack.Problem, asks []ask) {
	for i := range asks {
		p.Groups[i].Priority = min(max(p.Groups[i].Priority+asks[i].priority, math.MinInt32), math.MaxInt32)
	}
}

// fill places on nodes alone what has room there, and takes it off the counts of the asks.
func (p *placer) fill(asks []ask, spots [][]Spot) {
	q := fit.Ask{Cluster: p.v.indexed(p.s), Open: p.v.open(p.s), Daemons: p.v.daemonClasses}
	for i := range asks {
		q.Want = append(q.Want, fit.Want{Class: asks[i].class, Count: asks[i].count})
	}
	c := fit.Compile(q)
	rank(&c.Problem, asks)
	solution := pack.Solve(&c.Problem)
	for _, step := range solution.Steps {
		a, node := &asks[step.Group], c.Nodes[step.Place]
		if node >= len(p.s.Nodes) {
			continue
		}
		a.count -= step.Count
		p.hold(node, a.class, step.Count)
		p.onNode(a, &spots[step.Group], node, step.Count)
	}
}

// sale is what an offer is of: new machines of a pool, or stopped ones.
type sale struct {
	pool    int
	resumes bool
}

// stopped is how many machines of a pool can still resume.
func (p *placer) stopped(pool int) int {
	n := p.s.Pools[pool].Stopped
	for i := range p.machines {
		if p.machines[i].pool == pool && p.machines[i].resumes {
			n--
		}
	}
	return n
}

// offer puts the pools that can be bought from into the question; the answer names them by position.
func (p *placer) offer(q *fit.Ask) []sale {
	var pools []sale
	dearest := 0.0
	for k := range p.s.Pools {
		dearest = math.Max(dearest, p.s.Pools[k].PricePerHour)
	}
	for k := range p.s.Pools {
		pool := &p.s.Pools[k]
		limit := p.forSale(k)
		if pool.Unknown != "" || pool.StockOut != "" || limit <= 0 {
			continue
		}
		price := pool.PricePerHour
		if price <= 0 {
			price = 1 + 1000*dearest // not known: dearer than any
		}
		offer := fit.Offer{Node: p.v.offers[k], Price: price, Pool: p.bound(k), Weight: 2 * pool.Weight}
		// What is stopped resumes before anything of its weight is bought: the provider does so too.
		if offer.Limit = min(limit, p.stopped(k)); offer.Limit > 0 {
			limit -= offer.Limit
			offer.Weight++
			pools, q.Offers = append(pools, sale{k, true}), append(q.Offers, offer)
			offer.Weight--
		}
		if offer.Limit = limit; limit > 0 {
			pools, q.Offers = append(pools, sale{k, false}), append(q.Offers, offer)
		}
	}
	return pools
}

// take reads a solution: where the pods of each ask go, what is bought for them, and how many have no place.
func (p *placer) take(asks []ask, spots [][]Spot, c *fit.Compiled, solution *pack.Solution, offers []sale) []int {
	bins, before := len(c.Problem.Bins), len(p.machines)
	for _, offer := range solution.Machines {
		of := offers[offer]
		p.machines = append(p.machines, machine{pool: of.pool, resumes: of.resumes})
		p.buy[of.pool]++
		p.buying = true
	}
	for _, step := range solution.Steps {
		a := &asks[step.Group]
		bought := step.Place - bins + before
		if step.Place < bins {
			if node := c.Nodes[step.Place]; node < len(p.s.Nodes) {
				p.hold(node, a.class, step.Count)
				p.onNode(a, &spots[step.Group], node, step.Count)
				continue
			}
			// A machine that was bought for the asks before these.
			bought = c.Nodes[step.Place] - len(p.s.Nodes)
		}
		m := &p.machines[bought]
		m.pods = append(m.pods, fit.Tally{Class: a.class, Count: step.Count})
		m.holds = m.holds.add(p.holder(a), step.Count)
		pool := &p.s.Pools[m.pool]
		spot := Spot{Pool: pool.ID, Count: step.Count, Due: p.s.Now.Add(pool.Join)}
		if m.resumes {
			spot.Due, spot.Resumes = p.s.Now.Add(pool.Resume), true
		}
		spots[step.Group] = join(spots[step.Group], spot)
		if a.leaving >= 0 {
			p.awaiting[a.leaving] += step.Count
		}
	}
	unplaced := make([]int, len(asks))
	why := make([]Reason, len(asks))
	for _, u := range solution.Unplaced {
		unplaced[u.Group] = u.Count
		why[u.Group] = p.refusal(&asks[u.Group], c, u)
	}
	p.placements = slices.Grow(p.placements, len(asks))
	for i := range asks {
		p.placements = append(p.placements, p.placement(&asks[i], spots[i], unplaced[i], why[i]))
	}
	return unplaced
}

func (p *placer) onNode(a *ask, spots *[]Spot, node, count int) {
	n := &p.s.Nodes[node]
	p.taken[node] += count
	if n.Phase == Coming {
		p.contents[node] = p.contents[node].add(p.holder(a), count)
	}
	*spots = join(*spots, Spot{Node: n.ID, Count: count, Due: later(p.s.Now, n.Due)})
	if a.leaving >= 0 && (n.Phase != Ready || n.Draining) {
		p.awaiting[a.leaving] += count
	}
}

func (p *placer) placement(a *ask, spots []Spot, unplaced int, why Reason) Placement {
	slices.SortStableFunc(spots, func(a, b Spot) int {
		return cmp.Or(compareBool(a.Node == "", b.Node == ""), a.Due.Compare(b.Due), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pool, b.Pool))
	})
	out := Placement{Spots: spots, Unplaced: unplaced, Buffer: a.buffer}
	if a.workload >= 0 {
		out.Workload = p.s.Workloads[a.workload].ID
	}
	if a.leaving >= 0 {
		out.Leaving = p.s.Nodes[a.leaving].ID
		p.awaiting[a.leaving] += unplaced
	}
	if unplaced > 0 {
		out.Why = why
	}
	return out
}

// join adds a spot, with those on the same node or in the same pool as one.
func join(spots []Spot, spot Spot) []Spot {
	for i := range spots {
		if spots[i].Node == spot.Node && spots[i].Pool == spot.Pool && spots[i].Resumes == spot.Resumes {
			spots[i].Count += spot.Count
			return spots
		}
	}
	return append(spots, spot)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
