package pack

import (
	"cmp"
	"slices"
)

// firstFit places groups on the places that are there, in their order, through the rules.
func (s *solver) firstFit(groups []int) {
	if s.rules.Places() == 0 {
		return
	}
	var bins *Bins
	if len(groups) > 4 {
		bins = NewBins(s.rules.free)
	}
	for _, g := range groups {
		s.firstFitGroup(bins, g)
	}
}

// firstFitGroup tries all places in turn, and again for as long as that places anything: a spread lets more pods onto a
// place once others have caught up.
func (s *solver) firstFitGroup(bins *Bins, g int) {
	need := s.p.Groups[g].Needs
	next := func(from int) int {
		if bins != nil {
			return bins.Next(need, from)
		}
		for ; from < s.rules.Places(); from++ {
			if s.rules.free[from].Holds(need) {
				return from
			}
		}
		return -1
	}
	for pass, moved := 0, true; moved && s.left[g] > 0; pass++ {
		if pass == mostPassesOfPlaces {
			s.out.Truncated = true
			return
		}
		moved = false
		for b := next(0); b >= 0 && s.left[g] > 0; b = next(b + 1) {
			n := s.place(g, b, s.left[g])
			if n == 0 {
				continue
			}
			moved = true
			if bins != nil {
				bins.Take(b, need.Times(n))
			}
		}
		moved = moved && len(s.rules.groups[g].spreads) > 0
	}
}

// mostPassesOfPlaces bounds how often one group looks at all places again.
const mostPassesOfPlaces = 1000

// settle places what is left of groups: on the places that are there, then on machines bought for it, each time the one
// that costs least for each pod that it takes.
func (s *solver) settle(groups []int) {
	rest := make([]int, 0, 16)
	for _, g := range groups {
		if s.left[g] > 0 {
			rest = append(rest, g)
		}
	}
	for moved := true; moved && len(rest) > 0; {
		s.firstFit(rest)
		moved = false
		still := rest[:0]
		for _, g := range rest {
			before := s.left[g]
			if before == 0 {
				continue
			}
			if s.plain {
				s.firstFitGroup(nil, g)
			}
			s.buyFor(g)
			moved = moved || s.left[g] < before
			if s.left[g] > 0 {
				still = append(still, g)
			}
		}
		rest = still
	}
}

// buyFor buys machines for one group until it is placed or nothing helps.
func (s *solver) buyFor(g int) {
	for s.left[g] > 0 {
		if s.machinesLeft() <= 0 {
			s.why[g] = TooManyMachines
			s.out.Truncated = true
			return
		}
		if !s.buyOne(g) {
			return
		}
		if s.left[g] > 0 && len(s.rules.groups[g].spreads) > 0 {
			s.firstFitGroup(nil, g)
		}
	}
}

type rated struct {
	offer int
	rate  float64
}

// buyOne buys the machine that costs least for each pod of the group that it takes now.
func (s *solver) buyOne(g int) bool {
	var offers []rated
	why := NoOffer
	for o := range s.p.Offers {
		offer := &s.p.Offers[o]
		if offer.Weight != s.weight || !offer.forSale() {
			continue
		}
		refused := s.suits(g, o)
		if refused == Fits {
			refused = s.budget.allows(s.p, o)
		}
		if refused != Fits {
			why = nearer(why, refused)
			continue
		}
		n := vecOf(offer.Room, offer.Extended).times(s.need[g], int64(s.left[g]))
		if h := &s.host[g]; h.class >= 0 {
			n = min(n, int64(h.most))
		}
		if s.plain {
			n = 1
		}
		offers = append(offers, rated{o, s.cost(offer.Price) / float64(max(n, 1))})
	}
	slices.SortStableFunc(offers, func(a, b rated) int { return cmp.Compare(a.rate, b.rate) })
	for _, o := range offers {
		at := s.rules.Open(o.offer)
		if s.place(g, at, s.left[g]) > 0 {
			s.budget.buy(s.p, o.offer)
			return true
		}
		why = nearer(why, s.rules.Allows(g, at))
		s.rules.close()
	}
	s.why[g] = nearer(s.why[g], why)
	return false
}

// suits says whether an empty machine of the offer could hold a pod of the group, rules about other pods left out.
func (s *solver) suits(g, o int) Refusal {
	group, offer := &s.p.Groups[g], &s.p.Offers[o]
	switch {
	case !s.p.has(group.Nodes, offer.Class):
		return NodeClass
	case group.Needs.CPU > 0 && group.Needs.CPU > offer.Room.CPU:
		return NoCPU
	case group.Needs.Memory > 0 && group.Needs.Memory > offer.Room.Memory:
		return NoMemory
	case group.Needs.Pods > 0 && group.Needs.Pods > offer.Room.Pods:
		return NoPodSlot
	}
	for i, need := range group.Extended {
		if need > 0 && need > extended(offer.Extended, i) {
			return NoExtended
		}
	}
	return Fits
}

// nearer is the refusal of what came nearer to holding the pod: the one that is found later.
func nearer(a, b Refusal) Refusal {
	if a == Fits || b != NoOffer && (a == NoOffer || b > a) {
		return b
	}
	return a
}
