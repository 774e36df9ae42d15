package simulator

import (
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/window"
)

// knative is Knative Serving's pod autoscaler, by autoscaler.DecideKPA, which test/conformance holds to Knative's own
// answers, with what stands around it in Knative:
//
//   - a decision every 2 s (pkg/autoscaler/scaling/multiscaler.go, tickInterval), and at once when the activator
//     reports a request for a revision that is at zero (multiscaler.go, Poke);
//   - at zero only after the stable window was empty and the grace period is over, which the activator's probe ends at
//     once here (pkg/reconciler/autoscaling/kpa/scaler.go, handleScaleToZero);
//   - one replica for a request that waits at zero (pkg/activator/handler/concurrency_reporter.go).
type knative struct{ s *simulation }

type kpaMemory struct {
	memo             autoscaler.WorkloadMemo
	stable, panicked *window.Average
}

const knativeTick = 2 * time.Second

// every is the second in which Knative's collector takes its averages (pkg/autoscaler/metrics/collector.go, scrapeTickInterval).
func (k *knative) every() time.Duration { return time.Second }

func (k *knative) wake(w *workload) int {
	if w.replicas > 0 {
		return -1
	}
	return max(1, w.Policy.Activation)
}

func (k *knative) wish(w *workload) int {
	s, m, now := k.s, &w.rival.kpa, k.s.clock()
	if m.stable == nil {
		m.stable, m.panicked = window.New(w.Policy.StableWindow), window.New(w.Policy.PanicWindow)
		m.memo = autoscaler.FirstMemo(w.ID, w.ready, now)
		return w.replicas
	}
	second := now.Add(-time.Nanosecond) // the one that ends now
	average := w.rival.average(s.now)
	m.stable.Add(second, average)
	m.panicked.Add(second, average)
	if !s.due(knativeTick) {
		return w.replicas
	}
	demand := autoscaler.Demand{Stable: m.stable.Mean(second), Panic: m.panicked.Mean(second)}
	n, _, next := autoscaler.DecideKPA(w.Policy, w.ready, demand, now, m.memo)
	m.memo = next
	if n == 0 && (w.busy() > 0 || s.now < w.focus.lastBusy+w.Policy.StableWindow+w.Policy.ZeroRetention) {
		n = min(1, w.replicas)
	}
	if n == 0 && w.queued() > 0 {
		n = 1
	}
	return n
}
