package pack_test

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// obeys replays a solution against the plain rules, the limits and the caps.
func obeys(t reporter, p *pack.Problem, s *pack.Solution) {
	t.Helper()
	n := newNaive(p, s.Machines)
	placed := make([]int, len(p.Groups))
	for i := 0; i < len(s.Steps); {
		k := i + 1
		for k < len(s.Steps) && s.Steps[k].Group == s.Steps[i].Group && s.Steps[k].InTurn && s.Steps[i].InTurn {
			k++
		}
		replay(t, n, slices.Clone(s.Steps[i:k]), placed)
		i = k
	}
	for _, u := range s.Unplaced {
		placed[u.Group] += u.Count
		if u.Count <= 0 {
			t.Fatalf("group %d: %d unplaced", u.Group, u.Count)
		}
	}
	for g := range placed {
		if placed[g] != max(0, p.Groups[g].Count) {
			t.Fatalf("group %d: %d pods placed or not, of %d", g, placed[g], p.Groups[g].Count)
		}
	}
	withinLimits(t, p, s)
}

// replay places one step, or steps in turn: always a pod on the place, of those that allow it, whose zone holds the fewest.
func replay(t reporter, n *naive, block []pack.Step, placed []int) {
	t.Helper()
	for len(block) > 0 {
		best, fewest := -1, 0
		for i, st := range block {
			if !n.allows(st.Group, st.Place) {
				continue
			}
			count := 0
			for _, s := range n.p.Groups[st.Group].Spreads {
				if !n.p.Topologies[s.Topology].Fresh {
					count = n.count(s.Topology, n.domain(st.Place, s.Topology), func(p *naivePod) bool { return slices.Contains(p.matches, s.Selector) })
				}
			}
			if best < 0 || count < fewest {
				best, fewest = i, count
			}
		}
		if best < 0 {
			t.Fatalf("group %d may be on none of its places %v", block[0].Group, block)
		}
		n.add(block[best].Group, block[best].Place)
		placed[block[best].Group]++
		if block[best].Count--; block[best].Count <= 0 {
			block = slices.Delete(block, best, best+1)
		}
	}
}

func withinLimits(t reporter, p *pack.Problem, s *pack.Solution) {
	t.Helper()
	bought := make([]int, len(p.Offers))
	pools := make([]int, len(p.Pools))
	money := make([]float64, len(p.Pools))
	total := 0.0
	used := make([]bool, len(s.Machines))
	for _, st := range s.Steps {
		if m := st.Place - len(p.Bins); m >= 0 {
			used[m] = true
		}
	}
	for i, o := range s.Machines {
		if !used[i] {
			t.Fatalf("machine %d holds nothing", i)
		}
		bought[o]++
		total += p.Offers[o].Price
		if at := p.Offers[o].Pool; at < len(pools) {
			pools[at]++
			money[at] += p.Offers[o].Price
		}
	}
	for o, n := range bought {
		if l := p.Offers[o].Limit; l >= 0 && n > l {
			t.Fatalf("offer %d: %d bought of %d", o, n, l)
		}
	}
	for i, pool := range p.Pools {
		if pool.Machines >= 0 && pools[i] > pool.Machines || pool.Capped && money[i] > pool.PriceCap+1e-6 {
			t.Fatalf("pool %d: %d machines for %f, allowed %+v", i, pools[i], money[i], pool)
		}
	}
	if p.Capped && total > p.PriceCap+1e-6 {
		t.Fatalf("%f spent of %f", total, p.PriceCap)
	}
	if math.Abs(total-s.Price) > 1e-6*(1+total) {
		t.Fatalf("Price is %f, machines cost %f", s.Price, total)
	}
}

func TestSolutionsObeyTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, rapid.Bool().Draw(t, "rules"))
		s := pack.Solve(p)
		obeys(t, p, &s)
		if again := pack.Solve(p); !reflect.DeepEqual(s, again) {
			t.Fatalf("solved twice:\n%v\n%v", s, again)
		}
	})
}

// TestOrderOfGroupsDoesNotMatter shuffles groups: another order is the same problem.
func TestOrderOfGroupsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, rapid.Bool().Draw(t, "rules"))
		s := pack.Solve(p)
		q := *p
		q.Groups = rapid.Permutation(p.Groups).Draw(t, "order")
		o := pack.Solve(&q)
		if math.Abs(s.Price-o.Price) > 1e-9 || count(s.Unplaced) != count(o.Unplaced) {
			t.Fatalf("price %f and %d unplaced, in another order %f and %d", s.Price, count(s.Unplaced), o.Price, count(o.Unplaced))
		}
	})
}

func count(u []pack.Unplaced) (n int) {
	for i := range u {
		n += u[i].Count
	}
	return n
}

// TestNeverDearerThanFirstFit holds price against first-fit decreasing where there are no rules and no limits, also when
// offers are added.
func TestNeverDearerThanFirstFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, false)
		p.Capped, p.Pools = false, nil
		for i := range p.Offers {
			p.Offers[i].Limit, p.Offers[i].Weight = pack.Unlimited, 0
		}
		for i := range p.Groups {
			p.Groups[i].Priority = 0
		}
		all := p.Offers
		few := rapid.IntRange(0, len(all)).Draw(t, "few")
		p.Offers = all[:few]
		baseline, ok := firstFitDecreasing(p, all)
		p.Offers = all
		if s := pack.Solve(p); ok && (len(s.Unplaced) > 0 || s.Price > baseline+1e-9) {
			t.Fatalf("price %f with %v unplaced; first fit with the first %d offers: %f", s.Price, s.Unplaced, few, baseline)
		}
	})
}

// firstFitDecreasing opens for each pod that fits nowhere the cheapest machine that holds it. Size is the sum of the
// parts of the largest room that a pod takes; where two differ and are of one size the order is open and the answer is
// not ok.
func firstFitDecreasing(p *pack.Problem, offers []pack.Offer) (price float64, ok bool) {
	var most [4]float64
	note := func(r pack.Resources, more []int64) {
		for d, n := range []int64{r.CPU, r.Memory, r.Pods, more[0]} {
			most[d] = max(most[d], float64(n))
		}
	}
	for _, o := range offers {
		note(o.Room, o.Extended)
	}
	for _, b := range p.Bins {
		note(b.Free, b.Extended)
	}
	size := func(g int) (sum float64) {
		need := p.Groups[g].Needs
		for d, n := range []int64{need.CPU, need.Memory, need.Pods, int64(len(p.Groups[g].Extended))} {
			if most[d] > 0 {
				sum += float64(n) / most[d]
			}
		}
		return sum
	}
	order := make([]int, len(p.Groups))
	for i := range order {
		order[i] = i
		for k := range i {
			if math.Abs(size(i)-size(k)) < 1e-9 {
				return 0, false
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	n := newNaive(p, nil)
	for _, g := range order {
		for range p.Groups[g].Count {
			at := 0
			for at < len(p.Bins)+len(n.machines) && !n.allows(g, at) {
				at++
			}
			if at == len(p.Bins)+len(n.machines) {
				best := -1
				for o := range p.Offers {
					n.machines = append(n.machines, o)
					if n.allows(g, at) && (best < 0 || p.Offers[o].Price < p.Offers[best].Price) {
						best = o
					}
					n.machines = n.machines[:len(n.machines)-1]
				}
				if best < 0 {
					return 0, false
				}
				n.machines = append(n.machines, best)
				price += p.Offers[best].Price
			}
			n.add(g, at)
		}
	}
	return price, true
}

func TestSmallCases(t *testing.T) {
	room := func(n int64) pack.Resources { return pack.Resources{CPU: n, Memory: n, Pods: 100} }
	need := func(n int64) pack.Resources { return pack.Resources{CPU: n, Memory: 1, Pods: 1} }
	for _, c := range []struct {
		name     string
		p        pack.Problem
		price    float64
		machines int
		unplaced string
	}{
		{name: "nothing to do"},
		{name: "no offers", p: pack.Problem{Groups: []pack.Group{{Needs: need(1), Count: 2}}}, unplaced: "[{0 2 no machine is for sale}]"},
		{name: "free room costs nothing", p: pack.Problem{Bins: []pack.Bin{{Free: room(4)}}, Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(2), Count: 2}}}},
		{name: "fewer nodes at the same price", p: pack.Problem{
			Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}, {Room: room(8), Price: 2, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(2), Count: 4}}}, price: 2, machines: 1},
		{name: "a node has a price of its own", p: pack.Problem{NodePrice: 0.5,
			Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}, {Room: room(8), Price: 2.4, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(2), Count: 4}}}, price: 2.4, machines: 1},
		{name: "a limit, and the next best", p: pack.Problem{
			Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: 1}, {Room: room(4), Price: 3, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(4), Count: 3}}}, price: 7, machines: 3},
		{name: "the cap binds", p: pack.Problem{Capped: true, PriceCap: 2,
			Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(4), Count: 3, Priority: 1}, {Needs: need(4), Count: 3, Priority: 2}}},
			price: 2, machines: 2, unplaced: "[{0 3 the price cap is reached} {1 1 the price cap is reached}]"},
		{name: "weight before price", p: pack.Problem{
			Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}, {Room: room(4), Price: 3, Limit: pack.Unlimited, Weight: 1}},
			Groups: []pack.Group{{Needs: need(4), Count: 2}}}, price: 6, machines: 2},
		{name: "a pool's limit is shared", p: pack.Problem{Pools: []pack.Pool{{Machines: 1}},
			Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}, {Room: room(4), Price: 2, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(4), Count: 2}}}, price: 1, machines: 1, unplaced: "[{0 1 the limit of machines is reached}]"},
		{name: "what fits nowhere waits with the reason", p: pack.Problem{Offers: []pack.Offer{{Room: room(4), Price: 1, Limit: pack.Unlimited}},
			Groups: []pack.Group{{Needs: need(5), Count: 1}}}, unplaced: "[{0 1 not enough CPU}]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pack.Solve(&c.p)
			obeys(t, &c.p, &s)
			unplaced := ""
			if len(s.Unplaced) > 0 {
				unplaced = fmt.Sprint(s.Unplaced)
			}
			if math.Abs(s.Price-c.price) > 1e-9 || len(s.Machines) != c.machines || unplaced != c.unplaced {
				t.Errorf("price %v, %d machines, unplaced %q; want %v, %d, %q", s.Price, len(s.Machines), unplaced, c.price, c.machines, c.unplaced)
			}
		})
	}
}

// reporter is a test, or one try of a property.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Small pods of much memory go before larger ones of little, or a machine is bought for one of those: the order by size alone leaves one over.
func TestAFewGroupsFitInTheOrderOfOneNeed(t *testing.T) {
	wide := pack.Resources{CPU: 1000, Memory: 256 << 20, Pods: 1}
	deep := pack.Resources{CPU: 500, Memory: 3 << 30, Pods: 1}
	p := &pack.Problem{
		Groups: []pack.Group{{Needs: wide, Count: 6}, {Needs: deep, Count: 1}},
		Bins:   []pack.Bin{{Free: pack.Resources{CPU: 3300, Memory: 4 << 30, Pods: 10}}, {Free: pack.Resources{CPU: 3800, Memory: 4 << 30, Pods: 10}}},
		Offers: []pack.Offer{{Room: pack.Resources{CPU: 4000, Memory: 8 << 30, Pods: 10}, Price: 1, Limit: 5}},
	}
	if s := pack.Solve(p); len(s.Machines)+len(s.Unplaced) > 0 {
		t.Errorf("%d machines are bought, %+v have no place", len(s.Machines), s.Unplaced)
	}
}
