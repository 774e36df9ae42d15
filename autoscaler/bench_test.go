package autoscaler_test

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// large is a cluster in two pools; short of its workloads want one replica more than they have.
func large(workloads, nodes, pods, short int) autoscaler.State {
	now := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	s := autoscaler.State{Now: now}
	for _, id := range []autoscaler.PoolID{"a", "b"} {
		s.Pools = append(s.Pools, autoscaler.Pool{
			ID: id, Allocatable: autoscaler.Resources{CPU: 32_000, Memory: 128 << 30, Pods: 110}, Max: max(2_000, nodes), Target: nodes / 2,
			PricePerHour: 1, Join: time.Minute, IdleAfter: 30 * time.Second,
			Labels: fit.Labels{{Key: "pool", Value: string(id)}},
		})
	}
	s.Daemons = []autoscaler.Daemon{{ID: "kube-system/logs", Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 100, Memory: 64 << 20, Pods: 1}}}}
	for i := range nodes {
		p := s.Pools[i%2]
		id := fmt.Sprintf("node-%05d", i)
		s.Nodes = append(s.Nodes, autoscaler.Node{ID: autoscaler.NodeID(id), Pool: p.ID, Instance: id, Phase: autoscaler.Ready, Allocatable: p.Allocatable, Labels: p.Labels})
	}
	for i := range workloads {
		needs := autoscaler.Resources{CPU: int64(200 + 100*(i%10)), Memory: int64(256+128*(i%7)) << 20, Pods: 1}
		w := autoscaler.Workload{
			ID: autoscaler.WorkloadID(fmt.Sprintf("ns/w-%05d", i)), Replicas: pods / workloads, Start: 4 * time.Second,
			Shape: autoscaler.Shape{Needs: needs, Rules: &fit.Pod{
				Namespace: "ns", Labels: fit.Labels{{Key: "app", Value: fmt.Sprint(i)}},
				Needs: fit.Amounts{{Name: fit.CPU, Value: needs.CPU}, {Name: fit.Memory, Value: needs.Memory}},
			}},
			Policy: autoscaler.Policy{
				Name: autoscaler.Wholescale, Target: 7, Total: 10, Slots: 10, StableWindow: time.Minute, PanicWindow: 6 * time.Second,
				PanicThreshold: 2, UpRate: 1000, DownRate: 2, BurstCapacity: 211,
			},
			Demand: autoscaler.Demand{Stable: 20, Panic: 20, InFlight: 20},
		}
		if i%(workloads/max(short, 1)) == 0 && short > 0 {
			w.Demand.Queued = 10*(pods/workloads) - 15
		}
		s.Workloads = append(s.Workloads, w)
		for k := range pods / workloads {
			s.Pods = append(s.Pods, autoscaler.Pod{
				ID: autoscaler.PodID(fmt.Sprintf("ns/w-%05d-%d", i, k)), Workload: w.ID, Phase: autoscaler.Ready, Shape: w.Shape,
				Node: s.Nodes[(i*(pods/workloads)+k)%nodes].ID, Since: now, InFlight: 6,
			})
		}
	}
	return s
}

// BenchmarkPlan is one whole plan. The goals are 50 ms for 10,000 workloads, 1,000 nodes and 30,000 pods, and 100 ms for
// 5,000 nodes and 150,000 pods; the rows between them show what it grows with.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct{ workloads, nodes, pods int }{{1_000, 1_000, 30_000}, {10_000, 1_000, 30_000}, {10_000, 5_000, 30_000}, {10_000, 5_000, 150_000}} {
		for _, short := range []int{0, 1, 100, c.workloads} {
			s := large(c.workloads, c.nodes, c.pods, short)
			s.Memo = autoscaler.Plan(s).Memo
			b.Run(fmt.Sprintf("workloads=%d/nodes=%d/pods=%d/short=%d", c.workloads, c.nodes, c.pods, short), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					autoscaler.Plan(s)
				}
			})
		}
	}
}

// BenchmarkSave is a whole plan of 5,000 nodes and 150,000 pods that asks whether the pods of one node, and as many more as came
// lately, have room on the others.
func BenchmarkSave(b *testing.B) {
	for _, lately := range []int{0, 1_000, 20_000} {
		s := large(10_000, 5_000, 150_000, 0)
		for i := range s.Pools {
			s.Pools[i].Disruption.ConsolidateAfter = 2 * time.Minute
		}
		for i := range s.Pods {
			s.Pods[i].Since = s.Now.Add(-time.Hour)
			if i%(len(s.Pods)/max(lately, 1)) == 0 && lately > 0 {
				s.Pods[i].Since = s.Now.Add(-10 * time.Minute)
			}
		}
		b.Run(fmt.Sprintf("lately=%d", lately), func(b *testing.B) {
			d := autoscaler.Plan(s)
			if len(d.Drains) != 1 || d.Drains[0].Step != autoscaler.Cordon {
				b.Fatalf("%+v", d.Drains)
			}
			b.ReportAllocs()
			for b.Loop() {
				autoscaler.Plan(s)
			}
		})
	}
}

// BenchmarkGlance is one pod more: a queue forms in one workload between ticks, and the plan that answers it is judged and
// remembered; then its pod runs. The goal is 1 ms at 5,000 nodes and 150,000 pods.
func BenchmarkGlance(b *testing.B) {
	for _, c := range []struct{ workloads, nodes, pods int }{{1_000, 1_000, 30_000}, {10_000, 1_000, 30_000}, {10_000, 5_000, 30_000}, {10_000, 5_000, 150_000}} {
		b.Run(fmt.Sprintf("workloads=%d/nodes=%d/pods=%d", c.workloads, c.nodes, c.pods), func(b *testing.B) {
			s := large(c.workloads, c.nodes, c.pods, 0)
			workloads := slices.Clone(s.Workloads)
			m := autoscaler.NewMemory()
			m.Observe(autoscaler.Observation{At: s.Now, Gateway: "g", Interval: time.Second})
			s = m.State(s.Now, autoscaler.Cluster{Workloads: s.Workloads, Pools: s.Pools, Nodes: s.Nodes, Pods: s.Pods, Daemons: s.Daemons})
			book, d := autoscaler.Open(s)
			m.Keep(d)
			b.ReportAllocs()
			next := 0
			for b.Loop() {
				w := &workloads[next%len(workloads)]
				next++
				s.Now = s.Now.Add(time.Microsecond)
				m.Observe(autoscaler.Observation{At: s.Now, Gateway: "g", Partial: true, Workloads: []autoscaler.Load{{ID: w.ID, Queued: 10*w.Replicas + 1}}})
				about := []autoscaler.Workload{*w}
				for _, id := range book.Wanting() {
					if id != w.ID {
						at, _ := slices.BinarySearchFunc(workloads, id, func(w autoscaler.Workload, id autoscaler.WorkloadID) int { return cmp.Compare(w.ID, id) })
						about = append(about, workloads[at])
					}
				}
				state, d, ok := book.Glance(about, func(c autoscaler.Cluster) autoscaler.State { return m.State(s.Now, c) })
				if found := autoscaler.Check(state, d); !ok || len(found) > 0 {
					b.Fatal(found, autoscaler.Describe(d, false))
				}
				m.KeepPart(d)
				book.Glanced(d)
				at := slices.IndexFunc(d.Scales, func(s autoscaler.Scale) bool { return s.Workload == w.ID })
				if d.Scales[at].To != w.Replicas+1 {
					b.Fatal(autoscaler.Describe(d, false))
				}
				w.Replicas++
				m.Observe(autoscaler.Observation{At: s.Now, Gateway: "g", Partial: true, Workloads: []autoscaler.Load{{ID: w.ID}}})
				node := s.Nodes[next*7%len(s.Nodes)].ID
				book.Pod(autoscaler.Pod{ID: autoscaler.PodID(fmt.Sprintf("%s-new-%d", w.ID, next)), Workload: w.ID, Node: node, Phase: autoscaler.Ready, Shape: w.Shape, Since: s.Now})
			}
		})
	}
}

// BenchmarkPolicy re-decides the replicas of a million workloads, each with demand: decisions a second on one core, and the
// bytes of each in State and Memo. Where pods go is another benchmark's.
func BenchmarkPolicy(b *testing.B) {
	const n = 1_000_000
	for _, name := range []autoscaler.PolicyName{autoscaler.Wholescale, autoscaler.KPA} {
		b.Run(string(name), func(b *testing.B) {
			before := heap()
			s := autoscaler.State{Now: time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)}
			s.Workloads = make([]autoscaler.Workload, n)
			for i := range s.Workloads {
				s.Workloads[i] = autoscaler.Workload{
					ID: autoscaler.WorkloadID(fmt.Sprintf("ns/w-%07d", i)), Replicas: 1, Start: 4 * time.Second,
					Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 100, Memory: 128 << 20, Pods: 1}},
					Policy: autoscaler.Policy{
						Name: name, Target: 7, Total: 10, Slots: 10, StableWindow: time.Minute, PanicWindow: 6 * time.Second, PanicThreshold: 2,
						UpRate: 1000, DownRate: 2, BurstCapacity: 211, Objective: autoscaler.Objective{Wait: 300 * time.Millisecond},
					},
					Demand: autoscaler.Demand{Stable: 5, Panic: 5, Deviation: 1, InFlight: 5, Rate: 50, Service: 100 * time.Millisecond},
				}
			}
			held := heap() - before
			b.ReportAllocs()
			for b.Loop() {
				autoscaler.Replicas(&s)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
			b.ReportMetric(float64(held)/n, "B/workload")
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkCheck(b *testing.B) {
	s := large(10_000, 1_000, 30_000, 100)
	d := autoscaler.Plan(s)
	b.ReportAllocs()
	for b.Loop() {
		autoscaler.Check(s, d)
	}
}

// BenchmarkMemoryState is what a driver adds to each plan: sorting a picture and completing it.
func BenchmarkMemoryState(b *testing.B) {
	s := large(10_000, 1_000, 30_000, 0)
	m := autoscaler.NewMemory()
	c := autoscaler.Cluster{Workloads: s.Workloads, Pools: s.Pools, Nodes: s.Nodes, Pods: s.Pods, Daemons: s.Daemons}
	m.Observe(autoscaler.Observation{At: s.Now, Gateway: "g", Interval: time.Second})
	b.ReportAllocs()
	for b.Loop() {
		m.State(s.Now, c)
	}
}
