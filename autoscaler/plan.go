package autoscaler

import (
	"cmp"
	"sort"
	"time"

	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// Plan decides. It is pure: the same State, in whatever order its slices came before sorting, gives the same Decision.
//
// The steps, each of which reads what the ones before it decided:
//
//	renewals  which nodes in use are to be replaced                 nodes, disruption   -> nodes that take nothing more
//	replicas  how many replicas each workload should have           demand, policy, memo -> Scales
//	shrink    which pods should leave first when there are fewer    Scales, pods        -> Costs
//	place     where the replicas without a node have room           Scales, nodes       -> Placements, machines to buy
//	drain     which nodes leave, and how far they are               nodes, Placements   -> Drains
//	grow      how many instances each pool should have              machines to buy     -> Orders
//	hold      what held requests may hope for                       all of the above    -> Holds
func Plan(s State) Decision {
	d, _ := plan(&s)
	return d
}

func plan(s *State) (Decision, *view) {
	x := decide(s, false)
	if x.v.saving && x.placed.lacks() {
		// To keep a node that is being saved is cheaper than to buy one.
		if kept := decide(s, true); kept.placed.costsLess(s, &x.placed) {
			x = kept
		}
	}
	d, v, placed := x.d, x.v, x.placed
	d.Placements, d.Truncated, d.Memo.Bought = placed.placements, placed.truncated, placed.bought
	d.Drains, d.Memo.Nodes = drain(s, v, placed)
	d.Orders = grow(s, v, placed, d.Drains)
	d.Holds = hold(s, v, d.Scales, d.Placements)
	return d, v
}

// outline is a plan as far as its placements.
type outline struct {
	d      Decision
	v      *view
	placed placing
}

// decide makes the outline. With keep, nodes in use that are being saved are in use again.
func decide(s *State, keep bool) outline {
	x := outline{d: Decision{At: s.Now}, v: look(s)}
	x.v.renewals(s, keep)
	x.d.Scales, x.d.Memo.Workloads = replicas(s, x.v)
	x.d.Costs = shrink(s, x.v, x.d.Scales)
	x.placed = place(s, x.v, x.d.Scales)
	return x
}

// lacks says that not all had room on what there is.
func (p *placing) lacks() bool { return p.buying || len(p.short) > 0 }

// costsLess says that fewer pods have no place than in another placing or, when as many have none, that less is paid for machines.
func (p *placing) costsLess(s *State, than *placing) bool {
	short, price := p.costs(s)
	shortThan, priceThan := than.costs(s)
	return short < shortThan || short == shortThan && price < priceThan
}

// costs is how many pods have no place, and the price of an hour of the machines that are to be bought.
func (p *placing) costs(s *State) (short int, price float64) {
	for i := range p.short {
		short += p.short[i].count
	}
	for k, n := range p.buy {
		price += cmp.Or(s.Pools[k].PricePerHour, unknownPrice) * float64(n)
	}
	return short, price
}

// view is State with its cross-references looked up once: positions instead of ids.
type view struct {
	// podsOf and podsOn are positions in State.Pods, by position of the workload and of the node.
	podsOf, podsOn [][]int32
	// waiting are the pods without a node that belong to no workload of ours.
	waiting []int32
	// workloadOf and nodeOf are the positions of each pod's workload and node, or -1.
	workloadOf, nodeOf []int32
	// ready is the number of Ready pods by workload, live those that are not leaving.
	ready, live []int
	// poolOf is the position of each node's pool, or -1.
	poolOf []int32
	// groupOf is the position of each pool's group, or -1; members are the pools of each.
	groupOf []int32
	members [][]int
	// free is the room left on each node after its pods and the daemons that are still to come.
	free []Resources
	// busy is the number of pods on each node that keep it from being empty.
	busy []int
	// instances is, by pool, how many machines there are or were ordered; leaving ones do not count, nor, while the pool is
	// known to be out of stock, those that could not be started.
	instances []int
	// there is, by pool, the machines that exist, without those that are leaving or only ordered.
	there []int
	// fresh is the room on a new machine of each pool once its daemons run.
	fresh []Resources
	// surplus are the nodes that their pool has beyond its bound.
	surplus []bool
	// room is the free room of the ready nodes, roomOf their positions; made when first asked for.
	room   *pack.Bins
	roomOf []int
	// machines and offers are nodes and pools as the scheduler sees them; the rest is made by indexed.
	machines, offers []fit.Node
	cluster          *fit.Cluster
	classes          map[*fit.Pod]int
	lastOf           []known // by workload
	daemonClasses    []int
	// memos are what is remembered, by node; changed when the replicas were last changed, by workload.
	memos   []NodeMemo
	changed []time.Time
	// renew is why a node in use is to be replaced, disrupted how many of a pool are on their way out.
	renew     []LeaveReason
	disrupted []int
	// saving: a node in use is being saved.
	saving bool
	// reaches: some pod keeps others away from more than its own node.
	reaches bool
	// moving is how many pods of a workload are on nodes that they are to leave; surging, that others are started first.
	moving  []int
	surging []bool
}

func look(s *State) *view {
	v := &view{
		workloadOf: make([]int32, len(s.Pods)), nodeOf: make([]int32, len(s.Pods)),
		ready: make([]int, len(s.Workloads)), live: make([]int, len(s.Workloads)),
		poolOf: make([]int32, len(s.Nodes)), free: make([]Resources, len(s.Nodes)), busy: make([]int, len(s.Nodes)),
		memos: make([]NodeMemo, len(s.Nodes)), changed: make([]time.Time, len(s.Workloads)), disrupted: make([]int, len(s.Pools)),
		machines: make([]fit.Node, len(s.Nodes)), offers: make([]fit.Node, len(s.Pools)),
		moving: make([]int, len(s.Workloads)), surging: make([]bool, len(s.Workloads)),
		groupOf: make([]int32, len(s.Pools)), members: make([][]int, len(s.Groups)),
		fresh: make([]Resources, len(s.Pools)), instances: make([]int, len(s.Pools)), there: make([]int, len(s.Pools)),
	}
	workloads := locator(s.Workloads, func(w *Workload) WorkloadID { return w.ID }, len(s.Pods))
	nodes := positions(s.Nodes, func(n *Node) NodeID { return n.ID })
	pools := positions(s.Pools, func(p *Pool) PoolID { return p.ID })
	groups := positions(s.Groups, func(g *Group) GroupID { return g.ID })
	for k := range s.Pools {
		if v.groupOf[k] = find(groups, s.Pools[k].Group); v.groupOf[k] >= 0 {
			v.members[v.groupOf[k]] = append(v.members[v.groupOf[k]], k)
		}
	}
	for i := range s.Nodes {
		v.poolOf[i] = find(pools, s.Nodes[i].Pool)
		v.machines[i] = machineOf(&s.Nodes[i])
		v.free[i] = s.Nodes[i].Allocatable
		if k := v.poolOf[i]; k >= 0 && s.Nodes[i].Phase != Leaving {
			v.instances[k]++
			if s.Nodes[i].Instance != "" {
				v.there[k]++
			}
		}
	}
	for k := range s.Pools {
		v.offers[k] = offerOf(&s.Pools[k])
		if s.Pools[k].StockOut == "" || s.Pools[k].Unknown != "" {
			v.instances[k] = max(v.instances[k], s.Pools[k].Target)
		}
	}
	for i := range s.Pods {
		v.workloadOf[i], v.nodeOf[i] = workloads(s.Pods[i].Workload), find(nodes, s.Pods[i].Node)
		v.addPod(&s.Pods[i], i)
	}
	v.podsOf, v.podsOn = gather(v.workloadOf, len(s.Workloads)), gather(v.nodeOf, len(s.Nodes))
	v.remember(s)
	v.reserveDaemons(s)
	v.surplus = surplusNodes(s, v)
	return v
}

// remember lines the memo up with the nodes and workloads that are there.
func (v *view) remember(s *State) {
	k := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		for k < len(s.Memo.Nodes) && s.Memo.Nodes[k].ID < n.ID {
			k++
		}
		if k < len(s.Memo.Nodes) && s.Memo.Nodes[k].ID == n.ID {
			v.memos[i] = s.Memo.Nodes[k]
		}
		if pool := v.poolOf[i]; pool >= 0 && n.Draining && n.Phase != Leaving {
			v.disrupted[pool]++
		}
	}
	k = 0
	for i := range s.Workloads {
		for k < len(s.Memo.Workloads) && s.Memo.Workloads[k].ID < s.Workloads[i].ID {
			k++
		}
		if k < len(s.Memo.Workloads) && s.Memo.Workloads[k].ID == s.Workloads[i].ID {
			v.changed[i] = s.Memo.Workloads[k].Changed
		}
	}
}

func (v *view) addPod(p *Pod, i int) {
	v.reaches = v.reaches || reaches(p.Shape.Rules)
	if workload := v.workloadOf[i]; workload >= 0 {
		if p.Phase != Leaving {
			v.live[workload]++
		}
		if p.Phase == Ready {
			v.ready[workload]++
		}
	} else if p.Node == "" && p.Phase == Pending && p.Daemon == "" {
		v.waiting = append(v.waiting, int32(i))
	}
	if node := v.nodeOf[i]; node >= 0 {
		v.free[node] = v.free[node].Minus(p.Shape.Needs)
		if p.Daemon == "" && !p.Mirror {
			v.busy[node]++
		}
	}
}

// gather lists, for each of n owners, the positions that name it in rising order. All lists share one array, and none has room
// for more, so that appending to one copies it.
func gather(owners []int32, n int) [][]int32 {
	counts := make([]int32, n)
	total := int32(0)
	for _, o := range owners {
		if o >= 0 {
			counts[o]++
			total++
		}
	}
	all, lists := make([]int32, total), make([][]int32, n)
	total = 0
	for o, count := range counts {
		lists[o] = all[total : total : total+count]
		total += count
	}
	for i, o := range owners {
		if o >= 0 {
			lists[o] = append(lists[o], int32(i))
		}
	}
	return lists
}

// reserveDaemons keeps room for daemons on new machines, and on nodes where they have not arrived yet, so that no other
// pod takes it first (aws/karpenter-provider-aws#9269).
func (v *view) reserveDaemons(s *State) {
	for k := range s.Daemons {
		daemon := &s.Daemons[k]
		for i := range s.Nodes {
			if runs(&daemon.Shape, &v.machines[i]) && !v.hasDaemon(s, i, daemon.ID) {
				v.free[i] = v.free[i].Minus(daemon.Shape.Needs)
			}
		}
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		v.fresh[i] = p.Allocatable
		for k := range s.Daemons {
			if runs(&s.Daemons[k].Shape, &v.offers[i]) {
				v.fresh[i] = v.fresh[i].Minus(s.Daemons[k].Shape.Needs)
			}
		}
	}
}

// readyRoom are the nodes that a pod could be bound to now.
func (v *view) readyRoom(s *State) *pack.Bins {
	var free []Resources
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Phase == Ready && !n.Cordoned && !n.Draining {
			free, v.roomOf = append(free, v.free[i]), append(v.roomOf, i)
		}
	}
	return pack.NewBins(free)
}

func (v *view) hasDaemon(s *State, node int, daemon string) bool {
	for _, i := range v.podsOn[node] {
		if s.Pods[i].Daemon == daemon {
			return true
		}
	}
	return false
}

// positions maps ids to their place in a list; it is only asked, never ranged over.
func positions[T any, ID cmp.Ordered](list []T, id func(*T) ID) map[ID]int32 {
	m := make(map[ID]int32, len(list))
	for i := range list {
		m[id(&list[i])] = int32(i)
	}
	return m
}

// locator finds the place of an id in a sorted list: by a map when it is asked often, else by halving.
func locator[T any, ID cmp.Ordered](list []T, id func(*T) ID, asked int) func(ID) int32 {
	if asked*8 >= len(list) {
		m := positions(list, id)
		return func(want ID) int32 { return find(m, want) }
	}
	return func(want ID) int32 {
		i := sort.Search(len(list), func(i int) bool { return id(&list[i]) >= want })
		if i < len(list) && id(&list[i]) == want {
			return int32(i)
		}
		return -1
	}
}

func find[ID cmp.Ordered](m map[ID]int32, id ID) int32 {
	if i, ok := m[id]; ok {
		return i
	}
	return -1
}
