package fit

import (
	"slices"
)

// rule is pods that some rule of a pod is about: what package pack calls a selector.
type rule struct {
	// terms must all match; of a spread rule there is one, and what is leaving does not count.
	terms  []Term
	spread bool
	// claim is a volume claim that the pods have; then there are no terms.
	claim string
}

// rulebook numbers rules, and finds those that a class of pods matches without trying each: by a label that they ask for.
type rulebook struct {
	cluster *Cluster
	ids     map[string]int
	rules   []rule
	// by are the rules that ask for the label, and anywhere are those that ask for none.
	by       map[bucket][]int
	anywhere []int
	// keys are those of all buckets, and wide says that one of them is of several namespaces.
	keys   []string
	wide   bool
	claims map[string]int
	filed  int
}

// bucket is a label that a rule asks for, in one namespace; an empty namespace is several.
type bucket struct{ namespace, key, value string }

func newRulebook(c *Cluster) *rulebook {
	return &rulebook{cluster: c, ids: map[string]int{}, by: map[bucket][]int{}, claims: map[string]int{}}
}

// avoided is the rule of one term of anti-affinity.
func (b *rulebook) avoided(t *Term) int { return b.number(rule{terms: []Term{*t}}) }

// near is the rule of all terms of an affinity.
func (b *rulebook) near(terms []Term) int { return b.number(rule{terms: terms}) }

// counted is the rule of a spread rule of a pod. The scheduler counts no pod at all for a selector that matches all.
func (b *rulebook) counted(p *Pod, s *Spread) int {
	selector := s.Selector
	if selector.Everything() {
		selector = Selector{Nothing: true}
	}
	term := Term{Namespaces: []string{p.Namespace}, NamespaceSelector: Selector{Nothing: true}, Selector: selector}
	return b.number(rule{terms: []Term{term}, spread: true})
}

func (b *rulebook) claim(name string) int {
	if id, ok := b.claims[name]; ok {
		return id
	}
	id := len(b.rules)
	b.claims[name] = id
	b.rules = append(b.rules, rule{claim: name})
	return id
}

func (b *rulebook) number(r rule) int {
	w := keyWriter{buf: make([]byte, 0, 256)}
	w.flag(r.spread)
	for i := range r.terms {
		w.texts(r.terms[i].Namespaces)
		w.selector(&r.terms[i].NamespaceSelector)
		w.selector(&r.terms[i].Selector)
	}
	if id, ok := b.ids[string(w.buf)]; ok {
		return id
	}
	id := len(b.rules)
	b.ids[string(w.buf)] = id
	b.rules = append(b.rules, r)
	return id
}

// file puts the rules that are new into buckets: each under the label that it asks for with the fewest values.
func (b *rulebook) file() {
	for ; b.filed < len(b.rules); b.filed++ {
		r := &b.rules[b.filed]
		if len(r.terms) == 0 {
			continue
		}
		t := &r.terms[0]
		var best *Requirement
		for i := range t.Selector.Requirements {
			if q := &t.Selector.Requirements[i]; q.Operator == In && (best == nil || len(q.Values) < len(best.Values)) {
				best = q
			}
		}
		if t.Selector.Nothing {
			continue
		}
		if best == nil {
			b.anywhere = append(b.anywhere, b.filed)
			continue
		}
		for _, value := range best.Values {
			if !t.NamespaceSelector.Nothing {
				b.put(bucket{"", best.Key, value})
				continue
			}
			for _, namespace := range t.Namespaces {
				b.put(bucket{namespace, best.Key, value})
			}
		}
	}
}

func (b *rulebook) put(k bucket) {
	b.by[k] = append(b.by[k], b.filed)
	b.wide = b.wide || k.namespace == ""
	if !slices.Contains(b.keys, k.key) {
		b.keys = append(b.keys, k.key)
	}
}

// matched are the rules that are about pods like p, ascending; never nil.
func (b *rulebook) matched(p *Pod) []int {
	b.file()
	list := []int{}
	try := func(ids []int) {
		for _, id := range ids {
			if b.about(&b.rules[id], p) {
				list = append(list, id)
			}
		}
	}
	for _, l := range p.Labels {
		if !slices.Contains(b.keys, l.Key) {
			continue
		}
		try(b.by[bucket{p.Namespace, l.Key, l.Value}])
		if b.wide {
			try(b.by[bucket{"", l.Key, l.Value}])
		}
	}
	try(b.anywhere)
	for _, claim := range p.Claims {
		if id, ok := b.claims[claim]; ok {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (b *rulebook) about(r *rule, p *Pod) bool {
	if r.claim != "" {
		return slices.Contains(p.Claims, r.claim)
	}
	if r.spread && p.Leaving {
		return false
	}
	for i := range r.terms {
		if !b.cluster.matches(&r.terms[i], p) {
			return false
		}
	}
	return true
}
