package pack

import (
	"cmp"
	"math"
	"slices"
)

// bought is a column and how many machines are filled so.
type bought struct {
	column
	times int
}

// effort bounds the search in steps, never in time.
type effort struct {
	// rounds are the calls of the pricing step for the first linear program, and again for each dive.
	rounds, again int
	// dives is how often the program is solved again for what rounding down left over.
	dives int
	// depth and depthAgain are how thorough the pricing step is when it finds nothing: 0 fills in the quick way only, 1
	// also by weights, 2 also with each kind as the first.
	depth, depthAgain int
	// share: when no machine is whole, one in so many rows is rounded up before the program is solved again.
	share int
	// gain is the least part of its cost that a further column must save.
	gain float64
}

// buy finds machines for all that is left, as far as it can run anywhere: the linear program over whole machines, rounded
// down, then solved again for what is left ("diving"), and at last one good machine after the other. left is lessened by
// what the machines hold.
func (m *mixer) buy(left []int, e effort) []bought {
	var out []bought
	lp := master{gain: e.gain}
	m.gain = e.gain
	pool := m.pool
	rounds, depth := e.rounds, e.depth
	if len(pool) > 0 {
		rounds = e.again
	}
	for range e.dives {
		rows, single := m.rows(left)
		if len(rows) == 0 {
			return out
		}
		m.solve(&lp, pool, left, rows, single, search{rounds, depth})
		rounds, depth = e.again, e.depthAgain
		picked := m.round(&lp, rows, left, e)
		pool = m.keep(&lp, rows)
		if len(m.pool) == 0 {
			m.pool = pool
		}
		if len(picked) == 0 {
			break
		}
		out = append(out, picked...)
	}
	if m.value == nil {
		m.value = make([]float64, len(m.wants))
		for i := range m.value {
			if c, ok := m.cached(i, max(left[i], 1)); ok {
				m.value[i] = c.cost / float64(c.items[0].n)
			}
		}
	}
	return append(out, m.greedy(m.value, left)...)
}

// rows are the kinds that are left and can be bought a machine for; each with the column that holds it alone.
func (m *mixer) rows(left []int) (rows []int, single []column) {
	for i, n := range left {
		if n <= 0 {
			continue
		}
		if c, ok := m.cached(i, n); ok {
			rows = append(rows, i)
			single = append(single, c)
		}
	}
	return rows, single
}

// cached is single, remembered for as long as enough of the kind is left.
func (m *mixer) cached(i, left int) (column, bool) {
	if m.singles == nil {
		m.singles = make([]column, len(m.wants))
	}
	if c := m.singles[i]; len(c.items) > 0 && int(c.items[0].n) <= left {
		return c, true
	}
	c, ok := m.single(i, left)
	m.singles[i] = c
	return c, ok
}

// search bounds one solution of a linear program.
type search struct{ rounds, depth int }

// solve is column generation from the columns of the pool that are proper: that hold no more of a kind than is left.
func (m *mixer) solve(lp *master, pool []column, left, rows []int, single []column, by search) {
	at := make([]int32, len(m.wants))
	for i := range at {
		at[i] = -1
	}
	demand := make([]int, len(rows))
	for r, i := range rows {
		at[i] = int32(r)
		demand[r] = left[i]
	}
	for r := range single {
		single[r] = onRows(single[r], at)
	}
	lp.start(single, demand, nil)
	for _, c := range pool {
		if c, ok := m.proper(c, left); ok {
			lp.cols = append(lp.cols, onRows(c, at))
		}
	}
	lp.improve(20 * len(rows))
	m.value = make([]float64, len(m.wants))
	defer func() {
		for r, i := range rows {
			m.value[i] = max(lp.y[r], 0)
		}
	}()
	worth := make([]float64, len(m.wants))
	for range by.rounds {
		for r, i := range rows {
			worth[i] = lp.y[r]
		}
		found := m.price(worth, left, by.depth)
		if len(found) == 0 {
			return
		}
		for _, c := range found {
			lp.cols = append(lp.cols, onRows(c, at))
		}
		if lp.improve(20*len(rows)) == 0 {
			return
		}
	}
}

// onRows is a column with kinds replaced by rows.
func onRows(c column, at []int32) column {
	items := make([]item, 0, len(c.items))
	for _, it := range c.items {
		if at[it.kind] >= 0 {
			items = append(items, item{at[it.kind], it.n})
		}
	}
	c.items = items
	return c
}

// keep returns the columns of a program, by kinds.
func (m *mixer) keep(lp *master, rows []int) []column {
	if len(lp.cols) > mostColumns {
		lp.cols = lp.cols[len(lp.cols)-mostColumns:]
	}
	out := make([]column, len(lp.cols))
	for j, c := range lp.cols {
		items := make([]item, len(c.items))
		for k, it := range c.items {
			items[k] = item{int32(rows[it.kind]), it.n}
		}
		c.items = items
		out[j] = c
	}
	return out
}

const mostColumns = 400

// learn takes over the columns that another mixer found, if both sell the same shapes, for the kinds that both have.
func (m *mixer) learn(from *mixer) {
	if len(from.pool) == 0 || len(m.shapes) != len(from.shapes) {
		return
	}
	for s := range m.shapes {
		if m.shapes[s].room != from.shapes[s].room || m.shapes[s].cost != from.shapes[s].cost {
			return
		}
	}
	at := make(map[wantKey]int32, len(m.wants))
	for i := range m.wants {
		at[m.wants[i].key()] = int32(i)
	}
	for _, c := range from.pool {
		items := make([]item, 0, len(c.items))
		for _, it := range c.items {
			if i, ok := at[from.wants[it.kind].key()]; ok && m.may(int(i), c.shape) {
				items = append(items, item{i, it.n})
			}
		}
		if len(items) > 0 && len(items) == len(c.items) {
			m.pool = append(m.pool, column{c.shape, c.cost, items})
		}
	}
}

type wantKey struct {
	need        vec
	class, most int32
}

func (w *want) key() wantKey { return wantKey{w.need, w.class, w.most} }

// proper cuts a column down to what is left, in the cheapest shape that holds the rest.
func (m *mixer) proper(c column, left []int) (column, bool) {
	cut := false
	for _, it := range c.items {
		cut = cut || int(it.n) > left[it.kind]
	}
	if !cut {
		return c, true
	}
	items := make([]item, 0, len(c.items))
	for _, it := range c.items {
		if n := min(it.n, int32(min(left[it.kind], math.MaxInt32))); n > 0 {
			items = append(items, item{it.kind, n})
		}
	}
	if len(items) == 0 {
		return c, false
	}
	s := m.cheapest(items)
	if s < 0 {
		return c, false
	}
	return column{shape: s, cost: m.shapes[s].cost, items: items}, true
}

func (m *mixer) tookAll(total int) bool {
	for _, n := range m.took {
		total -= int(n)
	}
	return total <= 0
}

// round takes the whole parts of a program's answer; if there are none, the machines that are nearest to whole.
func (m *mixer) round(lp *master, rows, left []int, e effort) []bought {
	order := make([]int, lp.m)
	for r := range order {
		order[r] = r
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lp.x[b], lp.x[a]) })
	var out []bought
	for _, r := range order {
		if lp.basis[r] < 0 || lp.x[r] < 1e-6 {
			continue
		}
		if n := int(lp.x[r] + 1e-6); n >= 1 {
			out = m.take(out, lp.cols[lp.basis[r]], rows, left, n)
		}
	}
	if len(out) > 0 {
		return out
	}
	most := max(1, len(order)/e.share)
	for _, r := range order {
		if len(out) < most && lp.basis[r] >= 0 && lp.x[r] >= 1e-6 && (len(out) == 0 || lp.x[r] > 0.7) {
			out = m.take(out, lp.cols[lp.basis[r]], rows, left, 1)
		}
	}
	return out
}

// take buys a column n times, as far as enough is left for it.
func (m *mixer) take(out []bought, c column, rows, left []int, n int) []bought {
	items := make([]item, 0, len(c.items))
	for _, it := range c.items {
		if k := rows[it.kind]; left[k] > 0 {
			items = append(items, item{int32(k), it.n})
		}
	}
	c.items = items
	whole, ok := m.proper(c, left)
	if !ok {
		return out
	}
	for _, it := range whole.items {
		n = min(n, left[it.kind]/int(it.n))
	}
	if n < 1 || len(whole.items) == 0 {
		return out
	}
	if s := m.cheapest(whole.items); s >= 0 {
		whole.shape, whole.cost = s, m.shapes[s].cost
	}
	for _, it := range whole.items {
		left[it.kind] -= int(it.n) * n
	}
	return append(out, bought{whole, n})
}

// greedy buys the machine whose contents are worth most for its price, as often as what is left allows, again and again.
func (m *mixer) greedy(worth []float64, left []int) []bought {
	var out []bought
	var promising []int
	for step := 0; ; step++ {
		total := 0
		for i, n := range left {
			if worth[i] > 0 {
				total += n
			}
		}
		if total == 0 {
			return out
		}
		if step%lookAgain == 0 {
			promising = m.promising(worth, left, total)
		}
		best, rate := column{}, 0.0
		for _, s := range promising {
			value := m.fill(s, worth, left)
			if c, ok := m.columnOf(m.took); ok && value > rate*c.cost {
				best, rate = c, value/c.cost
			}
		}
		if rate == 0 && step%lookAgain == 0 {
			return out
		}
		if rate == 0 {
			step += lookAgain - 1 - step%lookAgain
			continue
		}
		n := math.MaxInt
		for _, it := range best.items {
			n = min(n, left[it.kind]/int(it.n))
		}
		for _, it := range best.items {
			left[it.kind] -= int(it.n) * n
		}
		out = append(out, bought{best, n})
	}
}

// lookAgain is after how many machines all shapes are looked at again; between, only those that were best then.
const lookAgain = 6

// promising are the shapes in order of what their contents are worth for their price, the best third of them.
func (m *mixer) promising(worth []float64, left []int, total int) []int {
	var found []priced
	for _, s := range m.tries {
		value := m.fill(s, worth, left)
		if value > 0 {
			found = append(found, priced{rate: value / m.shapes[s].cost, try: s})
		}
		if c, ok := m.columnOf(m.took); ok && value > 0 {
			found[len(found)-1].rate = value / c.cost
		}
		if m.tookAll(total) {
			break
		}
	}
	slices.SortStableFunc(found, func(a, b priced) int { return cmp.Compare(b.rate, a.rate) })
	var out []int
	for i := 0; i < len(found) && i < max(4, len(m.tries)/3); i++ {
		out = append(out, found[i].try)
	}
	return out
}
