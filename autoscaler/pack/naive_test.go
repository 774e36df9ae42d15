package pack_test

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// naive is the rules said again in the plainest way: a list of pods, looked through from start to end for each question.
type naive struct {
	p        *pack.Problem
	machines []int
	pods     []naivePod
}

type naivePod struct {
	place   int
	group   int // -1: it runs already
	matches []int
	anti    []pack.Term
}

func newNaive(p *pack.Problem, machines []int) *naive {
	n := &naive{p: p, machines: machines}
	for _, r := range p.Running {
		for range r.Count {
			n.pods = append(n.pods, naivePod{place: r.Bin, group: -1, matches: r.Matches, anti: r.Anti})
		}
	}
	return n
}

func (n *naive) add(group, place int) {
	g := &n.p.Groups[group]
	n.pods = append(n.pods, naivePod{place: place, group: group, matches: g.Matches, anti: g.Anti})
}

func (n *naive) class(place int) int {
	if place < len(n.p.Bins) {
		return n.p.Bins[place].Class
	}
	return n.p.Offers[n.machines[place-len(n.p.Bins)]].Class
}

func (n *naive) in(set pack.NodeSet, place int) bool {
	return set == 0 || n.p.Sets[set-1].Has(n.class(place))
}

// domain is -1 for none; a fresh domain is beyond all others.
func (n *naive) domain(place, topology int) int {
	domains := []int(nil)
	if place < len(n.p.Bins) {
		domains = n.p.Bins[place].Domains
	} else {
		domains = n.p.Offers[n.machines[place-len(n.p.Bins)]].Domains
	}
	if topology >= len(domains) {
		return -1
	}
	if domains[topology] == pack.FreshDomain {
		return 1_000_000 + place
	}
	return domains[topology]
}

func (n *naive) count(topology, domain int, see func(*naivePod) bool) int {
	c := 0
	for i := range n.pods {
		if d := n.domain(n.pods[i].place, topology); d >= 0 && (domain < 0 || d == domain) && see(&n.pods[i]) {
			c++
		}
	}
	return c
}

func (n *naive) allows(group, place int) bool {
	g := &n.p.Groups[group]
	return n.in(g.Nodes, place) && n.fits(g, place) && n.spreads(g, place) && n.affinity(g, place) && n.anti(g, place)
}

func (n *naive) fits(g *pack.Group, place int) bool {
	var free pack.Resources
	var more []int64
	if place < len(n.p.Bins) {
		free, more = n.p.Bins[place].Free, n.p.Bins[place].Extended
		for _, port := range g.Ports {
			if slices.Contains(n.p.Bins[place].Ports, port) {
				return false
			}
		}
	} else {
		o := &n.p.Offers[n.machines[place-len(n.p.Bins)]]
		free, more = o.Room, o.Extended
	}
	left := func(list []int64, i int) int64 {
		if i < len(list) {
			return list[i]
		}
		return 0
	}
	ext := make([]int64, 4)
	for i := range ext {
		ext[i] = left(more, i)
	}
	for _, pod := range n.pods {
		if pod.place != place || pod.group < 0 {
			continue
		}
		o := &n.p.Groups[pod.group]
		free = pack.Resources{CPU: free.CPU - o.Needs.CPU, Memory: free.Memory - o.Needs.Memory, Pods: free.Pods - o.Needs.Pods}
		for i := range ext {
			ext[i] -= left(o.Extended, i)
		}
		for _, port := range g.Ports {
			if slices.Contains(o.Ports, port) {
				return false
			}
		}
	}
	for i := range ext {
		if need := left(g.Extended, i); need > 0 && need > ext[i] {
			return false
		}
	}
	return (g.Needs.CPU == 0 || g.Needs.CPU <= free.CPU) && (g.Needs.Memory == 0 || g.Needs.Memory <= free.Memory) &&
		(g.Needs.Pods == 0 || g.Needs.Pods <= free.Pods)
}

func (n *naive) spreads(g *pack.Group, place int) bool {
	for _, s := range g.Spreads {
		d := n.domain(place, s.Topology)
		if d < 0 {
			return false
		}
		see := func(p *naivePod) bool { return n.in(s.Nodes, p.place) && slices.Contains(p.matches, s.Selector) }
		here := n.count(s.Topology, d, see)
		if s.Self {
			here++
		}
		if here-n.least(&s, see) > s.MaxSkew {
			return false
		}
	}
	return true
}

func (n *naive) least(s *pack.Spread, see func(*naivePod) bool) int {
	if n.p.Topologies[s.Topology].Fresh {
		return 0
	}
	var domains []int
	note := func(class int, list []int) {
		if s.Topology < len(list) && list[s.Topology] >= 0 && (s.Nodes == 0 || n.p.Sets[s.Nodes-1].Has(class)) &&
			!slices.Contains(domains, list[s.Topology]) {
			domains = append(domains, list[s.Topology])
		}
	}
	for _, b := range n.p.Bins {
		note(b.Class, b.Domains)
	}
	for _, o := range n.p.Offers {
		if o.Limit != 0 {
			note(o.Class, o.Domains)
		}
	}
	if len(domains) < max(1, s.MinDomains) {
		return 0
	}
	least := 1 << 30
	for _, d := range domains {
		least = min(least, n.count(s.Topology, d, see))
	}
	return least
}

func (n *naive) affinity(g *pack.Group, place int) bool {
	a := &g.Affinity
	see := func(p *naivePod) bool { return slices.Contains(p.matches, a.Selector) }
	all, any := true, false
	for _, t := range a.Topologies {
		d := n.domain(place, t)
		if d < 0 {
			return false
		}
		all = all && n.count(t, d, see) > 0
		any = any || n.count(t, -1, see) > 0
	}
	return all || !any && a.Self
}

func (n *naive) anti(g *pack.Group, place int) bool {
	for _, t := range g.Anti {
		if d := n.domain(place, t.Topology); d >= 0 &&
			n.count(t.Topology, d, func(p *naivePod) bool { return slices.Contains(p.matches, t.Selector) }) > 0 {
			return false
		}
	}
	for _, p := range n.pods {
		for _, t := range p.anti {
			if d := n.domain(place, t.Topology); d >= 0 && d == n.domain(p.place, t.Topology) && slices.Contains(g.Matches, t.Selector) {
				return false
			}
		}
	}
	return true
}

// drawProblem makes small problems in which rules of all kinds meet.
func drawProblem(t *rapid.T, rules bool) *pack.Problem {
	n := func(low, high int, name string) int { return rapid.IntRange(low, high).Draw(t, name) }
	p := &pack.Problem{Sets: []pack.ClassSet{{1}, {2}, {6}}}
	p.Bins = make([]pack.Bin, n(0, 4, "bins"))
	p.Topologies = []pack.Topology{{Domains: len(p.Bins), Fresh: true}, {Domains: 3}, {Domains: 2}}
	for i := range p.Bins {
		p.Bins[i] = pack.Bin{Free: pack.Resources{CPU: int64(n(-1, 12, "cpu")), Memory: int64(n(-1, 12, "mem")), Pods: int64(n(0, 6, "pods"))},
			Extended: []int64{int64(n(0, 2, "gpu"))}, Class: n(0, 2, "class"), Domains: []int{i, n(-1, 2, "zone"), n(-1, 1, "rack")}, Ports: []int{n(0, 2, "port")}}
		if rules && rapid.Bool().Draw(t, "runs") {
			p.Running = append(p.Running, pack.Running{Bin: i, Count: n(1, 2, "running"), Matches: []int{n(0, 3, "sel")},
				Anti: []pack.Term{{Topology: n(0, 2, "top"), Selector: n(0, 4, "sel")}}})
		}
	}
	for range n(0, 5, "offers") {
		p.Offers = append(p.Offers, pack.Offer{Room: pack.Resources{CPU: int64(n(1, 16, "cpu")), Memory: int64(n(1, 16, "mem")), Pods: int64(n(1, 8, "pods"))},
			Extended: []int64{int64(n(0, 2, "gpu"))}, Class: n(0, 2, "class"), Domains: []int{pack.FreshDomain, n(0, 2, "zone"), n(-1, 1, "rack")},
			Price: float64(n(1, 30, "price")), Limit: n(-1, 4, "limit"), Pool: n(0, 1, "pool"), Weight: n(0, 1, "weight")})
	}
	p.Pools = []pack.Pool{{Machines: n(-1, 5, "pool limit")}, {Machines: pack.Unlimited, Capped: rapid.Bool().Draw(t, "capped"), PriceCap: float64(n(0, 60, "cap"))}}
	p.Capped, p.PriceCap = rapid.Bool().Draw(t, "capped"), float64(n(0, 100, "cap"))
	for range n(1, 6, "groups") {
		p.Groups = append(p.Groups, drawGroup(t, rules))
	}
	return p
}

func drawGroup(t *rapid.T, rules bool) pack.Group {
	n := func(low, high int, name string) int { return rapid.IntRange(low, high).Draw(t, name) }
	g := pack.Group{Needs: pack.Resources{CPU: int64(n(0, 5, "cpu")), Memory: int64(n(0, 5, "mem")), Pods: 1}, Count: n(0, 9, "count"),
		Priority: n(0, 1, "priority"), Nodes: pack.NodeSet(max(0, n(-3, 3, "nodes")))}
	if n(0, 4, "gpu") == 0 {
		g.Extended = []int64{1}
	}
	if !rules {
		return g
	}
	for sel := range 5 {
		if n(0, 2, "matches") == 0 {
			g.Matches = append(g.Matches, sel)
		}
	}
	self := func(sel int) bool { return slices.Contains(g.Matches, sel) }
	for range max(0, n(-1, 2, "spreads")) {
		s := pack.Spread{Topology: n(0, 2, "top"), Selector: n(0, 4, "sel"), MaxSkew: n(1, 3, "skew"), MinDomains: n(0, 3, "min"), Nodes: pack.NodeSet(max(0, n(-3, 3, "nodes")))}
		s.Self = self(s.Selector)
		g.Spreads = append(g.Spreads, s)
	}
	if n(0, 3, "affinity") == 0 {
		g.Affinity = pack.Affinity{Topologies: []int{n(0, 2, "top")}, Selector: n(0, 4, "sel")}
		if n(0, 2, "second") == 0 {
			g.Affinity.Topologies = append(g.Affinity.Topologies, n(0, 2, "top"))
		}
		g.Affinity.Self = self(g.Affinity.Selector)
	}
	for range max(0, n(-2, 2, "anti")) {
		g.Anti = append(g.Anti, pack.Term{Topology: n(0, 2, "top"), Selector: n(0, 4, "sel")})
	}
	if n(0, 5, "ports") == 0 {
		g.Ports = []int{n(0, 2, "port")}
	}
	return g
}
