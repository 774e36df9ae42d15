package autoscaler

import (
	"slices"

	"github.com/wholescale/wholescale/autoscaler/fit"
)

// What pods ask of other pods holds once all that was placed is where it was placed: anti-affinity both ways, affinity, and
// spread. It is judged of pods of workloads on nodes that are there, from labels alone and in the plainest way, and left out
// where something that is not known here could make it right.

// group of pods: so many that are equal, on one node or on new machines of one pool.
type gathering struct {
	rules  *fit.Pod
	node   *Node
	pool   *Pool
	count  int
	placed WorkloadID // who placed them; empty for pods that are there
	moves  bool       // they are there too, on a node that they leave
}

func (c *checker) rules() {
	placed, others := c.gatherings()
	if len(placed) == 0 {
		return
	}
	var there []gathering
	for i := range c.s.Pods {
		p := &c.s.Pods[i]
		if at, ok := c.nodes[p.Node]; ok && p.Shape.Rules != nil {
			there = append(there, gathering{rules: p.Shape.Rules, node: &c.s.Nodes[at], count: 1})
		}
	}
	c.share(placed, there)
	all := slices.Concat(there, placed)
	ruled := slices.DeleteFunc(slices.Clone(there), func(g gathering) bool { return len(g.rules.Away) == 0 })
	for i := range placed {
		p := &placed[i]
		if p.node == nil {
			continue
		}
		for k := range p.rules.Away {
			c.apart(p, &p.rules.Away[k], all)
		}
		for k := range ruled {
			c.repelled(p, &ruled[k])
		}
		if !others {
			c.near(p, all)
			for k := range p.rules.Spread {
				c.even(p, &p.rules.Spread[k], all)
			}
		}
	}
}

// gatherings are what was placed of workloads, and whether other pods were placed, of which nobody here knows what they are.
func (c *checker) gatherings() (list []gathering, others bool) {
	for _, p := range c.d.Placements {
		shape, known := c.shapeOf(p.Workload)
		if others = others || !known && p.Buffer == "" && len(p.Spots) > 0; !known || p.Buffer != "" || shape.Rules == nil {
			continue
		}
		for _, spot := range p.Spots {
			g := gathering{rules: shape.Rules, count: spot.Count, placed: p.Workload, pool: c.pool(spot.Pool), moves: p.Leaving != ""}
			if at, ok := c.nodes[spot.Node]; ok && spot.Node != "" {
				g.node = &c.s.Nodes[at]
			}
			if g.node != nil || g.pool != nil {
				list = append(list, g)
			}
		}
	}
	return list, others
}

// domain is where a gathering is in a topology; a new machine is a host of its own, whose name nobody knows.
func (g *gathering) domain(key string) (string, bool) {
	if g.node == nil {
		at := siteFrom(g.pool)
		return at.label(key)
	}
	at := siteOf(g.node)
	return at.label(key)
}

// within says that a gathering is somewhere in a topology, though perhaps nobody knows where: each node is a host.
func (g *gathering) within(key string) bool {
	_, known := g.domain(key)
	return known || key == "kubernetes.io/hostname"
}

// apart: no pod is placed where one is that it keeps away from.
func (c *checker) apart(p *gathering, term *fit.Term, all []gathering) {
	domain, ok := p.domain(term.Topology)
	if !ok {
		return
	}
	for i := range all {
		o := &all[i]
		if d, same := o.domain(term.Topology); !same || d != domain || !c.about(term, o.rules) {
			continue
		}
		if self := o.placed == p.placed && o.node == p.node; !self || o.count > 1 {
			c.say(p.placed, "pods that must be apart are", "%s=%s has another", term.Topology, domain)
			return
		}
	}
}

// repelled: no pod is placed where one is that keeps it away.
func (c *checker) repelled(p, by *gathering) {
	for k := range by.rules.Away {
		term := &by.rules.Away[k]
		a, ok := p.domain(term.Topology)
		if b, also := by.domain(term.Topology); ok && also && a == b && c.about(term, p.rules) {
			c.say(p.placed, "pods that must be apart are", "%s=%s has one that keeps it away", term.Topology, a)
			return
		}
	}
}

// near: each pod that is placed has one beside it that all its terms ask for, or is the first of its own kind.
func (c *checker) near(p *gathering, all []gathering) {
	terms := p.rules.Near
	if len(terms) == 0 {
		return
	}
	wanted := func(o *gathering) bool {
		return !slices.ContainsFunc(terms, func(t fit.Term) bool { return !c.about(&t, o.rules) })
	}
	for i := range c.s.Daemons {
		if r := c.s.Daemons[i].Shape.Rules; r != nil && wanted(&gathering{rules: r}) {
			return // perhaps it is one of those, still to come
		}
	}
	for k := range terms {
		domain, ok := p.domain(terms[k].Topology)
		beside := 0
		for i := range all {
			if d, same := all[i].domain(terms[k].Topology); same && d == domain && wanted(&all[i]) {
				beside += all[i].count
			}
		}
		if wanted(p) {
			beside-- // not itself
		}
		if !ok || beside < 1 {
			if !wanted(p) || p.count > 1 || !c.first(p.placed, wanted, terms, all) {
				c.say(p.placed, "pods that must be near others are", "%s=%s has none", terms[k].Topology, domain)
			}
			return
		}
	}
}

// first says, once of each workload, that a pod of it may be the first of its kind, as none is there: which of those that are placed is
// bound first nobody knows.
func (c *checker) first(id WorkloadID, wanted func(*gathering) bool, terms []fit.Term, all []gathering) bool {
	for i := range all {
		o := &all[i]
		if o.placed == "" && wanted(o) && slices.ContainsFunc(terms, func(t fit.Term) bool { return o.within(t.Topology) }) {
			return false
		}
	}
	if c.firsts[id] {
		return false
	}
	if c.firsts == nil {
		c.firsts = map[WorkloadID]bool{}
	}
	c.firsts[id] = true
	return true
}

// even: a domain that got pods has no more than the skew beyond the least, unless pods of others came to it too.
func (c *checker) even(p *gathering, s *fit.Spread, all []gathering) {
	domain, ok := p.domain(s.Topology)
	if !ok {
		c.say(p.placed, "pods are spread", "%s is not known there", s.Topology)
		return
	}
	counts := map[string]int{}
	for i := range c.s.Nodes {
		at := gathering{node: &c.s.Nodes[i]}
		if d, labelled := at.domain(s.Topology); labelled && c.counts(p.rules, s, at.node) {
			counts[d] += 0
		}
	}
	for i := range c.s.Daemons {
		if r := c.s.Daemons[i].Shape.Rules; r != nil && selects(&s.Selector, r.Labels) {
			return // perhaps they are still to come
		}
	}
	for i := range all {
		o := &all[i]
		if o.rules.Namespace != p.rules.Namespace || o.rules.Leaving || !selects(&s.Selector, o.rules.Labels) {
			continue
		}
		if o.placed != "" && (o.placed != p.placed || !selects(&s.Selector, p.rules.Labels)) {
			return // others came too, perhaps after it
		}
		d, labelled := o.domain(s.Topology)
		if _, there := counts[d]; o.node == nil && !there {
			continue // a domain that begins with a machine to buy was none when these were placed
		}
		if labelled && (o.node == nil || c.counts(p.rules, s, o.node)) {
			counts[d] += o.count
		}
	}
	least := -1
	for _, n := range counts {
		if least < 0 || n < least {
			least = n
		}
	}
	if least < 0 || len(counts) < s.MinDomains {
		least = 0
	}
	if counts[domain]-least > s.MaxSkew {
		c.say(p.placed, "pods are spread", "%s=%s has %d, another %d, skew %d", s.Topology, domain, counts[domain], least, s.MaxSkew)
	}
}

// counts: whether a node's domain counts for a spread.
func (c *checker) counts(p *fit.Pod, s *fit.Spread, n *Node) bool {
	for i := range p.Spread {
		at := gathering{node: n}
		if _, ok := at.domain(p.Spread[i].Topology); !ok {
			return false
		}
	}
	at := siteOf(n)
	if !s.AnyNode && at.lacks(p) != "" {
		return false
	}
	return !s.Untainted || !slices.ContainsFunc(n.Taints, func(t Taint) bool { return !borne(p, &t) })
}

// about says that a term is about pods of some kind.
func (c *checker) about(t *fit.Term, p *fit.Pod) bool {
	in := slices.Contains(t.Namespaces, p.Namespace)
	for i := range c.s.Namespaces {
		in = in || c.s.Namespaces[i].Name == p.Namespace && selects(&t.NamespaceSelector, c.s.Namespaces[i].Labels)
	}
	return in && selects(&t.Selector, p.Labels)
}

// selects is a label selector's meaning, told once more.
func selects(s *fit.Selector, labels fit.Labels) bool {
	if s.Nothing {
		return false
	}
	for _, r := range s.Requirements {
		value, there := "", false
		for _, l := range labels {
			if l.Key == r.Key {
				value, there = l.Value, true
			}
		}
		if !meets(&r, value, there) {
			return false
		}
	}
	return true
}
