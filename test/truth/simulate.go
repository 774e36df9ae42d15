package truth

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/cloudprovider"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
)

// chances is how many runs of the model stand beside a real one. A real run is one of many that could have been: when within
// a second gateway and controller tick decides whether a replica more is wanted, and that whether there is a node more.
const chances = 41

// Simulated are the model's runs beside a real one, which differ in their seed alone.
type Simulated struct{ Runs []report.Run }

// Simulate replays the requests as they were sent, with the delays and service times that were measured.
func Simulate(c *Scenario, m Measured) (s Simulated, err error) {
	config, err := c.config(&m)
	if err != nil {
		return s, err
	}
	for seed := range uint64(chances) {
		config.Seed = seed + 1
		r, err := simulator.Run(config)
		if err != nil {
			return s, err
		}
		s.Runs = append(s.Runs, r.Run)
	}
	return s, nil
}

// Typical is the run in the middle of all by what was there, without the figures that a real run has none of.
func (s Simulated) Typical() report.Run {
	runs := slices.Clone(s.Runs)
	slices.SortStableFunc(runs, func(a, b report.Run) int {
		return cmp.Compare(a.Summary.PodSeconds+a.Summary.NodeSeconds, b.Summary.PodSeconds+b.Summary.NodeSeconds)
	})
	typical := runs[len(runs)/2]
	typical.Figures = nil
	return typical
}

// config is the model of the scenario. What a real controller is not told before it learns it, the model is not told.
func (c *Scenario) config(m *Measured) (simulator.Config, error) {
	spec := v1alpha1.PodAutoscalerSpec{
		TargetRef: v1alpha1.TargetRef{Name: c.Workload}, Concurrency: v1alpha1.Concurrency{Limit: int32(c.Slots)},
		Windows: v1alpha1.Windows{Stable: &metav1.Duration{Duration: c.Window}},
	}
	settings, err := controller.SettingsOf(&spec)
	if err != nil {
		return simulator.Config{}, fmt.Errorf("the scenario's workload: %w", err)
	}
	object := v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: pool}, Spec: v1alpha1.NodePoolSpec{
		Provider: v1alpha1.ProviderRef{Pool: pool}, Nodes: v1alpha1.Bounds{Max: int32(c.Nodes)}, IdleAfter: &metav1.Duration{Duration: c.IdleAfter},
	}}
	machines, err := controller.PoolOf(&object, cloudprovider.Pool{
		ID: pool, PricePerHour: c.PricePerHour, PriceKnown: true, Allocatable: cloudprovider.Resources{CPUMillis: nodeCPU, MemoryBytes: nodeMemory, Pods: nodePods},
	}, time.Time{})
	if err != nil {
		return simulator.Config{}, fmt.Errorf("the scenario's machines: %w", err)
	}
	t := &m.Times
	w := simulator.Workload{
		Workload: autoscaler.Workload{
			ID: autoscaler.WorkloadID(namespace + "/" + c.Workload), Policy: settings.Policy, Start: unlearnedStart,
			Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: podCPU, Memory: podMemory, Pods: 1}},
		},
		PodStart: measured(t.Serve, t.Ready), Hold: settings.Hold,
	}
	w.Ready = measured(t.Ready)
	requests := make([]trace.Request, len(m.Sent))
	for i := range requests {
		requests[i] = trace.Request{At: m.Sent[i], Service: m.Service[i]}
	}
	slices.SortStableFunc(requests, func(a, b trace.Request) int { return cmp.Compare(a.At, b.At) })
	return simulator.Config{
		Workloads: []simulator.Workload{w},
		Pools:     []simulator.Pool{{Pool: machines, Join: measured(t.Join)}},
		Delays: simulator.Delays{
			Write: measured(t.Scale), Order: measured(t.Buy), Create: measured(t.Create), Bind: measured(t.Bind, t.Create), Stop: measured(t.Stop), Delete: measured(t.Delete),
		},
		Requests: requests,
	}, nil
}

// unlearnedStart is what the core assumes of a workload that it has never seen start.
const unlearnedStart = 5 * time.Second

// measured is the first list that has anything as a delay, in its order; no delay when none has.
func measured(lists ...[]time.Duration) simulator.Delay {
	for _, list := range lists {
		if len(list) > 0 {
			return simulator.Delay{Spread: simulator.Recorded, Samples: list}
		}
	}
	return simulator.Delay{}
}
