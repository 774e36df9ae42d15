package autoscaler

import "time"

// repair: a node that is not ready ends only when its pool says so, it has been so for long, and few are.
func (c *checker) repair(p Pool, n Node) {
	since := time.Time{}
	for _, m := range c.s.Memo.Nodes {
		if m.ID == n.ID {
			since = m.UnreadySince
		}
	}
	unready, all := 0, 0
	for _, o := range c.s.Nodes {
		if o.Pool == p.ID && o.Phase != Leaving {
			all++
			if o.Phase == NotReady {
				unready++
			}
		}
	}
	switch after := p.Disruption.RepairAfter; {
	case after <= 0 || since.IsZero() || c.s.Now.Sub(since) < after:
		c.say(n.ID, "a node that is not ready has its time to recover", "since %s", since)
	case unready > 1 && unready*5 > max(all, p.Target):
		c.say(n.ID, "nodes are repaired only while few are unwell", "%d of %d", unready, all)
	case n.Keep != "":
		c.say(n.ID, "a node marked to be kept does not leave", "%s", n.Keep)
	}
}

// moves: a node in use is marked only for a reason that its pool allows, within its budgets, and with no pod on it that
// must stay.
func (c *checker) moves() {
	begins := map[PoolID]int{}
	c.budgets()
	for _, d := range c.d.Drains {
		i, ok := c.nodes[d.Node]
		if !ok || d.Step != Cordon {
			continue
		}
		n := c.s.Nodes[i]
		pool := c.pool(n.Pool)
		if c.busy[i] == "" || pool == nil || d.Why.Rule == OverMax {
			continue
		}
		begins[n.Pool]++
		if pool.Unknown != "" {
			c.say(d.Node, "an unknown pool is left as it is", "%s", pool.Unknown)
		}
		for k := range c.s.Pods {
			if p := &c.s.Pods[k]; p.Node == d.Node && p.Keep != "" && p.Daemon == "" && !p.Mirror {
				c.say(d.Node, "a node with a pod that must stay is not emptied", "%s: %s", p.ID, p.Keep)
			}
		}
		if (d.Why.Rule == Underused || d.Why.Rule == Replaced) && pool.Disruption.ConsolidateAfter <= 0 || d.Why.Rule == Expired && pool.Disruption.ExpireAfter <= 0 {
			c.say(d.Node, "nodes in use are disturbed only where their pool allows it", "%s", d.Why.Rule)
		}
	}
	for _, p := range c.s.Pools {
		for _, b := range p.Disruption.Budgets {
			if b.For == "" && begins[p.ID] > b.Nodes {
				c.say(p.ID, "no more nodes leave at a time than the budget allows", "%d begin, %d allowed", begins[p.ID], b.Nodes)
			}
		}
	}
}

// budgets: for no reason do more nodes of a pool begin to leave than its budgets let, those counted that are leaving already, of
// its group too.
func (c *checker) budgets() {
	type scope struct {
		group GroupID
		pool  PoolID
	}
	of := func(p *Pool) scope {
		for _, g := range c.s.Groups {
			if g.ID == p.Group {
				return scope{group: g.ID}
			}
		}
		return scope{pool: p.ID}
	}
	leaving, begins := map[scope]int{}, map[PoolID]map[LeaveReason]int{}
	for _, n := range c.s.Nodes {
		if p := c.pool(n.Pool); p != nil && n.Draining && n.Phase != Leaving {
			leaving[of(p)]++
		}
	}
	reasons := map[Rule]LeaveReason{
		Empty: LeaveEmpty, Underused: LeaveUnderused, Replaced: LeaveUnderused, Expired: LeaveExpired, Drifted: LeaveDrifted, Unhealthy: LeaveUnhealthy,
	}
	for _, d := range c.d.Drains {
		i, ok := c.nodes[d.Node]
		reason := reasons[d.Why.Rule]
		if !ok || reason == "" || d.Step != Cordon && d.Why.Rule != Unhealthy || d.Step == Stay {
			continue
		}
		if p := c.pool(c.s.Nodes[i].Pool); p != nil {
			if begins[p.ID] == nil {
				begins[p.ID] = map[LeaveReason]int{}
			}
			begins[p.ID][reason]++
		}
	}
	for i := range c.s.Pools {
		p := &c.s.Pools[i]
		for reason, n := range begins[p.ID] {
			for _, b := range p.Disruption.Budgets {
				if (b.For == "" || b.For == reason) && n+leaving[of(p)] > b.Nodes {
					c.say(p.ID, "no more nodes leave for a reason than its budget allows", "%s: %d begin beside %d, %d allowed", reason, n, leaving[of(p)], b.Nodes)
				}
			}
		}
	}
}

func (c *checker) pool(id PoolID) *Pool {
	for i := range c.s.Pools {
		if c.s.Pools[i].ID == id {
			return &c.s.Pools[i]
		}
	}
	return nil
}

// prices: a pool that is capped does not grow beyond what its cap pays for, and neither do all together.
func (c *checker) prices() {
	if len(c.d.Orders) != len(c.s.Pools) {
		return
	}
	all, grows := 0.0, false
	for i, p := range c.s.Pools {
		o := c.d.Orders[i]
		all += float64(chosen(&p, &o)) * p.PricePerHour
		bought := o.To > p.Target && o.To > p.Min
		// What a group must have at least goes before caps, as what a pool must have does.
		grows = grows || bought && (p.Group == "" || o.Why[0].Rule != MinNodes)
		if p.PriceCap > 0 && bought && float64(o.To)*p.PricePerHour > p.PriceCap*1.000001 {
			c.say(p.ID, "a pool costs no more than its cap", "%d nodes at %g an hour, cap %g", o.To, p.PricePerHour, p.PriceCap)
		}
	}
	if c.s.PriceCap > 0 && grows && all > c.s.PriceCap*1.000001 {
		c.say("pools", "all pools together cost no more than the cap", "%g an hour, cap %g", all, c.s.PriceCap)
	}
}
