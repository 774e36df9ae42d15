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
