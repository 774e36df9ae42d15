package autoscaler

import (
	"cmp"
	"math"
	"slices"
)

// grow decides how many instances each pool should have: what it has and has ordered, more for the pods that fit nowhere,
// fewer for the nodes that end.
func grow(s *State, v *view, placed placing, drains []Drain) []Order {
	nodes := positions(s.Nodes, func(n *Node) NodeID { return n.ID })
	ends := make([][]NodeID, len(s.Pools))
	for _, d := range drains {
		if d.Step == Delete {
			k := v.poolOf[find(nodes, d.Node)]
			ends[k] = append(ends[k], d.Node)
		}
	}
	coming := make([]int, len(s.Pools))
	for i := range s.Nodes {
		if k := v.poolOf[i]; k >= 0 && s.Nodes[i].Phase == Coming && placed.taken[i] > 0 {
			coming[k]++
		}
	}
	orders := make([]Order, len(s.Pools))
	for k := range s.Pools {
		orders[k] = order(&s.Pools[k], v.there[k], placed.buy[k], ends[k])
		if last := len(orders[k].Why) - 1; orders[k].Why[last].Rule == RoomEnough && len(placed.short) > 0 {
			orders[k].Why[last] = Reason{Rule: StillShort, Observed: float64(placed.shortPods()), Subject: placed.shut[k], Result: orders[k].Why[last].Result}
		}
		if h := placed.hedges[k]; len(h) > 0 && s.Pools[k].Unknown == "" {
			orders[k].Why = hedged(orders[k].Why, h, placed.buy[k])
		}
		if n := min(s.Pools[k].Stopped, orders[k].To-orders[k].From); n > 0 {
			orders[k].Why = append(orders[k].Why, Reason{Rule: Resumed, Observed: float64(n), Bound: s.Pools[k].Resume.Seconds(), Result: orders[k].To})
		}
		if coming[k] > 0 && placed.buy[k] == 0 {
			orders[k].Why = append(orders[k].Why, Reason{Rule: NodeOnItsWay, Observed: float64(coming[k])})
		}
	}
	for g := range s.Groups {
		v.forgetExcess(s, orders, g)
		v.fillLeast(s, orders, g)
	}
	return orders
}

// order is one pool's: there are the machines that exist, buy those to be added, ends those that end.
func order(pool *Pool, there, buy int, ends []NodeID) Order {
	o := Order{Pool: pool.ID, From: pool.Target, To: pool.Target}
	if pool.Unknown != "" {
		o.Why = []Reason{{Rule: ProviderUnknown, Subject: pool.Unknown, Result: o.To}}
		return o
	}
	o.To, o.Delete = target(pool, there, buy, len(ends)), ends
	why := Reason{Rule: RoomEnough}
	switch {
	case buy > 0:
		why = Reason{Rule: PlacementShort, Observed: float64(buy)}
	case len(ends) > 0:
		why = Reason{Rule: NodesLeave, Observed: float64(len(ends))}
	}
	why.Result = o.To
	o.Why = []Reason{why}
	if o.To < pool.Min {
		o.To = pool.Min
		o.Why = append([]Reason{{Rule: MinNodes, Bound: float64(pool.Min), Result: o.To}}, o.Why...)
	}
	return o
}

// target is how many instances a pool should have. It grows for what is to be bought alone: that more are there than the
// provider was told to have means that some are ending, and to ask for as many again would buy them anew.
func target(pool *Pool, there, buy, ends int) int {
	told := pool.Target
	if pool.StockOut != "" {
		told = min(told, there) // what could not be started is forgotten
	}
	to := max(told, there) - ends
	if buy == 0 {
		to = min(to, told)
	}
	to += buy
	if to > pool.Max {
		// What was ordered over the bound and has not been started is forgotten; what is there leaves by draining alone.
		to = max(pool.Max, min(to, there-ends))
	}
	return to
}

// hedged tells of the machines that were bought beside others: instead of pods that fit nowhere when those are all.
func hedged(why []Reason, h []hedge, buy int) []Reason {
	worth, price := 0.0, 0.0
	for i := range h {
		worth, price = worth+h[i].worth, price+h[i].price
	}
	r := Reason{Rule: Hedged, Observed: worth, Bound: price, Subject: string(h[0].of)}
	at := slices.IndexFunc(why, func(r Reason) bool { return r.Rule == PlacementShort })
	if at < 0 {
		return append(why, r)
	}
	r.Result = why[at].Result
	if why[at].Observed = float64(buy - len(h)); buy == len(h) {
		why[at] = r
		return why
	}
	return slices.Insert(why, at+1, r)
}

// forgetExcess takes back what was ordered over a group's bound and has not been started.
func (v *view) forgetExcess(s *State, orders []Order, g int) {
	for _, k := range v.members[g] {
		o := &orders[k]
		excess := o.To - o.From // what its own bound has taken back already
		for i := range s.Nodes {
			if n := &s.Nodes[i]; v.surplus[i] && v.poolOf[i] == int32(k) && n.Phase == Coming && n.Instance == "" {
				excess++
			}
		}
		if excess > 0 && o.To <= o.From {
			o.To = max(v.there[k]-len(o.Delete), o.To-excess)
		}
	}
}

// fillLeast buys what a group lacks to its least, where it costs least.
func (v *view) fillLeast(s *State, orders []Order, g int) {
	lacks := s.Groups[g].Min
	for _, k := range v.members[g] {
		lacks -= orders[k].To
	}
	list := slices.Clone(v.members[g])
	slices.SortStableFunc(list, func(a, b int) int {
		x, y := &s.Pools[a], &s.Pools[b]
		return cmp.Or(cmp.Compare(y.Weight, x.Weight), compareBool(x.PricePerHour <= 0, y.PricePerHour <= 0), cmp.Compare(x.PricePerHour, y.PricePerHour))
	})
	for _, k := range list {
		p, o := &s.Pools[k], &orders[k]
		more := min(lacks, p.Max-o.To)
		if p.PriceCap > 0 && p.PricePerHour > 0 {
			more = min(more, whole(math.Floor(p.PriceCap/p.PricePerHour*(1+1e-9)))-o.To)
		}
		if more > 0 && p.Unknown == "" && p.StockOut == "" {
			o.To += more
			lacks -= more
			o.Why = append([]Reason{{Rule: MinNodes, Bound: float64(s.Groups[g].Min), Result: o.To}}, o.Why...)
		}
	}
}

// shortPods is how many pods have no place.
func (p *placing) shortPods() (n int) {
	for i := range p.short {
		n += p.short[i].count
	}
	return n
}
