package pack

import "slices"

// sane is the problem as the solver takes it: without what makes no sense (negative counts and needs, amounts so large
// that sums overflow) and without groups that ask for nothing. groups are the positions of those that are left.
func sane(p *Problem) (q *Problem, groups []int) {
	out := *p
	out.Groups = nil
	for i := range p.Groups {
		if p.Groups[i].Count > 0 {
			groups = append(groups, i)
		}
	}
	out.Groups = make([]Group, len(groups))
	for k, i := range groups {
		g := &out.Groups[k]
		*g = p.Groups[i]
		g.Needs = Resources{clampNeed(g.Needs.CPU), clampNeed(g.Needs.Memory), clampNeed(g.Needs.Pods)}
		g.Extended = clampAll(g.Extended, 0)
	}
	for i := range p.Bins {
		if b := &p.Bins[i]; clampRoom(b.Free) != b.Free || odd(b.Extended, -mostRoom) {
			out.Bins = saneBins(p.Bins)
			break
		}
	}
	for i := range p.Offers {
		if o := &p.Offers[i]; clampRoom(o.Room) != o.Room || odd(o.Extended, -mostRoom) {
			out.Offers = saneOffers(p.Offers)
			break
		}
	}
	return &out, groups
}

func saneBins(bins []Bin) []Bin {
	bins = slices.Clone(bins)
	for i := range bins {
		bins[i].Free = clampRoom(bins[i].Free)
		bins[i].Extended = clampAll(bins[i].Extended, -mostRoom)
	}
	return bins
}

func saneOffers(offers []Offer) []Offer {
	offers = slices.Clone(offers)
	for i := range offers {
		offers[i].Room = clampRoom(offers[i].Room)
		offers[i].Extended = clampAll(offers[i].Extended, -mostRoom)
	}
	return offers
}

const mostRoom = 1 << 60

func clampNeed(n int64) int64 { return min(max(n, 0), mostRoom+1) }

func clampRoom(r Resources) Resources {
	in := func(n int64) int64 { return min(max(n, -mostRoom), mostRoom) }
	return Resources{in(r.CPU), in(r.Memory), in(r.Pods)}
}

func odd(list []int64, low int64) bool {
	for _, n := range list {
		if n < low || n > mostRoom {
			return true
		}
	}
	return false
}

func clampAll(list []int64, low int64) []int64 {
	if !odd(list, low) {
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		list[i] = min(max(list[i], low), mostRoom+1)
	}
	return list
}
