package pack

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// Solve decides which machines to buy and what goes where. The same problem gives the same solution, byte for byte.
//
// Pods that fit on the bins go there, first fit. When some do not, all are packed anew: zones are dealt out first, then
// bins are filled, then machines are found by column generation over whole machines (Gilmore and Gomory 1961), rounded
// down and solved again for the rest. Every pod is then placed through Rules; what they refuse is placed one by one.
// When a limit leaves pods without a place, the groups are packed again by priority, the highest first.
func Solve(p *Problem) Solution {
	p, groups := sane(p)
	s := newSolver(p)
	s.pack(s.order)
	if s.unplaced() > 0 && s.mixedPriorities() {
		s = newSolver(p)
		s.packByPriority()
	}
	if n := s.pods(); n > 1 && n <= fewPods {
		plain := newSolver(p)
		plain.plain = true
		plain.packByPriority()
		if plain.better(s) {
			s = plain
		}
	}
	return s.finish(groups)
}

// fewPods is up to how many pods the plan is held against plain first-fit decreasing, which is hard to beat by chance.
const fewPods = 64

func (s *solver) packByPriority() {
	for rest := s.order; len(rest) > 0; {
		n := 1
		for n < len(rest) && s.p.Groups[rest[n]].Priority == s.p.Groups[rest[0]].Priority {
			n++
		}
		s.pack(rest[:n])
		rest = rest[n:]
	}
}

func (s *solver) pods() int {
	n := 0
	for _, g := range s.order {
		n += s.p.Groups[g].Count
	}
	return n
}

// better says that a plan places more, by priority, or costs less.
func (s *solver) better(o *solver) bool {
	for i := 0; i < len(s.order); {
		k, d := i, 0
		for ; k < len(s.order) && s.p.Groups[s.order[k]].Priority == s.p.Groups[s.order[i]].Priority; k++ {
			d += s.left[s.order[k]] - o.left[s.order[k]]
		}
		if d != 0 {
			return d < 0
		}
		i = k
	}
	return s.spent() < o.spent()*(1-1e-12)
}

func (s *solver) spent() float64 {
	sum := 0.0
	for _, o := range s.rules.offers {
		sum += s.cost(s.p.Offers[o].Price)
	}
	return sum
}

type solver struct {
	p       *Problem
	rules   *Rules
	need    []vec
	host    []hostRule
	classes int
	// spreads are, by group, its one spread over zones.
	spreads []*Spread
	// order are the groups: priority, then size, both falling.
	order []int
	left  []int
	why   []Refusal
	// sale are the offers of the weight at hand that can still be bought.
	sale         []int
	weight       int
	scale        [sizes]float64
	extra        float64 // what a machine costs beyond its price
	budget       budget
	zoneTopology int
	drafts       int // machines drafted, and how many more may be
	draftsLeft   int
	plain        bool // first-fit decreasing alone
	steps        []Step
	out          Solution
}

func newSolver(p *Problem) *solver {
	s := &solver{p: p, rules: NewRules(p), budget: newBudget(p), zoneTopology: zoneTopology(p)}
	s.host, s.classes = hostRules(p)
	s.left = make([]int, len(p.Groups))
	s.why = make([]Refusal, len(p.Groups))
	s.need = make([]vec, len(p.Groups))
	s.spreads = make([]*Spread, len(p.Groups))
	for i := range p.Groups {
		s.left[i] = p.Groups[i].Count
		s.need[i] = vecOf(p.Groups[i].Needs, p.Groups[i].Extended)
		spread, _, odd := zoneRule(p, &p.Groups[i], s.zoneTopology)
		s.spreads[i] = spread
		s.host[i].odd = s.host[i].odd || odd
	}
	s.measure()
	s.sort()
	return s
}

// measure finds the largest room in each size, in which sizes are compared, and the price of being a node.
func (s *solver) measure() {
	var most vec
	cheapest := math.Inf(1)
	for i := range s.p.Offers {
		if o := &s.p.Offers[i]; o.forSale() {
			most = largestVec(most, vecOf(o.Room, o.Extended))
			if o.Price > 0 {
				cheapest = min(cheapest, o.Price)
			}
		}
	}
	for i := range s.p.Bins {
		most = largestVec(most, vecOf(s.p.Bins[i].Free, s.p.Bins[i].Extended))
	}
	for d, n := range most {
		if n > 0 {
			s.scale[d] = 1 / float64(n)
		}
	}
	s.extra = s.p.NodePrice
	if !(s.extra > 0) || math.IsInf(s.extra, 0) {
		s.extra = 1e-9
		if !math.IsInf(cheapest, 0) {
			s.extra = max(cheapest*1e-4, 1e-12)
		}
	}
}

func (s *solver) cost(price float64) float64 { return price + s.extra }

// size is how much of the largest machine one pod takes, all sizes together.
func (s *solver) size(g int) float64 {
	size := 1e-9
	for d, n := range s.need[g] {
		size += float64(n) * s.scale[d]
	}
	return size
}

func (s *solver) sort() {
	sizes := make([]float64, len(s.p.Groups))
	for i := range sizes {
		sizes[i] = s.size(i)
		if s.left[i] > 0 {
			s.order = append(s.order, i)
		}
	}
	slices.SortStableFunc(s.order, func(a, b int) int {
		if c := cmp.Compare(s.p.Groups[b].Priority, s.p.Groups[a].Priority); c != 0 {
			return c
		}
		if c := cmp.Compare(sizes[b], sizes[a]); c != 0 {
			return c
		}
		return s.compareGroups(a, b)
	})
}

// compareGroups orders groups by what they are, so that the order of the input does not matter.
func (s *solver) compareGroups(a, b int) int {
	g, h := &s.p.Groups[a], &s.p.Groups[b]
	if c := compareVec(s.need[b], s.need[a]); c != 0 {
		return c
	}
	// Of equals, those that may run on the fewest kinds of nodes go first: what is coming is left to whom it was bought for.
	return cmp.Or(cmp.Compare(s.suiting(g.Nodes), s.suiting(h.Nodes)), cmp.Compare(g.Nodes, h.Nodes), slices.Compare(g.Matches, h.Matches), cmp.Compare(len(g.Spreads), len(h.Spreads)),
		slices.CompareFunc(g.Spreads, h.Spreads, compareSpreads), slices.Compare(g.Affinity.Topologies, h.Affinity.Topologies),
		cmp.Compare(g.Affinity.Selector, h.Affinity.Selector), slices.CompareFunc(g.Anti, h.Anti, compareTerms), cmp.Compare(h.Count, g.Count))
}

// suiting is how many classes a set has.
func (s *solver) suiting(set NodeSet) int {
	if set <= 0 || int(set) > len(s.p.Sets) {
		return math.MaxInt
	}
	n := 0
	for _, word := range s.p.Sets[set-1] {
		n += bits.OnesCount64(word)
	}
	return n
}

func compareSpreads(a, b Spread) int {
	return cmp.Or(cmp.Compare(a.Topology, b.Topology), cmp.Compare(a.Selector, b.Selector), cmp.Compare(a.MaxSkew, b.MaxSkew))
}

func compareTerms(a, b Term) int {
	return cmp.Or(cmp.Compare(a.Topology, b.Topology), cmp.Compare(a.Selector, b.Selector))
}

func (s *solver) unplaced() int {
	n := 0
	for _, left := range s.left {
		n += left
	}
	return n
}

func (s *solver) mixedPriorities() bool {
	for _, g := range s.order {
		if s.p.Groups[g].Priority != s.p.Groups[s.order[0]].Priority {
			return true
		}
	}
	return false
}

// pack places groups, with offers of one weight after the other.
func (s *solver) pack(groups []int) {
	var weights []int
	for i := range s.p.Offers {
		if o := &s.p.Offers[i]; o.forSale() && !slices.Contains(weights, o.Weight) {
			weights = append(weights, o.Weight)
		}
	}
	slices.SortFunc(weights, func(a, b int) int { return cmp.Compare(b, a) })
	if len(weights) == 0 {
		s.sale = nil
		s.settle(groups)
		return
	}
	for _, w := range weights {
		s.packWith(groups, w)
	}
}

func (s *solver) packWith(groups []int, weight int) {
	s.findSale(weight)
	mark := len(s.steps)
	if s.firstFits(groups); s.remaining(groups) == 0 {
		return
	}
	if !s.plain && s.remaining(groups) > 1 && len(s.sale) > 0 {
		if s.rules.Places()*len(groups) <= mostPairs {
			s.undo(mark)
		}
		for range mostPasses {
			offers := len(s.sale)
			s.core(groups)
			s.findSale(weight)
			if s.remaining(groups) == 0 || len(s.sale) == offers || len(s.sale) == 0 {
				break
			}
		}
	}
	s.settle(groups)
}

// firstFits places groups by first fit in their order; when that leaves some over, in other orders that may leave fewer.
func (s *solver) firstFits(groups []int) {
	mark, best := len(s.steps), groups
	s.firstFit(groups)
	left := s.remaining(groups)
	try := func(order []int, most int) {
		s.undo(mark)
		s.firstFit(order)
		if n := s.remaining(groups); n <= most {
			best, left = order, n
			return
		}
		s.undo(mark)
		s.firstFit(best)
	}
	if left > 0 && s.choosy(groups) {
		try(s.byChoice(groups), left-1)
	}
	if left > 0 && s.p.Groups[groups[0]].Priority != s.p.Groups[groups[len(groups)-1]].Priority {
		try(s.bySize(groups), 0) // when all have a place, it does not matter who would go without
	}
	for d := 0; left > 0 && len(groups) <= fewGroups && d < sizes; d++ {
		try(s.byNeed(groups, d), 0)
	}
}

// fewGroups is up to how many groups are placed by one of their needs after the other when they fit in no other order.
const fewGroups = 16

// byNeed are the groups with those first that need the most of one thing.
func (s *solver) byNeed(groups []int, thing int) []int {
	list := slices.Clone(groups)
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(s.need[b][thing], s.need[a][thing]) })
	return list
}

// bySize are the groups with the largest first, whatever their priority.
func (s *solver) bySize(groups []int) []int {
	list := slices.Clone(groups)
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(s.size(b), s.size(a)) })
	return list
}

// mostPairs is up to how many pairs of a group and a place all are packed anew when first fit leaves some over. Beyond it
// what first fit placed stays.
const mostPairs = 400_000

// choosy says that some groups may run on fewer kinds of nodes than others.
func (s *solver) choosy(groups []int) bool {
	for _, g := range groups {
		if s.p.Groups[g].Nodes != s.p.Groups[groups[0]].Nodes {
			return true
		}
	}
	return false
}

// byChoice are the groups with those first that may run on the fewest kinds of nodes.
func (s *solver) byChoice(groups []int) []int {
	list := slices.Clone(groups)
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(s.suiting(s.p.Groups[a].Nodes), s.suiting(s.p.Groups[b].Nodes)) })
	return list
}

// mostPasses is how often groups are packed again with the offers that are left when some were sold out.
const mostPasses = 3

func (s *solver) findSale(weight int) {
	s.sale, s.weight = s.sale[:0], weight
	for i := range s.p.Offers {
		if o := &s.p.Offers[i]; o.forSale() && o.Weight == weight && s.budget.allows(s.p, i) == Fits {
			s.sale = append(s.sale, i)
		}
	}
	// Offers of one shape in several zones are one to pods that may be in all of them: the cheapest stands for it.
	slices.SortStableFunc(s.sale, func(a, b int) int { return cmp.Compare(s.p.Offers[a].Price, s.p.Offers[b].Price) })
}

func (s *solver) remaining(groups []int) int {
	n := 0
	for _, g := range groups {
		n += s.left[g]
	}
	return n
}

// place puts pods on a place through the rules, as far as they allow, and returns how many.
func (s *solver) place(group, place, n int) int {
	n = s.rules.Most(group, place, n)
	if n > 0 {
		s.settleAt(Step{Group: group, Place: place, Count: n})
	}
	return n
}

// settleAt writes down pods that may be placed.
func (s *solver) settleAt(st Step) {
	s.rules.Place(st.Group, st.Place, st.Count)
	s.left[st.Group] -= st.Count
	if last := len(s.steps) - 1; last >= 0 {
		if l := &s.steps[last]; l.Group == st.Group && l.Place == st.Place && l.InTurn == st.InTurn {
			l.Count += st.Count
			return
		}
	}
	s.steps = append(s.steps, st)
}

// undo takes back all steps after a mark.
func (s *solver) undo(mark int) {
	for i := len(s.steps) - 1; i >= mark; i-- {
		st := s.steps[i]
		s.rules.Remove(st.Group, st.Place, st.Count)
		s.left[st.Group] += st.Count
	}
	s.steps = s.steps[:mark]
}

func (s *solver) machinesLeft() int {
	most := s.p.MaxMachines
	if most <= 0 {
		most = 100_000
	}
	return most - len(s.rules.offers)
}

// finish leaves out machines on which nothing came to stand, and names groups by their positions in the caller's problem.
func (s *solver) finish(groups []int) Solution {
	used := make([]bool, len(s.rules.offers))
	for _, st := range s.steps {
		if m := st.Place - len(s.p.Bins); m >= 0 {
			used[m] = true
		}
	}
	at := make([]int, len(used))
	for m, is := range used {
		if is {
			at[m] = len(s.p.Bins) + len(s.out.Machines)
			s.out.Machines = append(s.out.Machines, s.rules.offers[m])
			s.out.Price += s.p.Offers[s.rules.offers[m]].Price
		}
	}
	for i := range s.steps {
		s.steps[i].Group = groups[s.steps[i].Group]
		if m := s.steps[i].Place - len(s.p.Bins); m >= 0 {
			s.steps[i].Place = at[m]
		}
	}
	s.out.Steps = s.steps
	for g, n := range s.left {
		if n > 0 {
			s.out.Unplaced = append(s.out.Unplaced, Unplaced{groups[g], n, s.why[g]})
		}
	}
	return s.out
}
