package autoscaler

import (
	"cmp"
	"slices"
)

// LeaveCost is the pod-deletion-cost that we put on a pod that should leave first, and the only one that we take away.
// A ReplicaSet removes pods that are not ready first, and then those of the lowest cost.
const LeaveCost = -1001

// shrink marks the pods that should leave when a workload has more than it should have, and releases those that need
// not leave any more.
func shrink(s *State, v *view, scales []Scale) []Cost {
	var costs []Cost
	for i := range s.Workloads {
		surplus := v.live[i] - scales[i].To
		// When all leave there is nothing to choose.
		if s.Workloads[i].Blocked != "" || scales[i].To == 0 || surplus <= 0 && !v.marked(s, i) {
			continue
		}
		candidates := v.leavingOrder(s, i)
		for k, pod := range candidates {
			p := &s.Pods[pod]
			switch {
			case k < surplus && p.DeletionCost != LeaveCost:
				why := Reason{Rule: LeastBusy, Observed: float64(p.InFlight), Subject: nameOr(string(p.Node), "no node")}
				costs = append(costs, Cost{Pod: p.ID, Cost: LeaveCost, Why: why})
			case k >= surplus && p.DeletionCost == LeaveCost:
				costs = append(costs, Cost{Pod: p.ID, Cost: 0, Why: Reason{Rule: CostReleased}})
			}
		}
	}
	slices.SortFunc(costs, func(a, b Cost) int { return cmp.Compare(a.Pod, b.Pod) })
	return costs
}

func (v *view) marked(s *State, workload int) bool {
	for _, i := range v.podsOf[workload] {
		if s.Pods[i].DeletionCost == LeaveCost && s.Pods[i].Phase != Leaving {
			return true
		}
	}
	return false
}

// leavingOrder is the workload's pods, first those that should leave first: not ready before ready (as a ReplicaSet does
// in any case), then those on a node that they are to leave, then the least busy, then on the node with the fewest pods, which empties soonest, then the newest.
func (v *view) leavingOrder(s *State, workload int) []int32 {
	var order []int32
	for _, i := range v.podsOf[workload] {
		if s.Pods[i].Phase != Leaving {
			order = append(order, i)
		}
	}
	// Pending, Starting and Ready stand in this order in Phase.
	rank := func(p *Pod) Phase { return min(p.Phase, Ready) }
	moves := func(i int32) bool { n := v.nodeOf[i]; return n >= 0 && s.Nodes[n].Draining && v.leaving(int(n)) != "" }
	company := func(i int32) int {
		if n := v.nodeOf[i]; n >= 0 {
			return v.busy[n]
		}
		return 0
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		p, q := &s.Pods[a], &s.Pods[b]
		return cmp.Or(cmp.Compare(rank(p), rank(q)), -compareBool(moves(a), moves(b)), cmp.Compare(p.InFlight, q.InFlight),
			cmp.Compare(company(a), company(b)), cmp.Compare(p.Node, q.Node), q.Since.Compare(p.Since))
	})
	return order
}
