package autoscaler

// saves: a node in use begins to leave for its price alone only when nothing goes on there, its pods have room on others by the
// sums, and nothing is bought at the same time.
func (c *checker) saves() {
	for _, d := range c.d.Drains {
		i, ok := c.nodes[d.Node]
		if !ok || d.Step != Cordon || d.Why.Rule != Underused {
			continue
		}
		for _, o := range c.d.Orders {
			if len(o.Why) > 0 && o.To > o.From && o.Why[0].Rule == PlacementShort {
				c.say(d.Node, "nothing is bought when a node begins to be saved", "%s %d -> %d", o.Pool, o.From, o.To)
			}
		}
		c.quiet(&c.s.Nodes[i])
		c.roomBeside(i)
	}
}

// onNode are the positions of the pods that would have to run elsewhere if a node went.
func (c *checker) onNode(id NodeID) []int {
	var pods []int
	for k := range c.s.Pods {
		if p := &c.s.Pods[k]; p.Node == id && p.Daemon == "" && !p.Mirror && p.Phase != Leaving {
			pods = append(pods, k)
		}
	}
	return pods
}

func (c *checker) quiet(n *Node) {
	pool := c.pool(n.Pool)
	if pool == nil {
		return
	}
	for _, k := range c.onNode(n.ID) {
		p := &c.s.Pods[k]
		w, ours := c.workloads[p.Workload]
		switch {
		case p.Phase != Ready:
			c.say(n.ID, "a node is saved only when nothing goes on there", "%s: phase %d", p.ID, p.Phase)
		case c.s.Now.Sub(p.Since) < pool.Disruption.ConsolidateAfter:
			c.say(n.ID, "a node is saved only when nothing goes on there", "%s is there since %s", p.ID, p.Since)
		case ours && c.s.Workloads[w].Replicas != c.live[w]:
			c.say(n.ID, "a node is saved only when nothing goes on there", "%s has %d of %d replicas", p.Workload, c.live[w], c.s.Workloads[w].Replicas)
		}
	}
}

// roomBeside: the ready nodes have room for what moves, each pod on one of them and all of them together.
func (c *checker) roomBeside(node int) {
	var all Resources
	var free []Resources
	for i := range c.s.Nodes {
		if n := &c.s.Nodes[i]; i != node && n.Phase == Ready && !n.Draining && !n.Cordoned {
			left := n.Allocatable.Minus(c.used[i])
			left = Resources{CPU: max(left.CPU, 0), Memory: max(left.Memory, 0), Pods: max(left.Pods, 0)}
			free = append(free, left)
			all = Resources{CPU: all.CPU + left.CPU, Memory: all.Memory + left.Memory, Pods: all.Pods + left.Pods}
		}
	}
	id := c.s.Nodes[node].ID
	for _, k := range c.onNode(id) {
		needs, fits := c.s.Pods[k].Shape.Needs, false
		for i := range free {
			fits = fits || free[i].Holds(needs)
		}
		if !fits {
			c.say(id, "the pods of a node that is saved have room on others", "%s has none", c.s.Pods[k].ID)
		}
		all = all.Minus(needs)
	}
	if all.CPU < 0 || all.Memory < 0 || all.Pods < 0 {
		c.say(id, "the pods of a node that is saved have room on others", "not all of them")
	}
}
