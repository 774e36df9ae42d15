package autoscaler_test

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// second is n seconds after noon.
func second(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }

func oneWorkload(id autoscaler.WorkloadID) autoscaler.Cluster {
	return autoscaler.Cluster{Workloads: []autoscaler.Workload{{ID: id, Policy: autoscaler.Policy{Target: 7, StableWindow: time.Minute, PanicWindow: 6 * time.Second}}}}
}

func demandAt(m *autoscaler.Memory, n float64) autoscaler.Demand {
	return m.State(second(n), oneWorkload("ns/w")).Workloads[0].Demand
}

// tell is a report of the second up to n; a load below 0 does not name the workload.
func tell(m *autoscaler.Memory, gateway string, n, load float64) {
	o := autoscaler.Observation{At: second(n), Gateway: gateway, Interval: time.Second}
	if load >= 0 {
		o.Workloads = []autoscaler.Load{{ID: "ns/w", Concurrency: load, Pods: []autoscaler.PodLoad{{ID: "ns/w-1", InFlight: int(load)}}}}
	}
	m.Observe(o)
}

func TestTwoGatewaysAddUp(t *testing.T) {
	m := autoscaler.NewMemory()
	for n := 1.0; n <= 10; n++ {
		tell(m, "a", n, 3)
		tell(m, "b", n, 5)
	}
	if d := demandAt(m, 10); d.Stable != 8 || d.Panic != 8 || d.InFlight != 8 || d.Stale {
		t.Errorf("%+v: 3 and 5 are 8", d)
	}
}

func TestAGatewayWithoutTheWorkloadTakesNothingAway(t *testing.T) {
	m := autoscaler.NewMemory()
	for n := 1.0; n <= 10; n++ {
		tell(m, "a", n, 6)
		tell(m, "b", n, -1)
	}
	if d := demandAt(m, 10); d.Stable != 6 || d.Panic != 6 {
		t.Errorf("%+v: one gateway has 6, the other none", d)
	}
}

func TestAnUnnamedWorkloadIsIdle(t *testing.T) {
	m := autoscaler.NewMemory()
	for n := 1.0; n <= 6; n++ {
		tell(m, "a", n, 6)
	}
	for n := 7.0; n <= 9; n++ {
		tell(m, "a", n, -1)
	}
	if d := demandAt(m, 9); d.Panic >= 6 || d.Stable != 4 || d.InFlight != 0 {
		t.Errorf("%+v: 6 for six seconds and nothing for three is 4 on average", d)
	}
}

func TestReportsOfPartsOfASecondIntegrateToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := autoscaler.NewMemory()
		total, last := 0.0, 0
		for last < 5000 {
			next := min(5000, last+rapid.IntRange(1, 1700).Draw(t, "ms"))
			load := float64(rapid.IntRange(0, 50).Draw(t, "load"))
			total += load * float64(next-last) / 1000
			m.Observe(autoscaler.Observation{
				At: noon.Add(time.Duration(next) * time.Millisecond), Gateway: "a", Interval: time.Duration(next-last) * time.Millisecond,
				Workloads: []autoscaler.Load{{ID: "ns/w", Concurrency: load}},
			})
			last = next
		}
		if d := demandAt(m, 4.999); math.Abs(d.Stable-total/5) > 1e-3 {
			t.Fatalf("%v on average, not %v", d.Stable, total/5)
		}
	})
}

func TestDemandIsStaleAfterThreeTicks(t *testing.T) {
	m := autoscaler.NewMemory()
	if !demandAt(m, 0).Stale {
		t.Error("fresh though nobody has reported")
	}
	tell(m, "a", 1, 5)
	tell(m, "b", 1, 5)
	if demandAt(m, 4).Stale {
		t.Error("stale after three ticks; one late and one lost report are borne")
	}
	tell(m, "a", 4.5, 5)
	if !demandAt(m, 4.5).Stale {
		t.Error("fresh though one of two gateways is overdue")
	}
	m.Observe(autoscaler.Observation{At: second(4.6), Gateway: "b", Goodbye: true})
	if d := demandAt(m, 4.6); d.Stale || d.InFlight != 5 {
		t.Errorf("%+v: who said goodbye holds nothing and is not waited for", d)
	}
}

func TestASilentGatewayIsForgottenAfterAMinuteWhenAnotherReports(t *testing.T) {
	m := autoscaler.NewMemory()
	tell(m, "a", 0, 5)
	tell(m, "b", 0, 5)
	tell(m, "a", 60, 5)
	if !demandAt(m, 60).Stale {
		t.Error("forgotten too soon")
	}
	tell(m, "a", 61, 5)
	if d := demandAt(m, 61); d.Stale || d.InFlight != 5 {
		t.Errorf("%+v: after a minute the silent one counts no more", d)
	}
	if !demandAt(m, 200).Stale {
		t.Error("the last gateway was forgotten and silence taken for idleness")
	}
}

func TestIdleSince(t *testing.T) {
	m := autoscaler.NewMemory()
	tell(m, "a", 1, 5)
	if !demandAt(m, 1).IdleSince.IsZero() {
		t.Error("busy, and idle since then")
	}
	tell(m, "a", 2, -1)
	if got := demandAt(m, 2).IdleSince; !got.Equal(second(2)) {
		t.Errorf("idle since %s", got)
	}
	tell(m, "a", 4, -1)
	if got := demandAt(m, 4).IdleSince; !got.Equal(second(2)) {
		t.Errorf("idle since %s, but it began at 2", got)
	}
	if !demandAt(m, 10).IdleSince.IsZero() {
		t.Error("idle though nothing is known")
	}
}

func TestLeadTimesAreTheNinetiethPercentile(t *testing.T) {
	m := autoscaler.NewMemory()
	c := func() autoscaler.Cluster {
		c := oneWorkload("ns/w")
		c.Pools = []autoscaler.Pool{{ID: "p"}}
		c.Nodes = []autoscaler.Node{{ID: "n", Pool: "p", Phase: autoscaler.Coming, Since: noon}}
		return c
	}
	if s := m.State(noon, c()); s.Workloads[0].Start != 5*time.Second || s.Pools[0].Join != time.Minute {
		t.Errorf("%s and %s before anything was measured", s.Workloads[0].Start, s.Pools[0].Join)
	}
	for k := range 10 {
		m.Started("ns/w", time.Duration(k+1)*time.Second)
		m.Joined("p", time.Duration(k+1)*10*time.Second)
	}
	s := m.State(noon, c())
	if s.Workloads[0].Start != 9*time.Second || s.Pools[0].Join != 90*time.Second || !s.Nodes[0].Due.Equal(noon.Add(90*time.Second)) {
		t.Errorf("%s, %s, due %s", s.Workloads[0].Start, s.Pools[0].Join, s.Nodes[0].Due)
	}
}

func TestWorkloadsThatAreGoneLeaveNothingBehind(t *testing.T) {
	m := autoscaler.NewMemory()
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	for k := range 5000 {
		id := autoscaler.WorkloadID(fmt.Sprint("ns/w", k))
		m.Observe(autoscaler.Observation{At: noon, Gateway: "a", Interval: time.Second, Workloads: []autoscaler.Load{{ID: id, Concurrency: 1}}})
		m.Started(id, time.Second)
		m.Joined(autoscaler.PoolID(id), time.Second)
		m.State(noon, autoscaler.Cluster{})
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d bytes are left of 5,000 workloads that are gone", after-before)
	}
	runtime.KeepAlive(m)
}

// TestAllOfTheClusterReachesTheState: what the driver sees and Memory drops, Plan could never know.
func TestAllOfTheClusterReachesTheState(t *testing.T) {
	from, to := reflect.TypeOf(autoscaler.Cluster{}), reflect.TypeOf(autoscaler.State{})
	full := reflect.New(from).Elem()
	for i := range from.NumField() {
		switch f := full.Field(i); f.Kind() {
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Float64:
			f.SetFloat(1)
		}
	}
	s := reflect.ValueOf(autoscaler.NewMemory().State(time.Unix(0, 0), full.Interface().(autoscaler.Cluster)))
	for i := range from.NumField() {
		name := from.Field(i).Name
		if _, carried := to.FieldByName(name); carried && s.FieldByName(name).IsZero() {
			t.Errorf("Cluster.%s does not reach the State", name)
		}
	}
}

// TestWhatIsRememberedOfAPartIsKeptBesideTheRest: a decision about a few replaces their memos alone, until one about all does.
func TestWhatIsRememberedOfAPartIsKeptBesideTheRest(t *testing.T) {
	memos := func(rampFrom ...int) autoscaler.Decision {
		var d autoscaler.Decision
		for i, n := range rampFrom {
			if n > 0 {
				d.Memo.Workloads = append(d.Memo.Workloads, autoscaler.WorkloadMemo{ID: autoscaler.WorkloadID(fmt.Sprintf("ns/w%d", i)), RampFrom: n})
			}
		}
		return d
	}
	cluster := func(partial bool, ids ...autoscaler.WorkloadID) autoscaler.Cluster {
		c := autoscaler.Cluster{Partial: partial}
		for _, id := range ids {
			c.Workloads = append(c.Workloads, oneWorkload(id).Workloads...)
		}
		return c
	}
	m := autoscaler.NewMemory()
	m.Keep(memos(1, 2, 3))
	m.KeepPart(memos(0, 20))
	if got, want := m.State(noon, cluster(true, "ns/w1", "ns/w2")).Memo.Workloads, memos(0, 20, 3).Memo.Workloads; !reflect.DeepEqual(got, want) {
		t.Errorf("of a part: %v", got)
	}
	if got, want := m.State(noon, cluster(false, "ns/w0", "ns/w1", "ns/w2")).Memo.Workloads, memos(1, 20, 3).Memo.Workloads; !reflect.DeepEqual(got, want) {
		t.Errorf("of all: %v", got)
	}
	m.Keep(memos(1, 2, 3))
	if got, want := m.State(noon, cluster(false, "ns/w0", "ns/w1", "ns/w2")).Memo.Workloads, memos(1, 2, 3).Memo.Workloads; !reflect.DeepEqual(got, want) {
		t.Errorf("after a decision about all: %v", got)
	}
}

// TestHowOftenAMemoryIsAskedDoesNotMatter: what reports do not name is idle, whether or not anybody asks in between.
func TestHowOftenAMemoryIsAskedDoesNotMatter(t *testing.T) {
	ids := []autoscaler.WorkloadID{"ns/a", "ns/b", "ns/c"}
	demands := func(m *autoscaler.Memory, at time.Time) (all []autoscaler.Demand) {
		var c autoscaler.Cluster
		for _, id := range ids {
			c.Workloads = append(c.Workloads, oneWorkload(id).Workloads...)
			c.Workloads[len(c.Workloads)-1].Policy.StableWindow = 8 * time.Second
		}
		for _, w := range m.State(at, c).Workloads {
			all = append(all, autoscaler.Demand{Stable: w.Demand.Stable, Panic: w.Demand.Panic, Deviation: w.Demand.Deviation, Rate: w.Demand.Rate})
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		often, seldom := autoscaler.NewMemory(), autoscaler.NewMemory()
		demands(often, noon)
		demands(seldom, noon)
		now := noon
		last := map[string]time.Time{"g": noon, "h": noon}
		for range rapid.IntRange(1, 40).Draw(t, "reports") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{500, 730, 1000, 1000, 1270, 3100, 9500}).Draw(t, "ms")) * time.Millisecond)
			o := autoscaler.Observation{At: now, Gateway: rapid.SampledFrom([]string{"g", "g", "g", "h"}).Draw(t, "gateway"), Partial: rapid.IntRange(0, 5).Draw(t, "partial") == 0}
			if !o.Partial {
				o.Interval = min(now.Sub(last[o.Gateway]), time.Second)
				last[o.Gateway] = now
			}
			for _, id := range ids {
				if rapid.IntRange(0, 3).Draw(t, "named") > 0 {
					continue
				}
				l := autoscaler.Load{ID: id, Queued: rapid.IntRange(0, 2).Draw(t, "queued")}
				if !o.Partial {
					l.Concurrency, l.Arrivals = float64(rapid.IntRange(0, 9).Draw(t, "concurrency")), rapid.IntRange(0, 9).Draw(t, "arrivals")
				}
				o.Workloads = append(o.Workloads, l)
			}
			often.Observe(o)
			seldom.Observe(o)
			demands(often, now)
		}
		if a, b := demands(often, now), demands(seldom, now); !reflect.DeepEqual(a, b) {
			t.Fatalf("asked often %+v, seldom %+v", a, b)
		}
	})
}
