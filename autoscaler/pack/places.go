package pack

import (
	"cmp"
	"slices"
)

// fillPlaces fills the places that are there with what is worth most on each. What a pod is worth is what it would cost
// on machines to buy, given that the free room is used as well as it can be.
func (s *solver) fillPlaces(kinds []kind, comps []*component) []*draft {
	if s.rules.Places() == 0 || s.rules.Places()*len(s.p.Groups) > mostPairs {
		return nil
	}
	m := &mixer{wants: make([]want, len(kinds)), shapes: make([]shape, 1), fits: make([]bool, len(kinds)), classes: s.classes}
	for i := range kinds {
		m.wants[i] = kinds[i].want
	}
	m.prepare()
	left := make([]int, len(kinds))
	var drafts []*draft
	var worth []float64
	places := s.rules.Places()
	again := 1 + places/looks(len(kinds)*places)
	for place := range places {
		if place%again == 0 {
			worth = s.worthOf(kinds, comps, place)
		}
		d := s.draftOf(place)
		for i := range kinds {
			left[i] = kinds[i].count
			m.fits[i] = s.mayJoin(d, &kinds[i])
		}
		m.reroom(d.room)
		for i, n := range m.richest(worth, left) {
			if n > 0 {
				s.put(d, &kinds[i], int(n))
			}
		}
		if len(d.pods) > 0 {
			drafts = append(drafts, d)
		}
	}
	return drafts
}

// looks is how often the linear program is solved again while places are filled.
func looks(size int) int {
	switch {
	case size <= 20_000:
		return 12
	case size <= 100_000:
		return 4
	}
	return 2
}

func (s *solver) draftOf(place int) *draft {
	d := &draft{place: place, zone: -1, room: vecOf(s.rules.free[place], s.rules.more[place])}
	if s.zoneTopology >= 0 {
		d.zone = int32(s.rules.domain(place, s.zoneTopology))
	}
	return d
}

// richest fills the first shape in each way and returns the contents of most value.
func (m *mixer) richest(worth []float64, left []int) []int32 {
	most := m.fill(0, worth, left)
	m.best = append(m.best[:0], m.took...)
	low, high := 0.0, 1.0
	for range 7 {
		w := (low + high) / 2
		value, room := m.fillBy(0, w, worth, left)
		if value > most {
			most = value
			m.best = append(m.best[:0], m.took...)
		}
		full := m.rooms[0]
		if share(room[0], full[0]) > share(room[1], full[1]) {
			high = w
		} else {
			low = w
		}
	}
	m.exchange(worth, left, most)
	return m.best
}

// exchange takes each kind in turn out of the best contents, one pod or all of it, and fills the room with others, for as
// long as that makes the contents worth more.
func (m *mixer) exchange(worth []float64, left []int, most float64) {
	for range mostExchanges {
		found := false
		for i := range m.best {
			for _, out := range [2]int32{1, m.best[i]} {
				if m.best[i] == 0 || out == 0 {
					continue
				}
				if value := m.without(int32(i), out, worth, left); value > most*(1+1e-9) {
					most, found = value, true
					m.best = append(m.best[:0], m.took...)
				}
			}
		}
		if !found {
			return
		}
	}
}

const mostExchanges = 6

// without fills the first shape with the best contents less some pods of a kind, and then with other kinds.
func (m *mixer) without(i, out int32, worth []float64, left []int) float64 {
	m.begin(0, worth, left)
	room, value := m.rooms[0], 0.0
	for k, n := range m.best {
		if int32(k) == i {
			n -= out
		}
		if n > 0 {
			m.load(&room, int32(k), n)
			value += float64(n) * worth[k]
		}
	}
	if at := slices.Index(m.active, i); at >= 0 {
		m.active = slices.Delete(m.active, at, at+1)
	}
	return value + m.refill(room, worth, left)
}

// stand is a number of places of like room, as the linear program sees them.
type stand struct {
	room  vec
	first int // a place of it
	n     int
}

const mostStands = 16

// stands sorts places into a few classes by node class and by the proportion of their room, each with its mean.
func (s *solver) stands(zone int32, from int) []stand {
	var places []int
	for place := from; place < s.rules.Places(); place++ {
		d := s.draftOf(place)
		if d.room[0] > 0 && d.room[1] > 0 && d.room[2] > 0 && (zone < 0 || d.zone == zone) {
			places = append(places, place)
		}
	}
	ratio := func(place int) float64 {
		r := s.rules.free[place]
		return float64(r.CPU) * s.scale[0] / (float64(r.Memory) * s.scale[1])
	}
	slices.SortStableFunc(places, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.rules.class(a), s.rules.class(b)), cmp.Compare(ratio(a), ratio(b)))
	})
	each := (len(places) + mostStands - 1) / mostStands
	var out []stand
	for _, place := range places {
		last := len(out) - 1
		if last < 0 || out[last].n >= each || s.rules.class(out[last].first) != s.rules.class(place) && len(out) < 4*mostStands {
			out = append(out, stand{first: place})
			last++
		}
		out[last].room = out[last].room.minus(vecOf(s.rules.free[place], s.rules.more[place]), -1)
		out[last].n++
	}
	for i := range out {
		for d := range out[i].room {
			out[i].room[d] /= int64(out[i].n)
		}
	}
	return out
}

// worthOf solves the linear program over machines to buy and the places from one on, by component.
func (s *solver) worthOf(kinds []kind, comps []*component, from int) []float64 {
	worth := make([]float64, len(kinds))
	at := make(map[*kind]int, len(kinds))
	for i := range kinds {
		at[&kinds[i]] = i
		worth[i] = 1e-3 * s.kindSize(&kinds[i])
	}
	for _, c := range comps {
		for i, v := range s.worthIn(c, from) {
			worth[at[c.kinds[i]]] += v
		}
	}
	return worth
}

// worthIn is worthOf for one component: each class of places is a machine that costs nothing and of which there are few.
func (s *solver) worthIn(c *component, from int) []float64 {
	worth := make([]float64, len(c.kinds))
	left := make([]int, len(c.kinds))
	at := make([]int32, len(c.kinds))
	for i, k := range c.kinds {
		left[i], at[i] = k.count, -1
	}
	rows, single := c.mixer.rows(left)
	if len(rows) == 0 {
		return s.priceless(c, rows, worth)
	}
	demand := make([]int, len(rows))
	for r, i := range rows {
		at[i], demand[r] = int32(r), left[i]
	}
	for r := range single {
		single[r] = onRows(single[r], at)
	}
	stands := s.stands(c.zone, from)
	limits := make([]int, len(stands))
	for k := range stands {
		limits[k] = stands[k].n
	}
	lp := master{gain: 1e-5}
	c.mixer.gain = 1e-5
	lp.start(single, demand, limits)
	for _, col := range c.looked {
		lp.cols = append(lp.cols, onRows(col, at))
	}
	m := s.standMixer(c)
	for range 60 {
		for r, i := range rows {
			worth[i] = max(lp.y[r], 0)
		}
		before := len(lp.cols)
		for _, col := range c.mixer.price(worth, left, 1) {
			c.looked = append(c.looked, col)
			lp.cols = append(lp.cols, onRows(col, at))
		}
		for k := range stands {
			s.onStand(&lp, m, c, &stands[k], len(rows)+k, standPrices{worth, left, at})
		}
		if len(lp.cols) == before || lp.improve(20*lp.m) == 0 {
			break
		}
	}
	return s.priceless(c, rows, worth)
}

// priceless raises the worth of kinds that no machine for sale holds above that of all others: they have only these places.
func (s *solver) priceless(c *component, rows []int, worth []float64) []float64 {
	most := s.extra
	for i := range worth {
		most = max(most, worth[i]/s.kindSize(c.kinds[i]))
	}
	for i := range worth {
		if _, ok := slices.BinarySearch(rows, i); !ok {
			worth[i] = 1000 * most * s.kindSize(c.kinds[i])
		}
	}
	return worth
}

type standPrices struct {
	worth []float64
	left  []int
	at    []int32
}

func (s *solver) standMixer(c *component) *mixer {
	m := &mixer{wants: c.mixer.wants, shapes: make([]shape, 1), fits: make([]bool, len(c.kinds)), classes: s.classes}
	m.prepare()
	return m
}

// onStand adds the best contents of a place of the class, if the duals say that they are worth it.
func (s *solver) onStand(lp *master, m *mixer, c *component, st *stand, row int, by standPrices) {
	for i, k := range c.kinds {
		m.fits[i] = s.p.has(k.set, s.rules.class(st.first))
	}
	m.reroom(st.room)
	value := 0.0
	var items []item
	for i, n := range m.richest(by.worth, by.left) {
		if n > 0 && by.at[i] >= 0 {
			items = append(items, item{by.at[i], n})
			value += by.worth[i] * float64(n)
		}
	}
	if value > lp.y[row]+1e-6*lp.unit {
		lp.cols = append(lp.cols, column{items: append(items, item{int32(row), -1})})
	}
}

func (s *solver) kindSize(k *kind) float64 {
	size := 1e-9
	for d := range k.need {
		size += k.needF[d] * s.scale[d]
	}
	return size
}
