package autoscaler

import (
	"math"
	"time"

	"github.com/wholescale/wholescale/autoscaler/window"
)

// delayGranularity is the step in which scale-down delays are kept: Knative's tick.
const delayGranularity = 2 * time.Second

// mostRules is how many rules shape one wish at most; what would be more is left out, the first ones first.
const mostRules = 12

// wish is a number of replicas on its way through the rules, with those that shaped it, the deciding one last, and with the
// proposals that did not win. It holds them itself: a million workloads are decided without an allocation for each.
type wish struct {
	replicas int
	rules    int
	shaped   [mostRules]Reason
	lost     []Reason
}

// become takes another number because of a rule; the rules that it overrules stay behind it.
func (w *wish) become(n int, r Reason) {
	r.Result = n
	w.replicas = n
	if w.rules == mostRules {
		copy(w.shaped[:], w.shaped[1:])
		w.rules--
	}
	w.shaped[w.rules] = r
	w.rules++
}

// decider is the rule that decided last.
func (w *wish) decider() Reason { return w.shaped[w.rules-1] }

// beside notes a proposal that did not win.
func (w *wish) beside(r Reason) { w.lost = append(w.lost, r) }

// reasons appends the deciding rule, those it overruled, and the proposals beside them.
func (w *wish) reasons(to []Reason) []Reason {
	for i := w.rules - 1; i >= 0; i-- {
		to = append(to, w.shaped[i])
	}
	return append(to, w.lost...)
}

// FirstMemo is the memory of a workload that is seen for the first time. With more than one replica ready it starts in
// panic, so that a new process with an empty window takes nothing away before it knows better (Knative:
// pkg/autoscaler/scaling, newAutoscaler).
func FirstMemo(id WorkloadID, ready int, now time.Time) WorkloadMemo {
	m := WorkloadMemo{ID: id, PanicReplicas: ready}
	if ready > 1 {
		m.PanicSince = now
	}
	return m
}

// DecideKPA is one decision of Knative's rules alone, without the bounds and waits that Plan puts around it: what
// test/conformance holds to Knative's own answers.
func DecideKPA(p Policy, ready int, d Demand, now time.Time, m WorkloadMemo) (replicas, excess int, next WorkloadMemo) {
	var w wish
	excess = decideKPA(&p, ready, &d, now, &m, &w)
	return w.replicas, excess, m
}

// decideKPA is one decision of Knative's pod autoscaler (pkg/autoscaler/scaling/autoscaler.go, Scale): replicas, the
// excess burst capacity in requests, and the memory for the next call. What is large is passed by pointer and written in place:
// a million workloads are a million of these.
func decideKPA(p *Policy, ready int, d *Demand, now time.Time, m *WorkloadMemo, w *wish) (excess int) {
	pods := math.Max(1, float64(ready))
	atMost := math.Ceil(p.UpRate * pods)
	atLeast := 0.0
	if !p.Unreachable {
		atLeast = math.Floor(pods / p.DownRate)
	}
	wantStable := math.Ceil(d.Stable / p.Target)
	wantPanic := math.Ceil(d.Panic / p.Target)

	stable, panicked := clamped(wantStable, atLeast, atMost, p.Activation), clamped(wantPanic, atLeast, atMost, p.Activation)

	over := wantPanic/pods >= p.PanicThreshold
	switch {
	case over:
		m.PanicSince = now
	case !m.PanicSince.IsZero() && m.PanicSince.Add(p.StableWindow).Before(now):
		m.PanicSince, m.PanicReplicas = time.Time{}, 0
	}
	if !m.PanicSince.IsZero() && panicked > stable {
		w.clamp(averageRule(PanicDemand, d.Panic, p.Target, wantPanic), wantPanic, atLeast, atMost, p.Activation)
	} else {
		w.clamp(averageRule(StableDemand, d.Stable, p.Target, wantStable), wantStable, atLeast, atMost, p.Activation)
	}
	if !m.PanicSince.IsZero() {
		// While in panic replicas only grow.
		if w.replicas < m.PanicReplicas {
			w.become(m.PanicReplicas, Reason{Rule: PanicDemand, Observed: d.Panic, Bound: p.Target, At: m.PanicSince})
		}
		m.PanicReplicas = w.replicas
	}
	if !p.Unreachable && p.ScaleDownDelay > 0 {
		var most int
		most, m.Peaks = window.Largest(m.Peaks, now, w.replicas, p.ScaleDownDelay, delayGranularity)
		if most != w.replicas {
			w.become(most, Reason{Rule: DelayedDown, Bound: p.ScaleDownDelay.Seconds()})
		}
	}
	return excessCapacity(p, ready, d.Panic)
}

func averageRule(rule Rule, average, target, want float64) Reason {
	if average == 0 {
		rule = NoDemand
	}
	return Reason{Rule: rule, Observed: average, Bound: target, Result: whole(want)}
}

// clamp holds a wish within one step's rates, then lifts it to the activation scale when there is any demand.
func (w *wish) clamp(why Reason, want, atLeast, atMost float64, activation int) {
	w.become(whole(want), why)
	if n := math.Max(want, atLeast); n != want {
		w.become(whole(n), Reason{Rule: DownRateBound, Bound: atLeast})
	}
	if float64(w.replicas) > atMost {
		w.become(whole(atMost), Reason{Rule: UpRateBound, Bound: atMost})
	}
	if activation > 1 && want > 0 && activation > w.replicas {
		w.become(activation, Reason{Rule: ActivationLeast, Bound: float64(activation)})
	}
}

// clamped is the number that clamp comes to.
func clamped(want, atLeast, atMost float64, activation int) int {
	n := whole(math.Min(math.Max(want, atLeast), atMost))
	if activation > 1 && want > 0 {
		n = max(n, activation)
	}
	return n
}

// whole is a number of replicas; beyond what Kubernetes can hold, there is no more.
func whole(f float64) int { return int(math.Min(f, math.MaxInt32)) }

func excessCapacity(p *Policy, ready int, inFlight float64) int {
	switch {
	case p.BurstCapacity == 0:
		return 0
	case p.BurstCapacity < 0:
		return -1
	}
	return int(math.Floor(float64(ready)*p.Total - p.BurstCapacity - inFlight))
}
