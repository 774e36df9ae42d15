package fit

import (
	"fmt"
	"testing"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// large is a cluster of 5,000 nodes in 3 zones with 30 pods each, of 10,000 workloads: each third one spreads over zones,
// each fourth keeps its pods off one another's nodes, each tenth is near another. Each has a few pods to place.
func large() (*Cluster, Ask) {
	const nodes, workloads, perNode = 5000, 10_000, 30
	c := NewCluster(nil)
	var open []int
	for i := range nodes {
		open = append(open, c.AddNode(Node{
			Name: fmt.Sprintf("node-%d", i),
			Labels: NewLabels(map[string]string{
				LabelHostname: fmt.Sprintf("node-%d", i), LabelZone: fmt.Sprintf("z%d", i%3), "pool": fmt.Sprintf("p%d", i%5), "arch": "amd64",
				"node.kubernetes.io/instance-type": fmt.Sprintf("t%d", i%7), "os": "linux",
			}),
			Allocatable: Amounts{{CPU, 16_000}, {Storage, 100 << 30}, {Memory, 64 << 30}, {Pods, 110}},
		}))
	}
	var want []Want
	for i := range workloads {
		name := fmt.Sprintf("app-%d", i)
		p := Pod{
			Namespace: fmt.Sprintf("ns-%d", i%200), Labels: NewLabels(map[string]string{"app": name, "tier": "web", "pod-template-hash": "x" + name}),
			Needs: Amounts{{CPU, 250}, {Memory, 512 << 20}},
		}
		self := Selector{Requirements: []Requirement{{Key: "app", Operator: In, Values: []string{name}}}}
		here := Term{Namespaces: []string{p.Namespace}, NamespaceSelector: Selector{Nothing: true}, Selector: self}
		if i%3 == 0 {
			p.Spread = []Spread{{Topology: LabelZone, MaxSkew: 1, MinDomains: 1, Selector: self}}
		}
		if i%4 == 0 {
			here.Topology = LabelHostname
			p.Away = []Term{here}
		}
		if i%10 == 0 {
			here.Topology = LabelZone
			p.Near = []Term{here}
		}
		if i%5 == 0 {
			p.Selector = Labels{{"pool", fmt.Sprintf("p%d", i%25/5)}}
		}
		class := c.Class(p)
		want = append(want, Want{class, 2})
	}
	for i := range nodes * perNode {
		c.Add(i*7919%workloads, i%nodes, 1)
	}
	var offers []Offer
	for i := range 90 {
		offers = append(offers, Offer{Node: Node{
			Labels:      NewLabels(map[string]string{LabelZone: fmt.Sprintf("z%d", i%3), "pool": fmt.Sprintf("p%d", i%5), "arch": "amd64", "os": "linux"}),
			Allocatable: Amounts{{CPU, 8000}, {Memory, 32 << 30}, {Pods, 110}},
		}, Price: 1, Limit: pack.Unlimited})
	}
	return c, Ask{Cluster: c, Want: want, Open: open, Offers: offers}
}

func BenchmarkCompile(b *testing.B) {
	_, ask := large()
	b.ReportAllocs()
	for b.Loop() {
		Compile(ask)
	}
}

func BenchmarkCompileAndRules(b *testing.B) {
	_, ask := large()
	b.ReportAllocs()
	for b.Loop() {
		pack.NewRules(&Compile(ask).Problem)
	}
}

func BenchmarkCompileOnePod(b *testing.B) {
	_, ask := large()
	ask.Want = ask.Want[60:61]
	b.ReportAllocs()
	for b.Loop() {
		Compile(ask)
	}
}

func BenchmarkIndex(b *testing.B) {
	c, _ := large()
	b.ReportAllocs()
	for b.Loop() {
		newIndex(c)
	}
}

func BenchmarkFits(b *testing.B) {
	c, ask := large()
	c.Fits(0, 0)
	i := 0
	for b.Loop() {
		c.Fits(i%len(ask.Want), i%len(ask.Open))
		i++
	}
}

func BenchmarkAdd(b *testing.B) {
	c, ask := large()
	c.Fits(0, 0)
	i := 0
	for b.Loop() {
		class, node := i%len(ask.Want), i%len(ask.Open)
		c.Add(class, node, 1)
		c.Add(class, node, -1)
		i++
	}
}

func BenchmarkKey(b *testing.B) {
	c, _ := large()
	b.ReportAllocs()
	for b.Loop() {
		_ = c.classes[60].Key()
	}
}
