package autoscaler

import (
	"math"
	"slices"
)

// hold says, for each workload with requests held or replicas missing, what room is coming and when.
func hold(s *State, v *view, scales []Scale, placements []Placement) []Hold {
	holds := make([]Hold, 0, len(placements))
	k := 0
	for i := range s.Workloads {
		w := &s.Workloads[i]
		for k < len(placements) && placements[k].Workload < w.ID {
			k++
		}
		var placed Placement
		if k < len(placements) && placements[k].Workload == w.ID {
			placed = placements[k]
		}
		if w.Demand.Queued > 0 || scales[i].To > v.ready[i] {
			holds = append(holds, holdFor(s, v, i, placed))
		}
	}
	return holds
}

func holdFor(s *State, v *view, i int, placed Placement) Hold {
	w := &s.Workloads[i]
	perPod := w.Policy.Slots
	if perPod == 0 {
		perPod = max(1, whole(math.Ceil(w.Policy.Total)))
	}
	h := Hold{Workload: w.ID}
	for _, k := range v.podsOf[i] {
		if p := &s.Pods[k]; p.Phase == Starting {
			h.Arrivals = append(h.Arrivals, Arrival{At: later(s.Now, p.Since.Add(w.Start)), Slots: perPod})
		}
	}
	for _, spot := range placed.Spots {
		h.Arrivals = append(h.Arrivals, Arrival{At: spot.Due.Add(w.Start), Slots: min(spot.Count*perPod, math.MaxInt32)})
	}
	h.Arrivals = joinArrivals(h.Arrivals)
	switch {
	case len(h.Arrivals) > 0:
		h.Why = Reason{Rule: CapacityArriving, At: h.Arrivals[0].At, Observed: float64(h.Arrivals[0].Slots)}
	case v.ready[i] > 0:
		h.Why = Reason{Rule: CapacityReady, Observed: float64(v.ready[i] * perPod)}
	case w.Blocked != "":
		h.Refuse, h.Why = true, Reason{Rule: Blocked, Subject: w.Blocked}
	case placed.Unplaced > 0:
		h.Refuse, h.Why = placed.Why.Rule != PoolsUnknown, placed.Why
	default:
		h.Why = Reason{Rule: NothingArrives}
	}
	return h
}

func joinArrivals(a []Arrival) []Arrival {
	slices.SortFunc(a, func(a, b Arrival) int { return a.At.Compare(b.At) })
	var joined []Arrival
	for _, next := range a {
		if n := len(joined) - 1; n >= 0 && joined[n].At.Equal(next.At) {
			joined[n].Slots = min(joined[n].Slots+next.Slots, math.MaxInt32)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}
