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
	r := drainer{
		s: s, v: v, placed: placed, leaving: make([]int, len(s.Pools)), unready: make([]int, len(s.Pools)), unwell: v.unwell(s),
		why: make([]LeaveReason, len(s.Nodes)), tried: make([]time.Time, len(s.Nodes)),
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if k := v.poolOf[i]; k >= 0 && n.Phase == NotReady {
			r.unready[k]++
		}
		r.why[i], r.tried[i] = v.memos[i].Leaving, v.memos[i].Tried
		if v.poolOf[i] >= 0 && n.Phase != Leaving && (n.Draining || n.Phase == Failed || n.overdue(s.Now)) {
			r.leaving[v.poolOf[i]]++
		}
	}
	for i := range s.Nodes {
		r.consider(i)
	}
	if !r.unwell {
		r.consolidate()
	}
	slices.SortStableFunc(r.drains, func(a, b Drain) int { return cmp.Compare(a.Node, b.Node) })
	return r.drains, r.memory()
}

// memory is what to remember of our nodes.
func (r *drainer) memory() []NodeMemo {
	var memos []NodeMemo
	for i := range r.s.Nodes {
		n := &r.s.Nodes[i]
		if r.v.poolOf[i] < 0 || n.Phase == Leaving {
			continue
		}
		m := NodeMemo{ID: n.ID, Leaving: r.why[i], Tried: r.tried[i]}
		if by := r.v.memos[i].ReplaceBy; by != "" && r.why[i] == "" && (r.tried[i].Equal(r.s.Now) || r.v.replacing(r.s, i)) {
			m.ReplaceBy = by
		}
		if r.v.empty(r.s, i, r.placed) {
			m.EmptySince = r.v.memos[i].EmptySince
			if m.EmptySince.IsZero() {
				m.EmptySince = r.s.Now
			}
		}
		if n.Phase == NotReady {
			m.UnreadySince = r.v.memos[i].UnreadySince
			if m.UnreadySince.IsZero() {
				m.UnreadySince = r.s.Now
			}
		}
		if m != (NodeMemo{ID: n.ID}) {
			memos = append(memos, m)
		}
	}
	return memos
}

// empty says that nothing is on a node and nothing is to come there.
func (v *view) empty(s *State, i int, placed placing) bool {
	return v.busy[i] == 0 && placed.taken[i] == 0 && s.Nodes[i].Phase == Ready
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
	unready []int // nodes that are not ready, by pool
	unwell  bool
	why     []LeaveReason // by node, to be remembered
	tried   []time.Time   // likewise
	drains  []Drain
}

func (r *drainer) consider(i int) {
	n := &r.s.Nodes[i]
	if r.v.poolOf[i] < 0 || n.Phase == Leaving {
		return
	}
	pool := &r.s.Pools[r.v.poolOf[i]]
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
		d.Step, d.Why = r.repair(i, pool)
	case n.Draining:
		d = r.onward(i)
	default:
		d.Step, d.Why = r.begin(i, pool)
		if d.Step == 0 {
			return
		}
	}
	if d.Step == Uncordon {
		r.why[i] = ""
	}
	r.drains = append(r.drains, d)
}

// repair ends a node that has not been ready for long, while few are so; no pod on it can be asked to leave.
func (r *drainer) repair(i int, pool *Pool) (Step, Reason) {
	n, k := &r.s.Nodes[i], int(r.v.poolOf[i])
	after, since := pool.Disruption.RepairAfter, r.v.memos[i].UnreadySince
	unready := r.unready[k]
	switch most := max(1, r.v.instances[k]/unwellShare); {
	case after <= 0:
		return Stay, Reason{Rule: NodeUnknownState}
	case n.Keep != "":
		return Stay, Reason{Rule: NotOurs, Subject: n.Keep}
	case r.unwell || unready > most:
		return Stay, Reason{Rule: TooManyUnready, Observed: float64(unready), Bound: float64(most)}
	case since.IsZero() || r.s.Now.Before(since.Add(after)):
		why := Reason{Rule: NodeUnknownState}
		if !since.IsZero() {
			why = Reason{Rule: UnreadyTooShort, Bound: after.Seconds(), At: since.Add(after)}
		}
		return Stay, why
	case r.v.budget(r.s, k, LeaveUnhealthy) <= 0:
		return Stay, Reason{Rule: BudgetSpent, Subject: string(LeaveUnhealthy)}
	}
	r.v.disrupted[k]++
	return Delete, Reason{Rule: Unhealthy, Bound: after.Seconds(), At: since}
}

// begin decides whether a node in use starts to leave. Step 0 means that the question does not arise: it has pods.
func (r *drainer) begin(i int, pool *Pool) (Step, Reason) {
	if r.v.surplus[i] {
		r.leaving[r.v.poolOf[i]]++
		return Cordon, Reason{Rule: OverMax, Bound: float64(r.v.most(r.s, i))}
	}
	if why := r.v.renew[i]; why != "" {
		return r.beginRenewal(i, why)
	}
	if r.v.busy[i] > 0 {
		return 0, Reason{}
	}
	if r.placed.taken[i] > 0 {
		return Stay, Reason{Rule: NeededForPlace, Observed: float64(r.placed.taken[i])}
	}
	return r.beginEmpty(i, pool)
}

// beginRenewal marks a node once there is room for its pods on others that are ready.
func (r *drainer) beginRenewal(i int, why LeaveReason) (Step, Reason) {
	if waits := r.placed.awaiting[i]; waits > 0 {
		return Stay, Reason{Rule: ReplacementFirst, Observed: float64(waits)}
	}
	r.leaving[r.v.poolOf[i]]++
	r.why[i] = why
	switch why {
	case LeaveDrifted:
		return Cordon, Reason{Rule: Drifted, Subject: r.s.Nodes[i].Drifted}
	case LeaveUnderused:
		return Cordon, Reason{Rule: Replaced, Subject: string(r.v.memos[i].ReplaceBy)}
	}
	return Cordon, Reason{Rule: Expired, Bound: r.s.Pools[r.v.poolOf[i]].Disruption.ExpireAfter.Seconds()}
}

func (r *drainer) beginEmpty(i int, pool *Pool) (Step, Reason) {
	n, k := &r.s.Nodes[i], r.v.poolOf[i]
	emptySince := r.v.memos[i].EmptySince
	if emptySince.IsZero() {
		emptySince = r.s.Now
	}
	spare, least := r.v.spare(r.s, int(k), r.leaving)
	switch until := emptySince.Add(pool.IdleAfter); {
	case n.Keep != "":
		return Stay, Reason{Rule: NotOurs, Subject: n.Keep}
	case spare <= 0:
		return Stay, Reason{Rule: PoolAtMin, Bound: float64(least)}
	case r.s.Now.Before(until):
		return Stay, Reason{Rule: EmptyTooShort, Bound: pool.IdleAfter.Seconds(), At: until}
	case r.unwell:
		return Stay, Reason{Rule: TooManyUnready}
	case r.v.budget(r.s, int(k), LeaveEmpty) <= 0:
		return Stay, Reason{Rule: BudgetSpent, Subject: string(LeaveEmpty)}
	}
	r.leaving[k]++
	r.v.disrupted[k]++
	return Cordon, Reason{Rule: Empty, Bound: pool.IdleAfter.Seconds(), At: emptySince}
}

// onward is the next step of a node that carries our taint.
func (r *drainer) onward(i int) Drain {
	n, k := &r.s.Nodes[i], r.v.poolOf[i]
	d := Drain{Node: n.ID}
	if !r.v.surplus[i] {
		spare, least := r.v.spare(r.s, int(k), r.leaving)
		cancel := Reason{Rule: DrainCancelled, Observed: float64(r.placed.taken[i])}
		switch staying, leaving := r.stay(i); {
		case n.Keep != "":
			r.leaving[k]--
			d.Step, d.Why = Uncordon, Reason{Rule: NotOurs, Subject: n.Keep}
			return d
		case r.placed.taken[i] > 0, staying > 0 && r.why[i] == "":
			r.leaving[k]--
			d.Step, d.Why = Uncordon, cancel
			return d
		case staying > 0:
			return r.moveOut(i, d)
		case spare < 0:
			r.leaving[k]--
			d.Step, d.Why = Uncordon, Reason{Rule: PoolAtMin, Bound: float64(least)}
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

// moveOut empties a node in use without harm: its pods' replacements serve first (see surge), and only pods that cannot
// have one beside them are asked to leave, one of a workload at a time.
func (r *drainer) moveOut(i int, d Drain) Drain {
	if waits := r.placed.awaiting[i]; waits > 0 {
		d.Step, d.Why = Stay, Reason{Rule: ReplacementFirst, Observed: float64(waits)}
		return d
	}
	asked := map[int32]bool{}
	for _, k := range r.v.movable(r.s, i) {
		p, w := &r.s.Pods[k], r.v.workloadOf[k]
		switch {
		case p.Keep != "":
			d.Step, d.Why = Stay, Reason{Rule: EvictionHeld, Subject: string(p.ID) + ": " + p.Keep}
			return d
		case w < 0:
			d.Evict = append(d.Evict, p.ID)
		case !r.v.surging[w] && !asked[w] && r.v.live[w] == r.v.ready[w]:
			asked[w] = true
			d.Evict = append(d.Evict, p.ID)
		}
	}
	d.Step, d.Why = Wait, Reason{Rule: Draining, Observed: float64(r.v.busy[i])}
	if len(d.Evict) > 0 {
		d.Step = Evict
	}
	return d
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

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
