package pack

import (
	"cmp"
	"math"
	"slices"
)

// priced is a column and what its contents are worth for each unit of cost.
type priced struct {
	column
	rate float64
}

// price looks for machines whose contents are worth more than they cost, and returns a few of the best. It tries the
// quick way to fill first; when that finds none, the thorough ones.
func (m *mixer) price(worth []float64, left []int, deep bool) []column {
	m.found = m.found[:0]
	total := 0
	for _, n := range left {
		total += n
	}
	for _, s := range m.tries {
		m.note(m.fill(s, worth, left))
		if m.tookAll(total) {
			break
		}
	}
	if len(m.found) == 0 {
		for _, s := range m.tries {
			m.weigh(s, worth, left)
			if m.tookAll(total) {
				break
			}
		}
	}
	if len(m.found) == 0 && deep {
		for _, s := range m.tries {
			m.eachFirst(s, worth, left)
		}
	}
	slices.SortStableFunc(m.found, func(a, b priced) int { return cmp.Compare(b.rate, a.rate) })
	var out []column
	for i := range m.found {
		if len(out) < 5 && (i == 0 || m.found[i].rate != m.found[i-1].rate) {
			out = append(out, m.found[i].column)
		}
	}
	return out
}

// note keeps what took holds if it is worth more than it costs.
func (m *mixer) note(value float64) {
	if c, ok := m.columnOf(m.took); ok && value > c.cost*(1+1e-6) {
		m.found = append(m.found, priced{c, value / c.cost})
	}
}

// weigh fills a shape by the rule that is best for two resources and many small pods: in order of worth by a weighted
// sum of CPU and memory, whose weights are found by bisection: what is left over becomes cheaper.
func (m *mixer) weigh(s int, worth []float64, left []int) {
	low, high := 0.0, 1.0
	for range 7 {
		w := (low + high) / 2
		value, room := m.fillBy(s, w, worth, left)
		m.note(value)
		full := m.shapes[s].room
		cpu, memory := share(room[0], full[0]), share(room[1], full[1])
		if cpu > memory {
			high = w // CPU is left over: count it less
		} else {
			low = w
		}
	}
}

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// fillBy fills in the order of worth by weighted size, each kind as far as it goes, and returns the value and the room
// that is left.
func (m *mixer) fillBy(s int, weight float64, worth []float64, left []int) (float64, vec) {
	m.begin(s, worth, left)
	room := m.shapes[s].room
	var by [sizes]float64
	for d, r := range room {
		if r > 0 {
			by[d] = 0.01 / float64(r)
		}
	}
	by[0] *= 100 * weight
	by[1] *= 100 * (1 - weight)
	if len(m.score) < len(m.wants) {
		m.score = make([]float64, len(m.wants))
	}
	for _, i := range m.active {
		size := 1e-12
		for d := range by {
			size += m.wants[i].needF[d] * by[d]
		}
		m.score[i] = worth[i] / size
	}
	slices.SortFunc(m.active, func(a, b int32) int {
		return cmp.Or(cmp.Compare(m.score[b], m.score[a]), cmp.Compare(a, b))
	})
	value := 0.0
	for _, i := range m.active {
		w := &m.wants[i]
		limit := int64(left[i])
		if w.class >= 0 {
			limit = min(limit, int64(m.classLeft[w.class]))
		}
		n := min(room.times(w.need, limit), math.MaxInt32)
		if n <= 0 {
			continue
		}
		m.took[i] = int32(n)
		if w.class >= 0 {
			m.classLeft[w.class] -= int32(n)
		}
		room = room.minus(w.need, n)
		value += float64(n) * worth[i]
	}
	return value, room
}

// eachFirst fills the shape with each kind first, in several numbers.
func (m *mixer) eachFirst(s int, worth []float64, left []int) {
	for i := range m.wants {
		w := &m.wants[i]
		if left[i] <= 0 || worth[i] <= 1e-12 || !m.may(i, s) {
			continue
		}
		most := m.shapes[s].room.times(w.need, min(int64(left[i]), math.MaxInt32))
		if w.class >= 0 {
			most = min(most, int64(w.most))
		}
		for n := most; n > 0; n /= 2 {
			m.note(m.fillAfter(s, item{int32(i), int32(n)}, worth, left))
		}
	}
}

// fillAfter is fill with some pods of one kind in the machine already.
func (m *mixer) fillAfter(s int, first item, worth []float64, left []int) float64 {
	m.begin(s, worth, left)
	w := &m.wants[first.kind]
	m.took[first.kind] = first.n
	if w.class >= 0 {
		m.classLeft[w.class] -= first.n
	}
	room := m.shapes[s].room.minus(w.need, int64(first.n))
	return float64(first.n)*worth[first.kind] + m.refill(room, worth, left)
}
