package pack

import (
	"math"
	"slices"
)

// hostRule is what the rules of a group mean on one machine, in a form that is quick to ask. It covers what is common;
// a group that asks for more is odd and is placed one pod after the other.
type hostRule struct {
	odd bool
	// class and most: of all pods of the class at most so many on a machine. It stands for a spread or an anti-affinity
	// over hosts that exactly its carriers match. No class is -1.
	class, most int32
	// match are the shared selectors that the group matches, one bit each; carries what it asks of them.
	match   uint64
	carries []carry
	// avoided: one of those selectors is in an anti-affinity, which looks at all pods, not only at those before it.
	avoided bool
	// rank is the place in the order in which groups count as placed.
	rank int32
}

// carry is a rule over hosts about a shared selector: at most `most` pods there, the pod itself counted if self.
type carry struct {
	bit        int
	most       int32
	self, anti bool
}

// selectorUse is who uses a selector in rules over hosts.
type selectorUse struct {
	matched, carriers int // groups
	most              int32
	mixed             bool // carriers ask for different things, or do not match themselves
	anti              bool
	id                int32
}

// hostRules reads the rules of all groups. classes is how many classes there are.
func hostRules(p *Problem) (rules []hostRule, classes int) {
	rules = make([]hostRule, len(p.Groups))
	uses := map[int]*selectorUse{}
	var order []int
	for i := range p.Groups {
		for _, c := range hostCarries(p, &p.Groups[i], &rules[i]) {
			u := uses[c.bit]
			if u == nil {
				u = &selectorUse{most: c.most, id: -1}
				uses[c.bit] = u
				order = append(order, c.bit)
			}
			u.carriers++
			u.anti = u.anti || c.anti
			u.mixed = u.mixed || !c.self || c.most != u.most
		}
	}
	if len(order) > 0 {
		for i := range p.Groups {
			for _, m := range p.Groups[i].Matches {
				if u := uses[m]; u != nil {
					u.matched++
				}
			}
		}
	}
	shared := int32(0)
	for _, s := range order {
		if u := uses[s]; !u.mixed && u.matched == u.carriers {
			u.id = int32(classes)
			classes++
		} else {
			u.mixed, u.id = true, shared
			shared++
		}
	}
	for i := range p.Groups {
		rules[i].read(p, &p.Groups[i], uses)
	}
	return rules, classes
}

// hostCarries are the rules of a group over fresh topologies, with selectors in place of bits, one for each selector.
func hostCarries(p *Problem, g *Group, r *hostRule) []carry {
	var out []carry
	for _, s := range g.Spreads {
		self := slices.Contains(g.Matches, s.Selector)
		switch {
		case !p.fresh(s.Topology):
		case s.MaxSkew < 1 || self != s.Self:
			r.odd = true
		default:
			out = append(out, carry{bit: s.Selector, most: int32(min(s.MaxSkew, math.MaxInt32)), self: self})
		}
	}
	for _, t := range g.Anti {
		if p.fresh(t.Topology) {
			self := slices.Contains(g.Matches, t.Selector)
			most := int32(0)
			if self {
				most = 1
			}
			out = append(out, carry{bit: t.Selector, most: most, self: self, anti: true})
		} else {
			r.odd = true
		}
	}
	for i := 0; i < len(out); i++ {
		for k := i + 1; k < len(out); k++ {
			if out[k].bit == out[i].bit {
				out[i].most = min(out[i].most, out[k].most)
				out[i].anti = out[i].anti || out[k].anti
				out = slices.Delete(out, k, k+1)
				k--
			}
		}
	}
	return out
}

// read fills in the rule of one group once it is known which selectors are shared.
func (r *hostRule) read(p *Problem, g *Group, uses map[int]*selectorUse) {
	r.class = -1
	for _, c := range hostCarries(p, g, r) {
		u := uses[c.bit]
		switch {
		case !u.mixed && r.class < 0:
			r.class, r.most = u.id, c.most
		case u.mixed && u.id < 64:
			c.bit = int(u.id)
			r.carries = append(r.carries, c)
		default:
			r.odd = true
		}
	}
	for _, m := range g.Matches {
		if u := uses[m]; u != nil && u.mixed {
			if u.id >= 64 {
				r.odd = true
				continue
			}
			r.match |= 1 << u.id
			r.avoided = r.avoided || u.anti
		}
	}
	if len(g.Ports) > 0 || len(g.Extended) > sizes-3 {
		r.odd = true
	}
	for _, t := range g.Affinity.Topologies {
		if p.fresh(t) {
			r.odd = true
		}
	}
}

// hostItem are pods of one group on a machine, as far as shared selectors see them.
type hostItem struct {
	group, n int32
}

// roomByRules is how many pods of a group, at most limit, may join the pods on a machine, when all count as placed in
// the order of their ranks.
func roomByRules(rules []hostRule, on []hostItem, group int32, limit int32) int32 {
	r := &rules[group]
	if r.match == 0 && len(r.carries) == 0 {
		return limit
	}
	for i := range r.carries {
		c := &r.carries[i]
		n := c.most - seenBy(rules, on, group, c)
		if !c.self && n >= 0 {
			continue
		}
		if c.anti && !c.self || n <= 0 {
			return 0
		}
		limit = min(limit, n)
	}
	for _, it := range on {
		other := &rules[it.group]
		if it.group == group {
			continue
		}
		for i := range other.carries {
			c := &other.carries[i]
			if r.match&(1<<c.bit) == 0 || !c.anti && other.rank < r.rank {
				continue
			}
			n := c.most - seenBy(rules, on, it.group, c)
			if c.anti {
				n = 0
			}
			limit = min(limit, n)
		}
	}
	return max(limit, 0)
}

// seenBy is how many pods a rule of a group counts on a machine: those placed before it, and its own if they match; an
// anti-affinity counts all.
func seenBy(rules []hostRule, on []hostItem, group int32, c *carry) int32 {
	n := int32(0)
	rank := rules[group].rank
	for _, it := range on {
		if rules[it.group].match&(1<<c.bit) == 0 {
			continue
		}
		if it.group == group || c.anti || rules[it.group].rank < rank {
			n += it.n
		}
	}
	return n
}

// bound says whether shared selectors matter for a group at all: it carries a rule, or it comes before one that does.
func (r *hostRule) bound() bool {
	return len(r.carries) > 0 || r.avoided || r.match != 0 && r.rank < freeRank
}

// freeRank is the first rank of groups that carry no rule: nothing is placed after them that could see them.
const freeRank = 1 << 30
