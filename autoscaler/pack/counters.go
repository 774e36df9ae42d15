package pack

import (
	"math"
	"slices"
)

// counter counts pods by domain of one topology: those that match a selector, or, for a carrier, those that carry an
// anti-affinity term with that selector.
type counter struct {
	topology, selector int
	nodes              NodeSet
	carrier            bool
	fresh              bool
	total              int64
	// by is the count in each domain and counted whether it is one of those that the least is taken over. Both are
	// empty for a fresh topology.
	by      []int64
	counted []bool
	domains int64
	low     int64
	stale   bool
}

// cell is the count of one counter in one domain of a fresh topology.
type cell struct {
	counter int32
	n       int64
}

// at is the count in a domain.
func (r *Rules) at(c int32, domain int) int64 {
	k := &r.counters[c]
	if !k.fresh {
		if domain < len(k.by) {
			return k.by[domain]
		}
		return 0
	}
	if domain < len(r.cells[k.topology]) {
		for _, cell := range r.cells[k.topology][domain] {
			if cell.counter == c {
				return cell.n
			}
		}
	}
	return 0
}

// count adds n pods on a place to all counters that see them.
func (r *Rules) count(g *compiled, place int, n int64) {
	for _, c := range g.bumps {
		r.bump(c, place, n)
	}
	for _, c := range g.carries {
		r.bump(c, place, n)
	}
}

func (r *Rules) bump(c int32, place int, n int64) {
	k := &r.counters[c]
	d := r.domain(place, k.topology)
	if d < 0 || k.nodes != 0 && !r.p.has(k.nodes, r.class(place)) {
		return
	}
	k.total += n
	if k.fresh {
		r.bumpCell(c, k.topology, d, n)
		return
	}
	for d >= len(k.by) {
		k.by = append(k.by, 0)
	}
	was := k.by[d]
	k.by[d] += n
	if d >= len(k.counted) || !k.counted[d] || k.stale {
		return
	}
	if k.by[d] < k.low {
		k.low = k.by[d]
	} else if was == k.low && n > 0 {
		k.stale = true
	}
}

func (r *Rules) bumpCell(c int32, topology, domain int, n int64) {
	for domain >= len(r.cells[topology]) {
		r.cells[topology] = append(r.cells[topology], nil)
	}
	cells := r.cells[topology][domain]
	for i := range cells {
		if cells[i].counter == c {
			cells[i].n += n
			return
		}
	}
	if cells == nil {
		cells = make([]cell, 0, 4)
	}
	r.cells[topology][domain] = append(cells, cell{c, n})
}

// least is the least count over the counted domains; 0 for a fresh topology and for too few domains.
func (r *Rules) least(c *counter, minDomains int64) int64 {
	if c.fresh || c.domains < max(1, minDomains) {
		return 0
	}
	if c.stale {
		c.low = math.MaxInt64
		for d, counted := range c.counted {
			if counted {
				c.low = min(c.low, c.by[d])
			}
		}
		c.stale = false
	}
	return c.low
}

// leastBeside is the least count when that of one domain grows without end.
func (r *Rules) leastBeside(c *counter, s *spreadOn, domain int) int64 {
	if c.fresh || c.domains < max(1, s.minDomains) {
		return 0
	}
	low := int64(math.MaxInt64 / 4)
	for d, counted := range c.counted {
		if counted && d != domain {
			low = min(low, c.by[d])
		}
	}
	return low
}

// findDomains marks the domains that each counter's least is taken over: those of bins and of offers for sale, as far
// as their classes count.
func (r *Rules) findDomains() {
	for i := range r.counters {
		c := &r.counters[i]
		c.fresh = r.p.fresh(c.topology)
		if c.fresh || c.topology < 0 || c.topology >= len(r.p.Topologies) {
			continue
		}
		c.by = make([]int64, max(0, r.p.Topologies[c.topology].Domains))
		c.counted = make([]bool, len(c.by))
		c.stale = true
	}
	like := map[counterKey]int{} // counters that look at the same nodes share the answer
	for i := range r.counters {
		c := &r.counters[i]
		if c.by == nil || c.carrier || c.nodes == uncountedNodes {
			continue
		}
		key := counterKey{topology: c.topology, nodes: c.nodes}
		if k, ok := like[key]; ok {
			c.counted, c.domains = r.counters[k].counted, r.counters[k].domains
			continue
		}
		like[key] = i
		for b := range r.p.Bins {
			c.mark(r.p, r.p.Bins[b].Class, r.p.Bins[b].Domains)
		}
		for o := range r.p.Offers {
			if r.p.Offers[o].forSale() {
				c.mark(r.p, r.p.Offers[o].Class, r.p.Offers[o].Domains)
			}
		}
	}
}

func (c *counter) mark(p *Problem, class int, domains []int) {
	d := domainOf(domains, c.topology)
	if d >= 0 && d < len(c.counted) && !c.counted[d] && p.has(c.nodes, class) {
		c.counted[d] = true
		c.domains++
	}
}

// uncountedNodes is the node set of counters that no spread uses: they count everywhere and have no least.
const uncountedNodes NodeSet = -1

type counterKey struct {
	topology, selector int
	nodes              NodeSet
	carrier            bool
}

// compiler finds the counters that the rules of a problem need and what each group does to them.
type compiler struct {
	p        *Problem
	counters []counter
	ids      map[counterKey]int32
	// matching and carrying are, by selector, the counters of its pods and of those that avoid it.
	matching, carrying map[int][]int32
}

func newCompiler(p *Problem) *compiler {
	c := &compiler{p: p, ids: map[counterKey]int32{}, matching: map[int][]int32{}, carrying: map[int][]int32{}}
	for i := range p.Groups {
		g := &p.Groups[i]
		for _, s := range g.Spreads {
			c.counter(s.Topology, s.Selector, max(s.Nodes, 0), false)
		}
		for _, t := range g.Affinity.Topologies {
			c.counter(t, g.Affinity.Selector, uncountedNodes, false)
		}
		c.terms(g.Anti)
	}
	for i := range p.Running {
		for _, t := range p.Running[i].Anti {
			c.counter(t.Topology, t.Selector, uncountedNodes, true)
		}
	}
	return c
}

func (c *compiler) terms(anti []Term) {
	for _, t := range anti {
		c.counter(t.Topology, t.Selector, uncountedNodes, false)
		c.counter(t.Topology, t.Selector, uncountedNodes, true)
	}
}

func (c *compiler) counter(topology, selector int, nodes NodeSet, carrier bool) int32 {
	key := counterKey{topology, selector, nodes, carrier}
	if id, ok := c.ids[key]; ok {
		return id
	}
	id := int32(len(c.counters))
	c.ids[key] = id
	c.counters = append(c.counters, counter{topology: topology, selector: selector, nodes: nodes, carrier: carrier})
	if carrier {
		c.carrying[selector] = append(c.carrying[selector], id)
	} else {
		c.matching[selector] = append(c.matching[selector], id)
	}
	return id
}

func (c *compiler) groups() []compiled {
	out := make([]compiled, len(c.p.Groups))
	if len(c.counters) == 0 {
		return out
	}
	for i := range out {
		g, is := &out[i], &c.p.Groups[i]
		g.bumps, g.others = c.matched(is.Matches)
		for _, t := range is.Anti {
			g.anti = append(g.anti, c.counter(t.Topology, t.Selector, uncountedNodes, false))
			g.carries = append(g.carries, c.counter(t.Topology, t.Selector, uncountedNodes, true))
		}
		for _, t := range is.Affinity.Topologies {
			g.affinity = append(g.affinity, c.counter(t, is.Affinity.Selector, uncountedNodes, false))
		}
		for _, s := range is.Spreads {
			g.spreads = append(g.spreads, spreadOn{
				counter: c.counter(s.Topology, s.Selector, max(s.Nodes, 0), false),
				self:    s.Self, maxSkew: int64(s.MaxSkew), minDomains: int64(s.MinDomains),
			})
		}
	}
	return out
}

func (c *compiler) running() []compiled {
	out := make([]compiled, len(c.p.Running))
	for i := range out {
		out[i].bumps, _ = c.matched(c.p.Running[i].Matches)
		for _, t := range c.p.Running[i].Anti {
			out[i].carries = append(out[i].carries, c.counter(t.Topology, t.Selector, uncountedNodes, true))
		}
	}
	return out
}

func (c *compiler) matched(selectors []int) (bumps, others []int32) {
	for i, s := range selectors {
		if slices.Contains(selectors[:i], s) {
			continue
		}
		bumps = append(bumps, c.matching[s]...)
		others = append(others, c.carrying[s]...)
	}
	return bumps, others
}
