package autoscaler_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
)

// TestSteadyIsSteady: whatever a workload of one replica was asked before, a plan leaves it at one for as long as it is said
// to be steady; and most of the time it is said so.
func TestSteadyIsSteady(t *testing.T) {
	steady, plans := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := autoscaler.NewMemory()
		c := oneWorkload("ns/w")
		p := &c.Workloads[0].Policy
		*p = autoscaler.Policy{
			Name: autoscaler.Wholescale, Target: 2.8, Total: 4, Slots: 4, Activation: 1, UpRate: 1000, DownRate: 2, PanicThreshold: 2,
			StableWindow:  rapid.SampledFrom([]time.Duration{10 * time.Second, time.Minute}).Draw(t, "window"),
			ZeroRetention: rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(t, "retention"),
		}
		p.PanicWindow = max(2*time.Second, p.StableWindow/10)
		p.Objective.Wait = rapid.SampledFrom([]time.Duration{0, 300 * time.Millisecond, 3 * time.Second}).Draw(t, "wait")
		c.Workloads[0].Shape.Needs = autoscaler.Resources{CPU: 1000, Memory: 1 << 30, Pods: 1}
		c.Workloads[0].Replicas, c.Workloads[0].Initialized = 1, true
		c.Pools = []autoscaler.Pool{{ID: "p", Max: 4, Target: 1, Allocatable: autoscaler.Resources{CPU: 4000, Memory: 16 << 30, Pods: 20}, PricePerHour: 0.1, IdleAfter: time.Minute}}
		c.Nodes = []autoscaler.Node{{ID: "n", Pool: "p", Instance: "i", Phase: autoscaler.Ready, Allocatable: c.Pools[0].Allocatable}}
		c.Pods = []autoscaler.Pod{{ID: "ns/w-1", Workload: "ns/w", Node: "n", Phase: autoscaler.Ready, Shape: c.Workloads[0].Shape}}
		most := rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "most")
		every := rapid.SampledFrom([]int{2, 10, 40}).Draw(t, "every")
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chance"), 0))
		until := time.Time{} // as it was last said
		for n := 1; n <= 300; n++ {
			load := autoscaler.Load{}
			if chance.IntN(every) == 0 {
				in := 1 + chance.IntN(most)
				load = autoscaler.Load{Concurrency: chance.Float64() * float64(in), Arrivals: in, Ended: in, Service: time.Second}
				if chance.IntN(2) == 0 {
					load.Pods = []autoscaler.PodLoad{{ID: "ns/w-1", InFlight: in}}
				}
			}
			report(m, float64(n), load)
			if now := second(float64(n)); load.Arrivals > 0 || !now.Before(until) {
				until = m.Steady(now, &c.Workloads[0], len(load.Pods) > 0)
			}
			says := second(float64(n)).Before(until)
			d := autoscaler.Plan(m.State(second(float64(n)), fresh(c)))
			plans++
			if says {
				if steady++; d.Scales[0].To != 1 {
					t.Fatalf("at %d s, after what was said to be steady: %s", n, autoscaler.Describe(d, true))
				}
			}
			if d.Scales[0].To != 1 {
				return
			}
			m.Keep(d)
		}
	})
	t.Logf("%d of %d are steady", steady, plans)
	if steady < plans/2 {
		t.Errorf("%d of %d are steady", steady, plans)
	}
}

// fresh is a copy that Memory may fill in.
func fresh(c autoscaler.Cluster) autoscaler.Cluster {
	c.Workloads = append([]autoscaler.Workload(nil), c.Workloads...)
	c.Pods = append([]autoscaler.Pod(nil), c.Pods...)
	c.Nodes = append([]autoscaler.Node(nil), c.Nodes...)
	c.Pools = append([]autoscaler.Pool(nil), c.Pools...)
	return c
}
