package pack

import "math"

// budget is what may still be bought.
type budget struct {
	offers []int // machines left, or Unlimited
	pools  []int
	money  []float64 // by pool; the last is that of all
}

func newBudget(p *Problem) budget {
	var b budget
	for i := range p.Offers {
		b.offers = append(b.offers, p.Offers[i].Limit)
	}
	for i := range p.Pools {
		b.pools = append(b.pools, p.Pools[i].Machines)
		b.money = append(b.money, capOf(p.Pools[i].Capped, p.Pools[i].PriceCap))
	}
	b.money = append(b.money, capOf(p.Capped, p.PriceCap))
	return b
}

func capOf(capped bool, most float64) float64 {
	switch {
	case !capped:
		return math.Inf(1)
	case math.IsNaN(most):
		return 0
	}
	return most
}

// allows says whether one more machine of the offer may be bought.
func (b *budget) allows(p *Problem, offer int) Refusal {
	o := &p.Offers[offer]
	if !o.forSale() {
		return NoOffer
	}
	if b.offers[offer] == 0 {
		return LimitReached
	}
	if o.Pool >= 0 && o.Pool < len(b.pools) {
		if b.pools[o.Pool] == 0 {
			return LimitReached
		}
		if o.Price > b.money[o.Pool]+slack {
			return CapReached
		}
	}
	if o.Price > b.money[len(b.money)-1]+slack {
		return CapReached
	}
	return Fits
}

// slack forgives what adding prices up rounds off.
const slack = 1e-9

func (b *budget) buy(p *Problem, offer int) {
	o := &p.Offers[offer]
	if b.offers[offer] > 0 {
		b.offers[offer]--
	}
	if o.Pool >= 0 && o.Pool < len(b.pools) {
		if b.pools[o.Pool] > 0 {
			b.pools[o.Pool]--
		}
		b.money[o.Pool] -= o.Price
	}
	b.money[len(b.money)-1] -= o.Price
}

// sane is the problem without what makes no sense: negative counts and needs, amounts so large that sums overflow.
func sane(p *Problem) *Problem {
	out := *p
	out.Groups = append([]Group(nil), p.Groups...)
	for i := range out.Groups {
		g := &out.Groups[i]
		g.Needs = Resources{clampNeed(g.Needs.CPU), clampNeed(g.Needs.Memory), clampNeed(g.Needs.Pods)}
		g.Extended = clampAll(g.Extended, 0)
		g.Count = max(0, g.Count)
	}
	out.Bins = append([]Bin(nil), p.Bins...)
	for i := range out.Bins {
		b := &out.Bins[i]
		b.Free = clampRoom(b.Free)
		b.Extended = clampAll(b.Extended, -mostRoom)
	}
	out.Offers = append([]Offer(nil), p.Offers...)
	for i := range out.Offers {
		o := &out.Offers[i]
		o.Room = clampRoom(o.Room)
		o.Extended = clampAll(o.Extended, -mostRoom)
	}
	return &out
}

const mostRoom = 1 << 60

func clampNeed(n int64) int64 { return min(max(n, 0), mostRoom+1) }

func clampRoom(r Resources) Resources {
	in := func(n int64) int64 { return min(max(n, -mostRoom), mostRoom) }
	return Resources{in(r.CPU), in(r.Memory), in(r.Pods)}
}

func clampAll(list []int64, low int64) []int64 {
	for i, n := range list {
		if n < low || n > mostRoom {
			list = append([]int64(nil), list...)
			for k := i; k < len(list); k++ {
				list[k] = min(max(list[k], low), mostRoom+1)
			}
			return list
		}
	}
	return list
}
