package pack

import "math"

// item is a number of pods of one kind in a column.
type item struct{ kind, n int32 }

// column is one way to fill one machine.
type column struct {
	shape int
	cost  float64
	items []item
}

// master is the linear program min sum cost x, sum over columns of items x >= demand, x >= 0, solved by the revised
// simplex method with an explicit inverse: rows are few (kinds of pods), columns come and go.
type master struct {
	m     int
	inv   []float64 // m x m
	basis []int     // a column, or -1-i for the surplus of row i
	x     []float64
	y     []float64 // duals: what one more pod of each kind costs
	u     []float64
	cols  []column
	few   []int // columns that saved something when all were last looked at
	// gain is the least part of its cost that a column must save to be looked at.
	gain float64
	unit float64 // the least cost of a column that costs anything: what is free is compared by it
}

const lpTolerance = 1e-9

// start begins with the columns given, one for each row, each holding pods of that row alone. limits add rows: at most so
// many of the columns that have -1 there.
func (l *master) start(single []column, demand, limits []int) {
	l.m = len(demand) + len(limits)
	l.unit = math.Inf(1)
	l.inv = resize(l.inv, l.m*l.m)
	l.x, l.y, l.u = resize(l.x, l.m), resize(l.y, l.m), resize(l.u, l.m)
	l.basis = l.basis[:0]
	l.cols = append(l.cols[:0], single...)
	for i := range demand {
		a := float64(single[i].items[0].n)
		l.inv[i*l.m+i] = 1 / a
		l.x[i] = float64(demand[i]) / a
		l.y[i] = single[i].cost / a
		l.basis = append(l.basis, i)
		l.unit = min(l.unit, single[i].cost)
	}
	for k, n := range limits {
		i := len(demand) + k
		l.inv[i*l.m+i] = -1
		l.x[i] = float64(n)
		l.basis = append(l.basis, -1-i)
	}
}

func resize(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// reduced is what a column costs less than the duals say its pods are worth; it improves the plan when negative.
func (l *master) reduced(c *column) float64 {
	r := c.cost
	for _, it := range c.items {
		r -= l.y[it.kind] * float64(it.n)
	}
	return r
}

// improve runs the simplex method over the columns that are there. It returns how many steps it took.
func (l *master) improve(limit int) int {
	l.few = l.few[:0]
	for step := range limit {
		enter := l.best(l.few)
		if enter < 0 {
			l.look()
			enter = l.best(l.few)
		}
		surplus, worst := -1, -1e-7
		if enter < 0 {
			for i, y := range l.y {
				if y < worst {
					surplus, worst = i, y
				}
			}
			if surplus < 0 {
				return step
			}
		}
		if !l.pivot(enter, surplus) {
			return step
		}
	}
	return limit
}

// best is the column of a list that saves most for its cost, or -1.
func (l *master) best(list []int) int {
	enter, best := -1, -l.gain
	for _, j := range list {
		if r := l.rate(j); r < best {
			enter, best = j, r
		}
	}
	return enter
}

func (l *master) rate(j int) float64 {
	c := &l.cols[j]
	return l.reduced(c) / max(c.cost, l.unit)
}

// look finds some of the columns that save most: the next steps choose among them (multiple pricing).
func (l *master) look() {
	var rates [16]float64
	l.few = l.few[:0]
	for j := range l.cols {
		r := l.rate(j)
		if r >= -l.gain || len(l.few) == len(rates) && r >= rates[len(rates)-1] {
			continue
		}
		if len(l.few) < len(rates) {
			l.few = append(l.few, j)
		}
		k := len(l.few) - 1
		for ; k > 0 && rates[k-1] > r; k-- {
			l.few[k], rates[k] = l.few[k-1], rates[k-1]
		}
		l.few[k], rates[k] = j, r
	}
}

// pivot brings a column, or the surplus of a row, into the basis.
func (l *master) pivot(enter, surplus int) bool {
	m, u := l.m, l.u
	clear(u)
	cost := 0.0
	if enter >= 0 {
		c := &l.cols[enter]
		cost = l.reduced(c)
		for _, it := range c.items {
			k, n := int(it.kind), float64(it.n)
			for i := range m {
				u[i] += l.inv[i*m+k] * n
			}
		}
	} else {
		cost = l.y[surplus]
		for i := range m {
			u[i] = -l.inv[i*m+surplus]
		}
		enter = -1 - surplus
	}
	r, least := -1, math.Inf(1)
	for i := range m {
		if u[i] > lpTolerance {
			if t := l.x[i] / u[i]; t < least-1e-12 {
				r, least = i, t
			}
		}
	}
	if r < 0 {
		return false
	}
	row := l.inv[r*m : r*m+m]
	scale := 1 / u[r]
	for k := range row {
		row[k] *= scale
		l.y[k] += cost * row[k]
	}
	for i := range m {
		if f := u[i]; i != r && f != 0 {
			l.x[i] = max(0, l.x[i]-f*least)
			other := l.inv[i*m : i*m+m][:len(row)]
			for k, v := range row {
				other[k] -= f * v
			}
		}
	}
	l.x[r] = least
	l.basis[r] = enter
	return true
}
