package pack_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// TestNastyNumbers draws amounts that overflow, are negative or nothing, ids that do not exist and prices that are none:
// no panic, each pod accounted for, no more bought than allowed.
func TestNastyNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func() int64 {
			return rapid.SampledFrom([]int64{0, 1, 2, 7, 1000, 1 << 40, math.MaxInt64, math.MinInt64, -1, -1000}).Draw(t, "amount")
		}
		number := func() int { return rapid.SampledFrom([]int{0, 1, 2, 3, 5, -1, -5, 100}).Draw(t, "number") }
		resources := func() pack.Resources { return pack.Resources{CPU: amount(), Memory: amount(), Pods: amount()} }
		p := &pack.Problem{MaxMachines: 50, NodePrice: rapid.SampledFrom([]float64{0, 1, -1, math.NaN(), math.Inf(1)}).Draw(t, "node price")}
		for range rapid.IntRange(0, 3).Draw(t, "topologies") {
			p.Topologies = append(p.Topologies, pack.Topology{Domains: number(), Fresh: rapid.Bool().Draw(t, "fresh")})
		}
		for range rapid.IntRange(0, 4).Draw(t, "bins") {
			p.Bins = append(p.Bins, pack.Bin{Free: resources(), Extended: []int64{amount()}, Class: number(), Domains: []int{number(), number()}})
		}
		for range rapid.IntRange(0, 3).Draw(t, "running") {
			p.Running = append(p.Running, pack.Running{Bin: number(), Count: number(), Matches: []int{number(), number()}, Anti: []pack.Term{{Topology: number(), Selector: number()}}})
		}
		for range rapid.IntRange(0, 4).Draw(t, "offers") {
			p.Offers = append(p.Offers, pack.Offer{Room: resources(), Class: number(), Domains: []int{number(), -2, number()}, Limit: number(), Pool: number(),
				Price: rapid.SampledFrom([]float64{0, 1, 1e300, -1, math.NaN(), math.Inf(1)}).Draw(t, "price")})
		}
		for range rapid.IntRange(0, 5).Draw(t, "groups") {
			p.Groups = append(p.Groups, pack.Group{Needs: resources(), Extended: []int64{amount(), 0, amount()}, Nodes: pack.NodeSet(number()),
				Count:   rapid.SampledFrom([]int{0, 1, 3, -4, 1_000_000_000}).Draw(t, "count"),
				Matches: []int{number(), number()}, Anti: []pack.Term{{Topology: number(), Selector: number()}}[:rapid.IntRange(0, 1).Draw(t, "anti")],
				Spreads:  []pack.Spread{{Topology: number(), Selector: number(), MaxSkew: number(), MinDomains: number(), Self: rapid.Bool().Draw(t, "self"), Nodes: pack.NodeSet(number())}}[:rapid.IntRange(0, 1).Draw(t, "spread")],
				Affinity: pack.Affinity{Topologies: []int{number()}[:rapid.IntRange(0, 1).Draw(t, "affine")], Selector: number(), Self: rapid.Bool().Draw(t, "self")}})
		}
		s := pack.Solve(p)
		counted := make([]int, len(p.Groups))
		for _, st := range s.Steps {
			if st.Count <= 0 || st.Place < 0 || st.Place >= len(p.Bins)+len(s.Machines) {
				t.Fatalf("step %+v", st)
			}
			counted[st.Group] += st.Count
		}
		for _, u := range s.Unplaced {
			counted[u.Group] += u.Count
		}
		for g := range counted {
			if counted[g] != max(0, p.Groups[g].Count) {
				t.Fatalf("group %d: %d pods accounted for, of %d", g, counted[g], p.Groups[g].Count)
			}
		}
		if len(s.Machines) > 50 || math.IsNaN(s.Price) {
			t.Fatalf("%d machines at %f", len(s.Machines), s.Price)
		}
	})
}

// TestManyPodsOfOneKind: the work is by kinds and machines, not by pods, and it has an end.
func TestManyPodsOfOneKind(t *testing.T) {
	p := &pack.Problem{Topologies: []pack.Topology{{Fresh: true}, {Domains: 3}}}
	for z := range 3 {
		p.Offers = append(p.Offers, pack.Offer{Room: pack.Resources{CPU: 64000, Memory: 1 << 40, Pods: 250}, Price: 1, Limit: pack.Unlimited, Domains: []int{pack.FreshDomain, z}})
	}
	p.Groups = []pack.Group{{Needs: pack.Resources{CPU: 100, Memory: 1 << 20, Pods: 1}, Count: 1_000_000_000, Matches: []int{0},
		Spreads: []pack.Spread{{Topology: 1, Selector: 0, MaxSkew: 1, Self: true}}}}
	s := pack.Solve(p)
	if !s.Truncated || len(s.Machines) != 100_000 || len(s.Unplaced) != 1 || s.Unplaced[0].Why != pack.TooManyMachines {
		t.Errorf("%d machines, truncated %v, unplaced %v", len(s.Machines), s.Truncated, s.Unplaced)
	}
}
