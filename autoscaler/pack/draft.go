package pack

import (
	"math"
	"slices"
)

// draft is a place that is being filled: a bin, or a machine that may still become a smaller or larger one.
type draft struct {
	place int // -1: a machine to buy
	zone  int32
	shape int
	comp  *component
	room  vec
	// pods are what it holds; on those of them that shared selectors see.
	pods []hostItem
	on   []hostItem
	// used are the pods of each class.
	used []item
}

// room for one more try at a machine when parts of a kind are refused by rules.
const mostRefused = 16

// put moves up to n pods of a kind into a draft and returns how many went.
func (s *solver) put(d *draft, k *kind, n int) int {
	put, refused := 0, 0
	for i := k.head; i < len(k.parts) && put < n && refused < mostRefused; i++ {
		p := &k.parts[i]
		if p.n == 0 {
			if i == k.head {
				k.head++
			}
			continue
		}
		m := s.putPart(d, k, p, min(n-put, p.n))
		if m == 0 {
			refused++
		}
		put += m
	}
	return put
}

// putPart moves up to n pods of a part into a draft.
func (s *solver) putPart(d *draft, k *kind, p *part, n int) int {
	g := p.group
	h := &s.host[g]
	n = int(d.room.times(s.need[g], int64(n)))
	if d.place >= 0 && n > 0 {
		n = min(n, s.rules.mostOnHost(int(g), d.place))
	}
	used := -1
	if h.class >= 0 && n > 0 {
		used = slices.IndexFunc(d.used, func(it item) bool { return it.kind == h.class })
		if used < 0 {
			used = len(d.used)
			d.used = append(d.used, item{h.class, 0})
		}
		n = min(n, int(h.most-d.used[used].n))
	}
	if h.bound() && n > 0 {
		n = int(roomByRules(s.host, d.on, g, int32(min(n, math.MaxInt32))))
	}
	if n <= 0 {
		return 0
	}
	if used >= 0 {
		d.used[used].n += int32(n)
	}
	if h.bound() {
		d.on = addItem(d.on, g, int32(n))
	}
	d.pods = addItem(d.pods, g, int32(n))
	d.room = d.room.minus(s.need[g], int64(n))
	p.n -= n
	k.count -= n
	return n
}

func addItem(list []hostItem, group, n int32) []hostItem {
	if last := len(list) - 1; last >= 0 && list[last].group == group {
		list[last].n += n
		return list
	}
	for i := range list {
		if list[i].group == group {
			list[i].n += n
			return list
		}
	}
	return append(list, hostItem{group, n})
}

// realise turns columns into drafts. What rules keep out stays in the kinds.
func (s *solver) realise(c *component, plan []bought) []*draft {
	var out []*draft
	for _, b := range plan {
		sh := &c.mixer.shapes[b.shape]
		slab := make([]draft, max(0, min(b.times, s.draftsLeft)))
		pods := make([]hostItem, 0, len(slab)*(len(b.items)+1))
		for i := range b.times {
			if s.draftsLeft <= 0 {
				s.out.Truncated = true
				return out
			}
			d := &slab[i]
			*d = draft{place: -1, zone: c.zone, shape: b.shape, comp: c, room: sh.room}
			at := len(pods)
			pods = pods[:at+len(b.items)+1]
			d.pods = pods[at:at:len(pods)]
			for _, it := range b.items {
				s.put(d, c.kinds[it.kind], int(it.n))
			}
			if len(d.pods) > 0 {
				out = append(out, d)
				s.drafts++
				s.draftsLeft--
			}
		}
	}
	return out
}

// fillHoles puts what is left into the free room of drafts, large kinds first, each into the first that has room.
func (s *solver) fillHoles(c *component, drafts []*draft) {
	if len(drafts) == 0 || c.left() == 0 {
		return
	}
	free := make([]Resources, len(drafts))
	for i, d := range drafts {
		free[i] = Resources{d.room[0], d.room[1], d.room[2]}
	}
	bins := &Bins{free: free}
	bins.build()
	for _, k := range c.kinds {
		for i := k.head; i < len(k.parts); i++ {
			p := &k.parts[i]
			need := s.p.Groups[p.group].Needs
			refused := 0
			for b := bins.Next(need, 0); b >= 0 && p.n > 0 && refused < 10*mostRefused; b = bins.Next(need, b+1) {
				d := drafts[b]
				if !s.mayJoin(d, k) {
					refused++
					continue
				}
				if s.putPart(d, k, p, p.n) == 0 {
					refused++
					continue
				}
				bins.Take(b, bins.Free(b).Minus(Resources{d.room[0], d.room[1], d.room[2]}))
			}
		}
	}
}

// mayJoin says whether the static rules let a kind onto a draft.
func (s *solver) mayJoin(d *draft, k *kind) bool {
	if k.zone >= 0 && k.zone != d.zone {
		return false
	}
	if d.place >= 0 {
		return s.p.has(k.set, s.rules.class(d.place))
	}
	return s.p.has(k.set, s.p.Offers[d.comp.mixer.shapes[d.shape].offers[0]].Class)
}

// shrink makes each draft the cheapest shape that holds what is in it.
func (s *solver) shrink(drafts []*draft) {
	for _, d := range drafts {
		if d.place >= 0 {
			continue
		}
		m := &d.comp.mixer
		load := m.shapes[d.shape].room
		for i := range load {
			load[i] -= d.room[i]
		}
		for t := m.from(load); t < d.shape; t++ {
			if m.shapes[t].cost < m.shapes[d.shape].cost && m.shapes[t].room.holds(load) && s.allMayRun(d, m.shapes[t].offers[0]) {
				for i := range load {
					d.room[i] = m.shapes[t].room[i] - load[i]
				}
				d.shape = t
				break
			}
		}
	}
}

func (s *solver) allMayRun(d *draft, offer int) bool {
	class := s.p.Offers[offer].Class
	for _, it := range d.pods {
		if !s.p.has(s.p.Groups[it.group].Nodes, class) {
			return false
		}
	}
	return true
}

func (c *component) left() int {
	n := 0
	for _, k := range c.kinds {
		n += k.count
	}
	return n
}
