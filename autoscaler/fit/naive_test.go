package fit

import (
	"slices"

	"pgregory.net/rapid"
)

// world is a cluster pod by pod, with the scheduler's rules written down once more, as plainly as can be: what is fast is
// held against it.
type world struct {
	namespaces map[string]Labels
	nodes      []Node
	classes    []Pod
	pods       []placed
}

type placed struct{ class, node int }

func (w *world) cluster() *Cluster {
	c := NewCluster(w.namespaces)
	for i := range w.classes {
		if c.Class(w.classes[i]) != i {
			panic("two equal classes")
		}
	}
	for _, n := range w.nodes {
		c.AddNode(n)
	}
	for _, p := range w.pods {
		c.Add(p.class, p.node, 1)
	}
	return c
}

func (w *world) fits(class, node int) bool {
	p, n := &w.classes[class], &w.nodes[node]
	return Runs(p, n) == None && w.room(p, node) && w.ports(p, node) && w.claims(p) && w.spread(p, n) && w.near(p, n) && w.apart(p, n)
}

func (w *world) room(p *Pod, node int) bool {
	count := int64(1)
	for _, o := range w.pods {
		if o.node == node {
			count++
		}
	}
	for _, need := range p.Needs {
		left := w.nodes[node].Allocatable.Get(need.Name)
		if left == 0 && need.Name == Attached("csi") {
			continue // no limit
		}
		for _, o := range w.pods {
			if o.node == node {
				left -= w.classes[o.class].Needs.Get(need.Name)
			}
		}
		if need.Value > left {
			return false
		}
	}
	return count <= w.nodes[node].Allocatable.Get(Pods)
}

func (w *world) ports(p *Pod, node int) bool {
	return !slices.ContainsFunc(w.pods, func(o placed) bool { return o.node == node && portsConflict(p.Ports, w.classes[o.class].Ports) })
}

func (w *world) claims(p *Pod) bool {
	for _, claim := range p.Claims {
		if slices.ContainsFunc(w.pods, func(o placed) bool { return slices.Contains(w.classes[o.class].Claims, claim) }) {
			return false
		}
	}
	return true
}

func (w *world) matches(t *Term, p *Pod) bool {
	labels := w.namespaces[p.Namespace]
	return (slices.Contains(t.Namespaces, p.Namespace) || t.NamespaceSelector.Matches(labels)) && t.Selector.Matches(p.Labels)
}

func (w *world) all(terms []Term, p *Pod) bool {
	return !slices.ContainsFunc(terms, func(t Term) bool { return !w.matches(&t, p) })
}

func same(key string, a, b *Node) bool {
	x, hasX := a.Labels.Get(key)
	y, hasY := b.Labels.Get(key)
	return hasX && hasY && x == y
}

func (w *world) near(p *Pod, n *Node) bool {
	found, anywhere := true, false
	for _, t := range p.Near {
		if _, ok := n.Labels.Get(t.Topology); !ok {
			return false
		}
		here := false
		for _, o := range w.pods {
			if w.all(p.Near, &w.classes[o.class]) {
				_, counts := w.nodes[o.node].Labels.Get(t.Topology)
				anywhere, here = anywhere || counts, here || same(t.Topology, n, &w.nodes[o.node])
			}
		}
		found = found && here
	}
	return found || !anywhere && w.all(p.Near, p)
}

func (w *world) apart(p *Pod, n *Node) bool {
	for _, o := range w.pods {
		other, there := &w.classes[o.class], &w.nodes[o.node]
		for _, t := range p.Away {
			if w.matches(&t, other) && same(t.Topology, n, there) {
				return false
			}
		}
		for _, t := range other.Away {
			if w.matches(&t, p) && same(t.Topology, n, there) {
				return false
			}
		}
	}
	return true
}

func (w *world) spread(p *Pod, n *Node) bool {
	for i := range p.Spread {
		s := &p.Spread[i]
		here, ok := n.Labels.Get(s.Topology)
		if !ok {
			return false
		}
		domains := map[string]int{}
		for k := range w.nodes {
			if value, _ := w.nodes[k].Labels.Get(s.Topology); counts(p, s, &w.nodes[k]) {
				domains[value] += w.counted(p, s, k)
			}
		}
		least := -1
		for _, count := range domains {
			if least < 0 || count < least {
				least = count
			}
		}
		if len(domains) < max(1, s.MinDomains) {
			least = 0
		}
		count := domains[here] - least
		if s.Selector.Matches(p.Labels) {
			count++
		}
		if count > s.MaxSkew {
			return false
		}
	}
	return true
}

func (w *world) counted(p *Pod, s *Spread, node int) int {
	count := 0
	for _, o := range w.pods {
		if q := &w.classes[o.class]; o.node == node && !q.Leaving && q.Namespace == p.Namespace && s.Selector.Matches(q.Labels) && !s.Selector.Everything() {
			count++
		}
	}
	return count
}

// drawn makes worlds of few words.
type drawn struct{ *rapid.T }

func (d drawn) word(label string, words ...string) string {
	return rapid.SampledFrom(words).Draw(d.T, label)
}
func (d drawn) yes(label string) bool { return rapid.Bool().Draw(d.T, label) }
func (d drawn) number(label string, low, high int) int {
	return rapid.IntRange(low, high).Draw(d.T, label)
}

func (d drawn) world() *world {
	w := &world{namespaces: map[string]Labels{"a": {{"team", "x"}}, "b": {{"team", "y"}}}}
	for i := range d.number("nodes", 1, 4) {
		w.nodes = append(w.nodes, d.node(i))
	}
	seen := map[string]bool{}
	for range d.number("classes", 1, 5) {
		p := d.pod()
		if key := p.Key(); !seen[key] {
			seen[key] = true
			w.classes = append(w.classes, p)
		}
	}
	for range d.number("pods", 0, 8) {
		w.pods = append(w.pods, placed{d.number("class", 0, len(w.classes)-1), d.number("on", 0, len(w.nodes)-1)})
	}
	return w
}

func (d drawn) node(i int) Node {
	labels := map[string]string{LabelHostname: string(rune('m' + i))}
	for _, key := range []string{LabelZone, "disk"} {
		if v := d.word(key, "", "1", "2", "3"); v != "" {
			labels[key] = v
		}
	}
	n := Node{Name: labels[LabelHostname], Labels: NewLabels(labels), Allocatable: Amounts{
		{CPU, int64(d.number("cpu", 1, 9))}, {"gpu", int64(d.number("gpu", 0, 2))}, {Memory, 9}, {Pods, int64(d.number("slots", 1, 9))},
	}}
	if limit := d.number("limit", 0, 3); limit > 0 {
		n.Allocatable = append(n.Allocatable, Amount{Attached("csi"), int64(limit)})
	}
	if d.number("tainted", 0, 4) == 0 {
		n.Taints = []Taint{{Key: "t", Effect: NoSchedule}}
	}
	n.Unschedulable = d.number("cordoned", 0, 9) == 0
	return n
}

func (d drawn) pod() Pod {
	p := Pod{
		Namespace: d.word("namespace", "a", "b"), Labels: Labels{{"app", d.word("app", "u", "v")}, {"tier", d.word("tier", "1", "2")}},
		Needs: Amounts{{CPU, int64(d.number("needs", 1, 3))}}, Leaving: d.number("leaving", 0, 4) == 0, Priority: int32(d.number("priority", 0, 2)),
	}
	if d.number("gpus", 0, 5) == 0 {
		p.Needs = append(p.Needs, Amount{"gpu", 1})
	}
	if d.number("volumes", 0, 3) == 0 {
		p.Needs = append(p.Needs, Amount{Attached("csi"), int64(d.number("attached", 1, 2))})
	}
	if d.number("selects", 0, 4) == 0 {
		p.Selector = Labels{{"disk", d.word("disk", "1", "2")}}
	}
	if d.number("tolerates", 0, 2) == 0 {
		p.Tolerations = []Toleration{{Key: "t", Exists: true}}
	}
	if d.number("ports", 0, 3) == 0 {
		p.Ports = []Port{{d.word("ip", "", "1", "2"), "TCP", 80}}
	}
	if d.number("claims", 0, 7) == 0 {
		p.Claims = []string{p.Namespace + "/c"}
	}
	for range d.number("nears", -3, 2) {
		p.Near = append(p.Near, d.term(&p))
	}
	for range d.number("aways", -2, 2) {
		p.Away = append(p.Away, d.term(&p))
	}
	for range d.number("spreads", -2, 2) {
		p.Spread = append(p.Spread, Spread{
			Topology: d.topology(), MaxSkew: d.number("skew", 1, 2), MinDomains: d.number("domains", 1, 3), Selector: d.selector(),
			AnyNode: d.yes("any"), Untainted: d.yes("untainted"),
		})
	}
	return p
}

func (d drawn) topology() string {
	return d.word("topology", LabelHostname, LabelZone, LabelZone, "disk", "none")
}

func (d drawn) term(p *Pod) Term {
	t := Term{Topology: d.topology(), Selector: d.selector(), NamespaceSelector: Selector{Nothing: true}}
	switch d.number("namespaces", 0, 3) {
	case 0:
		t.NamespaceSelector = Selector{}
	case 1:
		t.NamespaceSelector = Selector{Requirements: []Requirement{{Key: "team", Operator: In, Values: []string{"x"}}}}
	case 2:
		t.Namespaces = []string{"a", "b"}
	default:
		t.Namespaces = []string{p.Namespace}
	}
	return t
}

func (d drawn) selector() Selector {
	switch d.number("selector", 0, 9) {
	case 0:
		return Selector{}
	case 1:
		return Selector{Nothing: true}
	case 2:
		return Selector{Requirements: []Requirement{{Key: "tier", Operator: NotIn, Values: []string{"1"}}}}
	case 3:
		return Selector{Requirements: []Requirement{{Key: "app", Operator: Exists}, {Key: "tier", Operator: In, Values: []string{"1", "2"}}}}
	}
	return Selector{Requirements: []Requirement{{Key: "app", Operator: In, Values: []string{d.word("of", "u", "v")}}}}
}
