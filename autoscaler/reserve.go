package autoscaler

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/wholescale/wholescale/autoscaler/fit"
)

// Bought is what the machines of a pool that are coming were bought for. Each plan packs anew, and two packings of like
// price may differ; without this memory a pod could take the room that was bought for another one, for which a second
// machine would then be bought.
type Bought struct {
	Pool     PoolID
	Machines []BoughtMachine // in the order in which they were bought
}

// BoughtMachine is one that is coming.
type BoughtMachine struct {
	Instance string // empty until the provider has named it
	Holds    Contents
}

// Contents is what one machine is to hold, by whom it is for.
type Contents []Holding

// Assign is what each of a pool's coming machines is for, by their instances and in their order. Those that had no name yet when they
// were bought are the ones of which nothing is known.
func (b *Bought) Assign(coming []string) []Contents {
	holds := make([]Contents, len(coming))
	free := make([]bool, len(coming))
	for i, instance := range coming {
		at := -1
		if instance != "" {
			at = slices.IndexFunc(b.Machines, func(m BoughtMachine) bool { return m.Instance == instance })
		}
		if free[i] = at < 0; !free[i] {
			holds[i] = b.Machines[at].Holds
		}
	}
	for _, m := range b.Machines {
		if m.Instance != "" {
			continue
		}
		at := slices.Index(free, true)
		if at < 0 {
			break
		}
		holds[at], free[at] = m.Holds, false
	}
	return holds
}

// Holding is a number of pods: of a workload, of a buffer, or of equal pods of nobody's.
type Holding struct {
	For   string
	Count int
}

// holder names an ask across plans.
func (p *placer) holder(a *ask) string {
	switch {
	case a.workload >= 0:
		return string(p.s.Workloads[a.workload].ID)
	case a.buffer != "":
		return "buffer:" + a.buffer
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(a.shape.Pod().Key()))
	return "pods:" + strconv.FormatUint(h.Sum64(), 16)
}

// keep gives pods the room that was bought for them on machines that are coming, as far as there are such pods still. What
// they are given is in the cluster until release, and taken off the counts of the asks.
func (p *placer) keep(asks []ask, spots [][]Spot) {
	byHolder := make(map[string]int, len(asks))
	for i := range asks {
		byHolder[p.holder(&asks[i])] = i
	}
	var shares []share
	for k := range p.s.Pools {
		at, found := slices.BinarySearchFunc(p.s.Memo.Bought, p.s.Pools[k].ID, func(b Bought, id PoolID) int { return cmp.Compare(b.Pool, id) })
		if !found {
			continue
		}
		coming := p.v.coming(p.s, k)
		instances := make([]string, len(coming))
		for i, node := range coming {
			instances[i] = p.s.Nodes[node].Instance
		}
		for n, contents := range p.s.Memo.Bought[at].Assign(instances) {
			for _, h := range contents {
				if i, ok := byHolder[h.For]; ok {
					shares = append(shares, share{node: coming[n], ask: i, count: h.Count})
				}
			}
		}
	}
	p.keepShares(asks, spots, shares)
}

// share is room that was bought for pods of an ask.
type share struct{ node, ask, count int }

// keepShares gives pods that are spread theirs one by one, as no one of their machines may be filled before the others.
func (p *placer) keepShares(asks []ask, spots [][]Spot, shares []share) {
	var spread []share
	for _, x := range shares {
		if len(asks[x.ask].shape.Pod().Spread) > 0 {
			spread = append(spread, x)
			continue
		}
		p.keepOn(x.node, &asks[x.ask], &spots[x.ask], x.count)
	}
	for again := true; again; {
		again = false
		for i := range spread {
			x := &spread[i]
			if x.count > 0 && p.keepOn(x.node, &asks[x.ask], &spots[x.ask], 1) > 0 {
				x.count--
				again = true
			}
		}
	}
}

// keepOn returns how many pods were given room.
func (p *placer) keepOn(node int, a *ask, spots *[]Spot, count int) int {
	n := p.v.cluster.Room(a.class, node, min(count, a.count)) // it may come without what it was bought for
	if n <= 0 || !runs(a.shape, &p.v.machines[node]) {
		return 0
	}
	if pod := a.shape.Pod(); len(pod.Near)+len(pod.Spread) > 0 && p.v.cluster.Fits(a.class, node) != fit.None {
		return 0 // those that it was to be near, or beside which it was spread, may be elsewhere by now
	}
	a.count -= n
	p.hold(node, a.class, n)
	p.onNode(a, spots, node, n)
	return n
}

// kept is room on a node that has been given away.
type kept struct{ node, class, count int }

// hold puts what is planned into the cluster, so that what is placed after it finds the rest.
func (p *placer) hold(node, class, n int) {
	c := p.v.indexed(p.s)
	c.Add(class, node, n)
	needs := c.Pod(class).Needs
	p.room[node] = p.room[node].Minus(Resources{CPU: needs.Get(fit.CPU), Memory: needs.Get(fit.Memory), Pods: 1}.Times(n))
	p.kept = append(p.kept, kept{node: node, class: class, count: n})
}

// release takes out of the cluster again what is only planned.
func (p *placer) release() {
	for _, k := range p.kept {
		p.v.cluster.Add(k.class, k.node, -k.count)
	}
	p.kept = nil
}

// coming are the positions of a pool's machines that are on their way, soonest first.
func (v *view) coming(s *State, pool int) []int {
	var list []int
	for i := range s.Nodes {
		if v.poolOf[i] == int32(pool) && s.Nodes[i].Phase == Coming && !s.Nodes[i].overdue(s.Now) && !v.surplus[i] && !s.Nodes[i].Cordoned {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b int) int { return s.Nodes[a].Due.Compare(s.Nodes[b].Due) })
	return list
}

// holdings is what is on coming machines, and on those to be bought, after this plan.
func (p *placer) holdings() []Bought {
	var all []Bought
	for k := range p.s.Pools {
		var machines []BoughtMachine
		for _, node := range p.v.coming(p.s, k) {
			machines = append(machines, BoughtMachine{Instance: p.s.Nodes[node].Instance, Holds: p.contents[node]})
		}
		for i := range p.machines {
			if p.machines[i].pool == k {
				machines = append(machines, BoughtMachine{Holds: p.machines[i].holds})
			}
		}
		if len(machines) > 0 {
			all = append(all, Bought{Pool: p.s.Pools[k].ID, Machines: machines})
		}
	}
	return all
}

// add notes pods of a holder.
func (c Contents) add(holder string, n int) Contents {
	for i := range c {
		if c[i].For == holder {
			c[i].Count += n
			return c
		}
	}
	return append(c, Holding{holder, n})
}
