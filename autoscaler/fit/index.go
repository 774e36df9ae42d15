package fit

import "github.com/wholescale/wholescale/autoscaler/pack"

// index is the rules over a cluster as it is: each class is a group, each node a bin.
type index struct {
	cluster *Cluster
	rules   *pack.Rules
	bins    []int // by node, -1 for one that is gone
}

func newIndex(c *Cluster) *index {
	b := newBuilder(c)
	all := make([]int, len(c.classes))
	for class := range all {
		all[class] = class
	}
	b.read(all)
	b.sets.use(c, all)
	x := &index{cluster: c, bins: make([]int, len(c.nodes))}
	p := &pack.Problem{Groups: make([]pack.Group, 0, len(all))}
	for node := range c.nodes {
		if x.bins[node] = -1; c.there[node] {
			x.bins[node] = len(p.Bins)
			p.Bins = append(p.Bins, b.bin(&c.nodes[node]))
		}
	}
	for _, class := range all {
		p.Groups = append(p.Groups, b.group(class))
	}
	p.Topologies, p.Sets = b.topologies(), b.sets.sets
	x.rules = pack.NewRules(p)
	for node, tallies := range c.pods {
		for _, t := range tallies {
			x.add(t.Class, node, t.Count)
		}
	}
	return x
}

func (x *index) add(class, node, n int) {
	step := n
	if len(x.cluster.classes[class].Ports) > 0 && n != 0 {
		step = n / max(n, -n) // rules take one pod with a port at a time
	}
	for ; n != 0; n -= step {
		x.rules.Place(class, x.bins[node], step)
	}
}

func (x *index) fits(class, node int) Refusal {
	return refusalOf(x.cluster.classes[class], x.rules.Allows(class, x.bins[node]))
}
