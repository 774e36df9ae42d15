package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultTarget is the concurrency wanted per pod when neither a target nor a limit is given.
const DefaultTarget = 100

// Default fills what is absent, as the API server does from the schema. Objects built from annotations need it.
func (s *PodAutoscalerSpec) Default() {
	fill(&s.TargetRef.APIVersion, "apps/v1")
	fill(&s.TargetRef.Kind, "Deployment")
	fill(&s.Concurrency.Utilization, 70)
	fill(&s.Replicas.Activation, 1)
	fill(&s.Policy, PolicyWholescale)
	fill(&s.Objective.Wait, every(300*time.Millisecond))
	for i := range s.Schedule {
		fill(&s.Schedule[i].TimeZone, "UTC")
	}
	fill(&s.Windows.Stable, every(time.Minute))
	fill(&s.Windows.PanicPercentage, new(10.0))
	fill(&s.Windows.PanicThreshold, new(200.0))
	fill(&s.Windows.ScaleDownDelay, every(0))
	fill(&s.Windows.ZeroRetention, every(0))
	fill(&s.Rates.Up, new(1000.0))
	fill(&s.Rates.Down, new(2.0))
	fill(&s.BurstCapacity, new(int32(211)))
	fill(&s.Timeouts.Hold, every(time.Minute))
}

// Default fills what is absent, as the API server does from the schema.
func (s *NodePoolSpec) Default() {
	fill(&s.Join, every(time.Minute))
	fill(&s.IdleAfter, every(30*time.Second))
	fill(&s.Disruption.ConsolidateAfter, every(2*time.Minute))
	fill(&s.Disruption.RepairAfter, every(10*time.Minute))
	for i := range s.PriceCaps {
		fill(&s.PriceCaps[i].TimeZone, "UTC")
	}
	for i := range s.Disruption.Budgets {
		fill(&s.Disruption.Budgets[i].TimeZone, "UTC")
	}
}

// TargetPerPod is the concurrency wanted per pod at full use: the target, or the limit, or DefaultTarget.
func (c Concurrency) TargetPerPod() float64 {
	switch {
	case c.Target != nil:
		return *c.Target
	case c.Limit > 0:
		return float64(c.Limit)
	}
	return DefaultTarget
}

func fill[T comparable](field *T, value T) {
	var absent T
	if *field == absent {
		*field = value
	}
}

func every(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
