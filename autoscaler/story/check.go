package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wholescale/wholescale/autoscaler"
)

// Finding is one thing that is amiss in a cluster's set-up, and what to do about it.
type Finding struct {
	// Subject is "cluster", "pool spot", "workload demo/cart", "node n1" or "pod demo/db".
	Subject string `json:"subject"`
	// Code is from a closed list, for programs: see docs/ask.md.
	Code    string `json:"code"`
	Problem string `json:"problem"`
	Fix     string `json:"fix"`
}

// Check judges the set-up that a State shows: what cannot work as it is, or cannot get cheaper, whatever the demand. The
// findings are sorted by subject.
func (t *Teller) Check() []Finding {
	c := checker{Teller: t}
	c.cluster()
	c.pools()
	c.workloads()
	c.fits()
	c.shortages()
	c.nodes()
	c.pods()
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rankOf(a.Subject), rankOf(b.Subject)), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Code, b.Code))
	})
	return c.found
}

// rankOf puts what holds for all before what holds for one.
func rankOf(subject string) int {
	kind, _, _ := strings.Cut(subject, " ")
	return slices.Index([]string{"cluster", "pool", "workload", "headroom", "node", "pod"}, kind)
}

type checker struct {
	*Teller
	found []Finding
	// homeless are the workloads that no machine that can be bought would hold.
	homeless map[autoscaler.WorkloadID]bool
}

func (c *checker) add(subject, code, problem, fix string) {
	c.found = append(c.found, Finding{subject, code, problem, fix})
}

func (c *checker) cluster() {
	s := &c.state
	if len(s.Pools) == 0 {
		c.add("cluster", "no-pool", "there is no NodePool: no machine is ever bought", "apply a NodePool that names a pool of your provider")
	}
	priced, asking, stale := 0, 0, 0
	for i := range s.Pools {
		if s.Pools[i].PricePerHour > 0 {
			priced++
		}
	}
	for i := range s.Workloads {
		if s.Workloads[i].Policy.Objective.Price > 0 {
			asking++
		}
		if s.Workloads[i].Demand.Stale {
			stale++
		}
	}
	if priced == 0 && len(s.Pools) > 0 {
		problem := "no pool has a price: the cheapest machines cannot be told apart"
		if asking > 0 {
			problem += fmt.Sprintf(", and %s that say what waiting costs keep the 99 %% quantile instead", count(asking, "workload"))
		}
		c.add("cluster", "no-prices", problem, "set pricePerHour in the provider's pools")
	}
	if stale > 0 && stale == len(s.Workloads) {
		c.add("cluster", "demand-unknown", "no gateway has a fresh report: nothing is scaled down",
			"see that gateways run and reach the controller (wholescale_gateway_link_connected is 1)")
	}
}

func (c *checker) pools() {
	s := &c.state
	for i := range s.Pools {
		p := &s.Pools[i]
		subject := "pool " + string(p.ID)
		switch {
		case p.Unknown != "":
			c.add(subject, "pool-unknown", "the provider's figures are not known: "+p.Unknown,
				"see whether the provider runs and answers (its log, wholescale_provider_orders_total)")
		case p.StockOut != "":
			c.add(subject, "out-of-stock", "nothing can be bought from it now: "+p.StockOut,
				"wait, or add a pool of other machines or in another zone that its pods can run on")
		}
		if p.Max == 0 {
			c.add(subject, "pool-never-buys", "it may have 0 machines at most", "raise the NodePool's max (and the provider's own limit)")
		}
		if p.PricePerHour == 0 && slices.ContainsFunc(s.Pools, func(q autoscaler.Pool) bool { return q.PricePerHour > 0 }) {
			c.add(subject, "no-price", "it has no price and others have: it is taken to be dearer than any", "set pricePerHour in the provider's pool")
		}
		for _, limit := range []struct {
			of  string
			cap float64
		}{{"its own price cap", p.PriceCap}, {"the cluster's price cap", s.PriceCap}} {
			if limit.cap > 0 && p.PricePerHour > limit.cap {
				c.add(subject, "cap-below-machine", fmt.Sprintf("one machine costs %s an hour and %s is %s: none is ever bought", number(p.PricePerHour), limit.of, number(limit.cap)),
					"raise the cap, or add a pool of cheaper machines")
			}
		}
	}
}

func (c *checker) workloads() {
	for i := range c.state.Workloads {
		w := &c.state.Workloads[i]
		subject := "workload " + string(w.ID)
		p, needs := &w.Policy, w.Shape.Needs
		if w.Blocked != "" {
			code, problem, fix := blocked(w.Blocked)
			c.add(subject, code, problem, fix)
		}
		switch {
		case needs.CPU == 0 || needs.Memory == 0:
			c.add(subject, "no-requests", "its pods ask for "+resources(needs)+": machines are filled with them without end",
				"set resources.requests for CPU and memory in its template")
		case needs.CPU == 100 && needs.Memory == 128<<20:
			c.add(subject, "no-requests", "its pods are planned with 100m CPU and 128Mi, which is what is assumed where a template says nothing",
				"set resources.requests for CPU and memory in its template to what it uses")
		}
		if p.Max > 0 && p.Min == p.Max {
			c.add(subject, "fixed-replicas", fmt.Sprintf("its least and its most are both %d: it never scales", p.Min), "widen its bounds, or take it away from Wholescale")
		}
		for _, f := range p.Floors {
			if p.Max > 0 && f.Replicas > p.Max {
				c.add(subject, "floor-over-max", fmt.Sprintf("floor %s wants %d and the most is %d", f.Name, f.Replicas, p.Max), "raise its max, or lower the floor")
			}
		}
		for _, sig := range w.Signals {
			if sig.Stale {
				c.add(subject, "signal-unknown", "signal "+sig.Name+" has no fresh value: it lowers nothing",
					"see that the metrics API serves it (kubectl get --raw /apis/custom.metrics.k8s.io, external.metrics.k8s.io or metrics.k8s.io)")
			}
		}
	}
}

// blocked takes apart why a workload is left alone: the controller's words often end with what to do.
func blocked(why string) (code, problem, fix string) {
	problem, fix, _ = strings.Cut(why, "; ")
	switch {
	case strings.Contains(why, "the same target") || strings.Contains(why, "HorizontalPodAutoscaler"):
		code = "conflicted"
	case why == "paused":
		code, fix = "paused", "take the pause away when it is no longer wanted"
	default:
		code = "blocked"
	}
	return code, "it is left alone: " + problem, cmp.Or(fix, "mend what is said here; kubectl describe podautoscaler shows the same")
}

// fits asks Plan itself which workloads no machine that can be bought would hold: each wants one replica more, the nodes
// that are there take none, and pools sell without bound.
func (c *checker) fits() {
	c.homeless = map[autoscaler.WorkloadID]bool{}
	s := c.state
	if len(s.Pools) == 0 {
		return
	}
	s.Workloads, s.Pools, s.Nodes = slices.Clone(s.Workloads), slices.Clone(s.Pools), slices.Clone(s.Nodes)
	s.PriceCap, s.Memo, s.Buffers = 0, autoscaler.Memo{}, nil
	for i := range s.Nodes {
		s.Nodes[i].Cordoned, s.Nodes[i].Drifted = true, ""
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		p.Unknown, p.StockOut, p.PriceCap, p.Disruption = "", "", 0, autoscaler.Disruption{}
		p.Max = max(p.Max, p.Target, c.machines(p.ID)) + len(s.Workloads) + len(s.Pods)
	}
	bound := map[autoscaler.WorkloadID]int{}
	for k := range s.Pods {
		if s.Pods[k].Node != "" {
			bound[s.Pods[k].Workload]++
		}
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		w.Blocked, w.Demand, w.Signals = "", autoscaler.Demand{}, nil
		w.Policy.Min, w.Policy.Max, w.Policy.Floors, w.Policy.Initial = max(bound[w.ID], w.Replicas)+1, 0, nil, 0
	}
	d := autoscaler.Plan(s)
	for i := range d.Placements {
		p := &d.Placements[i]
		if p.Workload == "" || p.Unplaced == 0 || p.Leaving != "" || p.Buffer != "" {
			continue
		}
		c.homeless[p.Workload] = true
		if p.Why.Rule == autoscaler.NotUnderstood {
			c.add("workload "+string(p.Workload), "not-understood", "no machine is bought for it: "+p.Why.Subject,
				"take that out of its template, or keep room for it by other means")
		}
	}
	c.refusals(s)
}

// refusals says of each workload that has no machine what stands against it in each pool, by asking Plan with that pool alone.
func (c *checker) refusals(s autoscaler.State) {
	s.Workloads = slices.DeleteFunc(s.Workloads, func(w autoscaler.Workload) bool { return !c.homeless[w.ID] })
	if len(s.Workloads) == 0 {
		return
	}
	pools, against := s.Pools, map[autoscaler.WorkloadID][]string{}
	for i := range pools {
		s.Pools = pools[i : i+1]
		d := autoscaler.Plan(s)
		for k := range d.Placements {
			if p := &d.Placements[k]; p.Workload != "" && p.Unplaced > 0 && p.Why.Rule == autoscaler.NoPoolFits {
				against[p.Workload] = append(against[p.Workload], string(pools[i].ID)+": "+p.Why.Subject)
			}
		}
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		if words := against[w.ID]; len(words) > 0 {
			c.add("workload "+string(w.ID), "no-pool-fits",
				fmt.Sprintf("no pool has a machine for one of its pods (%s): %s", resources(w.Shape.Needs), list(words)),
				"add a NodePool with such machines (size, labels, taints), or let the pods ask for less")
		}
	}
}

var shortFixes = map[autoscaler.Rule]struct{ code, fix string }{
	autoscaler.NoPoolFits:    {"no-room", "add a NodePool with machines that fit, or let the pods ask for less"},
	autoscaler.PoolsFull:     {"pool-full", "raise the NodePool's max (and the provider's own limit), or add another pool that fits"},
	autoscaler.PoolsOut:      {"out-of-stock", "wait, or add a pool of other machines or in another zone"},
	autoscaler.PoolsUnknown:  {"pool-unknown", "see whether the provider runs and answers"},
	autoscaler.PriceCapped:   {"price-capped", "raise the price cap, or lower the workload's max"},
	autoscaler.NotUnderstood: {},
}

// shortages are the pods that have no room now.
func (c *checker) shortages() {
	for i := range c.decision.Placements {
		p := &c.decision.Placements[i]
		known, ok := shortFixes[p.Why.Rule]
		if p.Unplaced == 0 || !ok || c.homeless[p.Workload] || p.Why.Rule == autoscaler.NotUnderstood {
			continue // of the last, pods tells one by one
		}
		subject := "workload " + string(p.Workload)
		switch {
		case p.Leaving != "":
			subject = "node " + string(p.Leaving)
		case p.Buffer != "":
			subject = "headroom " + p.Buffer
		case p.Workload == "":
			subject = "cluster"
		}
		whose := "its pods"
		if subject == "cluster" {
			whose = "the pods that no workload of ours owns"
		}
		c.add(subject, known.code, fmt.Sprintf("%d of %s have no room: %s", p.Unplaced, whose, p.Why.Sentence()), known.fix)
	}
}

func (c *checker) nodes() {
	for i := range c.state.Nodes {
		n := &c.state.Nodes[i]
		pool := c.poolOf(n.Pool)
		if pool == nil || n.Phase == autoscaler.Leaving {
			continue
		}
		subject := "node " + string(n.ID)
		switch {
		case n.Keep != "":
			c.add(subject, "node-kept", "it is never given back: "+n.Keep, "take the mark off the node when it is no longer wanted")
		case n.Phase == autoscaler.NotReady && pool.Disruption.RepairAfter == 0:
			c.add(subject, "node-not-ready", "it is not ready, and its pool repairs none",
				"see what the node's kubelet says; set disruption.repairAfter to have such nodes replaced")
		case n.Phase == autoscaler.Coming && !n.Due.IsZero() && c.state.Now.Sub(n.Due) > pool.Join:
			c.add(subject, "node-late", fmt.Sprintf("it was expected at %s and is %s late", clock(n.Due), length(c.state.Now.Sub(n.Due))),
				"see whether the machine runs and its kubelet can reach the API server; 15 minutes after its order it is replaced")
		case n.Cordoned:
			c.add(subject, "node-cordoned", "somebody else marked it unschedulable: it is paid for and takes no pods",
				"kubectl uncordon it, or drain it so that it is given back")
		}
		c.heldPods(n)
	}
}

// heldPods is one finding for each reason why a node's pods may not be moved.
func (c *checker) heldPods(n *autoscaler.Node) {
	var reasons []string
	pods := map[string][]string{}
	for _, p := range c.staying(n.ID) {
		if p.Keep == "" || p.Phase == autoscaler.Leaving {
			continue
		}
		if pods[p.Keep] == nil {
			reasons = append(reasons, p.Keep)
		}
		pods[p.Keep] = append(pods[p.Keep], string(p.ID))
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		c.add("node "+string(n.ID), "node-held", fmt.Sprintf("it cannot leave: %s may not be moved (%s)", list(pods[why]), why), heldFix(why))
	}
}

// heldFix is what lets a pod go, by what the controller says of it.
func heldFix(why string) string {
	switch {
	case strings.Contains(why, "udget"):
		return "let the budget allow one eviction: fewer minAvailable, more maxUnavailable, or more replicas"
	case strings.HasPrefix(why, "volume"):
		return "if that data may be lost, annotate the pod cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes with the volume's name; else move it to a volume claim"
	case strings.Contains(why, "controller"):
		return "run it under a Deployment, a StatefulSet or a Job, or delete it when it is done"
	case strings.Contains(why, "do-not-disrupt"):
		return "take the annotation off when it is no longer wanted"
	}
	return "see kubectl describe pod"
}

// pods are those that cannot be placed by us or by anybody, one finding for each workload and reason.
func (c *checker) pods() {
	seen := map[string]bool{}
	for i := range c.state.Pods {
		p := &c.state.Pods[i]
		if p.Shape.Rules == nil || p.Daemon != "" || p.Mirror || p.Node != "" {
			continue
		}
		subject := "pod " + string(p.ID)
		if p.Workload != "" {
			subject = "workload " + string(p.Workload)
		}
		for _, f := range []struct{ code, why, fix string }{
			{"not-understood", p.Shape.Rules.Foreign, "take that out of the pods' template, or keep room for them by other means"},
			{"pod-stuck", p.Shape.Rules.Stuck, "mend what is said here: until then no node can take it, bought or not"},
		} {
			key := subject + "\x00" + f.code + "\x00" + f.why
			if f.why == "" || seen[key] || f.code == "not-understood" && c.homeless[p.Workload] {
				continue
			}
			seen[key] = true
			problem := "no machine is bought for it: " + f.why
			if f.code == "pod-stuck" {
				problem = "it cannot run as things are: " + f.why
			}
			c.add(subject, f.code, problem, f.fix)
		}
	}
}
