package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// Change makes a State another one, and says in words what it changed. It refuses a name that the State does not have.
type Change func(t *Teller, s *autoscaler.State) (string, error)

// Comparison is what is decided now beside what would be decided.
type Comparison struct {
	At      time.Time `json:"at"`
	Changes []string  `json:"changes"`
	// Before and After are the two decisions as Describe prints them; Diff is the blocks of them that are not in both.
	Before string `json:"-"`
	After  string `json:"-"`
	Diff   []Diff `json:"diff"`
	// Pools are sorted by id.
	Pools []Bill `json:"pools"`
	// Money is what all machines of a known price cost an hour.
	Money Money `json:"money"`
	// Notes is what to know of the comparison: prices that are not known, pods without room.
	Notes []string `json:"notes,omitempty"`
}

// Diff is a line that only one of the decisions has.
type Diff struct {
	Op   string `json:"op"` // "-" for what is decided now, "+" for what would be
	Line string `json:"line"`
}

// Bill is a pool's machines, and what they cost an hour; Price 0 is not known.
type Bill struct {
	Pool   string  `json:"pool"`
	Price  float64 `json:"price"`
	Asked  int     `json:"asked"` // of the provider, until now
	Before int     `json:"before"`
	After  int     `json:"after"`
}

// Money is a cost an hour: as asked for until now, as decided now, and as it would be.
type Money struct {
	Asked  float64 `json:"asked"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// WhatIf plans the State with the changes. Nothing but the answer comes of it.
func (t *Teller) WhatIf(changes ...Change) (Comparison, error) {
	s := t.state
	s.Workloads, s.Pools, s.Nodes, s.Pods = slices.Clone(s.Workloads), slices.Clone(s.Pools), slices.Clone(s.Nodes), slices.Clone(s.Pods)
	c := Comparison{At: s.Now}
	for _, change := range changes {
		words, err := change(t, &s)
		if err != nil {
			return c, err
		}
		c.Changes = append(c.Changes, words)
	}
	if err := crossed(&s); err != nil {
		return c, err
	}
	d := autoscaler.Plan(s)
	c.Before, c.After = autoscaler.Describe(t.decision, false), autoscaler.Describe(d, false)
	c.Diff = diff(blocks(c.Before), blocks(c.After))
	for i := range s.Pools {
		p := &s.Pools[i]
		b := Bill{Pool: string(p.ID), Price: p.PricePerHour, Asked: t.state.Pools[i].Target, Before: t.decision.Orders[i].To, After: d.Orders[i].To}
		c.Pools = append(c.Pools, b)
		c.Money.Asked += float64(b.Asked) * b.Price
		c.Money.Before += float64(b.Before) * b.Price
		c.Money.After += float64(b.After) * b.Price
		if b.Price == 0 && b.Before+b.After > 0 {
			c.Notes = append(c.Notes, "the price of pool "+b.Pool+" is not known and not in the sums")
		}
	}
	if before, after := unplaced(&t.decision), unplaced(&d); before+after > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("pods without room: %d now, %d then", before, after))
	}
	for _, v := range autoscaler.Check(s, d) {
		c.Notes = append(c.Notes, "this would not be carried out: "+v.String())
	}
	return c, nil
}

// crossed refuses bounds that nothing is within.
func crossed(s *autoscaler.State) error {
	for i := range s.Workloads {
		if p := &s.Workloads[i].Policy; p.Max > 0 && p.Min > p.Max {
			return fmt.Errorf("%s would have bounds of %d..%d replicas; change the other one too", s.Workloads[i].ID, p.Min, p.Max)
		}
	}
	for i := range s.Pools {
		if p := &s.Pools[i]; p.Min > p.Max {
			return fmt.Errorf("pool %s would have bounds of %d..%d machines; change the other one too", p.ID, p.Min, p.Max)
		}
	}
	return nil
}

func unplaced(d *autoscaler.Decision) int {
	n := 0
	for i := range d.Placements {
		n += d.Placements[i].Unplaced
	}
	return n
}

// RemoveNode is a node that is gone: its pods wait for room, its daemons are no more, and its pool was told so.
func RemoveNode(name string) Change {
	return func(t *Teller, s *autoscaler.State) (string, error) {
		i := slices.IndexFunc(s.Nodes, func(n autoscaler.Node) bool { return string(n.ID) == name })
		if i < 0 {
			_, err := t.find("node/" + name)
			return "", err
		}
		n := s.Nodes[i]
		s.Nodes = slices.Delete(s.Nodes, i, i+1)
		for k := range s.Pools {
			if s.Pools[k].ID == n.Pool {
				s.Pools[k].Target = max(0, s.Pools[k].Target-1)
			}
		}
		s.Pods = slices.DeleteFunc(s.Pods, func(p autoscaler.Pod) bool {
			return p.Node == n.ID && (p.Daemon != "" || p.Mirror || p.Phase == autoscaler.Leaving)
		})
		moved := 0
		for k := range s.Pods {
			if p := &s.Pods[k]; p.Node == n.ID {
				p.Node, p.Phase, p.InFlight, p.Keep = "", autoscaler.Pending, 0, ""
				moved++
			}
		}
		return fmt.Sprintf("node %s is gone, with %s", name, count(moved, "pod")), nil
	}
}

// AddReplicas wants n more of a workload than is decided now; the workload's own bound still holds.
func AddReplicas(name string, n int) Change {
	return ofWorkload(name, func(t *Teller, w *autoscaler.Workload) string {
		now := t.scale(w.ID).To
		w.Policy.Min = now + n
		if most := w.Policy.Max; most > 0 && w.Policy.Min > most {
			w.Policy.Min = most
			return fmt.Sprintf("%d replicas of %s instead of the %d that are decided now: its most is below %d", most, w.ID, now, now+n)
		}
		return fmt.Sprintf("at least %d replicas of %s, %d more than are decided now", w.Policy.Min, w.ID, n)
	})
}

// Bounds sets the least or the most replicas; a negative number leaves one as it is.
func Bounds(name string, low, high int) Change {
	return ofWorkload(name, func(_ *Teller, w *autoscaler.Workload) string {
		p := &w.Policy
		if low >= 0 {
			p.Min = low
		}
		if high >= 0 {
			p.Max = high
		}
		if p.Max == 0 {
			return fmt.Sprintf("%s has %d replicas at least and no bound above", w.ID, p.Min)
		}
		return fmt.Sprintf("%s has bounds of %d..%d replicas", w.ID, p.Min, p.Max)
	})
}

// WaitingPrice makes a second of waiting cost so much.
func WaitingPrice(name string, price float64) Change {
	return ofWorkload(name, func(_ *Teller, w *autoscaler.Workload) string {
		w.Policy.Objective.Price = price
		return fmt.Sprintf("a second of waiting for %s costs %s", w.ID, number6(price))
	})
}

// Wait is the p99 that requests may wait; a price, which goes before it, is taken away.
func Wait(name string, wait time.Duration) Change {
	return ofWorkload(name, func(_ *Teller, w *autoscaler.Workload) string {
		w.Policy.Objective = autoscaler.Objective{Wait: wait}
		return fmt.Sprintf("99 of 100 requests for %s wait %s at most", w.ID, wait)
	})
}

// Held is so many requests held for a workload now.
func Held(name string, n int) Change {
	return ofWorkload(name, func(_ *Teller, w *autoscaler.Workload) string {
		w.Demand.Queued, w.Demand.IdleSince = n, time.Time{}
		return fmt.Sprintf("%d requests are held for %s", n, w.ID)
	})
}

// Unblock takes away what keeps a workload from being scaled.
func Unblock(name string) Change {
	return ofWorkload(name, func(_ *Teller, w *autoscaler.Workload) string {
		w.Blocked = ""
		return fmt.Sprintf("nothing keeps %s from being scaled", w.ID)
	})
}

// PriceCap is the most that all pools together may cost an hour; 0 is no cap.
func PriceCap(limit float64) Change {
	return func(_ *Teller, s *autoscaler.State) (string, error) {
		s.PriceCap = limit
		if limit == 0 {
			return "no cap on the price of all pools", nil
		}
		return fmt.Sprintf("all pools cost %s an hour at most", number6(limit)), nil
	}
}

// PoolMax sets the most machines of a pool, PoolMin the least.
func PoolMax(name string, n int) Change {
	return ofPool(name, func(p *autoscaler.Pool) string {
		p.Max = n
		return fmt.Sprintf("pool %s has %d machines at most", name, n)
	})
}

// PoolMin sets the least machines of a pool.
func PoolMin(name string, n int) Change {
	return ofPool(name, func(p *autoscaler.Pool) string {
		p.Min = n
		return fmt.Sprintf("pool %s has %d machines at least", name, n)
	})
}

// PoolPrice sets what a machine costs an hour.
func PoolPrice(name string, price float64) Change {
	return ofPool(name, func(p *autoscaler.Pool) string {
		p.PricePerHour = price
		return fmt.Sprintf("a machine of pool %s costs %s an hour", name, number6(price))
	})
}

// OutOfStock is a pool that nothing can be bought from.
func OutOfStock(name string) Change {
	return ofPool(name, func(p *autoscaler.Pool) string {
		p.StockOut = "as asked by whatif"
		return fmt.Sprintf("pool %s is out of stock", name)
	})
}

func ofWorkload(name string, change func(*Teller, *autoscaler.Workload) string) Change {
	return func(t *Teller, s *autoscaler.State) (string, error) {
		id, err := t.find("workload/" + name)
		if err != nil {
			return "", err
		}
		return change(t, &s.Workloads[id.at]), nil
	}
}

func ofPool(name string, change func(*autoscaler.Pool) string) Change {
	return func(t *Teller, s *autoscaler.State) (string, error) {
		id, err := t.find("pool/" + name)
		if err != nil {
			return "", err
		}
		return change(&s.Pools[id.at]), nil
	}
}

// number6 keeps the small prices of a second.
func number6(f float64) string { return fmt.Sprintf("%.6g", f) }

// blocks cuts a description into what belongs together: a line that begins with a word, and those below it that do not.
func blocks(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, " ") && len(all) > 0 {
			all[len(all)-1] += line
		} else {
			all = append(all, line)
		}
	}
	return all
}

// mostCells bounds the table of diff; beyond it, the parts that differ are told whole.
const mostCells = 4_000_000

// diff is the longest common subsequence of blocks (Hunt and McIlroy, 1976), printed as what only one side has.
func diff(a, b []string) []Diff {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	out := []Diff{}
	tell := func(op, block string) {
		for line := range strings.Lines(block) {
			out = append(out, Diff{op, strings.TrimRight(line, "\n")})
		}
	}
	if len(a)*len(b) > mostCells {
		for _, x := range a {
			tell("-", x)
		}
		for _, y := range b {
			tell("+", y)
		}
		return out
	}
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			tell("-", a[i])
			i++
		default:
			tell("+", b[j])
			j++
		}
	}
	return out
}
