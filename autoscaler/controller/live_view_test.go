package controller

import (
	"encoding/json"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/live"
)

func TestTheLivePageIsBoundedAndShowsTheBusyFirst(t *testing.T) {
	s, d := large(1000)
	for i := range s.Workloads {
		s.Workloads[i].Blocked = ""
	}
	s.Workloads[700].Demand.Queued = 50
	d.Scales[700].To = 9
	p := pictureOf(s, d)
	if len(p.Workloads) != live.MostRows || p.MoreWorkloads != 500 || len(p.Nodes) != live.MostRows || p.MoreNodes != 500 || len(p.Pools) != 20 {
		t.Errorf("%d and %d workloads, %d and %d nodes, %d pools", len(p.Workloads), p.MoreWorkloads, len(p.Nodes), p.MoreNodes, len(p.Pools))
	}
	if first := p.Workloads[0]; first.ID != string(s.Workloads[700].ID) || first.Held != 50 || first.Hope == "" || len(first.Why) != 2 {
		t.Errorf("first %+v", first)
	}
	if p.Totals.Held != 1049 || p.Totals.Wanted != 1008 || p.Totals.Ready != 1000 || p.Totals.Unplaced != 1000 || p.Totals.NodesReady != 1000 {
		t.Errorf("%+v", p.Totals)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
}

func TestStatesOfARow(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*autoscaler.State, *autoscaler.Decision)
	}{
		{"blocked", func(s *autoscaler.State, d *autoscaler.Decision) {}},
		{"refused", func(s *autoscaler.State, d *autoscaler.Decision) { s.Workloads[0].Blocked = "" }},
		{"no room", func(s *autoscaler.State, d *autoscaler.Decision) { s.Workloads[0].Blocked, d.Holds = "", nil }},
		{"waking", func(s *autoscaler.State, d *autoscaler.Decision) {
			s.Workloads[0].Blocked, d.Holds, d.Placements, d.Scales[0].To = "", nil, nil, 2
		}},
		{"serving", func(s *autoscaler.State, d *autoscaler.Decision) {
			s.Workloads[0].Blocked, d.Holds, d.Placements = "", nil, nil
		}},
		{"idle", func(s *autoscaler.State, d *autoscaler.Decision) {
			s.Workloads[0].Blocked, d.Holds, d.Placements, d.Scales[0].To, s.Pods = "", nil, nil, 0, nil
		}},
	} {
		s, d := large(1)
		c.change(s, d)
		if got := pictureOf(s, d).Workloads[0].State; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// What the page, the metrics and the metrics APIs cost at 10,000 workloads: totals and fill at each plan, the others when asked.
func BenchmarkSeeing(b *testing.B) {
	s, d := large(10_000)
	pic := &picture{cluster: autoscaler.Cluster{Workloads: s.Workloads, Pods: s.Pods, Nodes: s.Nodes}, adopted: make([]adopted, len(s.Workloads))}
	for i := range pic.adopted {
		pic.adopted[i].target = &target{id: s.Workloads[i].ID}
	}
	m := newMeasures(&meter{}, &meter{}, zap.NewNop())
	registry := prometheus.NewRegistry()
	newMetrics(registry, func() int { return 1 }).state.set(s, d)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"totals", func() { totals(s, d) }},
		{"fill", func() { m.fill(pic, s.Now) }},
		{"picture", func() { pictureOf(s, d) }},
		{"scrape", func() {
			if _, err := registry.Gather(); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.do()
			}
		})
	}
}
