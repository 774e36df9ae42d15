package pack_test

import (
	"fmt"
	"testing"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// cluster is a number of nodes, each with a little room, and groups of which some pods wait.
func cluster(nodes, groups, waiting int) *pack.Problem {
	p := &pack.Problem{Topologies: []pack.Topology{{Domains: nodes, Fresh: true}, {Domains: 3}}, Sets: []pack.ClassSet{{7}}}
	for i := range nodes {
		p.Bins = append(p.Bins, pack.Bin{Free: pack.Resources{CPU: int64(100 + i*37%900), Memory: int64(1+i*13%7) << 28, Pods: 20}, Class: i % 3, Domains: []int{i, i % 3}})
	}
	for s := range 20 {
		for z := range 3 {
			cpu := int64(1000 << (s % 7))
			p.Offers = append(p.Offers, pack.Offer{Room: pack.Resources{CPU: cpu, Memory: cpu << (21 + s/7), Pods: 110}, Class: z, Domains: []int{pack.FreshDomain, z},
				Price: float64(cpu) / 1000 * (0.03 + 0.01*float64(s/7)), Limit: pack.Unlimited})
		}
	}
	for g := range groups {
		group := pack.Group{Needs: pack.Resources{CPU: int64(50 + g*71%1500), Memory: int64(64+g*97%4000) << 20, Pods: 1}, Matches: []int{g}, Nodes: 1}
		if g < waiting {
			group.Count = 1 + g%5
		}
		if g%4 == 0 {
			group.Spreads = []pack.Spread{{Topology: 1, Selector: g, MaxSkew: 1, Self: true}}
		}
		if g%6 == 0 {
			group.Spreads = append(group.Spreads, pack.Spread{Topology: 0, Selector: g, MaxSkew: 1, Self: true})
		}
		p.Groups = append(p.Groups, group)
	}
	return p
}

func BenchmarkCluster(b *testing.B) {
	for _, c := range []struct{ nodes, groups, waiting int }{{0, 1, 1}, {10, 10, 1}, {5000, 1, 1}, {5000, 10000, 1}, {5000, 10000, 300}, {5000, 10000, 10000}} {
		b.Run(fmt.Sprintf("%dnodes,%dgroups,%dwait", c.nodes, c.groups, c.waiting), func(b *testing.B) {
			p := cluster(c.nodes, c.groups, c.waiting)
			b.ReportAllocs()
			for b.Loop() {
				pack.Solve(p)
			}
		})
	}
}
