package autoscaler

import (
	"cmp"
	"slices"
	"time"
)

const (
	// tryEvery is how often one node is looked at for whether its pods fit elsewhere, and triesAtOnce how many are in one
	// plan: a bound on steps, not on time.
	tryEvery    = 10 * time.Second
	triesAtOnce = 1
	// defaultShare of a pool's nodes, and at least one, may leave at a time where no budget says more: Karpenter's 10 %.
	defaultShare = 10
	// unwellShare of a pool's nodes, and at least one, may be repaired; with more of them the trouble is not the nodes'
	// (Karpenter: node repair stops above 20 %).
	unwellShare = 5
	// Cluster Autoscaler stops at more than 45 % and more than 3 nodes that are not ready: then nothing is taken away.
	unwellPercent, unwellNodes = 45, 3
)

// leaving says why a node that is in use is on its way out; empty when it is not, or when nobody remembers: then its
// drain is cancelled.
func (v *view) leaving(i int) LeaveReason { return v.memos[i].Leaving }

// renewals chooses the nodes in use that are to be replaced for their own sake: those that are too old and those that
// are not as their pool says. Their pods get room elsewhere first, bought if need be. With keep, those that were to be saved
// are forgotten, which ends their drain.
func (v *view) renewals(s *State, keep bool) {
	v.renew = make([]LeaveReason, len(s.Nodes))
	for i := range s.Nodes {
		n, k := &s.Nodes[i], v.poolOf[i]
		if k < 0 || n.Phase != Ready {
			continue
		}
		if why := v.leaving(i); why != "" && n.Draining {
			if saved := why == LeaveUnderused; saved && keep {
				v.memos[i].Leaving = ""
			} else {
				v.saving = v.saving || saved
				v.moveOn(s, i)
			}
			continue
		}
		if n.Draining || n.Keep != "" || v.busy[i] == 0 || s.Pools[k].Unknown != "" || !v.calm(s, i, time.Minute) || v.heldPod(s, i) != "" {
			continue
		}
		why := LeaveReason("")
		switch d := &s.Pools[k].Disruption; {
		case n.Drifted != "":
			why = LeaveDrifted
		case v.replacing(s, i) && d.ConsolidateAfter > 0:
			why = LeaveUnderused
		case d.ExpireAfter > 0 && !n.Since.IsZero() && s.Now.Sub(n.Since) >= d.ExpireAfter:
			why = LeaveExpired
		default:
			continue
		}
		if v.budget(s, int(k), why) > 0 {
			v.renew[i] = why
			v.disrupted[k]++
		}
	}
}

// moveOn counts the pods that are to leave a node that was marked.
func (v *view) moveOn(s *State, node int) {
	v.renew[node] = v.leaving(node)
	for _, at := range v.movable(s, node) {
		if w := v.workloadOf[at]; w >= 0 {
			v.moving[w]++
		}
	}
}

// budget is how many more nodes of a pool, or of its group, may begin to leave for a reason.
func (v *view) budget(s *State, pool int, why LeaveReason) int {
	budgets := s.Pools[pool].Disruption.Budgets
	most := -1
	for _, b := range budgets {
		if (b.For == "" || b.For == why) && (most < 0 || b.Nodes < most) {
			most = b.Nodes
		}
	}
	if most < 0 {
		all := sum(v.instances, v.peers(pool))
		if most = max(1, all/defaultShare); why == LeaveEmpty {
			most = all // nobody is disturbed
		}
	}
	return most - sum(v.disrupted, v.peers(pool))
}

// calm says that nothing has changed on a node for a while: no pod came, none is starting or leaving, and no workload
// with a pod there is being scaled or rolled out (aws/karpenter-provider-aws#3059).
func (v *view) calm(s *State, node int, since time.Duration) bool {
	before := s.Now.Add(-since)
	for _, k := range v.podsOn[node] {
		p := &s.Pods[k]
		if p.Daemon != "" || p.Mirror {
			continue
		}
		if p.Phase != Ready || p.Since.After(before) {
			return false
		}
		if w := v.workloadOf[k]; w >= 0 && !v.settled(s, int(w), before) {
			return false
		}
	}
	return true
}

func (v *view) settled(s *State, workload int, before time.Time) bool {
	return v.live[workload] == v.ready[workload] && s.Workloads[workload].Replicas == v.live[workload] &&
		!v.changed[workload].After(before)
}

// heldPod is what keeps a pod on the node from being moved now; empty when nothing does.
func (v *view) heldPod(s *State, node int) string {
	for _, k := range v.podsOn[node] {
		if p := &s.Pods[k]; p.Keep != "" && p.Daemon == "" && !p.Mirror {
			return string(p.ID) + ": " + p.Keep
		}
	}
	return ""
}

// movable is the node's pods that would have to run elsewhere if it went.
func (v *view) movable(s *State, node int) []int32 {
	var pods []int32
	for _, k := range v.podsOn[node] {
		if p := &s.Pods[k]; p.Daemon == "" && !p.Mirror && p.Phase != Leaving {
			pods = append(pods, k)
		}
	}
	return pods
}

// unwell says that so many nodes are not ready that the trouble is likely elsewhere (a zone, the network): then nothing
// that is there is taken away.
func (v *view) unwell(s *State) bool {
	joined, unready := 0, 0
	for i := range s.Nodes {
		switch s.Nodes[i].Phase {
		case Ready:
			joined++
		case NotReady:
			joined++
			unready++
		}
	}
	return unready > unwellNodes && unready*100 > joined*unwellPercent
}

// consolidate looks for a node in use whose pods have room on others and that is worth emptying. It is asked at most
// triesAtOnce times in a plan, of the nodes that are the least used.
func (r *drainer) consolidate() {
	tried := 0
	list := r.candidates()
	for at, i := range list {
		if tried == triesAtOnce {
			return
		}
		tried++
		r.tried[i] = r.s.Now
		n, k := &r.s.Nodes[i], r.v.poolOf[i]
		gain, cost := r.gain(i), r.cost(i)
		d := Drain{Node: n.ID, Step: Stay}
		if gain <= cost {
			d.Why = Reason{Rule: NotWorthMoving, Observed: gain, Bound: cost}
			r.drains = append(r.drains, d)
			continue
		}
		switch d.Why = r.elsewhere(i); d.Why.Rule {
		case NoRoomElsewhere:
			for n, x := r.replace(list[at:]); n > 0; n-- {
				other := list[at+n-1]
				r.tried[other], r.v.memos[other].ReplaceBy = r.s.Now, x.by
				why := Reason{Rule: CheaperKind, Observed: x.saves, Bound: x.cost, Subject: string(x.by)}
				if d.Why = why; n > 1 {
					r.drains = append(r.drains, Drain{Node: r.s.Nodes[other].ID, Step: Stay, Why: why})
				}
			}
		case 0:
			r.leaving[k]++
			r.v.disrupted[k]++
			r.why[i] = LeaveUnderused
			d.Step, d.Why = Cordon, Reason{Rule: Underused, Observed: gain, Bound: cost}
		}
		r.drains = append(r.drains, d)
	}
}

// candidates are the nodes that may be emptied to save them, the least used first.
func (r *drainer) candidates() []int {
	var list []int
	for i := range r.s.Nodes {
		n, k := &r.s.Nodes[i], r.v.poolOf[i]
		if k < 0 || n.Phase != Ready || n.Draining || n.Cordoned || n.Keep != "" || r.v.busy[i] == 0 || r.placed.taken[i] > 0 || r.v.renew[i] != "" {
			continue
		}
		pool := &r.s.Pools[k]
		after := pool.Disruption.ConsolidateAfter
		if after <= 0 || pool.Unknown != "" || r.placed.buying || r.v.surplus[i] || r.s.Now.Before(r.tried[i].Add(tryEvery)) ||
			!r.spared(int(k)) || r.v.budget(r.s, int(k), LeaveUnderused) <= 0 ||
			!r.v.calm(r.s, i, after) || r.v.heldPod(r.s, i) != "" {
			continue
		}
		list = append(list, i)
	}
	slices.SortStableFunc(list, func(a, b int) int {
		return cmp.Or(cmp.Compare(r.tried[a].Unix(), r.tried[b].Unix()), cmp.Compare(r.v.inFlight(r.s, a), r.v.inFlight(r.s, b)), cmp.Compare(r.v.busy[a], r.v.busy[b]))
	})
	return list
}

// spared says that a pool could do with a node less.
func (r *drainer) spared(pool int) bool {
	n, _ := r.v.spare(r.s, pool, r.leaving)
	return n > 0
}

func (v *view) inFlight(s *State, node int) int {
	n := 0
	for _, k := range v.podsOn[node] {
		n += s.Pods[k].InFlight
	}
	return n
}

const (
	// leastLife and mostLife bound for how long a node is expected not to be needed again.
	leastLife, mostLife = time.Minute, 24 * time.Hour
	// unknownPrice is of a node and hour where no price is known: all that is compared then has the same unit.
	unknownPrice = 1.0
)

// gain is what giving the node back saves over the time that it is expected not to be needed again. What has not changed
// for some time is expected to stay as it is for as long again (Lindy's law, Gott, Nature 363, 1993), within bounds.
func (r *drainer) gain(i int) float64 {
	return cmp.Or(r.s.Pools[r.v.poolOf[i]].PricePerHour, unknownPrice) * r.life(i).Hours()
}

// life is how long a node is expected to be as it is.
func (r *drainer) life(i int) time.Duration {
	since := r.s.Nodes[i].Since
	for _, k := range r.v.movable(r.s, i) {
		if at := r.s.Pods[k].Since; at.After(since) {
			since = at
		}
		if w := r.v.workloadOf[k]; w >= 0 && r.v.changed[w].After(since) {
			since = r.v.changed[w]
		}
	}
	return min(max(r.s.Now.Sub(since), leastLife), mostLife)
}

// cost is what moving the node's pods costs: each runs twice for the time of its start, and the requests that it would
// have taken in that time may wait, at the price of waiting.
func (r *drainer) cost(i int) float64 {
	pool, k := &r.s.Pools[r.v.poolOf[i]], r.v.poolOf[i]
	price := cmp.Or(pool.PricePerHour, unknownPrice)
	sum := 0.0
	for _, at := range r.v.movable(r.s, i) {
		p := &r.s.Pods[at]
		start, slots := defaultStart, 1.0
		q := waitQuantile
		if w := r.v.workloadOf[at]; w >= 0 {
			start = r.s.Workloads[w].Start
			z := sizer{s: r.s, v: r.v, at: int(w), w: &r.s.Workloads[w]}
			slots = z.perPod()
			q, _ = z.criticalRatio()
		}
		share := 1 / float64(max(1, r.v.fresh[k].Count(p.Shape.Needs, 1<<20)))
		hours := start.Hours() * price * share
		sum += hours * (1 + float64(p.InFlight)/slots*q/(1-q))
	}
	return sum
}
