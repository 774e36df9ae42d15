package pack

import (
	"cmp"
	"slices"
)

// part is a number of pods of one group that may be packed together: all in one zone if zone is not negative.
type part struct {
	group int32
	zone  int32
	n     int
}

// zoner decides for each pod with rules over zones in which zone it goes, before machines are looked at: prices hardly
// differ between zones, so that rules over zones and rules over hosts come apart. A zone here is a domain of the one
// topology that such rules use; groups with rules over further ones are odd and placed one by one.
type zoner struct {
	s        *solver
	topology int
	zones    int
	// counts are, by counter of the topology, pods by zone, as they will be.
	counts map[int32][]int64
	load   []float64
	// reach is, by node set, the largest room in each zone.
	reach map[NodeSet][]vec
}

const mostZones = 64

// zoneTopology is the topology that most groups have simple zone rules over, or -1.
func zoneTopology(p *Problem) int {
	uses := make([]int, len(p.Topologies))
	for i := range p.Groups {
		for _, s := range p.Groups[i].Spreads {
			if s.Topology >= 0 && s.Topology < len(uses) && !p.fresh(s.Topology) {
				uses[s.Topology]++
			}
		}
		for _, t := range p.Groups[i].Affinity.Topologies {
			if t >= 0 && t < len(uses) && !p.fresh(t) {
				uses[t]++
			}
		}
	}
	best := -1
	for t, n := range uses {
		if n > 0 && p.Topologies[t].Domains <= mostZones && (best < 0 || n > uses[best]) {
			best = t
		}
	}
	return best
}

// zoneRule says what a group asks of zones: nothing, a spread, an affinity to itself, or something odd.
func zoneRule(p *Problem, g *Group, topology int) (spread *Spread, affinity, odd bool) {
	for i := range g.Spreads {
		s := &g.Spreads[i]
		if p.fresh(s.Topology) {
			continue
		}
		if spread != nil || s.Topology != topology {
			return nil, false, true
		}
		spread = s
	}
	if n := len(g.Affinity.Topologies); n > 0 {
		affinity = true
		if n > 1 || g.Affinity.Topologies[0] != topology || !g.Affinity.Self || spread != nil {
			return nil, false, true
		}
	}
	return spread, affinity, false
}

// split makes parts of the groups, and appends to ranked those that have rules over zones in the order in which they must
// count as placed. What no zone can take is left out.
func (z *zoner) split(groups []int, left []int) (parts []part, ranked []int) {
	var free, bound []int
	affine := map[int][]int{}
	var selectors []int
	for _, g := range groups {
		spread, affinity, _ := zoneRule(z.s.p, &z.s.p.Groups[g], z.topology)
		switch {
		case spread != nil:
			bound = append(bound, g)
		case affinity:
			sel := z.s.p.Groups[g].Affinity.Selector
			if affine[sel] == nil {
				selectors = append(selectors, sel)
			}
			affine[sel] = append(affine[sel], g)
		default:
			free = append(free, g)
		}
	}
	loads := map[int]float64{}
	for _, sel := range selectors {
		for _, g := range affine[sel] {
			loads[sel] += z.s.size(g) * float64(left[g])
		}
	}
	slices.SortStableFunc(selectors, func(a, b int) int { return cmp.Compare(loads[b], loads[a]) })
	for _, g := range bound {
		parts = append(parts, z.spread(g, left[g])...)
	}
	ranked = append(ranked, bound...)
	for _, sel := range selectors {
		parts = append(parts, z.together(affine[sel], left)...)
		ranked = append(ranked, affine[sel]...)
	}
	return append(parts, z.share(free, left)...), ranked
}

// spread fills zones evenly: each pod goes where the selector counts fewest; a pod that does not match it goes where its
// own kind is fewest, so that rules about that kind stay met.
func (z *zoner) spread(g, n int) []part {
	rules := &z.s.rules.groups[g]
	spread, _, _ := zoneRule(z.s.p, &z.s.p.Groups[g], z.topology)
	on := z.s.zoneSpread(g)
	may := z.allowed(g)
	got := make([]int, z.zones)
	size := z.s.size(g)
	for chunk := 1; n > 0; {
		if n > 3000 {
			chunk = n / 1000
		} else {
			chunk = 1
		}
		at := z.next(rules, on, spread, may, size)
		if at < 0 {
			break
		}
		got[at] += chunk
		n -= chunk
		z.add(rules, at, int64(chunk), size)
	}
	var parts []part
	for zone, n := range got {
		if n > 0 {
			parts = append(parts, part{int32(g), int32(zone), n})
		}
	}
	return parts
}

// next is the zone for one more pod, or -1.
func (z *zoner) next(rules *compiled, on *spreadOn, spread *Spread, may []bool, size float64) int {
	counts := z.of(on.counter)
	c := &z.s.rules.counters[on.counter]
	low := int64(1) << 62
	for zone, n := range counts {
		if c.counted[zone] {
			low = min(low, n)
		}
	}
	if c.domains < max(1, on.minDomains) {
		low = 0
	}
	best, bestOwn := -1, int64(0)
	for zone := range z.zones {
		skew := counts[zone] - low
		if on.self {
			skew++
		}
		if !may[zone] || skew > on.maxSkew {
			continue
		}
		own := int64(0)
		for _, b := range rules.bumps {
			if z.s.rules.counters[b].topology == z.topology {
				own += z.of(b)[zone]
			}
		}
		if spread.Self {
			own = counts[zone]
		}
		if best < 0 || own < bestOwn || own == bestOwn && z.load[zone] < z.load[best]-size/2 {
			best, bestOwn = zone, own
		}
	}
	return best
}

func (z *zoner) of(counter int32) []int64 {
	if c, ok := z.counts[counter]; ok {
		return c
	}
	c := slices.Clone(z.s.rules.counters[counter].by)
	z.counts[counter] = c
	return c
}

func (z *zoner) add(rules *compiled, zone int, n int64, size float64) {
	for _, b := range rules.bumps {
		if z.s.rules.counters[b].topology == z.topology {
			z.of(b)[zone] += n
		}
	}
	z.load[zone] += float64(n) * size
}

// together puts groups that want to be with each other into one zone: where such pods are, or else where all may run and
// least is planned.
func (z *zoner) together(groups, left []int) []part {
	best, total := -1, int64(0)
	counts := z.of(z.s.rules.groups[groups[0]].affinity[0])
	for _, n := range counts {
		total += n
	}
	mayAll := make([]int, z.zones)
	for _, g := range groups {
		for zone, ok := range z.allowed(g) {
			if ok {
				mayAll[zone]++
			}
		}
	}
	for zone := range z.zones {
		if total > 0 && counts[zone] == 0 {
			continue
		}
		if best < 0 || mayAll[zone] > mayAll[best] || mayAll[zone] == mayAll[best] && z.load[zone] < z.load[best]*(1-1e-9) {
			best = zone
		}
	}
	var parts []part
	if best < 0 {
		return nil
	}
	for _, g := range groups {
		parts = append(parts, part{int32(g), int32(best), left[g]})
		z.add(&z.s.rules.groups[g], best, int64(left[g]), z.s.size(g))
	}
	return parts
}

// share leaves pods without rules over zones free when no pod has any; else it deals them out to the zones in the
// proportion of what is there, so that each zone can be packed by itself.
func (z *zoner) share(groups, left []int) []part {
	total := 0.0
	for _, l := range z.load {
		total += l
	}
	var parts []part
	owed := make([]float64, z.zones)
	for _, g := range groups {
		if total == 0 {
			parts = append(parts, part{int32(g), -1, left[g]})
			continue
		}
		may, sum := z.allowed(g), 0.0
		for zone, ok := range may {
			if ok {
				sum += z.load[zone]
			}
		}
		if sum == 0 {
			parts = append(parts, part{int32(g), -1, left[g]})
			continue
		}
		size, rest := z.s.size(g), left[g]
		for zone, ok := range may {
			if ok {
				owed[zone] += z.load[zone] / sum * size * float64(left[g])
			}
		}
		for zone, ok := range may {
			if n := min(rest, int(owed[zone]/size)); ok && n > 0 {
				parts = append(parts, part{int32(g), int32(zone), n})
				owed[zone] -= float64(n) * size
				rest -= n
			}
		}
		parts = z.deal(parts, g, rest, may, owed, size)
	}
	return parts
}

// deal gives the pods that rounding left over to the zones that are owed most.
func (z *zoner) deal(parts []part, g, rest int, may []bool, owed []float64, size float64) []part {
	for ; rest > 0; rest-- {
		best := -1
		for zone, ok := range may {
			if ok && z.load[zone] > 0 && (best < 0 || owed[zone] > owed[best]) {
				best = zone
			}
		}
		owed[best] -= size
		parts = append(parts, part{int32(g), int32(best), 1})
	}
	return parts
}

// allowed says in which zones a pod of the group fits on a bin or a machine for sale.
func (z *zoner) allowed(g int) []bool {
	set := z.s.p.Groups[g].Nodes
	reach, ok := z.reach[set]
	if !ok {
		reach = make([]vec, z.zones)
		for i := range reach {
			for d := range reach[i] {
				reach[i][d] = -1
			}
		}
		for place := range z.s.rules.Places() {
			if zone := z.s.rules.domain(place, z.topology); zone >= 0 && zone < z.zones && z.s.p.has(set, z.s.rules.class(place)) {
				reach[zone] = largestVec(reach[zone], vecOf(z.s.rules.free[place], z.s.rules.more[place]))
			}
		}
		for _, o := range z.s.sale {
			offer := &z.s.p.Offers[o]
			if zone := domainOf(offer.Domains, z.topology); zone >= 0 && zone < z.zones && z.s.p.has(set, offer.Class) {
				reach[zone] = largestVec(reach[zone], vecOf(offer.Room, offer.Extended))
			}
		}
		z.reach[set] = reach
	}
	out := make([]bool, z.zones)
	need := z.s.need[g]
	for zone := range out {
		out[zone] = reach[zone].holds(need) && reach[zone][2] >= 0
	}
	return out
}

func largestVec(a, b vec) vec {
	for d := range a {
		a[d] = max(a[d], b[d])
	}
	return a
}
