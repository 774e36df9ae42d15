package pack

import (
	"math"
	"slices"
)

// Rules is the state that the scheduler's filters look at: room, ports, and for each rule the pods counted by domain. It
// is the one definition of what may be placed where; everything faster is held equal to it by tests. The semantics are
// those of kube-scheduler v1.37 (noderesources, nodeports, interpodaffinity, podtopologyspread), but that a topology
// which is Fresh has 0 as its least count.
//
// Places are the bins of the problem, then the machines that were opened, in that order.
type Rules struct {
	p        *Problem
	counters []counter
	groups   []compiled
	// cells are the counts of fresh topologies: few pods of few selectors on each of many hosts.
	cells [][][]cell
	free  []Resources
	more  [][]int64
	ports [][]int
	// offers are those of the opened machines.
	offers []int
}

// compiled is what rules look at for a group: positions of counters.
type compiled struct {
	bumps    []int32 // raised when a pod of the group is placed
	carries  []int32 // raised likewise: the anti-affinity that the pod carries
	spreads  []spreadOn
	affinity []int32
	anti     []int32 // must be 0: pods that the group avoids
	others   []int32 // must be 0: pods that avoid the group
}

type spreadOn struct {
	counter             int32
	self                bool
	maxSkew, minDomains int64
}

// NewRules starts with what runs. It keeps p, which must not change.
func NewRules(p *Problem) *Rules {
	r := &Rules{p: p, cells: make([][][]cell, len(p.Topologies))}
	c := newCompiler(p)
	r.groups = c.groups()
	running := c.running()
	r.counters = c.counters
	for t := range p.Topologies {
		if p.Topologies[t].Fresh {
			r.cells[t] = make([][]cell, max(0, p.Topologies[t].Domains))
		}
	}
	n := len(p.Bins)
	r.free, r.more, r.ports = make([]Resources, n, n+16), make([][]int64, n, n+16), make([][]int, n, n+16)
	for i := range p.Bins {
		r.free[i] = p.Bins[i].Free
		r.more[i] = slices.Clone(p.Bins[i].Extended)
		r.ports[i] = slices.Clone(p.Bins[i].Ports)
	}
	r.findDomains()
	for i := range p.Running {
		if run := &p.Running[i]; run.Bin >= 0 && run.Bin < len(p.Bins) && run.Count > 0 {
			r.count(&running[i], run.Bin, int64(run.Count))
		}
	}
	return r
}

// Open adds a machine of an offer and returns its place.
func (r *Rules) Open(offer int) int {
	o := &r.p.Offers[offer]
	r.offers = append(r.offers, offer)
	r.free = append(r.free, o.Room)
	r.more = append(r.more, slices.Clone(o.Extended))
	r.ports = append(r.ports, nil)
	return len(r.free) - 1
}

// grow makes room for n more machines.
func (r *Rules) grow(n int) {
	r.free, r.more, r.ports, r.offers = slices.Grow(r.free, n), slices.Grow(r.more, n), slices.Grow(r.ports, n), slices.Grow(r.offers, n)
	for t := range r.cells {
		if r.p.fresh(t) {
			r.cells[t] = slices.Grow(r.cells[t], n)
		}
	}
}

// close takes the last machine away again, on which nothing is.
func (r *Rules) close() {
	last := len(r.free) - 1
	r.free, r.more, r.ports = r.free[:last], r.more[:last], r.ports[:last]
	r.offers = r.offers[:len(r.offers)-1]
}

// Places is how many places there are.
func (r *Rules) Places() int { return len(r.free) }

// Free is the room left on a place.
func (r *Rules) Free(place int) Resources { return r.free[place] }

// Offer is the offer that a place was opened from, or -1 for a bin.
func (r *Rules) Offer(place int) int {
	if place < len(r.p.Bins) {
		return -1
	}
	return r.offers[place-len(r.p.Bins)]
}

// Allows says whether one more pod of the group may be placed there now, and if not what is first against it.
func (r *Rules) Allows(group, place int) Refusal {
	if !r.p.has(r.p.Groups[group].Nodes, r.class(place)) {
		return NodeClass
	}
	if why := r.holds(group, place); why != Fits {
		return why
	}
	for _, port := range r.p.Groups[group].Ports {
		if slices.Contains(r.ports[place], port) {
			return PortTaken
		}
	}
	g := &r.groups[group]
	if why := r.spreadAllows(g, place); why != Fits {
		return why
	}
	return r.affinityAllows(group, place)
}

// Place puts n pods of the group there. It does not ask whether they may be placed.
func (r *Rules) Place(group, place, n int) {
	g := &r.p.Groups[group]
	r.free[place] = r.free[place].Minus(g.Needs.Times(n))
	for i, need := range g.Extended {
		if need > 0 && i < len(r.more[place]) {
			r.more[place][i] -= need * int64(n)
		}
	}
	if n > 0 {
		r.ports[place] = append(r.ports[place], g.Ports...)
	} else {
		for _, port := range g.Ports {
			if i := slices.Index(r.ports[place], port); i >= 0 {
				r.ports[place] = slices.Delete(r.ports[place], i, i+1)
			}
		}
	}
	r.count(&r.groups[group], place, int64(n))
}

// Remove takes n pods of the group away again.
func (r *Rules) Remove(group, place, n int) { r.Place(group, place, -n) }

// Most is how many pods of the group, at most limit, may be placed there one after the other.
func (r *Rules) Most(group, place, limit int) int {
	if limit <= 0 || r.Allows(group, place) != Fits {
		return 0
	}
	g, is := &r.groups[group], &r.p.Groups[group]
	n := r.roomFor(group, place, limit)
	if len(is.Ports) > 0 || r.selfAnti(g, place) {
		return min(n, 1)
	}
	for i := range g.spreads {
		if s := &g.spreads[i]; n > 0 && slices.Contains(g.bumps, s.counter) {
			n = int(min(int64(n), r.levelLeft(s, place)))
		}
	}
	return n
}

// mostOnHost is how many pods of the group the rules over fresh topologies would let onto a place, room and other
// topologies left out.
func (r *Rules) mostOnHost(group, place int) int {
	if !r.p.has(r.p.Groups[group].Nodes, r.class(place)) {
		return 0
	}
	g := &r.groups[group]
	n := int64(math.MaxInt32)
	for _, s := range g.spreads {
		if c := &r.counters[s.counter]; c.fresh {
			d := r.domain(place, c.topology)
			if d < 0 {
				return 0
			}
			left := s.maxSkew + 1 - r.at(s.counter, d)
			if s.self {
				left--
			}
			if left <= 0 {
				return 0
			}
			if slices.Contains(g.bumps, s.counter) {
				n = min(n, left)
			}
		}
	}
	if r.anyAt(g.anti, place) || r.anyAt(g.others, place) {
		return 0
	}
	if r.selfAnti(g, place) {
		n = 1
	}
	return int(n)
}

// roomFor is how many pods of the group, at most limit, the free room holds.
func (r *Rules) roomFor(group, place, limit int) int {
	g := &r.p.Groups[group]
	n := r.free[place].Count(g.Needs, limit)
	for i, need := range g.Extended {
		if need > 0 {
			n = int(min(int64(n), max(0, extended(r.more[place], i))/need))
		}
	}
	return n
}

func (r *Rules) class(place int) int {
	if place < len(r.p.Bins) {
		return r.p.Bins[place].Class
	}
	return r.p.Offers[r.offers[place-len(r.p.Bins)]].Class
}

// domain is the place's domain in a topology, or NoDomain. Each machine's fresh domain comes after those of the problem.
func (r *Rules) domain(place, topology int) int {
	if topology < 0 || topology >= len(r.p.Topologies) {
		return NoDomain
	}
	domains := r.p.Topologies[topology].Domains
	d := NoDomain
	if place < len(r.p.Bins) {
		d = domainOf(r.p.Bins[place].Domains, topology)
	} else if m := place - len(r.p.Bins); true {
		d = domainOf(r.p.Offers[r.offers[m]].Domains, topology)
		if d == FreshDomain {
			return max(0, domains) + m
		}
	}
	if d >= domains {
		return NoDomain
	}
	return d
}

func (r *Rules) holds(group, place int) Refusal {
	g, free := &r.p.Groups[group], r.free[place]
	switch {
	case g.Needs.CPU > 0 && g.Needs.CPU > free.CPU:
		return NoCPU
	case g.Needs.Memory > 0 && g.Needs.Memory > free.Memory:
		return NoMemory
	case g.Needs.Pods > 0 && g.Needs.Pods > free.Pods:
		return NoPodSlot
	}
	for i, need := range g.Extended {
		if need > 0 && need > extended(r.more[place], i) {
			return NoExtended
		}
	}
	return Fits
}

// spreadAllows is podtopologyspread's filter: pods there + 1 if the pod matches - least count <= maxSkew.
func (r *Rules) spreadAllows(g *compiled, place int) Refusal {
	for i := range g.spreads {
		s := &g.spreads[i]
		c := &r.counters[s.counter]
		d := r.domain(place, c.topology)
		if d < 0 {
			return SpreadLabel
		}
		n := r.at(s.counter, d) - r.least(c, s.minDomains)
		if s.self {
			n++
		}
		if n > s.maxSkew {
			return SpreadSkew
		}
	}
	return Fits
}

// affinityAllows is interpodaffinity's filter, with its exception for the first pod: when no pod matches anywhere, one
// that matches its own terms may be placed wherever all topologies are.
func (r *Rules) affinityAllows(group, place int) Refusal {
	g := &r.groups[group]
	found, total := true, int64(0)
	for _, c := range g.affinity {
		d := r.domain(place, r.counters[c].topology)
		if d < 0 {
			return AffinityLabel
		}
		found = found && r.at(c, d) > 0
		total += r.counters[c].total
	}
	if !found && (total > 0 || !r.p.Groups[group].Affinity.Self) {
		return AffinityUnmet
	}
	if r.anyAt(g.anti, place) {
		return AntiAffinity
	}
	if r.anyAt(g.others, place) {
		return AntiAffinityOfOthers
	}
	return Fits
}

func (r *Rules) anyAt(counters []int32, place int) bool {
	for _, c := range counters {
		if d := r.domain(place, r.counters[c].topology); d >= 0 && r.at(c, d) > 0 {
			return true
		}
	}
	return false
}

// selfAnti says that a pod of the group placed there forbids the next one there.
func (r *Rules) selfAnti(g *compiled, place int) bool {
	for _, c := range g.anti {
		if slices.Contains(g.bumps, c) && r.domain(place, r.counters[c].topology) >= 0 {
			return true
		}
	}
	return false
}

// levelLeft is how many pods that match s may still be added in the place's domain while no other domain gains any.
func (r *Rules) levelLeft(s *spreadOn, place int) int64 {
	c := &r.counters[s.counter]
	d := r.domain(place, c.topology)
	if !r.p.has(c.nodes, r.class(place)) {
		return math.MaxInt64 // not counted here, so that the count does not grow
	}
	left := s.maxSkew + 1 + r.leastBeside(c, s, d) - r.at(s.counter, d)
	if s.self {
		left--
	}
	return left
}

func extended(list []int64, i int) int64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}
