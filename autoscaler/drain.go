package autoscaler

import (
	"cmp"
	"slices"
	"time"
)

// JoinDeadline is how long an instance may take to become a Ready node before it is given up: Cluster Autoscaler's
// max-node-provision-time and Karpenter's registration time-out are the same 15 minutes.
const JoinDeadline = 15 * time.Minute

// drain decides which of our nodes leave and how far each is on its way: marked, emptied, ended.
func drain(s *State, v *view, placed placing) ([]Drain, []NodeMemo) {
	r := drainer{s: s, v: v, placed: placed, leaving: make([]int, len(s.Pools))}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if v.poolOf[i] >= 0 && n.Phase != Leaving && (n.Draining || n.Phase == Failed || n.overdue(s.Now)) {
			r.leaving[v.poolOf[i]]++
		}
	}
	k := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		for k < len(s.Memo.Nodes) && s.Memo.Nodes[k].ID < n.ID {
			k++
		}
		since := s.Now
		if k < len(s.Memo.Nodes) && s.Memo.Nodes[k].ID == n.ID {
			since = s.Memo.Nodes[k].EmptySince
		}
		r.consider(i, since)
	}
	return r.drains, r.memos
}

// overdue says that an instance has had its time to become a Ready node.
func (n *Node) overdue(now time.Time) bool {
	return n.Phase == Coming && n.Instance != "" && !n.Since.IsZero() && now.Sub(n.Since) >= JoinDeadline
}

type drainer struct {
	s       *State
	v       *view
	placed  placing
	leaving []int // nodes that drain, failed or never joined, by pool
	drains  []Drain
	memos   []NodeMemo
}

func (r *drainer) consider(i int, emptySince time.Time) {
	n := &r.s.Nodes[i]
	if r.v.poolOf[i] < 0 || n.Phase == Leaving {
		return
	}
	pool := &r.s.Pools[r.v.poolOf[i]]
	empty := r.v.busy[i] == 0 && r.placed.taken[i] == 0 && n.Phase == Ready
	if empty {
		r.memos = append(r.memos, NodeMemo{ID: n.ID, EmptySince: emptySince})
	}
	d := Drain{Node: n.ID}
	switch {
	case pool.Unknown != "":
		d.Step, d.Why = Stay, Reason{Rule: ProviderUnknown, Subject: pool.Unknown}
	case n.Phase == Failed:
		d.Step, d.Why = Delete, Reason{Rule: InstanceFailed}
	case n.Phase == Coming:
		if !n.overdue(r.s.Now) {
			return
		}
		d.Step, d.Why = Delete, Reason{Rule: NeverJoined, Bound: JoinDeadline.Seconds()}
	case n.Phase == NotReady:
		d.Step, d.Why = Stay, Reason{Rule: NodeUnknownState}
	case n.Draining:
		d = r.onward(i, pool)
	default:
		d.Step, d.Why = r.begin(i, pool, emptySince)
		if d.Step == 0 {
			return
		}
	}
	r.drains = append(r.drains, d)
}

// begin decides whether a node in use starts to leave. Step 0 means that the question does not arise: it has pods.
func (r *drainer) begin(i int, pool *Pool, emptySince time.Time) (Step, Reason) {
	if r.v.surplus[i] {
		r.leaving[r.v.poolOf[i]]++
		return Cordon, Reason{Rule: OverMax, Bound: float64(pool.Max)}
	}
	if r.v.busy[i] > 0 {
		return 0, Reason{}
	}
	if r.placed.taken[i] > 0 {
		return Stay, Reason{Rule: NeededForPlace, Observed: float64(r.placed.taken[i])}
	}
	return r.beginEmpty(i, pool, emptySince)
}

func (r *drainer) beginEmpty(i int, pool *Pool, emptySince time.Time) (Step, Reason) {
	n, k := &r.s.Nodes[i], r.v.poolOf[i]
	switch until := emptySince.Add(pool.IdleAfter); {
	case n.Keep != "":
		return Stay, Reason{Rule: NotOurs, Subject: n.Keep}
	case r.v.instances[k]-r.leaving[k] <= pool.Min:
		return Stay, Reason{Rule: PoolAtMin, Bound: float64(pool.Min)}
	case r.s.Now.Before(until):
		return Stay, Reason{Rule: EmptyTooShort, Bound: pool.IdleAfter.Seconds(), At: until}
	}
	r.leaving[k]++
	return Cordon, Reason{Rule: Empty, Bound: pool.IdleAfter.Seconds(), At: emptySince}
}

// onward is the next step of a node that carries our taint.
func (r *drainer) onward(i int, pool *Pool) Drain {
	n, k := &r.s.Nodes[i], r.v.poolOf[i]
	d := Drain{Node: n.ID}
	if !r.v.surplus[i] {
		cancel := Reason{Rule: DrainCancelled, Observed: float64(r.placed.taken[i])}
		switch staying, leaving := r.stay(i); {
		case n.Keep != "":
			r.leaving[k]--
			d.Step, d.Why = Uncordon, Reason{Rule: NotOurs, Subject: n.Keep}
			return d
		case r.placed.taken[i] > 0, staying > 0:
			r.leaving[k]--
			d.Step, d.Why = Uncordon, cancel
			return d
		case r.v.instances[k]-r.leaving[k] < pool.Min:
			r.leaving[k]--
			d.Step, d.Why = Uncordon, Reason{Rule: PoolAtMin, Bound: float64(pool.Min)}
			return d
		case leaving > 0:
			d.Step, d.Why = Wait, Reason{Rule: Draining, Observed: float64(leaving)}
			return d
		}
	}
	if r.v.busy[i] == 0 {
		d.Step, d.Why = Delete, Reason{Rule: Drained}
		return d
	}
	return r.empty(i, d)
}

// empty asks the pods that are left to leave.
func (r *drainer) empty(i int, d Drain) Drain {
	held := Reason{}
	for _, k := range r.v.podsOn[i] {
		switch p := &r.s.Pods[k]; {
		case p.Daemon != "" || p.Mirror || p.Phase == Leaving:
		case p.Keep != "":
			held = Reason{Rule: EvictionHeld, Subject: string(p.ID) + ": " + p.Keep}
		default:
			d.Evict = append(d.Evict, p.ID)
		}
	}
	switch {
	case len(d.Evict) > 0:
		d.Step, d.Why = Evict, Reason{Rule: Draining, Observed: float64(len(d.Evict))}
	case held.Rule != 0:
		d.Step, d.Why = Stay, held
	default:
		d.Step, d.Why = Wait, Reason{Rule: Draining, Observed: float64(r.v.busy[i])}
	}
	return d
}

// stay counts the pods on a node that keep it from being empty, apart those that are leaving it already.
func (r *drainer) stay(i int) (staying, leaving int) {
	for _, k := range r.v.podsOn[i] {
		switch p := &r.s.Pods[k]; {
		case p.Daemon != "" || p.Mirror:
		case p.Phase == Leaving:
			leaving++
		default:
			staying++
		}
	}
	return staying, leaving
}

// surplusNodes are the nodes that a pool has beyond its bound and that may leave: those that were only ordered, as their
// order is taken back, and of the ready ones those that drain already, then the ones with the fewest pods.
func surplusNodes(s *State, v *view) []bool {
	surplus := make([]bool, len(s.Nodes))
	for k := range s.Pools {
		if s.Pools[k].Unknown != "" {
			continue
		}
		over := v.there[k] - s.Pools[k].Max
		ordered := max(0, -over)
		var ready []int
		for i := range s.Nodes {
			switch n := &s.Nodes[i]; {
			case v.poolOf[i] != int32(k):
			case n.Phase == Coming && n.Instance == "":
				ordered--
				surplus[i] = ordered < 0
			case n.Phase == Failed, n.overdue(s.Now):
				over-- // it ends by itself
			case n.Phase == Ready && n.Keep == "":
				ready = append(ready, i)
			}
		}
		slices.SortStableFunc(ready, func(a, b int) int {
			return cmp.Or(-compareBool(s.Nodes[a].Draining, s.Nodes[b].Draining), cmp.Compare(v.busy[a], v.busy[b]))
		})
		for _, i := range ready[:max(0, min(over, len(ready)))] {
			surplus[i] = true
		}
	}
	return surplus
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
