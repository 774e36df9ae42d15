package autoscaler_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// TestConstantDemandSettles runs the loop on a tiny model, a second a step: what was decided happens, pods go to the first
// node with room, machines join and pods start when they are due. Under constant demand nothing changes in the end, but that nodes
// are saved, or replaced by cheaper ones, for which the time comes by and by: each at most once.
func TestConstantDemandSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if rapid.IntRange(0, 19).Draw(t, "run") < 19 {
			return // each run is 600 plans: one in twenty is enough
		}
		g := generator{t: t}
		g.s.Now = time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
		g.pools()
		for i := range g.s.Pools {
			p := &g.s.Pools[i]
			p.Unknown, p.StockOut, p.Join = "", "", 10*time.Second
		}
		for k := range rapid.IntRange(1, 3).Draw(t, "workloads") {
			w := autoscaler.Workload{ID: autoscaler.WorkloadID(fmt.Sprintf("ns/w%d", k)), Shape: g.shape(), Start: 2 * time.Second, Policy: g.policy(), Initialized: true}
			w.Policy.Max, w.Policy.Floors = w.Policy.Min+12, nil
			if w.Policy.Slots > 0 {
				w.Policy.Slots = int(math.Ceil(w.Policy.Total)) // a limit below the target is refused before it comes here
			}
			g.s.Workloads = append(g.s.Workloads, w)
		}
		loads := rapid.SliceOfN(rapid.IntRange(0, 60), 3, 3).Draw(t, "loads")
		m := model{s: g.s}
		late, nodes := 0, 0
		for step := range 600 {
			m.demand(loads)
			d := autoscaler.Plan(m.s)
			if found := autoscaler.Check(m.s, d); len(found) > 0 {
				t.Fatalf("step %d: %v\n%s\n%s", step, found, autoscaler.Describe(d, true), scenario.Print(m.s))
			}
			if step == 300 {
				nodes = len(m.s.Nodes)
			}
			if step > 300 && (slices.ContainsFunc(d.Scales, autoscaler.Scale.Changes) || slices.ContainsFunc(d.Orders, autoscaler.Order.Changes)) {
				late++
				t.Logf("step %d:\n%s\n%s", step, autoscaler.Describe(d, true), scenario.Print(m.s))
			}
			m.apply(d)
		}
		// A node leaves by an order, up to three workloads' replacements beside it and their ends; one may be under way.
		if left := max(nodes-len(m.s.Nodes), 0); late > 7*(left+1) {
			t.Errorf("%d changes after 300 s of constant demand, and %d nodes less", late, left)
		}
	})
}

type model struct {
	s      autoscaler.State
	serial int
}

func (m *model) demand(loads []int) {
	for i := range m.s.Workloads {
		w := &m.s.Workloads[i]
		d := autoscaler.Demand{Stable: float64(loads[i]), Panic: float64(loads[i]), Queued: loads[i], IdleSince: w.Demand.IdleSince}
		for k := range m.s.Pods {
			if p := &m.s.Pods[k]; p.Workload == w.ID && p.Phase == autoscaler.Ready {
				room := d.Queued
				if w.Policy.Slots > 0 {
					room = min(room, w.Policy.Slots)
				}
				p.InFlight = room
				d.InFlight, d.Queued = d.InFlight+room, d.Queued-room
			}
		}
		if loads[i] == 0 && d.IdleSince.IsZero() {
			d.IdleSince = m.s.Now
		}
		w.Demand = d
	}
}

func (m *model) apply(d autoscaler.Decision) {
	m.s.Memo = d.Memo
	for _, x := range d.Drains {
		if n := nodeOf(m.s, x.Node); x.Step == autoscaler.Cordon || x.Step == autoscaler.Uncordon {
			n.Draining = x.Step == autoscaler.Cordon
		}
	}
	for i, o := range d.Orders {
		p := &m.s.Pools[i]
		p.Target = o.To
		live := 0
		m.s.Nodes = slices.DeleteFunc(m.s.Nodes, func(n autoscaler.Node) bool { return slices.Contains(o.Delete, n.ID) })
		for _, n := range m.s.Nodes {
			if n.Pool == p.ID {
				live++
			}
		}
		for ; live < o.To; live++ {
			m.serial++
			id := fmt.Sprintf("n%06d", m.serial)
			m.s.Nodes = append(m.s.Nodes, autoscaler.Node{
				ID: autoscaler.NodeID(id), Pool: p.ID, Instance: id, Phase: autoscaler.Coming, Allocatable: p.Allocatable, Extended: p.Extended, Labels: p.Labels, Taints: p.Taints,
				Since: m.s.Now, Due: m.s.Now.Add(p.Join),
			})
		}
	}
	for _, c := range d.Costs {
		m.s.Pods[podAt(&m.s, c.Pod)].DeletionCost = c.Cost
	}
	for i := range m.s.Workloads {
		m.scale(&m.s.Workloads[i], d.Scales[i].To)
	}
	m.s.Now = m.s.Now.Add(time.Second)
	m.pass()
	slices.SortFunc(m.s.Nodes, func(a, b autoscaler.Node) int { return compare(a.ID, b.ID) })
	slices.SortFunc(m.s.Pods, func(a, b autoscaler.Pod) int { return compare(a.ID, b.ID) })
}

// scale makes or takes pods, first those without a node, then those of the lowest cost.
func (m *model) scale(w *autoscaler.Workload, to int) {
	w.Replicas = to
	var mine []autoscaler.Pod
	for _, p := range m.s.Pods {
		if p.Workload == w.ID {
			mine = append(mine, p)
		}
	}
	slices.SortStableFunc(mine, func(a, b autoscaler.Pod) int { return int(b.Phase-a.Phase)*10_000 + b.DeletionCost - a.DeletionCost })
	for _, p := range mine[min(to, len(mine)):] {
		m.s.Pods = slices.DeleteFunc(m.s.Pods, func(o autoscaler.Pod) bool { return o.ID == p.ID })
	}
	for k := len(mine); k < to; k++ {
		m.serial++
		id := autoscaler.PodID(fmt.Sprintf("%s-%06d", w.ID, m.serial))
		m.s.Pods = append(m.s.Pods, autoscaler.Pod{ID: id, Workload: w.ID, Phase: autoscaler.Pending, Shape: w.Shape, Since: m.s.Now})
	}
}

// pass lets what is due happen: nodes join, pods are bound and start.
func (m *model) pass() {
	for i := range m.s.Nodes {
		if n := &m.s.Nodes[i]; n.Phase == autoscaler.Coming && !n.Due.After(m.s.Now) {
			n.Phase = autoscaler.Ready
		}
	}
	for i := range m.s.Pods {
		p := &m.s.Pods[i]
		switch {
		case p.Phase == autoscaler.Pending:
			m.bind(p)
		case p.Phase == autoscaler.Starting && m.s.Now.Sub(p.Since) >= 2*time.Second:
			p.Phase = autoscaler.Ready
		}
	}
}

func (m *model) bind(p *autoscaler.Pod) {
	for i := range m.s.Nodes {
		n := &m.s.Nodes[i]
		free := n.Allocatable
		for _, o := range m.s.Pods {
			if o.Node == n.ID {
				free = free.Minus(o.Shape.Needs)
			}
		}
		if n.Phase == autoscaler.Ready && !n.Draining && free.Holds(p.Shape.Needs) && m.fits(p, n) {
			p.Node, p.Phase, p.Since = n.ID, autoscaler.Starting, m.s.Now
			return
		}
	}
}

// fits asks the scheduler's rules.
func (m *model) fits(p *autoscaler.Pod, n *autoscaler.Node) bool {
	if p.Shape.Rules == nil {
		return !slices.ContainsFunc(n.Taints, func(t autoscaler.Taint) bool { return true })
	}
	c := fit.NewCluster(nil)
	at := -1
	for i := range m.s.Nodes {
		o := &m.s.Nodes[i]
		labels := append(fit.Labels{{Key: fit.LabelHostname, Value: string(o.ID)}}, o.Labels...)
		k := c.AddNode(fit.Node{Name: string(o.ID), Labels: labels, Taints: o.Taints, Allocatable: append(slices.Clone(o.Extended),
			fit.Amount{Name: fit.CPU, Value: o.Allocatable.CPU}, fit.Amount{Name: fit.Memory, Value: o.Allocatable.Memory}, fit.Amount{Name: fit.Pods, Value: o.Allocatable.Pods},
		)})
		if o.ID == n.ID {
			at = k
		}
		for j := range m.s.Pods {
			if q := &m.s.Pods[j]; q.Node == o.ID && q.Shape.Rules != nil {
				c.Add(c.Class(*q.Shape.Rules), k, 1)
			}
		}
	}
	return c.Fits(c.Class(*p.Shape.Rules), at) == fit.None
}
