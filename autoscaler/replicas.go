package autoscaler

import (
	"time"
)

// replicas decides how many replicas each workload should have.
func replicas(s *State, v *view) ([]Scale, []WorkloadMemo) {
	scales := make([]Scale, len(s.Workloads))
	memos := make([]WorkloadMemo, len(s.Workloads))
	z := sizer{s: s, v: v, pages: &pages{size: min(pageReasons, reasonsEach*len(s.Workloads))}} // one for all: most of it is room for reasons
	k := 0
	for i := range s.Workloads {
		w := &s.Workloads[i]
		for k < len(s.Memo.Workloads) && s.Memo.Workloads[k].ID < w.ID {
			k++
		}
		z.at, z.w, z.ready, z.held = i, w, v.ready[i], 0
		z.rules, z.lost = 0, z.lost[:0]
		if k < len(s.Memo.Workloads) && s.Memo.Workloads[k].ID == w.ID {
			z.memo = s.Memo.Workloads[k]
		} else {
			z.memo = FirstMemo(w.ID, z.ready, s.Now)
		}
		scales[i] = z.scale()
		memos[i] = z.memo
	}
	return scales, memos
}

// sizer decides the replicas of one workload.
type sizer struct {
	s     *State
	v     *view
	at    int // position of the workload
	w     *Workload
	ready int
	memo  WorkloadMemo
	// held is by how many replicas settle keeps more than are wanted.
	held  int
	pages *pages
	wish
}

// pages are room for the reasons of many workloads, taken a page at a time.
type pages struct {
	size int
	left []Reason
}

// A page holds as many reasons as all workloads usually have, but no more than pageReasons.
const pageReasons, reasonsEach = 4096, 4

// write puts a wish's reasons on a page.
func (p *pages) write(w *wish) []Reason {
	need := w.rules + len(w.lost)
	if len(p.left) < need {
		p.left = make([]Reason, max(p.size, need))
	}
	list := w.reasons(p.left[:0:need])
	p.left = p.left[need:]
	return list
}

func (z *sizer) scale() Scale {
	w, p := z.w, &z.w.Policy
	if w.Blocked != "" {
		z.become(w.Replicas, Reason{Rule: Blocked, Subject: w.Blocked})
		return Scale{Workload: w.ID, From: w.Replicas, To: w.Replicas, Why: z.pages.write(&z.wish)}
	}
	excess := decideKPA(p, z.ready, &w.Demand, z.s.Now, &z.memo, &z.wish)
	if p.Name == KPA {
		z.wake()
	} else {
		z.objective()
	}
	if w.Demand.Stale && z.replicas < w.Replicas {
		z.become(w.Replicas, Reason{Rule: DemandStale})
	}
	z.zero()
	if p.Name != KPA {
		z.tolerate()
		z.settle()
		z.ramp()
	}
	z.bounds()
	z.surge()
	if z.replicas != w.Replicas {
		z.memo.Changed = z.s.Now
	}
	if z.replicas > w.Replicas {
		z.memo.Raised = z.s.Now
	}
	return Scale{Workload: w.ID, From: w.Replicas, To: z.replicas, Excess: excess, Why: z.pages.write(&z.wish)}
}

// wake starts a replica for the first request, before any average shows it, as Knative's activator does.
func (z *sizer) wake() {
	if z.w.Demand.Queued > 0 && z.replicas == 0 {
		z.become(1, Reason{Rule: QueuedDemand, Observed: float64(z.w.Demand.Queued), Bound: z.w.Policy.Total})
	}
}

// zero keeps the last replica for a while after the last request: for as long as a cold start is expected to cost more
// than keeping it, once the workload's idle times are known, and until then for a stable window.
func (z *sizer) zero() {
	w := z.w
	many := w.Replicas > max(1, w.Policy.Min)
	if z.replicas > 1 && many && z.replicas <= w.Replicas {
		return
	}
	wait, rule := w.Policy.StableWindow, ZeroWait
	keep, known := z.keepIdle()
	if known {
		wait, rule = keep, GapWait
	}
	wait += w.Policy.ZeroRetention
	until := w.Demand.IdleSince.Add(wait)
	idle := !w.Demand.IdleSince.IsZero()
	switch over := idle && !z.s.Now.Before(until); {
	case z.replicas > 0 && over && known && !w.Demand.Stale:
		// The averages still see demand that is known to be over; nor do they bring back what went because of that, or add to
		// what there is for another reason.
		to := 0
		if z.replicas > 1 && many {
			to = w.Replicas
		}
		z.become(to, Reason{Rule: GapsLong, Bound: wait.Seconds()})
	case w.Replicas == 0 || z.replicas > 0:
	case !idle:
		z.become(1, Reason{Rule: ZeroWait, Bound: wait.Seconds()})
	case !over:
		z.become(1, Reason{Rule: rule, Bound: wait.Seconds(), At: until})
	}
}

// tolerate leaves the replicas as they are for a difference that is not worth a change.
func (z *sizer) tolerate() {
	from := z.w.Replicas
	if from == 0 || z.replicas == 0 || z.replicas == from || z.w.Demand.Queued > 0 {
		return
	}
	if apart := float64(max(z.replicas-from, from-z.replicas)); apart <= z.w.Policy.Tolerance*float64(from) {
		z.become(from, Reason{Rule: Tolerated, Observed: float64(z.replicas), Bound: 100 * z.w.Policy.Tolerance})
	}
}

// ramp bounds how many replicas are added in one period.
func (z *sizer) ramp() {
	r := z.w.Policy.Ramp
	if r.Replicas <= 0 || r.Period <= 0 {
		return
	}
	if z.memo.RampAt.IsZero() || !z.s.Now.Before(z.memo.RampAt.Add(r.Period)) || z.w.Replicas < z.memo.RampFrom {
		z.memo.RampAt, z.memo.RampFrom = z.s.Now, z.w.Replicas
	}
	if most := max(z.memo.RampFrom+r.Replicas, z.w.Replicas); z.replicas > most {
		z.become(most, Reason{Rule: RampBound, Bound: float64(r.Replicas), At: z.memo.RampAt.Add(r.Period)})
	}
}

// bounds holds the wish within what the person allows, floors first and the most last.
func (z *sizer) bounds() {
	w, p := z.w, &z.w.Policy
	if !w.Initialized && z.replicas < p.Initial {
		z.become(p.Initial, Reason{Rule: InitialLeast, Bound: float64(p.Initial)})
	}
	if z.replicas < p.Min {
		z.become(p.Min, Reason{Rule: MinBound, Bound: float64(p.Min)})
	}
	for _, f := range p.Floors {
		// The replicas serve when the floor begins, not when it has begun.
		if ahead := f.From.Add(-z.v.lead(z.s, z.at)); z.replicas < f.Replicas && !z.s.Now.Before(ahead) && z.s.Now.Before(f.Until) {
			z.become(f.Replicas, Reason{Rule: FloorBound, Bound: float64(f.Replicas), Subject: f.Name, At: f.Until})
		}
	}
	z.oneStep()
	if p.Max > 0 && z.replicas > p.Max {
		z.become(p.Max, Reason{Rule: MaxBound, Bound: float64(p.Max)})
	}
}

// surge starts replacements for pods on nodes that they are to leave before those go: they are wanted beside them until
// they serve. Then the scale falls back, and the pods on the node are those that leave.
func (z *sizer) surge() {
	k := z.v.moving[z.at]
	if k == 0 || z.replicas == 0 {
		return
	}
	base := z.replicas - z.held // what is held up may be replacements that were started before
	most := base + k
	if p := &z.w.Policy; p.Max > 0 {
		most = min(most, p.Max)
	}
	if most > base {
		z.v.surging[z.at] = true
		if most > z.replicas && z.ready-k < base {
			z.become(most, Reason{Rule: MoveFirst, Observed: float64(k)})
		}
	}
}

// oneStep lowers once a tick. The rates bound one step, and drivers plan whenever anything changes: without this, a step
// would follow the other within milliseconds, as each makes pods leave.
func (z *sizer) oneStep() {
	switch {
	case z.replicas >= z.w.Replicas:
	case z.s.Now.Before(z.memo.Lowered.Add(Tick)):
		z.become(z.w.Replicas, Reason{Rule: StepTaken})
	default:
		z.memo.Lowered = z.s.Now
	}
}

// lead is how long one more replica takes until it serves: its start and, when it has no room now, the join of a node.
func (v *view) lead(s *State, workload int) time.Duration {
	w := &s.Workloads[workload]
	if v.roomNow(s, &w.Shape) {
		return w.Start
	}
	join := time.Duration(-1)
	for k := range s.Pools {
		p := &s.Pools[k]
		if p.Unknown == "" && (join < 0 || p.Join < join) && v.fresh[k].Holds(w.Shape.Needs) && runs(&w.Shape, &v.offers[k]) {
			join = p.Join
		}
	}
	return max(join, 0) + w.Start
}

// roomTries bounds the search for a node that has room and also suits the pod's rules.
const roomTries = 16

// roomNow says that a ready node has room for one more pod of the shape.
func (v *view) roomNow(s *State, shape *Shape) bool {
	if v.room == nil {
		v.room = v.readyRoom(s)
	}
	at := -1
	for range roomTries {
		if at = v.room.Next(shape.Needs, at+1); at < 0 {
			return false
		}
		if runs(shape, &v.machines[v.roomOf[at]]) {
			return true
		}
	}
	return false
}
