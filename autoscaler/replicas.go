package autoscaler

import (
	"math"
	"time"
)

// replicas decides how many replicas each workload should have.
func replicas(s *State, v *view) ([]Scale, []WorkloadMemo) {
	scales := make([]Scale, len(s.Workloads))
	memos := make([]WorkloadMemo, len(s.Workloads))
	k := 0
	for i := range s.Workloads {
		w := &s.Workloads[i]
		for k < len(s.Memo.Workloads) && s.Memo.Workloads[k].ID < w.ID {
			k++
		}
		memo := FirstMemo(w.ID, v.ready[i], s.Now)
		if k < len(s.Memo.Workloads) && s.Memo.Workloads[k].ID == w.ID {
			memo = s.Memo.Workloads[k]
		}
		scales[i], memos[i] = scale(w, v.ready[i], s.Now, memo)
	}
	return scales, memos
}

func scale(w *Workload, ready int, now time.Time, memo WorkloadMemo) (Scale, WorkloadMemo) {
	if w.Blocked != "" {
		why := []Reason{{Rule: Blocked, Subject: w.Blocked, Result: w.Replicas}}
		return Scale{Workload: w.ID, From: w.Replicas, To: w.Replicas, Why: why}, memo
	}
	p := &w.Policy
	n, excess, next := decideKPA(*p, ready, w.Demand, now, memo)
	if p.Name != KPA {
		queuedDemand(&n, p, &w.Demand)
	} else if w.Demand.Queued > 0 && n.replicas == 0 {
		// Knative's activator wakes a revision for the first request, before any average shows it.
		n.become(1, Reason{Rule: QueuedDemand, Observed: float64(w.Demand.Queued), Bound: p.Total})
	}
	if w.Demand.Stale && n.replicas < w.Replicas {
		n.become(w.Replicas, Reason{Rule: DemandStale})
	}
	zeroWait(&n, w, now)
	if !w.Initialized && n.replicas < p.Initial {
		n.become(p.Initial, Reason{Rule: InitialLeast, Bound: float64(p.Initial)})
	}
	if n.replicas < p.Min {
		n.become(p.Min, Reason{Rule: MinBound, Bound: float64(p.Min)})
	}
	oneStep(&n, w, now, &next)
	if p.Max > 0 && n.replicas > p.Max {
		n.become(p.Max, Reason{Rule: MaxBound, Bound: float64(p.Max)})
	}
	return Scale{Workload: w.ID, From: w.Replicas, To: n.replicas, Excess: excess, Why: n.why}, next
}

// queuedDemand gives each held and in-flight request room now. The windows see a burst only as an average over seconds;
// a request that waits cannot wait for that.
func queuedDemand(n *wish, p *Policy, d *Demand) {
	if d.Queued == 0 {
		return
	}
	perPod := p.Total
	if p.Slots > 0 {
		perPod = math.Min(perPod, float64(p.Slots))
	}
	requests := float64(d.Queued + d.InFlight)
	if need := whole(math.Ceil(requests / perPod)); need > n.replicas {
		n.become(need, Reason{Rule: QueuedDemand, Observed: requests, Bound: perPod})
	}
}

// oneStep lowers once a tick. The rates bound one step, and drivers plan whenever anything changes: without this, a step
// would follow the other within milliseconds, as each makes pods leave.
func oneStep(n *wish, w *Workload, now time.Time, m *WorkloadMemo) {
	switch {
	case n.replicas >= w.Replicas:
	case now.Before(m.Lowered.Add(Tick)):
		n.become(w.Replicas, Reason{Rule: StepTaken})
	default:
		m.Lowered = now
	}
}

// zeroWait keeps the last replica until the workload has been idle for a stable window and its retention.
func zeroWait(n *wish, w *Workload, now time.Time) {
	if n.replicas > 0 || w.Replicas == 0 {
		return
	}
	wait := w.Policy.StableWindow + w.Policy.ZeroRetention
	idle := w.Demand.IdleSince
	if idle.IsZero() {
		n.become(1, Reason{Rule: ZeroWait, Bound: wait.Seconds()})
	} else if until := idle.Add(wait); now.Before(until) {
		n.become(1, Reason{Rule: ZeroWait, Bound: wait.Seconds(), At: until})
	}
}
