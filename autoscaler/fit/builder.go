package fit

import (
	"slices"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// builder turns the pods and nodes of one cluster into numbers.
type builder struct {
	cluster *Cluster
	book    *rulebook
	ports   portbook
	sets    *nodeSets
	// ids are topologies, and domains are the numbers of their values.
	ids     map[topology]int
	names   []topology
	domains []map[string]int
	// extended are the resources that pack knows by number.
	extended map[string]int
	// matches and avoids are by class, nil until asked for.
	matches [][]int
	avoids  [][]pack.Term
	daemons []int
	// fresh: machines can be bought, so that there are always more host names.
	fresh bool
}

func newBuilder(c *Cluster) *builder {
	return &builder{
		cluster: c, book: newRulebook(c), ports: portbook{}, sets: newNodeSets(), ids: map[topology]int{}, extended: map[string]int{},
		matches: make([][]int, len(c.classes)), avoids: make([][]pack.Term, len(c.classes)),
	}
}

// topology is a label's key. Hosts are two: of what must be near or apart the packer keeps few numbers, however many hosts
// there are; for the least count of a spread rule it needs them all, unless another host can always be bought.
type topology struct {
	key  string
	term bool
}

// everywhere is a topology that has one domain, in which each node is. No label has an empty key.
const everywhere = ""

func ofSpread(key string) topology { return topology{key: key} }

func ofTerm(key string) topology { return topology{key: key, term: key == LabelHostname} }

// read numbers all topologies, rules, ports and resources of the classes to place.
func (b *builder) read(wanted []int) {
	for _, class := range wanted {
		p := b.cluster.classes[class]
		for i := range p.Near {
			b.topology(ofTerm(p.Near[i].Topology))
		}
		if len(p.Near) > 0 {
			b.book.near(p.Near)
		}
		for i := range p.Spread {
			b.topology(ofSpread(p.Spread[i].Topology))
			b.book.counted(p, &p.Spread[i])
		}
		for _, need := range p.Needs {
			if _, ok := b.extended[need.Name]; !ok && need.Name != CPU && need.Name != Memory && need.Name != Pods {
				b.extended[need.Name] = len(b.extended)
			}
		}
		b.ports.read(p.Ports)
		b.avoided(class)
	}
}

// readRunning numbers what pods that run keep away, as far as it is about pods to place, and their ports, as far as they are
// the same.
func (b *builder) readRunning(wanted, running []int) {
	book, about := newRulebook(b.cluster), map[int]bool{}
	terms := make([][]int, len(running))
	for i, class := range running {
		p := b.cluster.classes[class]
		if len(b.ports) > 0 {
			b.ports.readSame(p.Ports)
		}
		for k := range p.Away {
			terms[i] = append(terms[i], book.avoided(&p.Away[k]))
		}
	}
	for _, class := range wanted {
		for _, id := range book.matched(b.cluster.classes[class]) {
			about[id] = true
		}
	}
	for i, class := range running {
		b.avoid(class, func(k int) bool { return about[terms[i][k]] })
	}
}

func (b *builder) topology(t topology) int {
	id, ok := b.ids[t]
	if !ok {
		id = len(b.names)
		b.ids[t], b.names, b.domains = id, append(b.names, t), append(b.domains, map[string]int{})
	}
	return id
}

// avoided is what pods of the class keep away: anti-affinity, and claims that one pod alone may use.
func (b *builder) avoided(class int) []pack.Term {
	return b.avoid(class, func(int) bool { return true })
}

// avoid leaves out the terms that keep does not want, unless the class has been read before.
func (b *builder) avoid(class int, keep func(term int) bool) []pack.Term {
	if b.avoids[class] != nil {
		return b.avoids[class]
	}
	p := b.cluster.classes[class]
	terms := []pack.Term{}
	for i := range p.Away {
		if keep(i) {
			terms = append(terms, pack.Term{Topology: b.topology(ofTerm(p.Away[i].Topology)), Selector: b.book.avoided(&p.Away[i])})
		}
	}
	for _, claim := range p.Claims {
		terms = append(terms, pack.Term{Topology: b.topology(ofTerm(everywhere)), Selector: b.book.claim(claim)})
	}
	b.avoids[class] = terms
	return terms
}

func (b *builder) matched(class int) []int {
	if b.matches[class] == nil {
		b.matches[class] = b.book.matched(b.cluster.classes[class])
	}
	return b.matches[class]
}

func (b *builder) group(class int) pack.Group {
	p := b.cluster.classes[class]
	g := pack.Group{
		Needs: resources(p.Needs, 1), Extended: b.further(p.Needs), Priority: int(p.Priority), Ports: b.ports.ids(p.Ports),
		Matches: b.matched(class), Anti: b.avoided(class), Nodes: b.sets.suit(b.cluster, p),
	}
	for i := range p.Near {
		if id := b.topology(ofTerm(p.Near[i].Topology)); !slices.Contains(g.Affinity.Topologies, id) {
			g.Affinity.Topologies = append(g.Affinity.Topologies, id)
		}
	}
	if len(p.Near) > 0 {
		g.Affinity.Selector = b.book.near(p.Near)
		g.Affinity.Self = b.book.about(&b.book.rules[g.Affinity.Selector], p)
	}
	for i := range p.Spread {
		s := &p.Spread[i]
		g.Spreads = append(g.Spreads, pack.Spread{
			Topology: b.topology(ofSpread(s.Topology)), Selector: b.book.counted(p, s), MaxSkew: s.MaxSkew, MinDomains: s.MinDomains,
			Self: s.Selector.Matches(p.Labels), Nodes: b.sets.counted(p, s),
		})
	}
	return g
}

// bin is the node without pods.
func (b *builder) bin(n *Node) pack.Bin {
	return pack.Bin{
		Free: resources(n.Allocatable, n.Allocatable.Get(Pods)), Extended: b.offered(n.Allocatable), Class: b.sets.class(n, nil, b.names),
		Domains: b.domainsOf(n.Labels, false),
	}
}

// filled is the node with the pods that it has in the cluster.
func (b *builder) filled(n *Node, node int) pack.Bin {
	bin, c := b.bin(n), b.cluster
	bin.Free = bin.Free.Minus(pack.Resources{CPU: c.inUse(node, c.resources[CPU]), Memory: c.inUse(node, c.resources[Memory]), Pods: int64(c.held[node])})
	for name, i := range b.extended {
		bin.Extended[i] -= c.inUse(node, c.resources[name])
	}
	if len(b.ports) > 0 {
		for _, t := range c.pods[node] {
			bin.Ports = append(bin.Ports, b.ports.ids(c.classes[t.Class].Ports)...)
		}
	}
	return bin
}

func (b *builder) offer(o *Offer) pack.Offer {
	n := o.Node
	n.Name = ""
	if _, ok := n.Labels.Get(LabelHostname); !ok {
		n.Labels = withHostname(n.Labels)
	}
	offer := pack.Offer{
		Room: resources(n.Allocatable, n.Allocatable.Get(Pods)), Extended: b.offered(n.Allocatable),
		Domains: b.domainsOf(n.Labels, b.fresh), Price: o.Price, Limit: o.Limit, Pool: o.Pool, Weight: o.Weight,
	}
	var daemons []int
	for _, class := range b.daemons {
		p := b.cluster.classes[class]
		if Runs(p, &n) != None {
			continue
		}
		daemons = append(daemons, class)
		offer.Room = offer.Room.Minus(resources(p.Needs, 1))
		for _, need := range p.Needs {
			if i, ok := b.extended[need.Name]; ok {
				offer.Extended[i] -= need.Value
			}
		}
	}
	offer.Class = b.sets.class(&n, daemons, b.names)
	return offer
}

// withHostname adds the label that each machine will have, with a value that no pod asks for.
func withHostname(l Labels) Labels {
	i, _ := slices.BinarySearchFunc(l, LabelHostname, func(l Label, key string) int {
		if l.Key < key {
			return -1
		}
		return 1
	})
	return slices.Insert(slices.Clone(l), i, Label{LabelHostname, "\x00"})
}

func (b *builder) running(list []pack.Running, bin int, tallies []Tally) []pack.Running {
	for _, t := range tallies {
		matches, avoids := b.matched(t.Class), b.avoided(t.Class)
		if len(matches)+len(avoids) > 0 {
			list = append(list, pack.Running{Bin: bin, Count: t.Count, Matches: matches, Anti: avoids})
		}
	}
	return list
}

func (b *builder) domainsOf(l Labels, fresh bool) []int {
	if len(b.names) == 0 {
		return nil
	}
	domains := make([]int, len(b.names))
	for id, t := range b.names {
		value, ok := l.Get(t.key)
		switch {
		case t.key == everywhere:
			value = ""
		case fresh && t.key == LabelHostname:
			domains[id] = pack.FreshDomain
			continue
		case !ok:
			domains[id] = pack.NoDomain
			continue
		}
		d, known := b.domains[id][value]
		if !known {
			d = len(b.domains[id])
			b.domains[id][value] = d
		}
		domains[id] = d
	}
	return domains
}

func (b *builder) topologies() []pack.Topology {
	var list []pack.Topology
	for id, t := range b.names {
		list = append(list, pack.Topology{Domains: len(b.domains[id]), Fresh: t.key == LabelHostname && (t.term || b.fresh)})
	}
	return list
}

func (b *builder) further(a Amounts) []int64 {
	if len(b.extended) == 0 {
		return nil
	}
	list := make([]int64, len(b.extended))
	for i := range a {
		if id, ok := b.extended[a[i].Name]; ok {
			list[id] = a[i].Value
		}
	}
	return list
}

// unlimited is more than all pods of a node ask for.
const unlimited = 1 << 40

// offered is further of a node: what it does not say of volumes has no limit.
func (b *builder) offered(a Amounts) []int64 {
	list := b.further(a)
	for name, id := range b.extended {
		if !a.limits(name) {
			list[id] = unlimited
		}
	}
	return list
}

func resources(a Amounts, pods int64) pack.Resources {
	r := pack.Resources{Pods: pods}
	for i := range a {
		switch a[i].Name {
		case CPU:
			r.CPU = a[i].Value
		case Memory:
			r.Memory = a[i].Value
		}
	}
	return r
}
