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
	try  int
}

// price looks for machines whose contents are worth more than they cost, and returns a few of the best. It begins with
// the quick way to fill and the shapes that gave something lately, and looks further only as long as it finds nothing, and
// only as deep as it is told.
func (m *mixer) price(worth []float64, left []int, depth int) []column {
	m.found = m.found[:0]
	for _, s := range m.hot {
		m.note(m.fill(s, worth, left), s)
	}
	m.chunks(8, func(s int) { m.note(m.fill(s, worth, left), s) })
	if depth > 0 {
		m.chunks(4, func(s int) { m.weigh(s, worth, left) })
	}
	if depth > 1 {
		m.chunks(1, func(s int) { m.eachFirst(s, worth, left) })
	}
	slices.SortStableFunc(m.found, func(a, b priced) int { return cmp.Compare(b.rate, a.rate) })
	var out []column
	m.hot = m.hot[:0]
	for i := range m.found {
		if len(out) < 5 && (i == 0 || m.found[i].rate != m.found[i-1].rate) {
			out = append(out, m.found[i].column)
			if !slices.Contains(m.hot, m.found[i].try) {
				m.hot = append(m.hot, m.found[i].try)
			}
		}
	}
	return out
}

// chunks goes through the shapes to try, some at a time and each time from where it stopped, until something is found.
func (m *mixer) chunks(size int, try func(s int)) {
	for done := 0; len(m.found) == 0 && done < len(m.tries); done += size {
		for range min(size, len(m.tries)-done) {
			m.turn = (m.turn + 1) % len(m.tries)
			try(m.tries[m.turn])
		}
	}
}

// note keeps what took holds if it is worth more than it costs.
func (m *mixer) note(value float64, s int) {
	if value <= m.least*(1+m.gain) {
		return
	}
	if c, ok := m.columnOf(m.took); ok && value > c.cost*(1+m.gain) {
		m.found = append(m.found, priced{c, value / c.cost, s})
	}
}

// weigh fills a shape by the rule that is best for two resources and many small pods: in order of worth by a weighted
// sum of CPU and memory, whose weights are found by bisection: what is left over becomes cheaper.
func (m *mixer) weigh(s int, worth []float64, left []int) {
	low, high := 0.0, 1.0
	for range 7 {
		w := (low + high) / 2
		value, room := m.fillBy(s, w, worth, left)
		m.note(value, s)
		full := m.rooms[s]
		cpu, memory := share(room[0], full[0]), share(room[1], full[1])
		if cpu > memory {
			high = w // CPU is left over: count it less
		} else {
			low = w
		}
	}
}

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// fillBy fills in the order of worth by weighted size, each kind as far as it goes, and returns the value and the room
// that is left.
func (m *mixer) fillBy(s int, weight float64, worth []float64, left []int) (float64, [sizes]float64) {
	m.begin(s, worth, left)
	room := m.rooms[s]
	var by [sizes]float64
	for d, r := range room {
		if r > 0 {
			by[d] = 0.01 / r
		}
	}
	by[0] *= 100 * weight
	by[1] *= 100 * (1 - weight)
	if len(m.score) < len(m.wants) {
		m.score = make([]float64, len(m.wants))
	}
	for _, i := range m.active {
		size := 1e-12
		for d := range m.dims {
			size += m.flat[i][d] * by[d]
		}
		m.score[i] = worth[i] / size
	}
	slices.SortFunc(m.active, func(a, b int32) int {
		if x, y := m.score[a], m.score[b]; x != y {
			return cmp.Compare(y, x)
		}
		return cmp.Compare(a, b)
	})
	value := 0.0
	for _, i := range m.active {
		if n := m.fitting(&room, i, left); n > 0 {
			m.load(&room, i, n)
			value += float64(n) * worth[i]
		}
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
			m.note(m.fillAfter(s, item{int32(i), int32(n)}, worth, left), s)
		}
	}
}

// fillAfter is fill with some pods of one kind in the machine already.
func (m *mixer) fillAfter(s int, first item, worth []float64, left []int) float64 {
	m.begin(s, worth, left)
	room := m.rooms[s]
	m.load(&room, first.kind, first.n)
	return float64(first.n)*worth[first.kind] + m.refill(room, worth, left)
}
