package pack

import (
	"cmp"
	"math"
	"slices"
)

// kind is all parts that a machine cannot tell apart, or, when there are too many kinds for a linear program, nearly not.
type kind struct {
	want
	set   NodeSet
	zone  int32
	parts []part
	// head is the first part that may have pods left.
	head  int
	count int
	// alike says that each part needs exactly `need`.
	alike bool
}

type kindKey struct {
	need  vec
	class int32
	most  int32
	set   NodeSet
	zone  int32
}

// mostKinds bounds the rows of a linear program, by zone.
const mostKinds = 64

// kindsOf sorts parts into kinds. With too many kinds, those of like size are one, that of their mean.
func (s *solver) kindsOf(parts []part) []kind {
	pods := make([]int, s.classes)
	total := 0
	for _, p := range parts {
		total += p.n
		if c := s.host[p.group].class; c >= 0 {
			pods[c] += p.n
		}
	}
	for step := 0.0; ; {
		kinds := s.kindsBy(parts, step, func(class int32) bool {
			return class >= 0 && (step == 0 || pods[class] >= total/smallClass)
		})
		zones := map[int32]int{}
		most := 0
		for i := range kinds {
			zones[kinds[i].zone]++
			most = max(most, zones[kinds[i].zone])
		}
		if most <= mostKinds || step > 64 {
			return kinds
		}
		if step == 0 {
			step = 1.1
		} else {
			step *= 1 + (step-1)*0.75
		}
	}
}

// smallClass: where kinds are joined, a class that holds less than this part of all pods is left to the rules.
const smallClass = 24

func (s *solver) kindsBy(parts []part, step float64, keep func(class int32) bool) []kind {
	var kinds []kind
	at := make(map[kindKey]int, 128)
	for _, p := range parts {
		h := &s.host[p.group]
		key := kindKey{need: s.need[p.group], class: h.class, most: h.most, set: s.p.Groups[p.group].Nodes, zone: p.zone}
		if step > 0 {
			key.need = s.coarse(key.need, step)
		}
		if !keep(key.class) {
			key.class, key.most = -1, 0
		}
		k, ok := at[key]
		if !ok {
			k = len(kinds)
			at[key] = k
			kinds = append(kinds, kind{want: want{class: key.class, most: key.most}, set: key.set, zone: p.zone, alike: true})
		}
		kinds[k].parts = append(kinds[k].parts, p)
	}
	for i := range kinds {
		s.settleKind(&kinds[i])
	}
	slices.SortStableFunc(kinds, func(a, b kind) int { return compareVec(b.need, a.need) })
	return kinds
}

// settleKind computes count and need of a kind from its parts.
func (s *solver) settleKind(k *kind) {
	var sum [sizes]float64
	first := s.need[k.parts[0].group]
	for _, p := range k.parts {
		k.count += p.n
		need := s.need[p.group]
		k.alike = k.alike && need == first
		for d := range sum {
			sum[d] += float64(need[d]) * float64(p.n)
		}
	}
	k.need = first
	if !k.alike {
		for d := range sum {
			k.need[d] = int64(math.Ceil(sum[d] / float64(k.count)))
		}
		slices.SortStableFunc(k.parts, func(a, b part) int { return cmp.Compare(s.size(int(b.group)), s.size(int(a.group))) })
	}
	for d := range sum {
		k.needF[d] = float64(k.need[d])
	}
}

// coarse rounds a need on a scale of powers, counted from a thousandth of the largest machine.
func (s *solver) coarse(v vec, step float64) vec {
	for d, need := range v {
		if unit := 0.001 / s.scale[d]; need > 0 && s.scale[d] > 0 && !math.IsInf(unit, 0) {
			v[d] = int64(math.Round(math.Log(max(1, float64(need)/unit)) / math.Log(step)))
		}
	}
	return v
}

func compareVec(a, b vec) int {
	for d := range a {
		if c := cmp.Compare(a[d], b[d]); c != 0 {
			return c
		}
	}
	return 0
}

// component is what is packed by itself: the kinds of one zone, or those that are free of zones.
type component struct {
	zone  int32
	kinds []*kind
	mixer mixer
	// looked are columns found while places were filled.
	looked []column
}

// components builds the mixers: one for each zone in which kinds are left.
func (s *solver) components(kinds []kind) []*component {
	var out []*component
	for i := range kinds {
		k := &kinds[i]
		at := slices.IndexFunc(out, func(c *component) bool { return c.zone == k.zone })
		if at < 0 {
			at = len(out)
			out = append(out, &component{zone: k.zone})
		}
		out[at].kinds = append(out[at].kinds, k)
	}
	slices.SortStableFunc(out, func(a, b *component) int { return cmp.Compare(a.zone, b.zone) })
	for _, c := range out {
		s.stock(c)
	}
	return out
}

// stock finds the shapes for sale to a component: offers that differ in nothing that its kinds can see are one shape.
func (s *solver) stock(c *component) {
	var sets []NodeSet
	for _, k := range c.kinds {
		if !slices.Contains(sets, k.set) {
			sets = append(sets, k.set)
		}
	}
	type key struct {
		room vec
		sees string
	}
	seen := make([]byte, len(sets))
	at := make(map[key]int, len(s.sale))
	for _, o := range s.sale {
		offer := &s.p.Offers[o]
		if c.zone >= 0 && int32(domainOf(offer.Domains, s.zoneTopology)) != c.zone {
			continue
		}
		for i, set := range sets {
			seen[i] = 0
			if s.p.has(set, offer.Class) {
				seen[i] = 1
			}
		}
		k := key{vecOf(offer.Room, offer.Extended), string(seen)}
		i, ok := at[k]
		if !ok {
			i = len(c.mixer.shapes)
			at[k] = i
			c.mixer.shapes = append(c.mixer.shapes, shape{room: k.room, cost: s.cost(offer.Price)})
		}
		c.mixer.shapes[i].offers = append(c.mixer.shapes[i].offers, o)
	}
	slices.SortStableFunc(c.mixer.shapes, func(a, b shape) int { return cmp.Compare(a.cost, b.cost) })
	c.mixer.classes = s.classes
	c.mixer.fits = make([]bool, 0, len(c.kinds)*len(c.mixer.shapes))
	for _, k := range c.kinds {
		c.mixer.wants = append(c.mixer.wants, k.want)
		for i := range c.mixer.shapes {
			c.mixer.fits = append(c.mixer.fits, s.p.has(k.set, s.p.Offers[c.mixer.shapes[i].offers[0]].Class))
		}
	}
	c.mixer.prepare()
}
