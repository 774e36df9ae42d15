package pack

import (
	"cmp"
	"math"
	"slices"
)

// core packs groups anew on the places that are there and on machines to buy, and places them through the rules. What it
// does not understand, and what the rules refuse, stays left.
func (s *solver) core(groups []int) {
	var plain, odd []int
	for _, g := range groups {
		switch {
		case s.left[g] == 0:
		case s.host[g].odd:
			odd = append(odd, g)
		default:
			plain = append(plain, g)
		}
	}
	s.settle(s.leaders(odd))
	if len(plain) == 0 {
		return
	}
	z := &zoner{s: s, topology: s.zoneTopology, counts: map[int32][]int64{}, reach: map[NodeSet][]vec{}}
	if s.zoneTopology >= 0 {
		z.zones = s.p.Topologies[s.zoneTopology].Domains
	}
	z.load = make([]float64, z.zones)
	parts, zoned := z.split(plain, s.left)
	ranked := s.rank(plain, zoned)
	s.drafts = 0
	kinds := s.kindsOf(parts)
	comps := s.components(kinds)
	drafts := s.fillPlaces(kinds, comps)
	for i, c := range comps {
		if i > 0 {
			c.mixer.learn(&comps[i-1].mixer)
		}
		s.draftsLeft = (s.machinesLeft() - s.drafts) / (len(comps) - i)
		drafts = append(drafts, s.shop(c)...)
	}
	s.emit(ranked, drafts)
}

// leaders are the odd groups that need no other pod to be there first.
func (s *solver) leaders(odd []int) []int {
	var out []int
	for _, g := range odd {
		if a := &s.p.Groups[g].Affinity; len(a.Topologies) == 0 || a.Self {
			out = append(out, g)
		}
	}
	return out
}

// rank orders groups as their pods count as placed: those with rules over zones first, then those with rules over hosts,
// then those without, which no rule can see any more.
func (s *solver) rank(plain, zoned []int) []int {
	ranked := slices.Clone(zoned)
	for _, g := range plain {
		s.host[g].rank = -1
	}
	for i, g := range zoned {
		s.host[g].rank = int32(i)
	}
	var free []int
	for _, g := range plain {
		switch {
		case s.host[g].rank >= 0:
		case len(s.host[g].carries) > 0:
			s.host[g].rank = int32(len(ranked))
			ranked = append(ranked, g)
		default:
			s.host[g].rank = freeRank + int32(len(free))
			free = append(free, g)
		}
	}
	return append(ranked, free...)
}

// shop finds machines for a component.
func (s *solver) shop(c *component) []*draft {
	if len(c.mixer.shapes) == 0 {
		return nil
	}
	var drafts []*draft
	e := effortFor(c)
	for range mostRounds {
		left := make([]int, len(c.kinds))
		for i, k := range c.kinds {
			left[i] = k.count
		}
		before := c.left()
		more := s.realise(c, c.mixer.buy(left, e))
		drafts = append(drafts, more...)
		s.fillHoles(c, drafts)
		if rest := c.left(); rest == 0 || rest == before {
			break
		}
		e.dives = min(e.dives/2, 4)
	}
	s.shrink(drafts)
	return drafts
}

// mostRounds is how often a component is shopped for again, for pods that rules over shared selectors kept out.
const mostRounds = 6

// effortFor bounds the search: thorough where there are few kinds and machines, brief where there are many pods, whose
// rounding loss is small beside what they cost.
func effortFor(c *component) effort {
	pods, kinds := c.left(), len(c.kinds)
	switch {
	case kinds > 2*mostKinds:
		return effort{}
	case kinds <= 16:
		return effort{rounds: 200, again: 40, dives: 200, depth: 2, depthAgain: 2, share: 100, gain: 1e-7}
	case pods <= 25*kinds || pods <= 1500 && kinds <= 48:
		return effort{rounds: 200, again: 20, dives: 50, depth: 1, share: 16, gain: 1e-6}
	}
	if pods <= 3000 {
		return effort{rounds: 100, again: 10, dives: 3, depth: 1, share: 4, gain: 1e-4}
	}
	return effort{rounds: 120, again: 10, dives: 1, depth: 1, share: 4, gain: 1e-4}
}

// entry is a number of pods of a group on a draft.
type entry struct {
	group, draft int32
	n            int32
}

// emit opens the machines of drafts and places all pods in the order of ranks, through the rules.
func (s *solver) emit(ranked []int, drafts []*draft) {
	total := 0
	s.rules.grow(len(drafts))
	for _, d := range drafts {
		if d.place < 0 {
			d.place = s.open(d)
		}
		if d.place >= 0 {
			total += len(d.pods)
		}
	}
	position := make([]int32, len(s.p.Groups))
	for i, g := range ranked {
		position[g] = int32(i)
	}
	entries := make([]entry, 0, total)
	for _, d := range drafts {
		if d.place >= 0 {
			for _, it := range d.pods {
				entries = append(entries, entry{it.group, int32(d.place), it.n})
			}
		}
	}
	s.steps = slices.Grow(s.steps, len(entries))
	entries = sortEntries(entries, position, len(ranked))
	for i := 0; i < len(entries); {
		k := i + 1
		for k < len(entries) && entries[k].group == entries[i].group {
			k++
		}
		s.emitGroup(entries[i:k])
		i = k
	}
}

// sortEntries is a counting sort by the position of the group.
func sortEntries(entries []entry, position []int32, n int) []entry {
	start := make([]int32, n+1)
	for _, e := range entries {
		start[position[e.group]+1]++
	}
	for i := range n {
		start[i+1] += start[i]
	}
	out := make([]entry, len(entries))
	for _, e := range entries {
		p := position[e.group]
		out[start[p]] = e
		start[p]++
	}
	return out
}

// open buys the cheapest offer of a draft's shape that may still be bought and returns its place, or -1.
func (s *solver) open(d *draft) int {
	if s.machinesLeft() <= 0 {
		s.out.Truncated = true
		return -1
	}
	for _, o := range d.comp.mixer.shapes[d.shape].offers {
		if s.budget.allows(s.p, o) == Fits {
			s.budget.buy(s.p, o)
			return s.rules.Open(o)
		}
	}
	return -1
}

// emitGroup places the pods of one group. With a spread over zones they go in turn to the zone that has fewest.
func (s *solver) emitGroup(entries []entry) {
	g := int(entries[0].group)
	spread, _, _ := zoneRule(s.p, &s.p.Groups[g], s.zoneTopology)
	switch {
	case spread == nil || !spread.Self:
		for _, e := range entries {
			s.place(g, int(e.draft), int(e.n))
		}
	case s.level(g, entries):
		for _, e := range entries {
			if e.n == 0 {
				continue
			}
			s.settleAt(Step{Group: g, Place: int(e.draft), Count: int(e.n), InTurn: true})
		}
	default:
		s.inTurn(g, entries)
	}
}

// level cuts entries down to what may be placed in turn, and says whether it could judge that. All may be if the zones are
// level enough when all are: filling always the zone with the fewest, no pod sees a larger skew than the last one in its
// zone, because the fewest are where it goes itself, or in a zone that has reached its end.
func (s *solver) level(g int, entries []entry) bool {
	r := s.rules
	on := s.zoneSpread(g)
	c := &r.counters[on.counter]
	var final [mostZones]int64
	copy(final[:], c.by[:min(len(c.by), mostZones)])
	for i := range entries {
		e := &entries[i]
		place := int(e.draft)
		zone := r.domain(place, s.zoneTopology)
		if zone < 0 || !r.p.has(c.nodes, r.class(place)) {
			return false
		}
		e.n = int32(min(r.roomFor(g, place, int(e.n)), r.mostOnHost(g, place)))
		final[zone] += int64(e.n)
	}
	low := int64(math.MaxInt64)
	for zone, counted := range c.counted {
		if counted {
			low = min(low, final[zone])
		}
	}
	if c.domains < max(1, on.minDomains) {
		low = 0
	}
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		zone := r.domain(int(e.draft), s.zoneTopology)
		if over := min(final[zone]-low-on.maxSkew, int64(e.n)); over > 0 {
			e.n -= int32(over)
			final[zone] -= over
		}
	}
	return true
}

func (s *solver) zoneSpread(g int) *spreadOn {
	rules := &s.rules.groups[g]
	for i := range rules.spreads {
		if s.rules.counters[rules.spreads[i].counter].topology == s.zoneTopology {
			return &rules.spreads[i]
		}
	}
	return nil
}

// inTurn places pods one by one where the zone has fewest.
func (s *solver) inTurn(g int, entries []entry) {
	zoneOf := func(e entry) int { return s.rules.domain(int(e.draft), s.zoneTopology) }
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(zoneOf(a), zoneOf(b)) })
	var queue [][]entry
	for i := 0; i < len(entries); {
		k := i + 1
		for k < len(entries) && zoneOf(entries[k]) == zoneOf(entries[i]) {
			k++
		}
		queue = append(queue, entries[i:k])
		i = k
	}
	counter := s.zoneSpread(g).counter
	for turn := 0; len(queue) > 0; turn++ {
		if turn == mostTurns {
			s.out.Truncated = true
			break
		}
		low := 0
		for i := range queue {
			if s.rules.at(counter, zoneOf(queue[i][0])) < s.rules.at(counter, zoneOf(queue[low][0])) {
				low = i
			}
		}
		e := &queue[low][0]
		placed := s.place(g, int(e.draft), 1)
		e.n -= int32(placed)
		if placed == 0 || e.n <= 0 {
			queue[low] = queue[low][1:]
		}
		if len(queue[low]) == 0 {
			queue = slices.Delete(queue, low, low+1)
		}
	}
}

// mostTurns bounds how many pods of one group are placed one after the other.
const mostTurns = 100_000
