package autoscaler_test

import (
	"flag"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/window"
)

// generator draws States such as drivers make: each list sorted, each figure possible, each strange case often enough.
type generator struct {
	t *rapid.T
	s autoscaler.State
}

// anyState draws a State: several workloads and pools, machines in every phase, whole or on their way out, pods of ours
// and of others, fresh and stale demand, with and without a memo.
func anyState(t *rapid.T) autoscaler.State {
	g := generator{t: t}
	g.s.Now = time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(g.upTo("now", 5000)) * time.Millisecond)
	g.daemons()
	g.pools()
	g.nodes()
	g.workloads()
	g.others()
	slices.SortFunc(g.s.Pods, func(a, b autoscaler.Pod) int { return compare(a.ID, b.ID) })
	g.memo()
	return g.s
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (g *generator) upTo(name string, n int) int { return rapid.IntRange(0, n).Draw(g.t, name) }

// oneIn is true one time in n.
func (g *generator) oneIn(n int, name string) bool { return g.upTo(name, n-1) == n-1 }

func pick[T any](g *generator, name string, of ...T) T { return rapid.SampledFrom(of).Draw(g.t, name) }

// ago is now or up to most before it.
func (g *generator) ago(name string, most time.Duration) time.Time {
	return g.s.Now.Add(-time.Duration(g.upTo(name, int(most/time.Second))) * time.Second)
}

func (g *generator) words(n int, name, words string) string {
	if g.oneIn(n, name) {
		return words
	}
	return ""
}

func (g *generator) shape() autoscaler.Shape {
	s := autoscaler.Shape{Needs: autoscaler.Resources{
		CPU: pick(g, "cpu", int64(100), 500, 1000, 1500, 3000, 9000), Memory: pick(g, "memory", int64(1<<28), 1<<30, 3<<30), Pods: 1,
	}}
	var rules fit.Pod
	if g.oneIn(4, "selects") {
		rules.Selector = fit.Labels{{Key: "pool", Value: pick(g, "selected", "a", "b", "none")}}
	}
	if g.oneIn(3, "tolerates") {
		rules.Tolerations = []autoscaler.Toleration{pick(g, "toleration",
			autoscaler.Toleration{Key: "dedicated", Value: "gpu"}, autoscaler.Toleration{Exists: true},
			autoscaler.Toleration{Key: "dedicated", Exists: true, Effect: fit.NoExecute})}
	}
	g.rules(&rules)
	if rules.Key() != (&fit.Pod{}).Key() {
		rules.Needs = append(fit.Amounts{{Name: fit.CPU, Value: s.Needs.CPU}, {Name: fit.Memory, Value: s.Needs.Memory}}, rules.Needs...)
		slices.SortFunc(rules.Needs, func(a, b fit.Amount) int { return compare(a.Name, b.Name) })
		s.Rules = &rules
	}
	return s
}

// rules draws what pods ask of each other.
func (g *generator) rules(p *fit.Pod) {
	if !g.oneIn(3, "rules") {
		return
	}
	p.Labels = fit.Labels{{Key: "app", Value: pick(g, "app", "x", "y")}}
	own := fit.Selector{Requirements: []fit.Requirement{{Key: "app", Operator: fit.In, Values: []string{pick(g, "about", "x", "y")}}}}
	topology := pick(g, "topology", "pool", fit.LabelHostname)
	in := fit.NodeTerms{{Labels: []fit.Requirement{{Key: "pool", Operator: pick(g, "operator", fit.In, fit.NotIn), Values: []string{pick(g, "affine", "a", "b", "none")}}}}}
	switch g.upTo("kind of rule", 9) {
	case 0:
		p.Spread = []fit.Spread{{Topology: topology, MaxSkew: 1 + g.upTo("skew", 1), MinDomains: 1, Selector: own, AnyNode: g.oneIn(3, "any node"), Untainted: g.oneIn(3, "untainted")}}
		if g.oneIn(3, "affine too") {
			p.Affinity = in
		}
	case 1:
		p.Away = []fit.Term{{Topology: topology, Namespaces: []string{""}, NamespaceSelector: fit.Selector{Nothing: true}, Selector: own}}
	case 2:
		p.Near = []fit.Term{{Topology: topology, Namespaces: []string{""}, NamespaceSelector: fit.Selector{Nothing: true}, Selector: own}}
	case 3:
		p.Ports = []fit.Port{{Protocol: "TCP", Number: 8080}}
	case 4:
		p.Foreign = "a scheduler of its own"
	case 5:
		p.Affinity = in
	case 6:
		p.Places = []fit.NodeTerms{in}
	case 7:
		p.Needs = fit.Amounts{{Name: fit.Attached("disk"), Value: int64(1 + g.upTo("disks", 1))}}
	case 8:
		p.Needs = fit.Amounts{{Name: "nvidia.com/gpu", Value: int64(1 + g.upTo("cards", 1))}}
	case 9:
		p.Claims = []string{"ns/" + pick(g, "claim", "x", "y")}
	}
}

func (g *generator) daemons() {
	for k := range g.upTo("daemons", 2) {
		d := autoscaler.Daemon{ID: fmt.Sprintf("kube-system/d%d", k), Shape: g.shape()}
		d.Shape.Needs.CPU, d.Shape.Needs.Memory = 100, 64<<20
		if r := d.Shape.Rules; r != nil {
			r.Needs = fit.Amounts{{Name: fit.CPU, Value: 100}, {Name: fit.Memory, Value: 64 << 20}}
		}
		g.s.Daemons = append(g.s.Daemons, d)
	}
}

func (g *generator) pools() {
	for k := range g.upTo("pools", 3) {
		id := string(rune('a' + k))
		p := autoscaler.Pool{
			ID: autoscaler.PoolID(id), Labels: fit.Labels{{Key: "pool", Value: id}},
			Allocatable: autoscaler.Resources{CPU: pick(g, "cores", int64(2000), 4000, 8000), Memory: 16 << 30, Pods: pick(g, "slots", int64(3), 110)},
			Min:         g.upTo("min", 2), Unknown: g.words(6, "unknown", "the cloud did not answer"), StockOut: g.words(6, "out", "no such machine now"),
			PricePerHour: pick(g, "price", 0, 0.1, 0.25), Weight: g.upTo("weight", 1), Join: pick(g, "join", 10*time.Second, time.Minute),
			IdleAfter: pick(g, "idle", 0, 30*time.Second),
		}
		p.Max = p.Min + g.upTo("more", 6)
		if g.oneIn(3, "further") {
			p.Extended = fit.Amounts{{Name: fit.Attached("disk"), Value: int64(g.upTo("disks of a node", 2))}, {Name: "nvidia.com/gpu", Value: int64(g.upTo("cards of a node", 3))}}
		}
		if g.oneIn(3, "disruption") {
			p.Disruption = autoscaler.Disruption{
				ConsolidateAfter: pick(g, "consolidate", 0, 10*time.Second), ExpireAfter: pick(g, "expire", 0, 10*time.Minute), RepairAfter: pick(g, "repair", 0, time.Minute),
			}
			if g.oneIn(3, "budget") {
				p.Disruption.Budgets = []autoscaler.Budget{{For: pick(g, "for", "", autoscaler.LeaveUnderused, autoscaler.LeaveEmpty), Nodes: g.upTo("budgeted", 2)}}
			}
		}
		if g.oneIn(4, "standby") {
			p.Stopped, p.Resume = g.upTo("stopped", 2), 3*time.Second
		}
		if g.oneIn(3, "joins seen") {
			p.Joins = pick(g, "joins", []time.Duration{9 * time.Second, 10 * time.Second}, []time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Minute})
		}
		if g.oneIn(4, "price cap") {
			p.PriceCap = pick(g, "cap", 0.2, 0.6)
		}
		if g.oneIn(4, "tainted") {
			p.Taints = []autoscaler.Taint{{Key: "dedicated", Value: "gpu", Effect: pick(g, "effect", fit.NoSchedule, fit.NoExecute)}}
		}
		g.s.Pools = append(g.s.Pools, p)
	}
	if g.oneIn(3, "grouped") {
		group := autoscaler.Group{ID: "g", Min: g.upTo("least of all", 2)}
		group.Max = group.Min + g.upTo("more of all", 6)
		if g.oneIn(4, "price cap of all") {
			group.PriceCap = pick(g, "cap of all", 0.2, 0.6)
		}
		g.s.Groups = append(g.s.Groups, group)
		for k := range g.s.Pools {
			if !g.oneIn(4, "alone") {
				g.s.Pools[k].Group, g.s.Pools[k].Min = group.ID, 0
			}
		}
	}
}

func (g *generator) nodes() {
	for k := range g.upTo("nodes", 7) {
		n := autoscaler.Node{ID: autoscaler.NodeID(fmt.Sprintf("n%d", k)), Phase: autoscaler.Ready, Since: g.ago("since", 20*time.Minute)}
		if len(g.s.Pools) == 0 || g.oneIn(5, "foreign") {
			g.foreign(&n)
		} else {
			g.ours(&n, &g.s.Pools[g.upTo("pool", len(g.s.Pools)-1)])
		}
		n.Cordoned, n.Keep = g.oneIn(8, "cordoned"), g.words(6, "keep", "marked to be kept")
		if n.Phase == autoscaler.Ready || n.Phase == autoscaler.NotReady || n.Phase == autoscaler.Leaving {
			n.Draining = g.oneIn(3, "draining")
		}
		g.s.Nodes = append(g.s.Nodes, n)
	}
	for k := range g.s.Pools {
		p := &g.s.Pools[k]
		for _, n := range g.s.Nodes {
			if n.Pool == p.ID && n.Phase != autoscaler.Leaving {
				p.Target++
			}
		}
		// What was ordered and cannot be had, or is not known, is in the target alone.
		if p.StockOut != "" || p.Unknown != "" {
			p.Target += g.upTo("lacking", 2)
		}
	}
}

func (g *generator) foreign(n *autoscaler.Node) {
	n.Allocatable = autoscaler.Resources{CPU: 4000, Memory: 16 << 30, Pods: 110}
	n.Phase = pick(g, "phase", autoscaler.Ready, autoscaler.Ready, autoscaler.NotReady)
	if g.oneIn(3, "pool gone") {
		n.Pool = "gone"
	}
}

func (g *generator) ours(n *autoscaler.Node, p *autoscaler.Pool) {
	n.Pool, n.Instance, n.Allocatable, n.Labels, n.Taints, n.Extended = p.ID, string(n.ID), p.Allocatable, p.Labels, p.Taints, p.Extended
	n.Phase = pick(g, "phase", autoscaler.Ready, autoscaler.Ready, autoscaler.Ready, autoscaler.Coming, autoscaler.NotReady, autoscaler.Failed, autoscaler.Leaving)
	if n.Phase == autoscaler.Coming {
		n.Due = n.Since.Add(p.Join)
		if p.StockOut == "" && g.oneIn(2, "only ordered") {
			n.Instance = ""
		}
	}
	if n.Instance != "" && g.oneIn(6, "taints gone") {
		n.Taints = nil
	}
}

func (g *generator) workloads() {
	for k := range g.upTo("workloads", 4) {
		w := autoscaler.Workload{
			ID: autoscaler.WorkloadID(fmt.Sprintf("ns/w%d", k)), Shape: g.shape(), Start: 4 * time.Second, Policy: g.policy(),
			Blocked: g.words(8, "blocked", "paused"), Initialized: true,
		}
		w.Initialized = w.Policy.Initial == 0 || g.oneIn(2, "initialized")
		load := g.pods(&w)
		w.Replicas = g.upTo("replicas", 8)
		w.Demand = g.demand(load)
		w.Priority = g.upTo("priority", 2)
		if g.oneIn(4, "signal") {
			w.Signals = []autoscaler.Signal{{Name: "cpu", Value: pick(g, "value", -1.0, 0, 900, 5000), Target: pick(g, "signal target", 0, 100.0), Stale: g.oneIn(3, "stale signal")}}
		}
		g.s.Workloads = append(g.s.Workloads, w)
	}
}

func (g *generator) policy() autoscaler.Policy {
	p := autoscaler.Policy{
		Name: pick(g, "policy", autoscaler.Wholescale, autoscaler.Wholescale, autoscaler.KPA), Target: pick(g, "target", 0.7, 7, 70),
		Slots: pick(g, "limit", 0, 1, 10, 1_000_000), Min: g.upTo("least", 2), Initial: pick(g, "initial", 0, 0, 3), Activation: pick(g, "activation", 0, 1, 2),
		StableWindow: time.Minute, PanicWindow: 6 * time.Second, PanicThreshold: 2, UpRate: pick(g, "up", 2.0, 1000.0), DownRate: 2,
		ScaleDownDelay: pick(g, "delay", 0, 0, 30*time.Second), ZeroRetention: pick(g, "retention", 0, 20*time.Second),
		BurstCapacity: pick(g, "burst", -1.0, 0, 211), Unreachable: g.oneIn(8, "unreachable"),
	}
	p.Total = p.Target / 0.7
	p.Objective.Wait = pick(g, "wait", 0, 300*time.Millisecond, 10*time.Second)
	p.Objective.Price = pick(g, "waiting", 0, 0, 0.0001)
	p.RateTarget, p.Tolerance = pick(g, "rate target", 0, 0, 5.0), pick(g, "tolerance", 0, 0, 0.2)
	if g.oneIn(5, "ramp") {
		p.Ramp = autoscaler.Ramp{Replicas: 3, Period: 10 * time.Second}
	}
	if g.oneIn(6, "floor") {
		from := g.ago("floor from", time.Minute)
		p.Floors = []autoscaler.Floor{{Name: "f", From: from, Until: from.Add(time.Minute), Replicas: g.upTo("floor", 4)}}
	}
	if g.oneIn(2, "bounded") {
		p.Max = max(p.Min, 1) + g.upTo("above", 10)
	}
	return p
}

// pods draws a workload's pods and returns the requests on them.
func (g *generator) pods(w *autoscaler.Workload) int {
	load := 0
	for k := range g.upTo("pods", 5) {
		p := autoscaler.Pod{
			ID: autoscaler.PodID(fmt.Sprintf("%s-%d", w.ID, k)), Workload: w.ID, Shape: w.Shape, Since: g.ago("bound", time.Minute),
			Keep: g.words(8, "pod keep", "a budget allows no eviction"),
		}
		p.Node, p.Phase = g.place()
		if p.Phase == autoscaler.Ready {
			p.InFlight = g.upTo("in flight", 12)
			load += p.InFlight
		}
		if g.oneIn(5, "marked") {
			p.DeletionCost = pick(g, "cost", autoscaler.LeaveCost, 7)
		}
		g.s.Pods = append(g.s.Pods, p)
	}
	return load
}

// place is a node that pods can be on, with a phase that goes with it, or none.
func (g *generator) place() (autoscaler.NodeID, autoscaler.Phase) {
	var there []autoscaler.NodeID
	for _, n := range g.s.Nodes {
		if n.Phase == autoscaler.Ready || n.Phase == autoscaler.NotReady || n.Phase == autoscaler.Leaving {
			there = append(there, n.ID)
		}
	}
	if len(there) == 0 || g.oneIn(4, "waits") {
		return "", autoscaler.Pending
	}
	return pick(g, "on", there...), pick(g, "pod phase", autoscaler.Ready, autoscaler.Ready, autoscaler.Starting, autoscaler.NotReady, autoscaler.Leaving)
}

func (g *generator) demand(inFlight int) autoscaler.Demand {
	d := autoscaler.Demand{Stale: g.oneIn(5, "stale"), InFlight: inFlight}
	if g.oneIn(3, "queue") {
		d.Queued = g.upTo("queued", 40)
	}
	d.Stable, d.Panic = pick(g, "stable", 0, 0.4, 3, 30, 300), pick(g, "panic", 0, 0.4, 3, 30, 300)
	d.Deviation, d.Rate = pick(g, "deviation", 0, 0.5, 4, 40), pick(g, "rate", 0, 1, 20, 500.0)
	d.Service = pick(g, "service", 0, 50*time.Millisecond, 4*time.Second)
	if g.oneIn(3, "was held") {
		d.HeldAt = g.ago("held", 2*time.Minute)
	}
	for range pick(g, "gaps", 0, 0, 12) {
		d.Gaps.Add(time.Duration(g.upTo("gap", 4000)) * time.Second)
	}
	if !d.Stale && d.Queued+d.InFlight == 0 {
		d.IdleSince = g.ago("idle since", 3*time.Minute)
	}
	return d
}

// others are pods that no workload of ours owns: daemons, static pods, pods that wait, pods that must stay.
func (g *generator) others() {
	for k := range g.upTo("others", 5) {
		p := autoscaler.Pod{ID: autoscaler.PodID(fmt.Sprintf("other/o%d", k)), Shape: g.shape(), Since: g.ago("created", time.Minute)}
		p.Node, p.Phase = g.place()
		switch g.upTo("kind", 3) {
		case 0:
			p.Daemon = fmt.Sprintf("kube-system/d%d", g.upTo("daemon", 1))
		case 1:
			p.Mirror = p.Node != ""
		case 2:
			p.Keep = "no controller would replace it"
		}
		g.s.Pods = append(g.s.Pods, p)
	}
}

func (g *generator) memo() {
	for _, w := range g.s.Workloads {
		if g.oneIn(2, "unknown before") {
			continue
		}
		m := autoscaler.WorkloadMemo{ID: w.ID}
		if g.oneIn(2, "panics") {
			m.PanicSince, m.PanicReplicas = g.ago("panic since", 90*time.Second), g.upTo("panic replicas", 9)
		}
		if w.Policy.ScaleDownDelay > 0 {
			m.Peaks = []window.Peak{{Bucket: g.s.Now.Unix()/2 - int64(g.upTo("bucket", 20)), Value: g.upTo("peak", 9)}}
		}
		g.s.Memo.Workloads = append(g.s.Memo.Workloads, m)
	}
	for _, n := range g.s.Nodes {
		if g.oneIn(2, "was empty") {
			g.s.Memo.Nodes = append(g.s.Memo.Nodes, autoscaler.NodeMemo{ID: n.ID, EmptySince: g.ago("empty since", time.Minute)})
		}
	}
}

// init makes rapid look at more States than its 100: one takes a tenth of a millisecond. -rapid.checks still says otherwise.
func init() {
	if err := flag.Set("rapid.checks", "500"); err != nil {
		panic(err)
	}
}
