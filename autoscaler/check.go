package autoscaler

import (
	"fmt"
	"math"
)

// Violation is one thing in a Decision that must never be done.
type Violation struct {
	Subject string // an id
	Rule    string // the invariant, as a sentence
	Detail  string
}

func (v Violation) String() string { return v.Subject + ": " + v.Rule + " (" + v.Detail + ")" }

// Check judges a Decision by the State it was made from, and shares no code with Plan. A driver that gets a violation
// acts on nothing. The invariants are those of docs/architecture.md, "What must never happen".
func Check(s State, d Decision) []Violation {
	c := checker{s: s, d: d}
	c.count()
	c.scales()
	c.placements()
	c.orders()
	c.drains()
	c.costs()
	c.holds()
	c.moves()
	c.saves()
	c.prices()
	c.groups()
	c.rules()
	return c.found
}

type checker struct {
	s     State
	d     Decision
	found []Violation

	workloads map[WorkloadID]int
	nodes     map[NodeID]int
	pods      map[PodID]int       // made by pod
	bound     []int               // pods with a node, not leaving, by position of the workload
	live      []int               // pods not leaving, likewise
	used      []Resources         // by pods bound, by position of the node
	busy      []PodID             // one pod that keeps the node from being empty, likewise
	firsts    map[WorkloadID]bool // one of them was taken to be the first of its kind
}

// count looks the state over once, in its own way.
func (c *checker) count() {
	c.workloads, c.nodes = make(map[WorkloadID]int, len(c.s.Workloads)), make(map[NodeID]int, len(c.s.Nodes))
	c.bound, c.live = make([]int, len(c.s.Workloads)), make([]int, len(c.s.Workloads))
	c.used, c.busy = make([]Resources, len(c.s.Nodes)), make([]PodID, len(c.s.Nodes))
	for i, w := range c.s.Workloads {
		c.workloads[w.ID] = i
	}
	for i, n := range c.s.Nodes {
		c.nodes[n.ID] = i
	}
	for i := range c.s.Pods {
		p := &c.s.Pods[i]
		if w, there := c.workloads[p.Workload]; there && p.Phase != Leaving {
			c.live[w]++
			if p.Node != "" {
				c.bound[w]++
			}
		}
		at, there := c.nodes[p.Node]
		if !there {
			continue
		}
		u, need := c.used[at], p.Shape.Needs
		c.used[at] = Resources{CPU: u.CPU + need.CPU, Memory: u.Memory + need.Memory, Pods: u.Pods + need.Pods}
		if p.Daemon == "" && !p.Mirror {
			c.busy[at] = p.ID
		}
	}
}

func (c *checker) say(subject any, rule, detail string, args ...any) {
	c.found = append(c.found, Violation{Subject: fmt.Sprint(subject), Rule: rule, Detail: fmt.Sprintf(detail, args...)})
}

func (c *checker) scales() {
	if len(c.d.Scales) != len(c.s.Workloads) {
		c.say("scales", "each workload gets one decision", "%d for %d", len(c.d.Scales), len(c.s.Workloads))
		return
	}
	for i, w := range c.s.Workloads {
		sc := c.d.Scales[i]
		switch {
		case sc.Workload != w.ID || sc.From != w.Replicas:
			c.say(w.ID, "a decision is about the state it was made from", "%s from %d", sc.Workload, sc.From)
		case len(sc.Why) == 0:
			c.say(w.ID, "each decision has a reason", "%d -> %d", sc.From, sc.To)
		case w.Blocked != "" && sc.To != w.Replicas:
			c.say(w.ID, "what is blocked is left alone", "%d -> %d", sc.From, sc.To)
		case w.Blocked != "":
		case sc.To < w.Policy.Min || sc.To < 0:
			c.say(w.ID, "replicas stay within their bounds", "%d below %d", sc.To, w.Policy.Min)
		case w.Policy.Max > 0 && sc.To > w.Policy.Max:
			c.say(w.ID, "replicas stay within their bounds", "%d above %d", sc.To, w.Policy.Max)
		case w.Demand.Stale && sc.To < w.Replicas && (w.Policy.Max == 0 || sc.To < w.Policy.Max):
			c.say(w.ID, "unknown demand lowers nothing", "%d -> %d", sc.From, sc.To)
		case sc.To == 0 && w.Demand.Queued > 0:
			c.say(w.ID, "a workload with requests held has a replica", "%d held", w.Demand.Queued)
		case sc.To == 0 && w.Replicas > 0 && w.Demand.InFlight > 0:
			c.say(w.ID, "a busy workload does not go to zero", "%d in flight", w.Demand.InFlight)
		}
	}
}

// placements: what is put on a node has room there, next to what is there.
func (c *checker) placements() {
	planned := map[NodeID]Resources{}
	for _, p := range c.d.Placements {
		shape, known := c.shapeOf(p.Workload)
		count := p.Unplaced
		for _, spot := range p.Spots {
			count += spot.Count
			if spot.Count <= 0 {
				c.say(p.Workload, "a spot holds pods", "%d", spot.Count)
			}
			if !known {
				continue
			}
			if shape.Rules != nil {
				c.bearsSpot(p.Workload, shape.Rules, &spot)
			}
			if spot.Node == "" {
				continue
			}
			sum := planned[spot.Node]
			k := int64(spot.Count)
			planned[spot.Node] = Resources{
				CPU: sum.CPU + k*shape.Needs.CPU, Memory: sum.Memory + k*shape.Needs.Memory, Pods: sum.Pods + k*shape.Needs.Pods,
			}
		}
		if p.Unplaced > 0 && p.Why.Rule == 0 {
			c.say(p.Workload, "each decision has a reason", "%d unplaced", p.Unplaced)
		}
		if p.Leaving == "" && p.Buffer == "" {
			c.placedCount(p, count)
		}
	}
	for at, n := range c.s.Nodes {
		want, ok := planned[n.ID]
		if !ok {
			continue
		}
		delete(planned, n.ID)
		if n.Phase != Ready && n.Phase != Coming || n.Cordoned {
			c.say(n.ID, "pods are placed on nodes that take them", "phase %d, cordoned %v", n.Phase, n.Cordoned)
		}
		used := c.used[at]
		free := Resources{CPU: n.Allocatable.CPU - used.CPU, Memory: n.Allocatable.Memory - used.Memory, Pods: n.Allocatable.Pods - used.Pods}
		if want.CPU > max(free.CPU, 0) || want.Memory > max(free.Memory, 0) || want.Pods > max(free.Pods, 0) {
			c.say(n.ID, "a node is not filled beyond its room", "%v into %v", want, free)
		}
	}
	if len(planned) > 0 {
		c.say("placements", "pods are placed on nodes that are there", "%d unknown nodes", len(planned))
	}
}

// placedCount: each replica that is wanted and has no node is placed or said to be unplaced, once.
func (c *checker) placedCount(p Placement, count int) {
	i, ok := c.workloads[p.Workload]
	if !ok || i >= len(c.d.Scales) {
		return
	}
	if want := c.d.Scales[i].To - c.bound[i]; count != want {
		c.say(p.Workload, "each replica is placed once", "%d placed, %d without a node", count, want)
	}
}

func (c *checker) shapeOf(id WorkloadID) (Shape, bool) {
	if i, ok := c.workloads[id]; ok {
		return c.s.Workloads[i].Shape, true
	}
	return Shape{}, false
}

func (c *checker) orders() {
	if len(c.d.Orders) != len(c.s.Pools) {
		c.say("orders", "each pool gets one order", "%d for %d", len(c.d.Orders), len(c.s.Pools))
		return
	}
	for i, p := range c.s.Pools {
		o := c.d.Orders[i]
		there := 0
		for _, n := range c.s.Nodes {
			if n.Pool == p.ID && n.Instance != "" && n.Phase != Leaving {
				there++
			}
		}
		switch {
		case o.Pool != p.ID || o.From != p.Target:
			c.say(p.ID, "an order is about the state it was made from", "%s from %d", o.Pool, o.From)
		case len(o.Why) == 0:
			c.say(p.ID, "each decision has a reason", "%d -> %d", o.From, o.To)
		case p.Unknown != "" && (o.To != p.Target || len(o.Delete) > 0):
			c.say(p.ID, "an unknown pool is left as it is", "%d -> %d", o.From, o.To)
		case o.To > max(p.Max, p.Target, there):
			c.say(p.ID, "a pool grows to its bound at most", "%d above %d", o.To, p.Max)
		case o.To > p.Target && o.To > max(p.Max, p.Min) && p.Unknown == "":
			c.say(p.ID, "a pool grows to its bound at most", "%d above %d", o.To, p.Max)
		case p.Unknown == "" && o.To < min(there, p.Target)-len(o.Delete):
			c.say(p.ID, "no instance ends that was not named", "%d for %d less %d", o.To, there, len(o.Delete))
		case o.To < 0 || o.To < p.Min && o.To < p.Target:
			c.say(p.ID, "a pool shrinks to its bound at most", "%d below %d", o.To, p.Min)
		}
		for _, id := range o.Delete {
			c.deletion(p, id)
		}
	}
}

// deletion: a node that ends is ours, of this pool, marked, and has nothing on it that would be lost.
func (c *checker) deletion(p Pool, id NodeID) {
	i, ok := c.nodes[id]
	if !ok {
		c.say(id, "only nodes that are there end", "not found")
		return
	}
	n := c.s.Nodes[i]
	if n.Pool != p.ID {
		c.say(id, "only nodes of the pool end with it", "node of pool %q in an order of %q", n.Pool, p.ID)
	}
	if n.Phase == Failed || n.Phase == Coming {
		return
	}
	if n.Phase == NotReady {
		c.repair(p, n)
		return
	}
	if !n.Draining || n.Phase != Ready {
		c.say(id, "a node is drained before it ends", "phase %d, draining %v", n.Phase, n.Draining)
	}
	if pod := c.busy[i]; pod != "" {
		c.say(id, "a node that ends is empty", "pod %s", pod)
	}
}

func (c *checker) drains() {
	for _, d := range c.d.Drains {
		i, ok := c.nodes[d.Node]
		if !ok || c.s.Nodes[i].Pool == "" {
			c.say(d.Node, "a node that is not ours is never touched", "step %d", d.Step)
		}
		if ok && c.s.Nodes[i].Keep != "" && c.s.Nodes[i].Phase == Ready && (d.Step == Cordon || d.Step == Evict || d.Step == Delete) {
			c.say(d.Node, "a node marked to be kept does not leave", "%s", c.s.Nodes[i].Keep)
		}
		if d.Why.Rule == 0 {
			c.say(d.Node, "each decision has a reason", "step %d", d.Step)
		}
		for _, id := range d.Evict {
			c.eviction(d.Node, id)
		}
	}
}

func (c *checker) eviction(node NodeID, id PodID) {
	i, ok := c.pod(id)
	if !ok {
		c.say(id, "only pods that are there are evicted", "not found")
		return
	}
	if p := c.s.Pods[i]; p.Node != node || p.Keep != "" || p.Daemon != "" || p.Mirror {
		c.say(id, "only pods that may move are evicted", "on %q, keep %q", p.Node, p.Keep)
	}
}

// pod finds a pod. Few decisions name any.
func (c *checker) pod(id PodID) (int, bool) {
	if c.pods == nil {
		c.pods = make(map[PodID]int, len(c.s.Pods))
		for i := range c.s.Pods {
			c.pods[c.s.Pods[i].ID] = i
		}
	}
	i, ok := c.pods[id]
	return i, ok
}

func (c *checker) costs() {
	leaving := map[WorkloadID]int{}
	for _, cost := range c.d.Costs {
		if i, ok := c.pod(cost.Pod); ok && cost.Cost < 0 {
			leaving[c.s.Pods[i].Workload]++
		}
	}
	for i, w := range c.s.Workloads {
		if n := leaving[w.ID]; n > 0 && i < len(c.d.Scales) && n > c.live[i]-c.d.Scales[i].To {
			c.say(w.ID, "no more pods are marked than leave", "%d marked, %d to %d", n, c.live[i], c.d.Scales[i].To)
		}
	}
}

func (c *checker) holds() {
	for _, h := range c.d.Holds {
		if h.Refuse && len(h.Arrivals) > 0 {
			c.say(h.Workload, "nobody is refused while room is coming", "%d arrivals", len(h.Arrivals))
		}
		for _, a := range h.Arrivals {
			if a.Slots <= 0 || a.Slots > math.MaxInt32 || a.At.Before(c.s.Now) {
				c.say(h.Workload, "what arrives is room in the future", "%d slots at %s", a.Slots, a.At)
			}
		}
	}
}
