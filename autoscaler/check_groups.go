package autoscaler

// groups: pools that share bounds keep them together, however their own allow it.
func (c *checker) groups() {
	if len(c.d.Orders) != len(c.s.Pools) {
		return
	}
	for _, g := range c.s.Groups {
		told, to, cost, ends, unknown, grows, own := 0, 0, 0.0, 0, false, false, false
		for i, p := range c.s.Pools {
			if p.Group != g.ID {
				continue
			}
			o := c.d.Orders[i]
			told, to = told+p.Target, to+o.To
			for _, id := range o.Delete {
				if k, ok := c.nodes[id]; ok && c.s.Nodes[k].Phase == Ready {
					ends++ // what failed ends whatever is left
				}
			}
			cost += float64(chosen(&p, &o)) * p.PricePerHour
			own = own || p.Target > p.Max // its own bound ends nodes whatever the group's least is
			unknown = unknown || p.Unknown != ""
			grows = grows || o.To > p.Target && o.To > p.Min && o.Why[0].Rule != MinNodes
		}
		there := 0
		for _, n := range c.s.Nodes {
			if p := c.pool(n.Pool); p != nil && p.Group == g.ID && n.Instance != "" && n.Phase != Leaving {
				there++
			}
		}
		switch {
		case to > max(g.Max, told, there) && !unknown:
			c.say(g.ID, "a pool grows to its bound at most", "%d above %d", to, g.Max)
		case grows && to > max(g.Max, g.Min) && !unknown:
			c.say(g.ID, "a pool grows to its bound at most", "%d above %d", to, g.Max)
		case !unknown && !own && to < g.Min && to < told && ends > 0:
			c.say(g.ID, "a pool shrinks to its bound at most", "%d below %d", to, g.Min)
		}
		if g.PriceCap > 0 && grows && cost > g.PriceCap*1.000001 {
			c.say(g.ID, "a pool costs no more than its cap", "%g an hour, cap %g", cost, g.PriceCap)
		}
	}
}

// chosen is how many machines of a pool caps are held to: without those that are bought because a least of them must be there.
func chosen(p *Pool, o *Order) int {
	if len(o.Why) > 0 && o.Why[0].Rule == MinNodes {
		return min(o.To, p.Target)
	}
	return o.To
}
