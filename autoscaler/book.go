package autoscaler

import (
	"cmp"
	"slices"

	"github.com/wholescale/wholescale/autoscaler/fit"
)

// Book is a whole State as it was last planned, kept with its index and with the pods that have changed since. A queue that
// forms in a few workloads is answered from it without a look at all the others: the cost is that of the pods of those few
// and of a pass over the nodes.
//
// What it answers is what Plan says of a State of those workloads, the nodes that their pods are on, those that are coming and the
// few of each pool with the most room. It decides replicas and where they have room. Whatever is more than that (a
// machine to buy, a pod without a place, rules between pods, a node that leaves) it leaves to a plan about all.
type Book struct {
	s State
	v *view
	// wanting are the workloads that have not got all that they want: they compete for the same room. Sorted.
	wanting []WorkloadID
	// foreign says that pods of nobody's wait for room that there is.
	foreign bool
	pods    map[PodID]*Pod // those that changed; nil for one that is gone
	// of and on are where pods that changed are, or were: by workload and by node.
	of map[WorkloadID][]PodID
	on map[int32][]PodID
}

const (
	// roomyNodes is how many nodes of a pool a glance looks at beside those in use by its workloads.
	roomyNodes = 8
	// mostComing is up to how many nodes that are coming a glance looks at.
	mostComing = 64
)

// Open plans a State and keeps it.
func Open(s State) (*Book, Decision) {
	d, v := plan(&s)
	b := &Book{s: s, v: v, pods: map[PodID]*Pod{}, of: map[WorkloadID][]PodID{}, on: map[int32][]PodID{}}
	b.want(&d)
	for i := range d.Placements {
		p := &d.Placements[i]
		b.foreign = b.foreign || p.Workload == "" && p.Leaving == "" && p.Buffer == "" && len(p.Spots) > 0
	}
	return b, d
}

// Wanting are the workloads that each glance is about as well, sorted.
func (b *Book) Wanting() []WorkloadID { return b.wanting }

// want notes who has not got all that it wants, of the workloads that a decision is about.
func (b *Book) want(d *Decision) {
	short := make(map[WorkloadID]bool, len(d.Placements))
	for i := range d.Placements {
		short[d.Placements[i].Workload] = d.Placements[i].Leaving == "" && d.Placements[i].Buffer == ""
	}
	list := slices.DeleteFunc(b.wanting, func(id WorkloadID) bool {
		_, about := slices.BinarySearchFunc(d.Scales, id, func(s Scale, id WorkloadID) int { return cmp.Compare(s.Workload, id) })
		return about
	})
	for i := range d.Scales {
		if s := &d.Scales[i]; short[s.Workload] || s.Changes() {
			list = append(list, s.Workload)
		}
	}
	slices.Sort(list)
	b.wanting = list
}

// Pod takes in how a pod is now.
func (b *Book) Pod(p Pod) {
	b.take(p.ID)
	b.pods[p.ID] = &p
	if p.Workload != "" {
		b.of[p.Workload] = append(b.of[p.Workload], p.ID)
	} else if p.Node == "" && p.Phase == Pending && p.Daemon == "" {
		b.foreign = true
	}
	if node := b.node(p.Node); node >= 0 {
		b.on[node] = append(b.on[node], p.ID)
		b.weigh(node, &p, 1)
	}
	b.v.reaches = b.v.reaches || reaches(p.Shape.Rules)
}

// Gone takes in that a pod is gone.
func (b *Book) Gone(id PodID) {
	b.take(id)
	b.pods[id] = nil
}

// take takes a pod out of the figures of its node.
func (b *Book) take(id PodID) {
	p, known := b.pods[id]
	if !known {
		if at, found := slices.BinarySearchFunc(b.s.Pods, id, func(p Pod, id PodID) int { return cmp.Compare(p.ID, id) }); found {
			p = &b.s.Pods[at]
		}
	}
	if p != nil {
		if node := b.node(p.Node); node >= 0 {
			b.weigh(node, p, -1)
		}
	}
}

func (b *Book) weigh(node int32, p *Pod, sign int) {
	b.v.free[node] = b.v.free[node].Minus(p.Shape.Needs.Times(sign))
	if p.Daemon == "" && !p.Mirror {
		b.v.busy[node] += sign
	}
}

func (b *Book) node(id NodeID) int32 {
	at, found := slices.BinarySearchFunc(b.s.Nodes, id, func(n Node, id NodeID) int { return cmp.Compare(n.ID, id) })
	if !found {
		return -1
	}
	return int32(at)
}

// Glance plans for a few workloads as the driver sees them; remember makes a State of a cluster, as Memory does. It says no
// where only a plan about all can tell.
func (b *Book) Glance(about []Workload, remember func(Cluster) State) (State, Decision, bool) {
	c, ok := b.about(about)
	if !ok {
		return State{}, Decision{}, false
	}
	s := remember(c)
	d := Plan(s)
	d.Drains = nil
	for i := range d.Orders {
		ok = ok && !d.Orders[i].Changes()
	}
	for i := range d.Placements {
		ok = ok && d.Placements[i].Unplaced == 0
	}
	return s, d, ok
}

// Glanced takes in a decision of Glance that is carried out.
func (b *Book) Glanced(d Decision) { b.want(&d) }

// about is the cluster as far as it matters for a few workloads.
func (b *Book) about(list []Workload) (Cluster, bool) {
	c := Cluster{Workloads: list, Groups: b.s.Groups, Daemons: b.s.Daemons, Namespaces: b.s.Namespaces, PriceCap: b.s.PriceCap, Partial: true}
	if b.foreign || b.v.reaches || !b.bought(&c) {
		return c, false
	}
	chosen := make(map[WorkloadID]bool, len(list))
	seen := map[int32]bool{}
	for i := range list {
		if !lonely(list[i].Shape.Rules) {
			return c, false
		}
		chosen[list[i].ID] = true
		for _, p := range b.podsOf(list[i].ID) {
			c.Pods = append(c.Pods, *p)
			if node := b.node(p.Node); node >= 0 {
				seen[node] = true
			}
		}
	}
	nodes, ok := b.choose(seen)
	for _, i := range nodes {
		b.others(&c, i, chosen)
	}
	return c, ok
}

// bought puts the pools into a picture; no when machines that are not in it would have to be counted.
func (b *Book) bought(c *Cluster) bool {
	if slices.Contains(b.v.surplus, true) {
		return false
	}
	c.Pools = slices.Clone(b.s.Pools)
	for k := range c.Pools {
		p := &c.Pools[k]
		p.Disruption.ConsolidateAfter, p.Disruption.ExpireAfter = 0, 0
		if p.StockOut != "" || p.Target > p.Max || b.v.instances[k] > p.Target && p.Unknown == "" {
			return false
		}
	}
	return true
}

// choose is the nodes to look at; no when one of those seen is on its way out, as then others' pods compete for room.
func (b *Book) choose(seen map[int32]bool) ([]int32, bool) {
	var list []int32
	coming := 0
	roomy := make([][]int32, len(b.s.Pools)+1) // the last is of nodes that are not ours
	for i := range b.s.Nodes {
		n, at := &b.s.Nodes[i], int32(i)
		switch free := b.v.free[i].CPU; {
		case seen[at]:
			if n.Draining || b.v.renew[i] != "" {
				return nil, false
			}
			list = append(list, at)
		case n.Phase == Coming:
			coming++
			list = append(list, at)
		case n.Phase == Ready && !n.Draining && !n.Cordoned && b.v.renew[i] == "":
			k := (int(b.v.poolOf[i]) + len(roomy)) % len(roomy)
			best := roomy[k]
			if len(best) == roomyNodes && free <= b.v.free[best[roomyNodes-1]].CPU {
				continue
			}
			if len(best) == roomyNodes {
				best = best[:roomyNodes-1]
			}
			to, _ := slices.BinarySearchFunc(best, free, func(o int32, free int64) int {
				if b.v.free[o].CPU >= free {
					return -1
				}
				return 1
			})
			roomy[k] = slices.Insert(best, to, at)
		}
	}
	for _, best := range roomy {
		list = append(list, best...)
	}
	return list, coming <= mostComing
}

// others adds a node and the pods there that a glance is not about: as one that takes their room, but for those by which the
// scheduler goes in another way.
func (b *Book) others(c *Cluster, node int32, chosen map[WorkloadID]bool) {
	n := b.s.Nodes[node]
	sum := Pod{ID: PodID("-others/" + string(n.ID)), Node: n.ID, Phase: Ready, Keep: "it is not looked at"}
	for _, p := range b.podsOn(node) {
		switch {
		case chosen[p.Workload]:
		case p.Daemon != "" || p.Mirror || !plain(p.Shape.Rules):
			o := *p
			o.Workload = ""
			c.Pods = append(c.Pods, o)
		default:
			sum.Shape.Needs = sum.Shape.Needs.Plus(p.Shape.Needs)
		}
	}
	if sum.Shape.Needs != (Resources{}) {
		// To the scheduler it is one pod.
		n.Allocatable.Pods -= sum.Shape.Needs.Pods - 1
		sum.Shape.Needs.Pods = 1
		c.Pods = append(c.Pods, sum)
	}
	c.Nodes = append(c.Nodes, n)
}

// podsOf are a workload's pods as they are now.
func (b *Book) podsOf(id WorkloadID) []*Pod {
	var base []int32
	if at, found := slices.BinarySearchFunc(b.s.Workloads, id, func(w Workload, id WorkloadID) int { return cmp.Compare(w.ID, id) }); found {
		base = b.v.podsOf[at]
	}
	return b.now(base, b.of[id], func(p *Pod) bool { return p.Workload == id })
}

func (b *Book) podsOn(node int32) []*Pod {
	id := b.s.Nodes[node].ID
	return b.now(b.v.podsOn[node], b.on[node], func(p *Pod) bool { return p.Node == id })
}

// now are the pods of a list that have not changed, and those that have and belong there still, each once.
func (b *Book) now(base []int32, changed []PodID, belongs func(*Pod) bool) []*Pod {
	list := make([]*Pod, 0, len(base)+len(changed))
	for _, i := range base {
		p := &b.s.Pods[i]
		if len(b.pods) > 0 {
			if _, other := b.pods[p.ID]; other {
				continue
			}
		}
		list = append(list, p)
	}
	changed = slices.Clone(changed)
	slices.Sort(changed)
	for _, id := range slices.Compact(changed) {
		if p := b.pods[id]; p != nil && belongs(p) {
			list = append(list, p)
		}
	}
	return list
}

// lonely says that where a pod may run does not hang on other pods.
func lonely(p *fit.Pod) bool {
	return p == nil || len(p.Spread) == 0 && len(p.Near) == 0 && len(p.Away) == 0 && len(p.Claims) == 0
}

// plain says that a pod takes CPU, memory and a place, and nothing else that another could want.
func plain(p *fit.Pod) bool {
	if p == nil {
		return true
	}
	return len(p.Ports) == 0 && len(p.Away) == 0 && len(p.Claims) == 0 &&
		!slices.ContainsFunc(p.Needs, func(a fit.Amount) bool { return a.Name != fit.CPU && a.Name != fit.Memory })
}

// reaches says that a pod keeps others away from more than its own node.
func reaches(p *fit.Pod) bool {
	return p != nil && slices.ContainsFunc(p.Away, func(t fit.Term) bool { return t.Topology != fit.LabelHostname })
}
