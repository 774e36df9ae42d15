package autoscaler

import (
	"maps"
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

func siteFrom(p *Pool) site { return site{labels: p.Labels, taints: p.Taints, extended: p.Extended} }

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
		c.bears(id, p, siteFrom(pool))
	}
}

// bears: nothing of a pod and of where it is placed alone keeps them apart.
func (c *checker) bears(id WorkloadID, p *fit.Pod, at site) {
	const rule = "pods are placed where they may run"
	where := at.name
	if where == "" {
		where = "a new machine"
	}
	if why := at.lacks(p); why != "" {
		c.say(id, rule, "%s %s", where, why)
	}
	for _, place := range p.Places {
		if !at.among(place) {
			c.say(id, rule, "%s is none that its volumes take", where)
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

// lacks is what a pod's selector and node affinity ask for and the place has not; empty when it has all.
func (a *site) lacks(p *fit.Pod) string {
	for _, want := range p.Selector {
		if value, there := a.label(want.Key); !there || value != want.Value {
			return "lacks " + want.Key + "=" + want.Value
		}
	}
	if p.Affinity != nil && !a.among(p.Affinity) {
		return "is none that its affinity takes"
	}
	return ""
}

func (a *site) among(terms fit.NodeTerms) bool {
	return slices.ContainsFunc(terms, func(t fit.NodeTerm) bool { return a.meets(&t) })
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
	on, holders := map[*Node][]*gathering{}, map[string]int{}
	for i := range placed {
		if p := &placed[i]; p.node != nil {
			on[p.node] = append(on[p.node], p)
		}
	}
	beside := make(map[*Node][]*gathering, len(on))
	for i := range there {
		o := &there[i]
		if on[o.node] != nil {
			beside[o.node] = append(beside[o.node], o)
		}
		for _, claim := range o.rules.Claims {
			holders[claim]++
		}
	}
	for i := range placed {
		for _, claim := range placed[i].rules.Claims {
			holders[claim] += placed[i].count
		}
	}
	for i := range placed {
		p := &placed[i]
		if p.node == nil {
			continue
		}
		if p == on[p.node][0] {
			c.enough(p.node, on[p.node], beside[p.node])
		}
		c.ports(p, on[p.node], beside[p.node])
		if !p.moves && slices.ContainsFunc(p.rules.Claims, func(claim string) bool { return holders[claim] > 1 }) {
			c.say(p.placed, "pods that must be apart are", "another has a claim that is for one alone")
		}
	}
}

// enough: what is placed on a node finds what it asks for, beside what is there.
func (c *checker) enough(n *Node, placed, there []*gathering) {
	wanted := map[string]int64{}
	for _, p := range placed {
		for _, need := range p.rules.Needs {
			wanted[need.Name] += int64(p.count) * need.Value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		has, limited := limit(n.Extended, name)
		if !limited {
			continue
		}
		for _, o := range there {
			has -= o.rules.Needs.Get(name)
		}
		if wanted[name] > max(has, 0) {
			c.say(n.ID, "a node is not filled beyond its room", "%d of %s into %d", wanted[name], name, has)
		}
	}
}

// ports: nobody else on the node has a port of the pods that are placed, and of those that have one there is one.
func (c *checker) ports(p *gathering, placed, there []*gathering) {
	if len(p.rules.Ports) == 0 {
		return
	}
	taken := func(o *gathering) bool {
		return (o != p || p.count > 1) && slices.ContainsFunc(p.rules.Ports, func(a fit.Port) bool {
			return slices.ContainsFunc(o.rules.Ports, func(b fit.Port) bool {
				return a.Number == b.Number && a.Protocol == b.Protocol && (a.IP == b.IP || a.IP == "" || b.IP == "")
			})
		})
	}
	if slices.ContainsFunc(there, taken) || slices.ContainsFunc(placed, taken) {
		c.say(p.placed, "pods that must be apart are", "a port of %s is taken", p.node.ID)
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
