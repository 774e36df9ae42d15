package fit

import (
	"slices"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// nodeSets puts nodes into classes that no pod of the problem tells apart, and pods' demands on nodes into sets of those.
type nodeSets struct {
	// keys are the labels that a pod asks for by value. named: one asks for a node by its name.
	keys  []string
	named bool
	ids   map[string]int
	kinds []kind
	sets  []pack.ClassSet
	known map[string]pack.NodeSet
	// suits and counts are the answers by what pods ask.
	suits, counts map[string]pack.NodeSet
}

// kind is one node of a class, for all of them, and the classes of daemons that come with a machine of it.
type kind struct {
	node    Node
	daemons []int
}

func newNodeSets() *nodeSets {
	return &nodeSets{ids: map[string]int{}, known: map[string]pack.NodeSet{}, suits: map[string]pack.NodeSet{}, counts: map[string]pack.NodeSet{}}
}

// use reads which labels of nodes the pods of the classes ask for.
func (s *nodeSets) use(c *Cluster, classes []int) {
	keys := map[string]bool{}
	terms := func(list NodeTerms) {
		for i := range list {
			for _, r := range list[i].Labels {
				keys[r.Key] = true
			}
			s.named = s.named || len(list[i].Names)+len(list[i].NotNames) > 0
		}
	}
	for _, class := range classes {
		p := c.classes[class]
		for _, l := range p.Selector {
			keys[l.Key] = true
		}
		terms(p.Affinity)
		for _, place := range p.Places {
			terms(place)
		}
	}
	for key := range keys {
		s.keys = append(s.keys, key)
	}
	slices.Sort(s.keys)
}

// class is the number of the node's class. Of a topology's label it matters only whether the node has it.
func (s *nodeSets) class(n *Node, daemons []int, topologies []topology) int {
	w := keyWriter{buf: make([]byte, 0, 128)}
	w.flag(n.Closed)
	w.flag(n.Unschedulable)
	if s.named {
		w.text(n.Name)
	}
	for _, key := range s.keys {
		value, ok := n.Labels.Get(key)
		w.flag(ok)
		w.text(value)
	}
	for _, t := range topologies {
		_, ok := n.Labels.Get(t.key)
		w.flag(ok)
	}
	w.count(len(n.Taints))
	for _, t := range n.Taints {
		w.text(t.Key)
		w.text(t.Value)
		w.number(int64(t.Effect))
	}
	for _, d := range daemons {
		w.count(d)
	}
	if id, ok := s.ids[string(w.buf)]; ok {
		return id
	}
	id := len(s.kinds)
	s.ids[string(w.buf)] = id
	s.kinds = append(s.kinds, kind{*n, daemons})
	return id
}

// suit are the classes of nodes that have nothing against the pod alone. All nodes must have been given to class before.
func (s *nodeSets) suit(c *Cluster, p *Pod) pack.NodeSet {
	w := keyWriter{buf: make([]byte, 0, 128)}
	w.text(p.Stuck)
	w.text(p.Foreign)
	w.tolerations(p.Tolerations)
	w.labels(p.Selector)
	w.flag(p.Affinity != nil)
	w.nodeTerms(p.Affinity)
	w.places(p.Places)
	if s.beside() {
		w.text(p.Namespace)
		w.labels(p.Labels)
		w.ports(p.Ports)
		w.terms(p.Away)
	}
	if set, ok := s.suits[string(w.buf)]; ok {
		return set
	}
	var classes pack.ClassSet
	for id := range s.kinds {
		if s.kinds[id].refuses(c, p) == None {
			classes.Add(id)
		}
	}
	set := s.number(classes)
	s.suits[string(w.buf)] = set
	return set
}

// beside says that daemons come with some machine.
func (s *nodeSets) beside() bool {
	return slices.ContainsFunc(s.kinds, func(k kind) bool { return len(k.daemons) > 0 })
}

// refuses is what of the machine, and of the daemons that come with it, keeps the pod off: a port, or anti-affinity, for a
// machine is in one domain with its daemons whatever the topology. That they are in one domain with other machines too is
// not looked at.
func (k *kind) refuses(c *Cluster, p *Pod) Refusal {
	if why := Runs(p, &k.node); why != None {
		return why
	}
	for _, class := range k.daemons {
		switch d := c.classes[class]; {
		case portsConflict(p.Ports, d.Ports):
			return PortTaken
		case c.avoids(p, d, &k.node):
			return Apart
		case c.avoids(d, p, &k.node):
			return Repelled
		}
	}
	return None
}

// avoids says that pods like p must be away from the other on the same node.
func (c *Cluster) avoids(p, other *Pod, n *Node) bool {
	return slices.ContainsFunc(p.Away, func(t Term) bool {
		_, has := n.Labels.Get(t.Topology)
		return has && c.matches(&t, other)
	})
}

func portsConflict(a, b []Port) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Number == y.Number && x.Protocol == y.Protocol && (x.IP == y.IP || x.IP == "" || y.IP == "") {
				return true
			}
		}
	}
	return false
}

// counted are the classes of nodes whose domains and pods count for a spread rule of the pod.
func (s *nodeSets) counted(p *Pod, rule *Spread) pack.NodeSet {
	w := keyWriter{buf: make([]byte, 0, 128)}
	w.flag(rule.AnyNode)
	if !rule.AnyNode {
		w.labels(p.Selector)
		w.flag(p.Affinity != nil)
		w.nodeTerms(p.Affinity)
	}
	w.flag(rule.Untainted)
	if rule.Untainted {
		w.tolerations(p.Tolerations)
	}
	for i := range p.Spread {
		w.text(p.Spread[i].Topology)
	}
	if set, ok := s.counts[string(w.buf)]; ok {
		return set
	}
	var classes pack.ClassSet
	for id := range s.kinds {
		if n := &s.kinds[id].node; counts(p, rule, n) {
			classes.Add(id)
		}
	}
	set := s.number(classes)
	s.counts[string(w.buf)] = set
	return set
}

func counts(p *Pod, rule *Spread, n *Node) bool {
	for i := range p.Spread {
		if _, ok := n.Labels.Get(p.Spread[i].Topology); !ok {
			return false
		}
	}
	return (rule.AnyNode || p.selects(n)) && (!rule.Untainted || p.toleratesAll(n.Taints))
}

// number is the same for equal sets; a set of all classes is 0.
func (s *nodeSets) number(classes pack.ClassSet) pack.NodeSet {
	all := true
	for id := range s.kinds {
		all = all && classes.Has(id)
	}
	if all {
		return 0
	}
	w := keyWriter{}
	for _, word := range classes {
		w.number(int64(word))
	}
	if set, ok := s.known[string(w.buf)]; ok {
		return set
	}
	s.sets = append(s.sets, classes)
	set := pack.NodeSet(len(s.sets))
	s.known[string(w.buf)] = set
	return set
}

// nearest is of all that keeps the pod off the classes of nodes what the scheduler looks at last.
func (s *nodeSets) nearest(c *Cluster, p *Pod) Refusal {
	last := None
	for id := range s.kinds {
		last = max(last, s.kinds[id].refuses(c, p))
	}
	if last == None {
		return NodeMismatch // there is no node and no machine at all
	}
	return last
}
