package autoscaler_test

import (
	"testing"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// report is one second up to n, of requests that were served, held or both.
func report(m *autoscaler.Memory, n float64, l autoscaler.Load) {
	l.ID = "ns/w"
	m.Observe(autoscaler.Observation{At: second(n), Gateway: "a", Interval: time.Second, Workloads: []autoscaler.Load{l}})
}

func TestRateAndServiceTimeAreLearned(t *testing.T) {
	m := autoscaler.NewMemory()
	for n := 1.0; n <= 20; n++ {
		report(m, n, autoscaler.Load{Concurrency: 2, Arrivals: 20, Ended: 20, Service: 2 * time.Second})
	}
	d := demandAt(m, 20)
	if d.Rate != 20 || d.Service != 100*time.Millisecond || d.Deviation != 0 {
		t.Errorf("%+v: 20 a second of 100 ms, without spread", d)
	}
	for n := 21.0; n <= 40; n++ {
		report(m, n, autoscaler.Load{Concurrency: 6})
	}
	if d = demandAt(m, 40); d.Rate != 0 || d.Service != 100*time.Millisecond || d.Deviation < 1.9 || d.Deviation > 2.1 {
		t.Errorf("%+v: half of the seconds at 2 and half at 6 deviate by 2; the service time is kept", d)
	}
}

func TestGapsAreBetweenTheLastRequestAndTheNext(t *testing.T) {
	m := autoscaler.NewMemory()
	for n := 1.0; n <= 200; n++ {
		load := autoscaler.Load{}
		if int(n)%40 == 0 {
			load = autoscaler.Load{Concurrency: 1, Queued: 1}
		}
		report(m, n, load)
		demandAt(m, n)
	}
	d := demandAt(m, 200)
	if got := d.Gaps.Count(); got != 4 {
		t.Errorf("%d gaps were learned, want 4: before the first request nothing is known", got)
	}
	if keep := d.Gaps.Keep(time.Hour); keep < 39*time.Second || keep > 64*time.Second {
		t.Errorf("kept for %v: all gaps are of 39 s", keep)
	}
	if !d.HeldAt.Equal(second(200)) {
		t.Errorf("held at %v", d.HeldAt)
	}
}

// TestShortRequestsAreNoIdleTime: of requests that are over before each report, none is ever seen in flight.
func TestShortRequestsAreNoIdleTime(t *testing.T) {
	m := autoscaler.NewMemory()
	for n := 1.0; n <= 120; n++ {
		report(m, n, autoscaler.Load{Concurrency: 0.05, Arrivals: 10, Ended: 10, Service: 50 * time.Millisecond})
		if d := demandAt(m, n+0.5); n > 1 && d.IdleSince.Before(second(n)) && !d.IdleSince.IsZero() || d.Gaps.Count() > 0 {
			t.Fatalf("at %v: idle since %v, %d gaps", n, d.IdleSince, d.Gaps.Count())
		}
	}
	for n := 121.0; n <= 160; n++ {
		report(m, n, autoscaler.Load{})
		demandAt(m, n)
	}
	report(m, 161, autoscaler.Load{Concurrency: 0.05, Arrivals: 1, Ended: 1})
	if d := demandAt(m, 161); d.Gaps.Count() != 1 || !d.IdleSince.Equal(second(161)) {
		t.Errorf("idle since %v, %d gaps: 40 s without requests is one", d.IdleSince, d.Gaps.Count())
	}
}

func TestTheTargetIsLearnedWhereItIsAskedFor(t *testing.T) {
	m := autoscaler.NewMemory()
	c := oneWorkload("ns/w")
	c.Workloads[0].Policy = autoscaler.Policy{Target: 70, Total: 100, Auto: true, StableWindow: time.Minute, PanicWindow: 6 * time.Second}
	c.Pods = []autoscaler.Pod{{ID: "ns/w-1", Workload: "ns/w", Phase: autoscaler.Ready, Node: "n"}}
	var p autoscaler.Policy
	learned := 0.0
	for n := 1.0; n <= 3600; n++ {
		in := float64(int(n)/60%5+1) * 4 // 4 to 20 in flight; eight workers of a second each
		ended := min(in, 8)
		report(m, n, autoscaler.Load{Concurrency: in, Ended: int(ended), Service: time.Duration(in) * time.Second})
		fresh := c
		fresh.Workloads = append([]autoscaler.Workload(nil), c.Workloads...)
		w := m.State(second(n), fresh).Workloads[0]
		p, learned = w.Policy, w.Demand.Learned
	}
	if learned < 6 || learned > 10 || p.Total != learned || p.Target < 0.69*learned || p.Target > 0.71*learned {
		t.Errorf("learned %v, policy %v of %v: want about the eight that it has workers for", learned, p.Target, p.Total)
	}
}
