package fit

import (
	"slices"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// Ask is what to place and where that may be.
type Ask struct {
	Cluster *Cluster
	// Want are pods that have no node yet: those that wait, and those of workloads that are to grow.
	Want []Want
	// Open are the nodes that pods may be placed on, in the order in which they should be filled. The others only count:
	// for spread and affinity.
	Open []int
	// Offers are machines that could be bought: one for each shape, pool and zone.
	Offers []Offer
	// Daemons are the classes of what each DaemonSet would run: a machine is offered with what they leave of it.
	Daemons []int
}

// Want is a number of pods of one class.
type Want struct{ Class, Count int }

// Offer is a machine that could be bought.
type Offer struct {
	// Node is the machine as it will be when it has started: the labels of its zone and of its pool, its taints without
	// those that go away by themselves, what is allocatable. It has no name and no host name.
	Node Node
	// Price, Limit, Pool and Weight are those of pack.Offer.
	Price               float64
	Limit, Pool, Weight int
}

// Compiled is a problem in numbers, and the way back. Problem.Groups are Ask.Want, Problem.Offers are Ask.Offers, both in
// order. Pools, prices of nodes and caps are for the caller to set.
type Compiled struct {
	Problem pack.Problem
	// Nodes are, by bin, the numbers of nodes: first those of Ask.Open.
	Nodes   []int
	cluster *Cluster
	want    []Want
	sets    *nodeSets
}

// Compile turns labels into numbers. The rules between pods are then those of package pack, which are the scheduler's.
func Compile(a Ask) *Compiled {
	b := newBuilder(a.Cluster)
	if b.daemons = a.Daemons; len(a.Offers) > 0 {
		b.fresh = true
	}
	out := &Compiled{cluster: a.Cluster, want: a.Want, Nodes: order(a.Cluster, a.Open)}
	wanted := make([]int, len(a.Want))
	for i, w := range a.Want {
		wanted[i] = w.Class
	}
	b.read(wanted, a.Cluster.running())
	b.sets.use(a.Cluster, wanted)
	out.sets = b.sets
	p := &out.Problem
	p.Bins, p.Offers, p.Groups = make([]pack.Bin, 0, len(out.Nodes)), make([]pack.Offer, 0, len(a.Offers)), make([]pack.Group, 0, len(a.Want))
	open := make(map[int]bool, len(a.Open))
	for _, node := range a.Open {
		open[node] = true
	}
	for _, node := range out.Nodes {
		n := &a.Cluster.nodes[node]
		if !open[node] && !n.Closed {
			closed := *n
			closed.Closed = true
			n = &closed
		}
		p.Bins = append(p.Bins, b.bin(n, a.Cluster.pods[node]))
	}
	for i := range a.Offers {
		p.Offers = append(p.Offers, b.offer(&a.Offers[i]))
	}
	for i, w := range a.Want {
		p.Groups = append(p.Groups, b.group(w.Class))
		p.Groups[i].Count = w.Count
	}
	for bin, node := range out.Nodes {
		p.Running = b.running(p.Running, bin, a.Cluster.pods[node])
	}
	p.Topologies, p.Sets = b.topologies(), b.sets.sets
	return out
}

// Why is the scheduler's word for what pack says of a group that has no place.
func (c *Compiled) Why(group int, why pack.Refusal) Refusal {
	p := &c.cluster.classes[c.want[group].Class]
	if why == pack.NodeClass {
		return c.sets.nearest(c.cluster, p)
	}
	return refusalOf(p, why)
}

func refusalOf(p *Pod, why pack.Refusal) Refusal {
	switch why {
	case pack.NoCPU, pack.NoMemory, pack.NoPodSlot, pack.NoExtended:
		return NoRoom
	case pack.PortTaken:
		return PortTaken
	case pack.SpreadLabel:
		return NoDomain
	case pack.SpreadSkew:
		return Skewed
	case pack.AffinityLabel, pack.AffinityUnmet:
		return Alone
	case pack.AntiAffinity:
		if len(p.Away) == 0 && len(p.Claims) > 0 {
			return ClaimTaken
		}
		return Apart
	case pack.AntiAffinityOfOthers:
		return Repelled
	case pack.NodeClass:
		return NodeMismatch
	}
	return None
}

// order is all nodes that are there: the open ones as they are given, then the others.
func order(c *Cluster, open []int) []int {
	var nodes []int
	seen := make([]bool, len(c.nodes))
	for _, node := range open {
		if c.there[node] && !seen[node] {
			seen[node] = true
			nodes = append(nodes, node)
		}
	}
	for node := range c.nodes {
		if c.there[node] && !seen[node] {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// running are the classes that have a pod on a node.
func (c *Cluster) running() []int {
	there := make([]bool, len(c.classes))
	for _, tallies := range c.pods {
		for _, t := range tallies {
			there[t.Class] = true
		}
	}
	var list []int
	for class, yes := range there {
		if yes {
			list = append(list, class)
		}
	}
	return list
}

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
	b.read(all, nil)
	b.sets.use(c, all)
	x := &index{cluster: c, bins: make([]int, len(c.nodes))}
	p := &pack.Problem{Groups: make([]pack.Group, 0, len(all))}
	for node := range c.nodes {
		if x.bins[node] = -1; c.there[node] {
			x.bins[node] = len(p.Bins)
			p.Bins = append(p.Bins, b.bin(&c.nodes[node], nil))
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
	return refusalOf(&x.cluster.classes[class], x.rules.Allows(class, x.bins[node]))
}

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

// read numbers all topologies, rules, ports and resources of the classes to place, and what those that run keep away.
func (b *builder) read(wanted, running []int) {
	for _, class := range wanted {
		p := &b.cluster.classes[class]
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
	for _, class := range running {
		b.ports.read(b.cluster.classes[class].Ports)
		b.avoided(class)
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
	if b.avoids[class] != nil {
		return b.avoids[class]
	}
	p := &b.cluster.classes[class]
	terms := make([]pack.Term, 0, len(p.Away)+len(p.Claims))
	for i := range p.Away {
		terms = append(terms, pack.Term{Topology: b.topology(ofTerm(p.Away[i].Topology)), Selector: b.book.avoided(&p.Away[i])})
	}
	for _, claim := range p.Claims {
		terms = append(terms, pack.Term{Topology: b.topology(ofTerm(everywhere)), Selector: b.book.claim(claim)})
	}
	b.avoids[class] = terms
	return terms
}

func (b *builder) matched(class int) []int {
	if b.matches[class] == nil {
		b.matches[class] = b.book.matched(&b.cluster.classes[class])
	}
	return b.matches[class]
}

func (b *builder) group(class int) pack.Group {
	p := &b.cluster.classes[class]
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

func (b *builder) bin(n *Node, tallies []Tally) pack.Bin {
	bin := pack.Bin{
		Free: resources(n.Allocatable, n.Allocatable.Get(Pods)), Extended: b.further(n.Allocatable), Class: b.sets.class(n, nil, b.names),
		Domains: b.domainsOf(n.Labels, false),
	}
	for _, t := range tallies {
		p := &b.cluster.classes[t.Class]
		bin.Free = bin.Free.Minus(resources(p.Needs, 1).Times(t.Count))
		for _, need := range p.Needs {
			if i, ok := b.extended[need.Name]; ok {
				bin.Extended[i] -= need.Value * int64(t.Count)
			}
		}
		bin.Ports = append(bin.Ports, b.ports.ids(p.Ports)...)
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
		Room: resources(n.Allocatable, n.Allocatable.Get(Pods)), Extended: b.further(n.Allocatable),
		Domains: b.domainsOf(n.Labels, b.fresh), Price: o.Price, Limit: o.Limit, Pool: o.Pool, Weight: o.Weight,
	}
	var daemons []int
	for _, class := range b.daemons {
		p := &b.cluster.classes[class]
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
