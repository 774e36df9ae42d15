package autoscaler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// always holds a sentence to States of all kinds; a State that breaks it is printed in the form that replays it.
func always(t *testing.T, holds func(t *rapid.T, s autoscaler.State, d autoscaler.Decision)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		s := anyState(t)
		d := autoscaler.Plan(s)
		t.Logf("the state:\n%s\nthe decision:\n%s", scenario.Print(s), autoscaler.Describe(d, true))
		holds(t, s, d)
	})
}

func TestCheckFindsNothingInWhatPlanDecides(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		for _, v := range autoscaler.Check(s, d) {
			t.Errorf("%s", v)
		}
	})
}

func TestStaleDataNeverScalesDown(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		for i, w := range s.Workloads {
			if least := w.Replicas; w.Demand.Stale && d.Scales[i].To < least && (w.Policy.Max == 0 || d.Scales[i].To < w.Policy.Max) {
				t.Errorf("%s goes from %d to %d on stale data", w.ID, w.Replicas, d.Scales[i].To)
			}
		}
	})
}

func TestPlanTwiceGivesTheSameBytes(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		before := scenario.Print(s)
		again := autoscaler.Plan(s)
		if diff := cmp.Diff(d, again); diff != "" {
			t.Errorf("two decisions about one state:\n%s", diff)
		}
		if diff := cmp.Diff(autoscaler.Describe(d, true), autoscaler.Describe(again, true)); diff != "" {
			t.Errorf("told otherwise:\n%s", diff)
		}
		if diff := cmp.Diff(before, scenario.Print(s)); diff != "" {
			t.Errorf("Plan changed its argument:\n%s", diff)
		}
	})
}

func TestTheOrderOfSlicesDoesNotMatter(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, _ autoscaler.Decision) {
		first := decided(s, 0)
		seed := rapid.Uint64Min(1).Draw(t, "seed")
		if diff := cmp.Diff(first, decided(s, seed)); diff != "" {
			t.Errorf("the same cluster, listed in another order, is decided otherwise:\n%s", diff)
		}
	})
}

// decided is what a driver with two gateways comes to for the cluster of s, its lists shuffled when seed is not 0.
func decided(s autoscaler.State, seed uint64) autoscaler.Decision {
	c := autoscaler.Cluster{
		Workloads: slices.Clone(s.Workloads), Pools: slices.Clone(s.Pools), Nodes: slices.Clone(s.Nodes), Pods: slices.Clone(s.Pods), Daemons: slices.Clone(s.Daemons),
	}
	if seed != 0 {
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(c.Workloads), func(i, j int) { c.Workloads[i], c.Workloads[j] = c.Workloads[j], c.Workloads[i] })
		r.Shuffle(len(c.Pools), func(i, j int) { c.Pools[i], c.Pools[j] = c.Pools[j], c.Pools[i] })
		r.Shuffle(len(c.Nodes), func(i, j int) { c.Nodes[i], c.Nodes[j] = c.Nodes[j], c.Nodes[i] })
		r.Shuffle(len(c.Pods), func(i, j int) { c.Pods[i], c.Pods[j] = c.Pods[j], c.Pods[i] })
		r.Shuffle(len(c.Daemons), func(i, j int) { c.Daemons[i], c.Daemons[j] = c.Daemons[j], c.Daemons[i] })
	}
	m := autoscaler.NewMemory()
	m.Keep(autoscaler.Decision{Memo: s.Memo})
	for g := range 2 {
		o := autoscaler.Observation{At: s.Now, Gateway: fmt.Sprint(g), Interval: autoscaler.Tick}
		for _, w := range s.Workloads {
			l := autoscaler.Load{ID: w.ID, Concurrency: w.Demand.Panic / 2, Queued: w.Demand.Queued / 2}
			for _, p := range s.Pods {
				if p.Workload == w.ID && p.InFlight > g {
					l.Pods = append(l.Pods, autoscaler.PodLoad{ID: p.ID, InFlight: p.InFlight - g})
				}
			}
			o.Workloads = append(o.Workloads, l)
		}
		m.Observe(o)
	}
	return autoscaler.Plan(m.State(s.Now, c))
}

func TestNoBoundIsExceeded(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		for i, w := range s.Workloads {
			if to := d.Scales[i].To; w.Blocked == "" && (to < w.Policy.Min || w.Policy.Max > 0 && to > w.Policy.Max) {
				t.Errorf("%s gets %d replicas, bounds %d..%d", w.ID, to, w.Policy.Min, w.Policy.Max)
			}
		}
		for i, p := range s.Pools {
			if o := d.Orders[i]; o.To > o.From && o.To > p.Max {
				t.Errorf("pool %s grows from %d to %d, its bound is %d", p.ID, o.From, o.To, p.Max)
			}
		}
	})
}

func TestAnUnknownPoolIsLeftAsItIs(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		unknown := map[autoscaler.PoolID]bool{}
		for i, p := range s.Pools {
			unknown[p.ID] = p.Unknown != ""
			if unknown[p.ID] && d.Orders[i].Changes() {
				t.Errorf("unknown pool %s: %+v", p.ID, d.Orders[i])
			}
		}
		for _, x := range d.Drains {
			if unknown[nodeOf(s, x.Node).Pool] && x.Step != autoscaler.Stay {
				t.Errorf("node %s of an unknown pool: %s", x.Node, x.Step)
			}
		}
		for _, p := range d.Placements {
			for _, spot := range p.Spots {
				if spot.Node == "" && unknown[spot.Pool] {
					t.Errorf("%s has its room on machines of the unknown pool %s", p.Workload, spot.Pool)
				}
			}
		}
	})
}

func TestANodeThatIsNotOursIsNeverNamed(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		ours := map[autoscaler.PoolID]bool{}
		for _, p := range s.Pools {
			ours[p.ID] = true
		}
		for _, x := range d.Drains {
			if !ours[nodeOf(s, x.Node).Pool] {
				t.Errorf("%s %s", x.Step, x.Node)
			}
		}
		for _, o := range d.Orders {
			for _, id := range o.Delete {
				if nodeOf(s, id).Pool != o.Pool {
					t.Errorf("%s ends in an order of pool %s", id, o.Pool)
				}
			}
		}
	})
}

func TestNoNodeEndsWithPodsOnIt(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		ends := map[autoscaler.NodeID]bool{}
		for _, o := range d.Orders {
			for _, id := range o.Delete {
				ends[id] = nodeOf(s, id).Phase != autoscaler.Failed
			}
		}
		for _, p := range s.Pods {
			if ends[p.Node] && p.Daemon == "" && !p.Mirror {
				t.Errorf("node %s ends with pod %s on it", p.Node, p.ID)
			}
		}
		for _, p := range d.Placements {
			for _, spot := range p.Spots {
				if ends[spot.Node] {
					t.Errorf("node %s ends, and %d of %s are placed on it", spot.Node, spot.Count, p.Workload)
				}
			}
		}
	})
}

func TestAKeptNodeDoesNotLeave(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		for _, x := range d.Drains {
			n := nodeOf(s, x.Node)
			if n.Keep != "" && n.Phase == autoscaler.Ready && x.Step != autoscaler.Stay && x.Step != autoscaler.Uncordon {
				t.Errorf("%s %s, which says: %s", x.Step, n.ID, n.Keep)
			}
		}
	})
}

func TestPodsAreNotPlacedOnNodesThatLeave(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		taken := map[autoscaler.NodeID]bool{}
		for _, p := range d.Placements {
			for _, spot := range p.Spots {
				taken[spot.Node] = true
			}
		}
		for _, x := range d.Drains {
			if taken[x.Node] && x.Step != autoscaler.Stay && x.Step != autoscaler.Uncordon {
				t.Errorf("%s %s, and pods are placed on it", x.Step, x.Node)
			}
		}
	})
}

func TestAPodThatWaitsForAComingNodeBuysNoSecondOne(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		for _, p := range d.Placements {
			if p.Unplaced > 0 {
				return // what had no room may be bought room when some is there
			}
		}
		next := carriedOut(s, d)
		second := autoscaler.Plan(next)
		for i, o := range second.Orders {
			if o.Why[0].Rule == autoscaler.MinNodes && s.Pools[i].Group != "" {
				continue // one that leaves for its own pool's bound is replaced within its group
			}
			if o.To > o.From {
				t.Errorf("pool %s: %d more are bought though %d -> %d was ordered already\n%s\n%s", o.Pool, o.To-o.From, d.Orders[i].From, d.Orders[i].To,
					scenario.Print(next), autoscaler.Describe(second, true))
			}
		}
	})
}

// carriedOut is s in the moment after d was acknowledged: what was ordered is coming, what was marked is marked, and no
// pod has moved yet.
func carriedOut(s autoscaler.State, d autoscaler.Decision) autoscaler.State {
	next := s
	next.Memo = d.Memo
	next.Workloads, next.Pools, next.Nodes = slices.Clone(s.Workloads), slices.Clone(s.Pools), slices.Clone(s.Nodes)
	for i := range next.Workloads {
		next.Workloads[i].Replicas = d.Scales[i].To
	}
	for _, x := range d.Drains {
		n := nodeOf(next, x.Node)
		switch x.Step {
		case autoscaler.Cordon:
			n.Draining = true
		case autoscaler.Uncordon:
			n.Draining = false
		case autoscaler.Delete:
			n.Phase = autoscaler.Leaving
		}
	}
	for i, o := range d.Orders {
		p := &next.Pools[i]
		p.Target = o.To
		if p.Unknown != "" || p.StockOut != "" {
			continue
		}
		live := 0
		next.Nodes = slices.DeleteFunc(next.Nodes, func(n autoscaler.Node) bool {
			return n.Pool == p.ID && n.Phase == autoscaler.Coming && n.Instance == ""
		})
		for _, n := range next.Nodes {
			if n.Pool == p.ID && n.Phase != autoscaler.Leaving {
				live++
			}
		}
		for k := live; k < o.To; k++ {
			due, resumes := s.Now.Add(p.Join), p.Stopped > 0
			if resumes {
				due = s.Now.Add(p.Resume)
				p.Stopped--
			}
			next.Nodes = append(next.Nodes, autoscaler.Node{
				ID: autoscaler.NodeID(fmt.Sprintf("%s/ordered-%d", p.ID, k)), Pool: p.ID, Phase: autoscaler.Coming, Allocatable: p.Allocatable, Extended: p.Extended,
				Labels: p.Labels, Taints: p.Taints, Since: s.Now, Due: due, Resuming: resumes,
			})
		}
	}
	slices.SortFunc(next.Nodes, func(a, b autoscaler.Node) int { return compare(a.ID, b.ID) })
	return next
}

func nodeOf(s autoscaler.State, id autoscaler.NodeID) *autoscaler.Node {
	i := slices.IndexFunc(s.Nodes, func(n autoscaler.Node) bool { return n.ID == id })
	if i < 0 {
		return &autoscaler.Node{}
	}
	return &s.Nodes[i]
}

func TestAScenarioPrintedReadsBackToTheSameDecision(t *testing.T) {
	always(t, func(t *rapid.T, s autoscaler.State, d autoscaler.Decision) {
		var set scenario.Scenario
		if err := set.Add(scenario.Print(s)); err != nil {
			t.Fatal(err)
		}
		read, err := set.State()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(autoscaler.Describe(d, true), autoscaler.Describe(autoscaler.Plan(read), true)); diff != "" {
			t.Errorf("read back, decided otherwise:\n%s", diff)
		}
	})
}
