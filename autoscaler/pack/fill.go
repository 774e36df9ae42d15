package pack

import "math"

// sizes is how many resources the fast part looks at: CPU, memory, pod slots and the first two further ones. Groups that
// ask for others are placed one by one.
const sizes = 5

type vec [sizes]int64

func vecOf(r Resources, more []int64) vec {
	return vec{r.CPU, r.Memory, r.Pods, extended(more, 0), extended(more, 1)}
}

func (v vec) holds(o vec) bool {
	for d, need := range o {
		if need > 0 && need > v[d] {
			return false
		}
	}
	return true
}

func (v vec) minus(o vec, n int64) vec {
	for d := range v {
		v[d] -= o[d] * n
	}
	return v
}

// times is how many of o v holds, at most limit.
func (v vec) times(o vec, limit int64) int64 {
	for d, need := range o {
		if need > 0 {
			limit = min(limit, v[d]/need)
		}
	}
	return max(limit, 0)
}

// shape is a size of machine at its price, with the offers that sell it, cheapest first.
type shape struct {
	room   vec
	cost   float64 // price and what a node costs
	offers []int
}

// want is a kind of pod as the mixer sees it.
type want struct {
	need  vec
	needF [sizes]float64
	// class and most: at most so many pods of the class on one machine. No class is -1.
	class, most int32
}

// mixer finds good contents of single machines: the pricing step of column generation (Gilmore and Gomory 1961).
type mixer struct {
	wants   []want
	shapes  []shape // by cost
	fits    []bool  // wants x shapes: where they may run
	tries   []int   // shapes that are tried; the rest are reached by shrinking
	reach   [sizes][]int64
	classes int
	gain    float64 // the least part of its cost by which a column's contents must be worth more
	least   float64 // cost of the cheapest shape
	// dims are the sizes that any kind asks for; what fill looks at has them in a row, as floats.
	dims  int
	used  []int
	flat  [][sizes]float64 // needs by kind
	rooms [][sizes]float64 // rooms by shape
	hot   []int            // tries that gave columns lately
	turn  int
	// pool are the columns of the first linear program that was solved, or what was learned from another mixer.
	pool    []column
	singles []column
	// value is what a pod of each kind is worth by the last linear program.
	value []float64
	// scratch
	took      []int32
	active    []int32
	classLeft []int32
	best      []int32
	score     []float64
	found     []priced
}

// prepare makes the tables that fill and cheapest look at.
func (m *mixer) prepare() {
	for d := range m.reach {
		m.reach[d] = make([]int64, len(m.shapes))
		most := int64(math.MinInt64)
		for s := range m.shapes {
			most = max(most, m.shapes[s].room[d])
			m.reach[d][s] = most
		}
	}
	m.flatten()
	m.took = make([]int32, len(m.wants))
	m.classLeft = make([]int32, m.classes)
	m.least = math.Inf(1)
	for s := range m.shapes {
		m.least = min(m.least, m.shapes[s].cost)
	}
	for factor := 1.0; ; factor *= 1.1 {
		m.tries = m.tries[:0]
		last := 0.0
		for s := range m.shapes {
			if s == 0 || m.shapes[s].cost >= last*factor {
				m.tries = append(m.tries, s)
				last = m.shapes[s].cost
			}
		}
		if len(m.tries) <= mostTries && (factor == 1 || len(m.tries) <= fewTries) {
			break
		}
	}
}

// mostTries is up to how many shapes each is tried; of more, fewTries that are a step in cost apart.
const (
	mostTries = 32
	fewTries  = 24
)

func (m *mixer) may(kind, shape int) bool { return m.fits[kind*len(m.shapes)+shape] }

// fill puts pods into a machine of the shape, each time the kind that is worth most for the part of what is left that it
// takes: what is scarce on the machine is dear. The contents are in took, the value is returned.
func (m *mixer) fill(s int, worth []float64, left []int) float64 {
	m.begin(s, worth, left)
	return m.refill(m.rooms[s], worth, left)
}

// begin empties the machine and finds the kinds that may go in.
func (m *mixer) begin(s int, worth []float64, left []int) {
	clear(m.took)
	m.active = m.active[:0]
	for c := range m.classLeft {
		m.classLeft[c] = math.MaxInt32
	}
	for i := range m.wants {
		w := &m.wants[i]
		if left[i] > 0 && worth[i] > 1e-12 && m.may(i, s) {
			m.active = append(m.active, int32(i))
			if w.class >= 0 {
				m.classLeft[w.class] = min(m.classLeft[w.class], w.most)
			}
		}
	}
}

// flatten makes the tables of floats.
func (m *mixer) flatten() {
	var used []int
	for d := range sizes {
		for i := range m.wants {
			if m.wants[i].need[d] > 0 {
				used = append(used, d)
				break
			}
		}
	}
	m.dims, m.used = len(used), used
	m.flat = make([][sizes]float64, len(m.wants))
	m.rooms = make([][sizes]float64, len(m.shapes))
	for k, d := range used {
		for i := range m.wants {
			m.flat[i][k] = float64(m.wants[i].need[d])
		}
		for s := range m.shapes {
			m.rooms[s][k] = float64(max(0, m.shapes[s].room[d]))
		}
	}
}

// reroom changes the room of the one shape of a mixer for places.
func (m *mixer) reroom(room vec) {
	m.shapes[0].room = room
	for k, d := range m.used {
		m.rooms[0][k] = float64(max(0, room[d]))
	}
}

// refill goes on filling what is left of the room with the active kinds.
func (m *mixer) refill(room [sizes]float64, worth []float64, left []int) float64 {
	value := 0.0
	for len(m.active) > 0 {
		at := m.densest(&room, worth, left)
		if at < 0 {
			break
		}
		n := m.fitting(&room, at, left)
		if n > 3 {
			n = max(1, n/4)
		}
		m.load(&room, at, n)
		value += float64(n) * worth[at]
	}
	return value
}

// densest is the active kind that is worth most for the part of the free room that it takes, or -1. Kinds that no longer
// fit leave the active ones.
func (m *mixer) densest(room *[sizes]float64, worth []float64, left []int) int32 {
	var scarce [sizes]float64
	for d, r := range room {
		if r > 0 {
			scarce[d] = 1 / r
		}
	}
	best, at, kept := 0.0, int32(-1), m.active[:0]
	for _, i := range m.active {
		f := &m.flat[i]
		if f[0] > room[0] || f[1] > room[1] || f[2] > room[2] || int(m.took[i]) >= left[i] {
			continue
		}
		size := f[0]*scarce[0] + f[1]*scarce[1] + f[2]*scarce[2] + 1e-9
		if m.dims > 3 {
			if f[3] > room[3] || f[4] > room[4] {
				continue
			}
			size += f[3]*scarce[3] + f[4]*scarce[4]
		}
		if c := m.wants[i].class; c >= 0 && m.classLeft[c] <= 0 {
			continue
		}
		kept = append(kept, i)
		if w := worth[i]; w > best*size {
			best, at = w/size, i
		}
	}
	m.active = kept
	return at
}

// fitting is how many of a kind still go in.
func (m *mixer) fitting(room *[sizes]float64, i int32, left []int) int32 {
	n := float64(min(left[i]-int(m.took[i]), math.MaxInt32/2))
	if c := m.wants[i].class; c >= 0 {
		n = min(n, float64(m.classLeft[c]))
	}
	for d := range m.dims {
		if need := m.flat[i][d]; need > 0 {
			n = min(n, room[d]/need)
		}
	}
	return int32(max(n, 0))
}

func (m *mixer) load(room *[sizes]float64, i, n int32) {
	m.took[i] += n
	if c := m.wants[i].class; c >= 0 {
		m.classLeft[c] -= n
	}
	for d := range m.dims {
		room[d] -= m.flat[i][d] * float64(n)
	}
}

// cheapest is the first shape in order of cost that holds a load on which all kinds in items may run, or -1.
func (m *mixer) cheapest(items []item) int {
	var load vec
	for _, it := range items {
		load = load.minus(m.wants[it.kind].need, -int64(it.n))
	}
	for s := m.from(load); s < len(m.shapes); s++ {
		if m.shapes[s].room.holds(load) && m.allMay(items, s) {
			return s
		}
	}
	return -1
}

// from is the first shape that may hold a load: before it, all are too small in some size.
func (m *mixer) from(load vec) int {
	first := 0
	for d, need := range load {
		if need > 0 {
			first = max(first, lowerBound(m.reach[d], need))
		}
	}
	return first
}

func (m *mixer) allMay(items []item, s int) bool {
	for _, it := range items {
		if !m.may(int(it.kind), s) {
			return false
		}
	}
	return true
}

// lowerBound is the first index whose value is at least v, in an ascending list.
func lowerBound(list []int64, v int64) int {
	low, high := 0, len(list)
	for low < high {
		if mid := (low + high) / 2; list[mid] < v {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// columnOf makes a column of counts by kind, in the cheapest shape that holds it.
func (m *mixer) columnOf(took []int32) (column, bool) {
	var c column
	for i, n := range took {
		if n > 0 {
			c.items = append(c.items, item{int32(i), n})
		}
	}
	c.shape = m.cheapest(c.items)
	if len(c.items) == 0 || c.shape < 0 {
		return c, false
	}
	c.cost = m.shapes[c.shape].cost
	return c, true
}

// single is the column that holds as many of one kind as are wanted for the least price each.
func (m *mixer) single(i int, left int) (column, bool) {
	w := &m.wants[i]
	best, rate := column{shape: -1}, math.Inf(1)
	limit := int64(left)
	if w.class >= 0 {
		limit = min(limit, int64(w.most))
	}
	for s := range m.shapes {
		if !m.may(i, s) {
			continue
		}
		n := m.shapes[s].room.times(w.need, min(limit, math.MaxInt32))
		if n > 0 && m.shapes[s].cost/float64(n) < rate*(1-1e-9) {
			rate = m.shapes[s].cost / float64(n)
			best = column{shape: s, cost: m.shapes[s].cost, items: []item{{int32(i), int32(n)}}}
		}
	}
	return best, best.shape >= 0
}
