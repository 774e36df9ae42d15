package simulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/trace"
)

func config(requests []trace.Request) simulator.Config {
	return simulator.Config{
		Workloads: []simulator.Workload{{
			Workload: autoscaler.Workload{
				ID: "demo/chat", Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 1000, Memory: 1 << 30, Pods: 1}},
				Policy: autoscaler.Policy{
					Name: autoscaler.Wholescale, Target: 2.8, Total: 4, Slots: 4, Max: 40, StableWindow: 10 * time.Second, PanicWindow: time.Second,
					PanicThreshold: 2, UpRate: 1000, DownRate: 2,
				},
			},
			PodStart: simulator.Delay{Mean: 500 * time.Millisecond, Deviation: 100 * time.Millisecond},
		}},
		Pools: []simulator.Pool{{
			Pool: autoscaler.Pool{ID: "spot", Allocatable: autoscaler.Resources{CPU: 4000, Memory: 16 << 30, Pods: 20}, Max: 10, PricePerHour: 0.12, IdleAfter: 5 * time.Second},
			Join: simulator.Delay{Mean: 4 * time.Second, Deviation: time.Second},
		}},
		Requests: requests, Log: true,
	}
}

// sample is 100 seconds of the shipped trace, around its first burst.
func sample(t testing.TB) []trace.Request {
	all, err := trace.AzureLLMSample(trace.DefaultServiceModel)
	if err != nil {
		t.Fatal(err)
	}
	return trace.Slice(all, 5*time.Minute, 100*time.Second)
}

func TestFromZeroToZero(t *testing.T) {
	r, err := simulator.Run(config(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Summary
	if s.Requests == 0 || s.Answered != s.Requests || s.Errors != 0 {
		t.Errorf("%d requests, %d answered, %d errors: each is answered", s.Requests, s.Answered, s.Errors)
	}
	if s.PodsAtEnd != 0 || s.NodesAtEnd != 0 || s.NodesMax == 0 {
		t.Errorf("%d pods and %d nodes at the end, %d nodes at most: back to zero", s.PodsAtEnd, s.NodesAtEnd, s.NodesMax)
	}
	if s.FirstAnswerMs < 2500 {
		t.Errorf("first answer after %v ms, before a node could have joined and a pod started", s.FirstAnswerMs)
	}
	if !strings.Contains(r.Decisions, "PlacementShort") || !strings.Contains(r.Decisions, "NodesLeave") {
		t.Error("the decision log shows neither a purchase nor a node given back")
	}
}

func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	first, err := simulator.Run(config(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := simulator.Run(config(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
	other := config(sample(t))
	other.Seed = 2
	third, err := simulator.Run(other)
	if err != nil {
		t.Fatal(err)
	}
	if first.Decisions == third.Decisions {
		t.Error("another seed gives the same run: chance has no effect")
	}
}

func TestNothingIsLostWhenTheHoldEnds(t *testing.T) {
	c := config(sample(t))
	c.Workloads[0].Hold = 2 * time.Second
	r, err := simulator.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Summary; s.Answered+s.Errors != s.Requests || s.Errors == 0 {
		t.Errorf("%d answered and %d errors of %d requests: each has one outcome, and some were held too long", s.Answered, s.Errors, s.Requests)
	}
}

func TestLongQuietCostsNoTicks(t *testing.T) {
	c := config([]trace.Request{{At: 0, Service: time.Second}, {At: 25 * time.Hour, Service: time.Second}})
	r, err := simulator.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Summary.Answered != 2 {
		t.Errorf("%d answered: after 25 idle hours a request starts everything again", r.Summary.Answered)
	}
	if n := len(r.Series); n > 300 {
		t.Errorf("%d points for two short bursts: the quiet between them should have none", n)
	}
}

func BenchmarkRun(b *testing.B) {
	all, err := trace.AzureLLMSample(trace.DefaultServiceModel)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := simulator.Run(config(all)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds(), "requests/s")
}
