package simulator

import (
	"math"
	"time"
)

// hpa is Kubernetes' HorizontalPodAutoscaler (autoscaling/v2) on the requests held and in flight, as an external metric
// with an average value. Sources are of kubernetes/kubernetes v1.37.2, read on
// 2026-11-25, pkg/controller/podautoscaler unless said otherwise:
//
//   - every 15 s (config/v1alpha1/defaults.go, HorizontalPodAutoscalerSyncPeriod);
//   - ceil(metric / target), and no change within 10 % (replica_calculator.go, GetExternalPerPodMetricReplicas;
//     HorizontalPodAutoscalerTolerance);
//   - down to the largest wish of the last 300 s (horizontal.go, stabilizeRecommendationWithBehaviors;
//     HorizontalPodAutoscalerDownscaleStabilization), up without a window;
//   - up by the larger of 4 pods and 100 % in 15 s, down by 100 % in 15 s (pkg/apis/autoscaling/v2/defaults.go,
//     defaultHPAScaleUpRules and defaultHPAScaleDownRules; horizontal.go, calculateScaleUpLimitWithScalingRules);
//   - one replica at least (spec.minReplicas), as nothing of HPA's holds a request while there is none.
//
// The metric is the average over the 15 s before, and at least as fresh as any metrics pipeline has it: Delays.Metrics
// makes it older.
type hpa struct{ s *simulation }

type hpaMemory struct {
	wishes []timedCount // of the last 300 s
	ups    []timedCount // replicas added in the last 15 s
	stale  []timedValue // averages that are not old enough to be seen
	seen   float64
}

type timedCount struct {
	at time.Duration
	n  int
}

type timedValue struct {
	at time.Duration
	v  float64
}

const (
	hpaTolerance = 0.1
	hpaDown      = 300 * time.Second
	hpaPeriod    = 15 * time.Second
	hpaUpPods    = 4
)

func (h *hpa) every() time.Duration { return hpaPeriod }
func (h *hpa) wake(*workload) int   { return -1 }

func (h *hpa) wish(w *workload) int {
	now, m := h.s.now, &w.rival.hpa
	m.stale = append(m.stale, timedValue{now, w.rival.average(now)})
	for len(m.stale) > 0 && m.stale[0].at+h.s.Delays.Metrics <= now {
		m.seen, m.stale = m.stale[0].v, m.stale[1:]
	}
	current := w.replicas
	if current == 0 {
		return 1
	}
	want := current
	if math.Abs(1-m.seen/(w.Policy.Target*float64(current))) > hpaTolerance {
		want = int(math.Ceil(m.seen / w.Policy.Target))
	}
	want = m.stabilise(now, want, current)
	want = m.limitUp(now, want, current)
	return max(want, 1)
}

// stabilise lowers to the largest wish of the last 300 s at most.
func (m *hpaMemory) stabilise(now time.Duration, want, current int) int {
	for len(m.wishes) > 0 && m.wishes[0].at <= now-hpaDown {
		m.wishes = m.wishes[1:]
	}
	m.wishes = append(m.wishes, timedCount{now, want})
	if want >= current {
		return want
	}
	most := want
	for _, w := range m.wishes {
		most = max(most, w.n)
	}
	return min(most, current)
}

// limitUp adds at most the larger of 4 pods and as many as there were, in 15 s.
func (m *hpaMemory) limitUp(now time.Duration, want, current int) int {
	for len(m.ups) > 0 && m.ups[0].at <= now-hpaPeriod {
		m.ups = m.ups[1:]
	}
	added := 0
	for _, u := range m.ups {
		added += u.n
	}
	from := current - added
	want = min(want, max(from+hpaUpPods, 2*from))
	if want > current {
		m.ups = append(m.ups, timedCount{now, want - current})
	}
	return want
}
