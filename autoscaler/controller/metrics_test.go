package controller

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/wholescale/wholescale/autoscaler"
)

// seriesBudget is what one controller may show, whatever the size of the cluster: Prometheus takes some kilobytes of memory
// for each series that is new.
const seriesBudget = 16_000

// large is a cluster in which each workload has all that a workload can have, and no two are decided alike.
func large(workloads int) (*autoscaler.State, *autoscaler.Decision) {
	s, d := &autoscaler.State{Now: time.Unix(1, 0)}, &autoscaler.Decision{}
	rules := autoscaler.Rules()
	for i := range workloads {
		id := autoscaler.WorkloadID(fmt.Sprintf("ns-%d/w-%06d", i%100, i))
		s.Workloads = append(s.Workloads, autoscaler.Workload{
			ID: id, Blocked: "paused", Policy: autoscaler.Policy{Total: 10},
			Signals: []autoscaler.Signal{{Name: "a", Stale: true}}, Demand: autoscaler.Demand{Queued: 1, InFlight: 1},
		})
		why := []autoscaler.Reason{{Rule: rules[i%len(rules)]}, {Rule: rules[(i+1)%len(rules)]}}
		d.Scales = append(d.Scales, autoscaler.Scale{Workload: id, To: 1, Why: why})
		d.Holds = append(d.Holds, autoscaler.Hold{Workload: id, Refuse: true, Why: why[0]})
		d.Placements = append(d.Placements, autoscaler.Placement{Workload: id, Unplaced: 1, Why: why[1]})
		pod := autoscaler.PodID(string(id) + "-1")
		s.Pods = append(s.Pods, autoscaler.Pod{ID: pod, Workload: id, Phase: autoscaler.Ready})
		d.Costs = append(d.Costs, autoscaler.Cost{Pod: pod, Why: why[0]})
		node := autoscaler.NodeID(fmt.Sprint("n-", i))
		s.Nodes = append(s.Nodes, autoscaler.Node{ID: node, Pool: autoscaler.PoolID(fmt.Sprint("p", i%20)), Phase: autoscaler.Ready})
		d.Drains = append(d.Drains, autoscaler.Drain{Node: node, Why: why[0]})
	}
	for i := range 20 {
		id := autoscaler.PoolID(fmt.Sprint("p", i))
		s.Pools = append(s.Pools, autoscaler.Pool{ID: id})
		d.Orders = append(d.Orders, autoscaler.Order{Pool: id, Why: []autoscaler.Reason{{Rule: rules[i]}}})
	}
	return s, d
}

func TestSeriesStayWithinTheirBudgetAt10000Workloads(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newMetrics(registry, func() int { return 1 })
	s, d := large(10_000)
	m.state.set(s, d)
	for _, rule := range autoscaler.Rules() {
		for _, to := range []int{0, 1, 2} {
			why := []autoscaler.Reason{{Rule: rule}}
			m.scaled(autoscaler.Scale{From: 1, To: to, Why: why}, s.Now, s.Now)
			m.ordered(autoscaler.Order{From: 1, To: to, Why: why}, s.Now, s.Now, nil)
		}
	}
	for _, cause := range []string{"queue", "change", "tick"} {
		m.plan.WithLabelValues(cause).Observe(1)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, v := range f.GetMetric() {
			if h := v.GetHistogram(); h != nil {
				n += len(h.GetBucket()) + 3 // +Inf, sum and count
				continue
			}
			n++
		}
	}
	t.Logf("%d series at %d workloads", n, len(s.Workloads))
	if n > seriesBudget {
		t.Errorf("%d series, above %d", n, seriesBudget)
	}
}

func TestTheSumOverWorkloadsIsTrueWhereNotAllAreNamed(t *testing.T) {
	c := newStateCollector(3)
	s, d := large(10)
	c.set(s, d)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	sum, others := 0.0, 0.0
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "wholescale_workload_requests_held" {
			continue
		}
		if len(f.GetMetric()) != 4 {
			t.Errorf("%d series, want 3 and the rest", len(f.GetMetric()))
		}
		for _, v := range f.GetMetric() {
			sum += v.GetGauge().GetValue()
			if v.GetLabel()[1].GetValue() == "other" {
				others = v.GetGauge().GetValue()
			}
		}
	}
	if sum != 10 || others != 7 {
		t.Errorf("%v held in all and %v of others, want 10 and 7", sum, others)
	}
}

func TestWhoIsNamedStaysNamedWhileBusy(t *testing.T) {
	n := names{most: 2, in: map[autoscaler.WorkloadID]bool{}}
	busy := func(id string) *figures { return &figures{id: autoscaler.WorkloadID(id), held: 1} }
	idle := func(id string) *figures { return &figures{id: autoscaler.WorkloadID(id)} }
	check := func(what string, want ...autoscaler.WorkloadID) {
		t.Helper()
		if len(n.in) != len(want) {
			t.Errorf("%s: %v, want %v", what, n.in, want)
		}
		for _, id := range want {
			if !n.in[id] {
				t.Errorf("%s: %v, want %v", what, n.in, want)
			}
		}
	}
	n.choose([]*figures{idle("a"), busy("b"), busy("c"), busy("d")})
	check("the busy ones first", "b", "c")
	n.choose([]*figures{busy("a"), busy("b"), busy("c"), busy("d")})
	check("one that became busy puts no busy one out", "b", "c")
	n.choose([]*figures{idle("a"), idle("b"), busy("c"), idle("d")})
	check("an idle one stays where nobody wants its place", "b", "c")
	n.choose([]*figures{idle("a"), idle("b"), busy("c"), busy("d")})
	check("a busy one takes the place of an idle one", "c", "d")
	n.choose([]*figures{idle("a"), busy("d")})
	check("who is gone makes room", "a", "d")
}

func TestMetricsAreNamedByTheRules(t *testing.T) {
	families, err := MetricsSample().Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]bool{"namespace": true, "workload": true, "rule": true, "pool": true, "phase": true, "kind": true, "cause": true, "stage": true,
		"direction": true, "about": true, "role": true}
	name := regexp.MustCompile(`^wholescale(_[a-z]+)+$`)
	for _, f := range families {
		if !name.MatchString(f.GetName()) {
			t.Errorf("%s is not named as all others", f.GetName())
		}
		if counter, total := f.GetType().String() == "COUNTER", strings.HasSuffix(f.GetName(), "_total"); counter != total {
			t.Errorf("%s is a %s", f.GetName(), f.GetType())
		}
		if f.GetType().String() == "HISTOGRAM" && !strings.HasSuffix(f.GetName(), "_seconds") {
			t.Errorf("%s has no base unit at its end", f.GetName())
		}
		if !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: %q is no sentence", f.GetName(), f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !labels[l.GetName()] {
					t.Errorf("%s has the label %s, which is not known to be bounded", f.GetName(), l.GetName())
				}
			}
		}
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// All that is described is in the sample, so that documentation and queries can be checked against it.
func TestTheSampleHasAllMetrics(t *testing.T) {
	families, err := MetricsSample().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
	}
	ch := make(chan *prometheus.Desc, 100)
	newMetrics(recording(ch), func() int { return 0 })
	close(ch)
	name := regexp.MustCompile(`fqName: "([^"]*)"`)
	for d := range ch {
		if n := name.FindStringSubmatch(d.String())[1]; !got[n] {
			t.Errorf("%s is not in the sample", n)
		}
	}
}

// recording is a registerer that remembers what is described.
type recording chan *prometheus.Desc

func (r recording) Register(c prometheus.Collector) error { c.Describe(r); return nil }
func (r recording) Unregister(prometheus.Collector) bool  { return false }
func (r recording) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		_ = r.Register(c)
	}
}

func TestWasteIsShared(t *testing.T) {
	node := func(id string, phase autoscaler.Phase) autoscaler.Node {
		return autoscaler.Node{ID: autoscaler.NodeID(id), Pool: "m", Phase: phase, Allocatable: autoscaler.Resources{CPU: 1000, Memory: 1000}}
	}
	pod := func(id, node string, phase autoscaler.Phase, cpu int64, inFlight int) autoscaler.Pod {
		return autoscaler.Pod{ID: autoscaler.PodID(id), Workload: "a/w", Node: autoscaler.NodeID(node), Phase: phase, InFlight: inFlight,
			Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: cpu, Memory: 10}}}
	}
	daemon := pod("d", "empty", autoscaler.Ready, 100, 0)
	daemon.Workload, daemon.Daemon = "", "kube-system/d"
	s := &autoscaler.State{
		Workloads: []autoscaler.Workload{{ID: "a/w", Policy: autoscaler.Policy{Total: 10}}},
		Pools:     []autoscaler.Pool{{ID: "m", PricePerHour: 8}},
		Nodes:     []autoscaler.Node{node("coming", autoscaler.Coming), node("empty", autoscaler.Ready), node("full", autoscaler.Ready), node("used", autoscaler.Ready), {ID: "theirs"}},
		Pods: []autoscaler.Pod{
			daemon,
			pod("1", "used", autoscaler.Ready, 250, 5),    // half idle
			pod("2", "used", autoscaler.Starting, 250, 0), // 2 an hour
			pod("3", "full", autoscaler.Ready, 1000, 20),  // busy beyond
			pod("4", "full", autoscaler.Ready, 1000, 0),   // overcommitted: half of the node each
			pod("5", "theirs", autoscaler.Ready, 1000, 0), // not ours to pay
		},
	}
	m := costs(s)
	p := m.pool("m")
	if p.price != 32 || p.empty != 1 {
		t.Errorf("price %v and %d empty, want 32 and 1", p.price, p.empty)
	}
	for kind, want := range map[int]float64{wasteComing: 8, wasteEmpty: 8, wasteUnrequested: 4, wasteStarting: 2, wasteIdle: 1 + 4} {
		if p.waste[kind] != want {
			t.Errorf("%s: %v, want %v", wasteKinds[kind], p.waste[kind], want)
		}
	}
	if got := m.workloads["a/w"]; got != 2+2+8 {
		t.Errorf("the workload costs %v, want 12", got)
	}
}

func TestStagesOfAStart(t *testing.T) {
	w := newWorld()
	took := map[string]time.Duration{}
	w.setStages(func(stage string, d time.Duration) { took[stage] += d })
	at := time.Unix(100, 0)
	record := func(phase autoscaler.Phase, node string, running bool) *podRecord {
		return &podRecord{Pod: autoscaler.Pod{ID: "a/p", Phase: phase, Node: autoscaler.NodeID(node)}, namespace: "a", controller: "StatefulSet/s", running: running}
	}
	steps := []*podRecord{
		record(autoscaler.Pending, "", false), record(autoscaler.Starting, "n", false), record(autoscaler.Starting, "n", true),
		record(autoscaler.Ready, "n", true), record(autoscaler.NotReady, "n", true), record(autoscaler.Ready, "n", true),
	}
	for i, r := range steps {
		if i == 0 {
			w.stages(nil, r, at)
			continue
		}
		at = at.Add(time.Duration(i) * time.Second)
		w.stages(steps[i-1], r, at)
	}
	if took[stagePull] != 2*time.Second || took[stageStart] != 3*time.Second {
		t.Errorf("%v, want 2 s to pull and 3 s to start, once", took)
	}
	clear(took)
	w.stages(nil, steps[1], at) // was bound before we looked
	w.stages(steps[1], steps[3], at)
	if len(took) > 0 && steps[1].bound.IsZero() {
		t.Errorf("%v of a start that was not seen to begin", took)
	}
}
