package simulator_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// several is a configuration whose workloads are made of functions 0 to n-1.
func several(policy simulator.Policy, requests []trace.Request) simulator.Config {
	base := config(nil)
	c := simulator.Config{
		Pools: base.Pools, Requests: requests, Policy: policy,
		New: func(function int, _ string) simulator.Workload {
			w := base.Workloads[0]
			w.ID = autoscaler.WorkloadID(fmt.Sprintf("trace/f%02d", function))
			w.Policy.Slots, w.Policy.Total, w.Policy.Target = 2, 2, 1.4
			w.Shape.Needs.CPU = 500
			w.Policy.StableWindow, w.Policy.PanicWindow = time.Minute, 6*time.Second
			return w
		},
	}
	c.Pools[0].IdleAfter = 30 * time.Second
	return c
}

func run(t testing.TB, c simulator.Config) simulator.Result {
	t.Helper()
	if c.Policy.NeedsPeaks() {
		peaks, err := simulator.Floor(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Peaks = peaks
	}
	r, err := simulator.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPoliciesAreAsAgreed holds what each policy comes to on 100 s of the sample to a golden file.
func TestPoliciesAreAsAgreed(t *testing.T) {
	got := map[string]report.Figures{}
	for _, p := range simulator.Policies() {
		c := config(sample(t))
		c.Policy, c.Settle = p, 15*time.Minute
		got[string(p)] = *run(t, c).Figures
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "policies.golden.json")
	if *rewrite {
		if err := os.WriteFile(golden, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)+"\n"); diff != "" {
		t.Errorf("the figures changed (-rewrite accepts them):\n%s", diff)
	}
}

func TestNobodyIsCheaperThanTheOracleWithoutWaits(t *testing.T) {
	c := config(sample(t))
	c.Policy = simulator.Oracle
	floor := run(t, c).Figures
	if floor.WaitSeconds != 0 || floor.PodHours <= 0 || floor.Money <= 0 {
		t.Errorf("the oracle: %+v", floor)
	}
	c.Policy = "static"
	if f := run(t, c).Figures; f.WaitedOver1s != 0 || f.PodHours < floor.PodHours || f.Money < floor.Money {
		t.Errorf("the static peak %+v is below the floor %+v or lets somebody wait", f, floor)
	}
}

// requestsOf draws requests of a few functions, in order.
func requestsOf(t *rapid.T, functions int) []trace.Request {
	var list []trace.Request
	at := time.Duration(0)
	for range rapid.IntRange(1, 80).Draw(t, "requests") {
		at += time.Duration(rapid.IntRange(0, 20_000).Draw(t, "gap")) * time.Millisecond
		list = append(list, trace.Request{
			At: at, Function: rapid.IntRange(0, functions-1).Draw(t, "function"), Service: time.Duration(rapid.IntRange(1, 30_000).Draw(t, "service")) * time.Millisecond,
		})
	}
	return list
}

// TestEachRequestHasOneOutcome whatever comes and whoever decides, also when machines are taken away or never join; and the
// same seed gives the same.
func TestEachRequestHasOneOutcome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests := requestsOf(t, 3)
		c := several(rapid.SampledFrom(simulator.Policies()).Draw(t, "policy"), requests)
		if c.Policy.NeedsPeaks() {
			peaks, err := simulator.Floor(several(c.Policy, requests))
			if err != nil {
				t.Fatal(err)
			}
			c.Peaks = peaks
		}
		if rapid.Bool().Draw(t, "faults") {
			c.Pools[0].Faults = simulator.Faults{
				ReclaimsPerHour: 20, NeverShare: 0.2, SlowShare: 0.3, SlowFactor: 3, StockOuts: []simulator.Span{{From: time.Minute, Until: 3 * time.Minute}},
			}
		}
		c.Settle = 20 * time.Minute
		r, err := simulator.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		f := r.Figures
		if f.Requests != int64(len(requests)) || f.Answered+f.Errors+f.HeldAtEnd != f.Requests {
			t.Fatalf("%s: %d came of %d; %d answered, %d errors, %d left", c.Policy, f.Requests, len(requests), f.Answered, f.Errors, f.HeldAtEnd)
		}
		again, err := simulator.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("two runs differ:\n%s", diff)
		}
	})
}

// TestFocusDecidesAlike holds plans that look at a few workloads to those that look at all. In one run a request that waits
// a moment less may be a replica less, and a machine; over many runs there is no lean either way.
func TestFocusDecidesAlike(t *testing.T) {
	t.Run("few workloads", func(t *testing.T) {
		focusDecidesAlike(t, alike{functions: 12, most: 80, pods: 0.005, nodes: 0.01, waits: 0.01})
	})
	t.Run("many workloads", func(t *testing.T) {
		focusDecidesAlike(t, alike{functions: 60, most: 400, pods: 0.005, nodes: 0.01, waits: 0.02})
	})
	t.Run("an objective, few workloads", func(t *testing.T) { focusDecidesAlike(t, alike{300 * time.Millisecond, 12, 80, 0.02, 0.01, 0.01}) })
	t.Run("an objective, many workloads", func(t *testing.T) { focusDecidesAlike(t, alike{300 * time.Millisecond, 60, 400, 0.02, 0.02, 0.04}) })
}

// alike is what runs are made of, and the shares by which they may be apart. With an objective they are further apart: a stock
// that an average between two ticks would have raised is raised at the tick.
type alike struct {
	objective          time.Duration
	functions, most    int
	pods, nodes, waits float64
}

func focusDecidesAlike(t *testing.T, a alike) {
	var few, all report.Figures
	runs := uint64(3200 / a.most)
	if testing.Short() {
		runs = max(runs/4, 4)
	}
	for seed := range runs {
		c := several(simulator.Wholescale, randomRequests(seed, a.functions, a.most))
		plain := c.New
		c.New = func(function int, name string) simulator.Workload {
			w := plain(function, name)
			w.Policy.Objective.Wait = a.objective
			return w
		}
		sum(t, &few, c)
		c.PlanAll = true
		sum(t, &all, c)
	}
	near := func(what string, few, all, share float64) {
		t.Logf("%s: %.4g with a few, %.4g with all", what, few, all)
		if math.Abs(few-all) > share*all {
			t.Errorf("%s: %.4g with a few, %.4g with all", what, few, all)
		}
	}
	near("pod-hours", few.PodHours, all.PodHours, a.pods)
	near("node-hours", few.NodeHours, all.NodeHours, a.nodes)
	near("seconds waited", few.WaitSeconds, all.WaitSeconds, a.waits)
}

// sum runs a configuration, of which each request is answered, and adds what it came to.
func sum(t *testing.T, to *report.Figures, c simulator.Config) {
	t.Helper()
	f := run(t, c).Figures
	if f.Answered != int64(len(c.Requests)) {
		t.Errorf("%d of %d answered", f.Answered, len(c.Requests))
	}
	to.PodHours, to.NodeHours, to.WaitSeconds = to.PodHours+f.PodHours, to.NodeHours+f.NodeHours, to.WaitSeconds+f.WaitSeconds
}

// randomRequests are of a few functions, in order, the same for each seed.
func randomRequests(seed uint64, functions, most int) []trace.Request {
	chance := rand.New(rand.NewPCG(seed, 1))
	var list []trace.Request
	at := time.Duration(0)
	for range 1 + chance.IntN(most) {
		at += time.Duration(chance.IntN(20_000*80/most)) * time.Millisecond
		list = append(list, trace.Request{At: at, Function: chance.IntN(functions), Service: time.Duration(1+chance.IntN(30_000)) * time.Millisecond})
	}
	return list
}

// TestAFunctionMoreChangesNoOthersArrivals: chance is by entity.
func TestAFunctionMoreChangesNoOthersArrivals(t *testing.T) {
	read := func(table string) map[string][]time.Duration {
		tr, err := trace.Read(strings.NewReader(table), "t.csv", trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		a, err := tr.Arrivals(trace.ArrivalOptions{Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]time.Duration{}
		for r := (trace.Request{}); a.Next(&r) == nil; {
			got[r.Workload] = append(got[r.Workload], r.At)
		}
		return got
	}
	head := "HashOwner,HashApp,HashFunction,Trigger,1,2\n"
	one := read(head + "o,a,f,http,3,4\n")
	two := read(head + "o,a,e,http,9,9\n" + "o,a,f,http,3,4\n")
	for name, at := range one {
		if !slices.Equal(at, two[name]) {
			t.Errorf("%s: %v, with another function %v", name, at, two[name])
		}
	}
}

// TestBuyersTakeTheirTime: what FEATURES and the rivals' sources say of when a node is asked for.
func TestBuyersTakeTheirTime(t *testing.T) {
	const seeds = 20
	first := func(p simulator.Policy) (mean time.Duration) {
		for seed := range uint64(seeds) {
			c := several(p, []trace.Request{{At: 500 * time.Millisecond, Service: time.Second}})
			c.Pools[0].Join, c.Seed = simulator.Delay{}, seed+1
			r := run(t, c)
			if r.Figures.Answered != 1 {
				t.Fatalf("%s: %+v", p, r.Figures)
			}
			mean += time.Duration(r.Figures.WaitP50Ms*float64(time.Millisecond)) / seeds
		}
		return mean
	}
	ours, karpenter, ca := first(simulator.Wholescale), first("kpa+karpenter"), first("kpa+ca")
	if ours > time.Second || karpenter < 1500*time.Millisecond || karpenter > 3*time.Second || ca < 4*time.Second || ca > 9*time.Second {
		t.Errorf("with machines that join at once the first request waits %s on average, %s with Karpenter and %s with Cluster Autoscaler", ours, karpenter, ca)
	}
}

func TestStockOutsAndReclaims(t *testing.T) {
	requests := []trace.Request{{At: 0, Service: time.Second}, {At: 20 * time.Second, Service: 10 * time.Minute}}
	c := several(simulator.Wholescale, requests)
	c.Pools[0].Faults.StockOuts = []simulator.Span{{From: 0, Until: 30 * time.Second}}
	if f := run(t, c).Figures; f.OrdersRefused == 0 {
		t.Errorf("no order was refused: %+v", f)
	}
	c = several(simulator.Wholescale, requests)
	c.Pools[0].Faults.ReclaimsPerHour = 3600
	if f := run(t, c).Figures; f.NodesReclaimed == 0 || f.Errors == 0 {
		t.Errorf("machines that live for a second lose nothing: %+v", f)
	}
}

func TestParseDelay(t *testing.T) {
	for text, want := range map[string]simulator.Delay{
		"45s":               {Mean: 45 * time.Second},
		"normal(2s,1s)":     {Mean: 2 * time.Second, Deviation: time.Second, Spread: simulator.Normal},
		"lognormal(2s, 1s)": {Mean: 2 * time.Second, Deviation: time.Second, Spread: simulator.Lognormal},
		"empirical(1s,3s)":  {Spread: simulator.Empirical, Samples: []time.Duration{time.Second, 3 * time.Second}},
	} {
		got, err := simulator.ParseDelay(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{"", "x", "-1s", "normal(1s)", "normal(1s,1s", "weird(1s,1s)", "empirical()", "lognormal(0s,1s)"} {
		if d, err := simulator.ParseDelay(text); err == nil {
			t.Errorf("%q is read as %+v", text, d)
		}
	}
}

// even is Traffic of one workload at an even rate.
type even struct {
	gap, service, until time.Duration
	n                   int
}

func (e *even) Next(r *trace.Request) error {
	*r = trace.Request{At: time.Duration(e.n) * e.gap, Service: e.service}
	e.n++
	if r.At >= e.until {
		return io.EOF
	}
	return nil
}

// BenchmarkEvents is arrivals and answers a second, each second with its plan.
func BenchmarkEvents(b *testing.B) {
	events := int64(0)
	for b.Loop() {
		c := config(nil)
		c.Traffic = &even{gap: 500 * time.Microsecond, service: 50 * time.Millisecond, until: 10 * time.Minute}
		c.Workloads[0].Policy.StableWindow, c.Workloads[0].Policy.PanicWindow = time.Minute, 6*time.Second
		c.Pools[0].Max = 100
		events += 2 * run(b, c).Figures.Requests
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
