package fit

import "github.com/wholescale/wholescale/autoscaler/pack"

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
	b.read(wanted)
	b.readRunning(wanted, a.Cluster.running())
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
		p.Bins = append(p.Bins, b.filled(n, node))
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
	p := c.cluster.classes[c.want[group].Class]
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
