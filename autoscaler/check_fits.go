package autoscaler

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wholescale/wholescale/autoscaler/fit"
)

// What of a pod and a machine alone keeps them apart, and what the pods on one node cannot share, is told once more here and in the
// plainest way: selector, node affinity, the places of volumes and taints; amounts, host ports and claims for one pod alone.

// site is where pods are placed: a node, or a machine of a pool that is to be bought, which has no name yet.
type site struct {
	name     string
	labels   fit.Labels
	taints   []Taint
	extended fit.Amounts
}

func siteOf(n *Node) site {
	return site{name: string(n.ID), labels: n.Labels, taints: n.Taints, extended: n.Extended}
}

func (a *site) label(key string) (string, bool) {
	for _, l := range a.labels {
		if l.Key == key {
			return l.Value, true
		}
	}
	return a.name, a.name != "" && key == "kubernetes.io/hostname"
}

func (c *checker) bearsSpot(id WorkloadID, p *fit.Pod, spot *Spot) {
	if i, ok := c.nodes[spot.Node]; ok && spot.Node != "" {
		c.bears(id, p, siteOf(&c.s.Nodes[i]))
	} else if pool := c.pool(spot.Pool); pool != nil && spot.Node == "" {
		c.bears(id, p, site{labels: pool.Labels, taints: pool.Taints, extended: pool.Extended})
	}
}

// bears: nothing of a pod and of where it is placed alone keeps them apart.
func (c *checker) bears(id WorkloadID, p *fit.Pod, at site) {
	const rule = "pods are placed where they may run"
	where := at.name
	if where == "" {
		where = "a new machine"
	}
	for _, want := range p.Selector {
		if value, there := at.label(want.Key); !there || value != want.Value {
			c.say(id, rule, "%s lacks %s=%s", where, want.Key, want.Value)
		}
	}
	for i, terms := range append([]fit.NodeTerms{p.Affinity}, p.Places...) {
		if (i > 0 || terms != nil) && !slices.ContainsFunc(terms, func(t fit.NodeTerm) bool { return at.meets(&t) }) {
			c.say(id, rule, "%s is none that its affinity or its volumes take (%d)", where, i)
		}
	}
	for i := range at.taints {
		if t := &at.taints[i]; !borne(p, t) {
			c.say(id, rule, "%s has taint %s", where, t.Key)
		}
	}
	for _, need := range p.Needs {
		if has, limited := limit(at.extended, need.Name); limited && has < need.Value {
			c.say(id, rule, "%s has no %d of %s", where, need.Value, need.Name)
		}
	}
}

func borne(p *fit.Pod, t *Taint) bool {
	return slices.ContainsFunc(p.Tolerations, func(a Toleration) bool {
		return (a.Effect == 0 || a.Effect == t.Effect) && (a.Key == "" || a.Key == t.Key) && (a.Exists || a.Value == t.Value)
	})
}

func (a *site) meets(t *fit.NodeTerm) bool {
	for _, name := range t.Names {
		if a.name != name {
			return false
		}
	}
	for _, r := range t.Labels {
		if value, there := a.label(r.Key); !meets(&r, value, there) {
			return false
		}
	}
	return !slices.Contains(t.NotNames, a.name) || a.name == ""
}

// limit is how much of a further resource a machine has; false when it is judged elsewhere, or when it is of volumes that it names no limit for.
func limit(has fit.Amounts, name string) (int64, bool) {
	if name == "cpu" || name == "memory" {
		return 0, false
	}
	for _, a := range has {
		if a.Name == name {
			return a.Value, true
		}
	}
	return 0, !strings.HasPrefix(name, "attach/")
}

// share: the pods on a node take no more of anything than there is, no port twice, and no claim that is for one pod alone.
func (c *checker) share(placed, there []gathering) {
	for i := range placed {
		p := &placed[i]
		if p.node == nil {
			continue
		}
		for _, need := range p.rules.Needs {
			if has, limited := limit(p.node.Extended, need.Name); limited {
				c.enough(p, need.Name, has, placed, there)
			}
		}
		if len(p.rules.Ports)+len(p.rules.Claims) == 0 {
			continue
		}
		for k := range there {
			c.exclusive(p, &there[k], 1)
		}
		for k := range placed {
			if k == i {
				c.exclusive(p, p, p.count-1)
			} else {
				c.exclusive(p, &placed[k], placed[k].count)
			}
		}
	}
}

func (c *checker) enough(p *gathering, name string, has int64, placed, there []gathering) {
	used, wanted := int64(0), int64(0)
	for i := range there {
		if there[i].node == p.node {
			used += there[i].rules.Needs.Get(name)
		}
	}
	for i := range placed {
		if placed[i].node == p.node {
			wanted += int64(placed[i].count) * placed[i].rules.Needs.Get(name)
		}
	}
	if wanted > max(has-used, 0) {
		c.say(p.node.ID, "a node is not filled beyond its room", "%d of %s into %d", wanted, name, has-used)
	}
}

func (c *checker) exclusive(p, o *gathering, count int) {
	if count < 1 {
		return
	}
	if p.node == o.node && slices.ContainsFunc(p.rules.Ports, func(a fit.Port) bool {
		return slices.ContainsFunc(o.rules.Ports, func(b fit.Port) bool {
			return a.Number == b.Number && a.Protocol == b.Protocol && (a.IP == b.IP || a.IP == "" || b.IP == "")
		})
	}) {
		c.say(p.placed, "pods that must be apart are", "a port of %s is taken", p.node.ID)
	}
	if !p.moves && slices.ContainsFunc(p.rules.Claims, func(claim string) bool { return slices.Contains(o.rules.Claims, claim) }) {
		c.say(p.placed, "pods that must be apart are", "another has a claim that is for one alone")
	}
}

// meets is what a requirement says of a label.
func meets(r *fit.Requirement, value string, there bool) bool {
	listed := there && slices.Contains(r.Values, value)
	switch r.Operator {
	case fit.In:
		return listed
	case fit.NotIn:
		return !listed
	case fit.Exists:
		return there
	case fit.Absent:
		return !there
	case fit.Greater, fit.Less:
		a, err1 := strconv.ParseInt(value, 10, 64)
		b, err2 := strconv.ParseInt(append(slices.Clone(r.Values), "")[0], 10, 64)
		return there && err1 == nil && err2 == nil && (r.Operator == fit.Greater && a > b || r.Operator == fit.Less && a < b)
	default:
		return false
	}
}
