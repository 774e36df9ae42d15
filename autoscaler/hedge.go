package autoscaler

import (
	"cmp"
	"slices"
	"time"
)

// Where requests wait for a machine that may be late, a second one from another pool may be worth its price: the pods go to
// whichever joins first, and the other is given back when it has been empty for its pool's idle time. With T and U the
// times to joining of the two, as they were learned, and w what waiting costs a second,
//
//	worth = w · (E[T] − E[min(T, U)])        price = price of the second an hour · (E[max(T, U)] + idle time)
//
// and one is ordered where it is worth more. That there is one already for each machine that deserves it ends the matter: a
// coming machine for which nothing is planned is one.

// hedge is a machine bought beside one of another pool.
type hedge struct {
	of           PoolID
	worth, price float64
}

// late is a machine that is waited for.
type late struct {
	pool     int
	holds    Contents
	left     []time.Duration // to its joining, equally likely each
	waitCost float64         // a second
}

// hedge orders machines beside those that may be late.
func (p *placer) hedge() {
	p.hedges = make([][]hedge, len(p.s.Pools))
	if len(p.s.Pools) < 2 {
		return // there is no other one
	}
	queued := make(map[string]int)
	for i := range p.s.Workloads {
		if w := &p.s.Workloads[i]; w.Demand.Queued > 0 {
			queued[string(w.ID)] = w.Demand.Queued
		}
	}
	if len(queued) == 0 {
		return
	}
	list, unused := p.awaited(queued)
	for i := range list {
		k, h := p.second(&list[i])
		if k < 0 {
			continue
		}
		if unused > 0 {
			unused--
			continue
		}
		p.buy[k]++
		p.buying = true
		p.hedges[k] = append(p.hedges[k], h)
	}
}

// awaited are the machines that requests wait for, so many by workload, and how many are coming of which nobody needs any.
func (p *placer) awaited(queued map[string]int) (list []late, unused int) {
	add := func(pool int, holds Contents, since time.Time) {
		elapsed := time.Duration(0)
		if !since.IsZero() {
			elapsed = max(0, p.s.Now.Sub(since))
		}
		l := late{pool: pool, holds: holds, left: remaining(p.s.Pools[pool].Joins, elapsed)}
		for _, h := range holds {
			l.waitCost += p.waitCost(h, queued)
		}
		if l.waitCost > 0 && len(l.left) > 0 {
			list = append(list, l)
		}
	}
	for k := range p.s.Pools {
		for _, node := range p.v.coming(p.s, k) {
			if p.taken[node] == 0 {
				unused++
				continue
			}
			if !p.s.Nodes[node].Resuming {
				add(k, p.contents[node], p.s.Nodes[node].Since)
			}
		}
	}
	for i := range p.machines {
		if !p.machines[i].resumes {
			add(p.machines[i].pool, p.machines[i].holds, time.Time{})
		}
	}
	return list, unused
}

// waitCost is what a second costs in which requests wait for pods of a holder; queued is lessened by them.
func (p *placer) waitCost(h Holding, queued map[string]int) float64 {
	n := queued[h.For]
	if n == 0 {
		return 0
	}
	at, ok := slices.BinarySearchFunc(p.s.Workloads, WorkloadID(h.For), compareWorkload)
	if !ok {
		return 0
	}
	w := &p.s.Workloads[at]
	z := sizer{s: p.s, v: p.v, at: at, w: w}
	waiting := min(n, h.Count*max(1, whole(z.perPod())))
	queued[h.For] -= waiting
	if w.Policy.Objective.Price > 0 {
		return float64(waiting) * w.Policy.Objective.Price
	}
	q, ok := z.criticalRatio()
	if !ok {
		return 0
	}
	return float64(waiting) * q / (1 - q) * p.v.podPrice(p.s, &w.Shape) / z.perPod()
}

// second is the pool whose machine is worth most beside one that is waited for; -1 when none is.
func (p *placer) second(l *late) (best int, h hedge) {
	best = -1
	for k := range p.s.Pools {
		pool := &p.s.Pools[k]
		if k == l.pool || pool.PricePerHour <= 0 || len(pool.Joins) == 0 || !p.couldHold(k, l.holds) {
			continue
		}
		alone, first, both := meet(l.left, pool.Joins)
		worth := l.waitCost * (alone - first)
		price := pool.PricePerHour * (both + pool.IdleAfter.Seconds()) / 3600
		if worth > price && (best < 0 || worth-price > h.worth-h.price) {
			best, h = k, hedge{of: p.s.Pools[l.pool].ID, worth: worth, price: price}
		}
	}
	return best, h
}

// couldHold says that a machine of the pool can be bought and has room for what another one is to hold.
func (p *placer) couldHold(k int, holds Contents) bool {
	room := p.v.fresh[k]
	for _, h := range holds {
		at, ok := slices.BinarySearchFunc(p.s.Workloads, WorkloadID(h.For), compareWorkload)
		if !ok {
			continue // it may stay where it is
		}
		a := ask{workload: at, shape: &p.s.Workloads[at].Shape}
		if !p.suits(k, a.shape) || p.barred(k, &a).Rule != 0 {
			return false
		}
		room = room.Minus(a.shape.Needs.Times(h.Count))
	}
	return room.CPU >= 0 && room.Memory >= 0 && room.Pods >= 0
}

func compareWorkload(w Workload, id WorkloadID) int { return cmp.Compare(w.ID, id) }

// remaining are the times that are left when so long has passed. Of what is later than all that were seen, nobody knows: it
// is expected to take as long again.
func remaining(joins []time.Duration, elapsed time.Duration) []time.Duration {
	var left []time.Duration
	for _, t := range joins {
		if t > elapsed {
			left = append(left, t-elapsed)
		}
	}
	if len(left) == 0 && len(joins) > 0 {
		left = []time.Duration{elapsed}
	}
	return left
}

// meet is the mean of one time, of the lesser of two, and of the larger, in seconds.
func meet(one, other []time.Duration) (alone, first, both float64) {
	for _, t := range one {
		alone += t.Seconds()
		for _, u := range other {
			first += min(t, u).Seconds()
			both += max(t, u).Seconds()
		}
	}
	n := float64(len(one))
	pairs := n * float64(len(other))
	return alone / n, first / pairs, both / pairs
}
