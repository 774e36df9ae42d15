package controller

import (
	"cmp"
	"slices"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/live"
)

// livePage is where the live page's figures come from.
func (p *process) livePage() live.Source {
	return live.Source{
		Now: func() (live.Picture, bool) {
			l := p.leading.Load()
			if l == nil {
				return live.Picture{}, false
			}
			s, d := l.metrics.state.last()
			if s == nil {
				return live.Picture{}, false
			}
			return pictureOf(s, d), true
		},
		History: &p.history, Decisions: p.decisions,
	}
}

// last is what was decided last; nil when nothing was.
func (c *stateCollector) last() (*autoscaler.State, *autoscaler.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s, c.d
}

// totals is the whole loop in figures.
func totals(s *autoscaler.State, d *autoscaler.Decision) live.Totals {
	t := live.Totals{At: s.Now}
	for i := range s.Workloads {
		w := &s.Workloads[i].Demand
		t.Rate, t.Held, t.InFlight, t.Stale = t.Rate+w.Rate, t.Held+w.Queued, t.InFlight+w.InFlight, t.Stale || w.Stale
		t.Wanted += d.Scales[i].To
	}
	for i := range s.Pods {
		if s.Pods[i].Workload == "" {
			continue
		}
		switch s.Pods[i].Phase {
		case autoscaler.Ready:
			t.Ready++
		case autoscaler.Starting, autoscaler.Pending:
			t.Starting++
		}
	}
	for i := range d.Placements {
		if d.Placements[i].Workload != "" {
			t.Unplaced += d.Placements[i].Unplaced
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case n.Pool == "":
		case n.Phase == autoscaler.Coming:
			t.NodesComing++
		case n.Phase == autoscaler.Leaving || n.Draining:
			t.NodesLeaving++
		case n.Phase == autoscaler.Ready:
			t.NodesReady++
		}
	}
	for _, p := range costs(s).pools {
		t.Price += p.price
		for _, w := range p.waste {
			t.Waste += w
		}
	}
	return t
}

// pictureOf is a State and its Decision as the live page shows them.
func pictureOf(s *autoscaler.State, d *autoscaler.Decision) live.Picture {
	money := costs(s)
	p := live.Picture{Totals: totals(s, d), Pools: []live.Pool{}}
	p.Workloads, p.MoreWorkloads = workloadRows(s, d, money)
	p.Nodes, p.MoreNodes = nodeRows(s, d, money)
	for i := range s.Pools {
		o := &s.Pools[i]
		p.Pools = append(p.Pools, live.Pool{
			ID: string(o.ID), From: d.Orders[i].From, Target: d.Orders[i].To, Most: o.Max, Price: o.PricePerHour, Why: d.Orders[i].Why[0].String(),
		})
	}
	return p
}

// busiest are the first indices of a table whose rows have these weights, the heaviest first, as far as the page shows them, and
// how many are left out.
func busiest(weights []int) (order []int, more int) {
	order = make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	more = max(0, len(order)-live.MostRows)
	return order[:len(order)-more], more
}

func workloadRows(s *autoscaler.State, d *autoscaler.Decision, money *money) (rows []live.Workload, more int) {
	starting := map[autoscaler.WorkloadID]int{}
	for i := range s.Pods {
		if phase := s.Pods[i].Phase; phase == autoscaler.Starting || phase == autoscaler.Pending {
			starting[s.Pods[i].Workload]++
		}
	}
	hopes := map[autoscaler.WorkloadID]*autoscaler.Reason{}
	for i := range d.Holds {
		hopes[d.Holds[i].Workload] = &d.Holds[i].Why
	}
	all := figuresOf(s, d)
	weights := make([]int, len(all))
	for i, f := range all {
		weights[i] = 4*f.held + 2*f.unplaced + f.inFlight + f.wanted
	}
	order, more := busiest(weights)
	rows = make([]live.Workload, 0, len(order))
	for _, i := range order {
		f := all[i]
		w := live.Workload{
			ID: string(f.id), Rate: f.rate, Held: f.held, InFlight: f.inFlight, Wanted: f.wanted, Ready: f.ready, Starting: starting[f.id], Unplaced: f.unplaced,
			Price: money.workloads[f.id],
		}
		if hope := hopes[f.id]; hope != nil && f.held > 0 {
			w.Hope = hope.String()
		}
		switch {
		case f.blocked > 0:
			w.State = "blocked"
		case f.refused > 0:
			w.State = "refused"
		case f.unplaced > 0:
			w.State = "no room"
		case f.ready < f.wanted:
			w.State = "waking"
		case f.ready > 0:
			w.State = "serving"
		default:
			w.State = "idle"
		}
		for _, why := range d.Scales[i].Why {
			w.Why = append(w.Why, why.String())
		}
		rows = append(rows, w)
	}
	return rows, more
}

func nodeRows(s *autoscaler.State, d *autoscaler.Decision, money *money) (rows []live.Node, more int) {
	requested := map[autoscaler.NodeID]autoscaler.Resources{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Node == "" {
			continue
		}
		r := requested[p.Node]
		r.CPU, r.Memory = r.CPU+p.Shape.Needs.CPU, r.Memory+p.Shape.Needs.Memory
		if p.Daemon == "" {
			r.Pods++
		}
		requested[p.Node] = r
	}
	why := map[autoscaler.NodeID]*autoscaler.Reason{}
	for i := range d.Drains {
		why[d.Drains[i].Node] = &d.Drains[i].Why
	}
	weights := make([]int, len(s.Nodes))
	for i := range s.Nodes {
		weights[i] = int(requested[s.Nodes[i].ID].Pods)
	}
	order, more := busiest(weights)
	rows = make([]live.Node, 0, len(order))
	for _, i := range order {
		n := &s.Nodes[i]
		r, m := requested[n.ID], money.nodes[n.ID]
		row := live.Node{
			ID: string(n.ID), Pool: string(n.Pool), Phase: n.Phase.String(), Pods: int(r.Pods), Price: m.price, Waste: m.waste,
			CPU: float64(r.CPU) / float64(max(1, n.Allocatable.CPU)), Memory: float64(r.Memory) / float64(max(1, n.Allocatable.Memory)),
		}
		if reason := why[n.ID]; reason != nil {
			row.Why = reason.String()
		}
		switch {
		case n.Draining:
			row.Phase = "draining"
		case n.Pool == "":
			row.Pool, row.Why = "none of ours", cmp.Or(row.Why, "not ours: it has room for pods and is never touched")
		case n.Phase == autoscaler.Coming && !n.Due.IsZero():
			row.Why = cmp.Or(row.Why, "expected at "+n.Due.UTC().Format("15:04:05"))
		case row.Why == "":
			row.Why = "in use"
		}
		rows = append(rows, row)
	}
	return rows, more
}
