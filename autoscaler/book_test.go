package autoscaler_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// glance plans for some of a State's workloads from the book of how things were.
func glance(book *autoscaler.Book, s autoscaler.State, about []autoscaler.Workload) (autoscaler.State, autoscaler.Decision, bool) {
	return book.Glance(about, func(c autoscaler.Cluster) autoscaler.State { return stateOf(s, c) })
}

// stateOf is the State of a part of a cluster, with what s remembers of it.
func stateOf(s autoscaler.State, c autoscaler.Cluster) autoscaler.State {
	slices.SortFunc(c.Workloads, func(a, b autoscaler.Workload) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Nodes, func(a, b autoscaler.Node) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Pods, func(a, b autoscaler.Pod) int { return cmp.Compare(a.ID, b.ID) })
	memo := s.Memo
	memo.Workloads = slices.DeleteFunc(slices.Clone(memo.Workloads), func(m autoscaler.WorkloadMemo) bool {
		return !slices.ContainsFunc(c.Workloads, func(w autoscaler.Workload) bool { return w.ID == m.ID })
	})
	return autoscaler.State{
		Now: s.Now, Workloads: c.Workloads, Pools: c.Pools, Groups: c.Groups, Nodes: c.Nodes, Pods: c.Pods, Daemons: c.Daemons,
		Namespaces: c.Namespaces, PriceCap: c.PriceCap, Memo: memo,
	}
}

// quiet draws a State in which less goes on than in most of anyState's, so that glances suffice more often.
func quiet(t *rapid.T) autoscaler.State {
	s := anyState(t)
	there := map[autoscaler.PoolID]int{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		there[n.Pool]++
		if n.Draining = false; n.Phase != autoscaler.Coming {
			n.Phase, n.Drifted = autoscaler.Ready, ""
		}
		n.Allocatable.CPU *= 4
		n.Allocatable.Memory *= 4
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		p.Unknown, p.StockOut, p.Target, p.Max = "", "", max(p.Min, there[p.ID]), 20
	}
	s.Memo.Nodes = nil
	s.Pods = slices.DeleteFunc(s.Pods, func(p autoscaler.Pod) bool { return p.Workload == "" && p.Node == "" })
	return s
}

// choose draws some workloads, those that each glance is about among them.
func choose(t *rapid.T, book *autoscaler.Book, s *autoscaler.State) []autoscaler.Workload {
	var about []autoscaler.Workload
	for i := range s.Workloads {
		w := &s.Workloads[i]
		_, wanting := slices.BinarySearch(book.Wanting(), w.ID)
		if drawn := rapid.Bool().Draw(t, "about"); drawn {
			if more := rapid.IntRange(0, 30).Draw(t, "queued"); more > 0 {
				w.Demand.Queued, w.Demand.IdleSince = w.Demand.Queued+more, time.Time{}
			}
		} else if !wanting {
			continue
		}
		about = append(about, *w)
	}
	return about
}

// TestAGlanceDecidesAsAPlanAboutAll: a queue formed. The replicas are those that Plan would want, and where a glance puts them they
// have room next to all that is there.
func TestAGlanceDecidesAsAPlanAboutAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := quiet(t)
		book, _ := autoscaler.Open(s)
		s.Workloads = slices.Clone(s.Workloads)
		about := choose(t, book, &s)
		part, d, ok := glance(book, s, about)
		if !ok {
			return
		}
		for _, v := range autoscaler.Check(part, d) {
			t.Errorf("check of the glance: %s\n%s", v, scenario.Print(part))
		}
		whole := autoscaler.Plan(s)
		for _, got := range d.Scales {
			at, _ := slices.BinarySearchFunc(whole.Scales, got.Workload, func(s autoscaler.Scale, id autoscaler.WorkloadID) int { return cmp.Compare(s.Workload, id) })
			if diff := gocmp.Diff(whole.Scales[at], got); diff != "" {
				t.Errorf("a plan about all and a glance differ:\n%s\n%s", diff, scenario.Print(s))
			}
		}
		whole.Placements, whole.Drains = d.Placements, nil
		for _, o := range whole.Orders {
			if len(o.Delete) > 0 {
				return // these would lack their drains
			}
		}
		for _, v := range autoscaler.Check(s, whole) {
			t.Errorf("check of the glance's places among all: %s\n%s", v, scenario.Print(s))
		}
	})
}

// TestABookTakesChangesIn: after any changes of pods, a book says of the cluster what a new one would.
func TestABookTakesChangesIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := quiet(t)
		s.Daemons = nil // a daemon's pod that comes takes the room that was kept for it
		s.Pods = slices.DeleteFunc(s.Pods, func(p autoscaler.Pod) bool { return p.Daemon != "" })
		book, _ := autoscaler.Open(s)
		s.Pods = slices.Clone(s.Pods)
		for n := range rapid.IntRange(0, 12).Draw(t, "changes") {
			if len(s.Pods) > 0 && rapid.Bool().Draw(t, "known") {
				at := rapid.IntRange(0, len(s.Pods)-1).Draw(t, "pod")
				if rapid.Bool().Draw(t, "gone") {
					book.Gone(s.Pods[at].ID)
					s.Pods = slices.Delete(s.Pods, at, at+1)
					continue
				}
				p := &s.Pods[at]
				p.Phase = autoscaler.Ready
				if p.Node == "" && len(s.Nodes) > 0 {
					p.Node = s.Nodes[rapid.IntRange(0, len(s.Nodes)-1).Draw(t, "node")].ID
				}
				book.Pod(*p)
				continue
			}
			p := autoscaler.Pod{ID: autoscaler.PodID(fmt.Sprintf("shop/new-%02d", n)), Phase: autoscaler.Pending, Since: s.Now}
			if len(s.Workloads) > 0 {
				w := s.Workloads[rapid.IntRange(0, len(s.Workloads)-1).Draw(t, "of")]
				p.Workload, p.Shape = w.ID, w.Shape
			}
			if len(s.Nodes) > 0 && rapid.Bool().Draw(t, "bound") {
				p.Node, p.Phase = s.Nodes[rapid.IntRange(0, len(s.Nodes)-1).Draw(t, "node")].ID, autoscaler.Starting
			}
			book.Pod(p)
			s.Pods = append(s.Pods, p)
			slices.SortFunc(s.Pods, func(a, b autoscaler.Pod) int { return cmp.Compare(a.ID, b.ID) })
		}
		anew, _ := autoscaler.Open(s)
		about := choose(t, anew, &s)
		got, ok := autoscaler.About(book, slices.Clone(about))
		want, also := autoscaler.About(anew, slices.Clone(about))
		if !ok || !also {
			return
		}
		if diff := gocmp.Diff(stateOf(s, want), stateOf(s, got)); diff != "" {
			t.Errorf("a new book says otherwise:\n%s\n%s", diff, scenario.Print(s))
		}
	})
}

// TestAGlanceIsEnough: in a large cluster, a glance answers queues, one after the other, with the replicas that Plan would want;
// and where a machine must be bought it says no.
func TestAGlanceIsEnough(t *testing.T) {
	s := large(200, 100, 2_000, 0)
	book, d := autoscaler.Open(s)
	s.Memo = d.Memo
	for i := range 20 {
		w := &s.Workloads[i*7]
		w.Demand.Queued = 10*w.Replicas + 1
		about := []autoscaler.Workload{*w}
		for _, id := range book.Wanting() {
			for k := range s.Workloads {
				if o := &s.Workloads[k]; o.ID == id && o != w {
					about = append(about, *o)
				}
			}
		}
		_, d, ok := glance(book, s, about)
		if !ok || len(d.Scales) != len(about) {
			t.Fatalf("the glance says %v, of %d workloads %d", ok, len(about), len(d.Scales))
		}
		whole := autoscaler.Plan(s)
		for _, got := range d.Scales {
			at, _ := slices.BinarySearchFunc(whole.Scales, got.Workload, func(s autoscaler.Scale, id autoscaler.WorkloadID) int { return cmp.Compare(s.Workload, id) })
			if got.To != whole.Scales[at].To {
				t.Errorf("%s: a glance wants %d replicas, a plan about all %d", got.Workload, got.To, whole.Scales[at].To)
			}
		}
		book.Glanced(d)
		// Its pods are on their way for two more glances.
		w.Replicas, w.Demand.Queued = d.Scales[slices.IndexFunc(d.Scales, func(s autoscaler.Scale) bool { return s.Workload == w.ID })].To, 0
	}
	w := &s.Workloads[0]
	w.Demand.Queued, w.Shape = 1_000, autoscaler.Shape{Needs: autoscaler.Resources{CPU: 40_000, Memory: 1 << 30, Pods: 1}}
	if _, _, ok := glance(book, s, []autoscaler.Workload{*w}); ok {
		t.Error("a glance placed what has no room")
	}
}

// crowd is twenty nodes of one pool, each with a pod of nobody's that takes all but 100 millicores, and a workload whose replicas
// take a whole core each.
func crowd() autoscaler.State {
	s := large(1, 20, 1, 0)
	s.Pools = s.Pools[:1]
	s.Pools[0].Target, s.Pools[0].Max, s.Daemons = 20, 20, nil
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.Pool, n.Allocatable.Pods = s.Pools[0].ID, 3
		s.Pods = append(s.Pods, autoscaler.Pod{
			ID: autoscaler.PodID("other/" + string(n.ID)), Node: n.ID, Phase: autoscaler.Ready,
			Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: n.Allocatable.CPU - 1_300, Memory: 1 << 30, Pods: 1}},
		})
	}
	slices.SortFunc(s.Pods, func(a, b autoscaler.Pod) int { return cmp.Compare(a.ID, b.ID) })
	w := &s.Workloads[0]
	w.Shape = autoscaler.Shape{Needs: autoscaler.Resources{CPU: 8_000, Memory: 1 << 30, Pods: 1}}
	w.Demand = autoscaler.Demand{Stable: 5, Panic: 5, InFlight: 5, Queued: 11} // two replicas' worth
	return s
}

// TestAGlanceLooksWhereItMatters: at the nodes with the most room as it is now, and at what others' pods there keep from others.
func TestAGlanceLooksWhereItMatters(t *testing.T) {
	const freed = 13 // a node beyond the first few
	port := []fit.Port{{Protocol: "TCP", Number: 8080}}
	on := func(node autoscaler.NodeID, id autoscaler.PodID, rules *fit.Pod) autoscaler.Pod {
		return autoscaler.Pod{ID: id, Node: node, Phase: autoscaler.Ready, Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 100, Memory: 1 << 20, Pods: 1}, Rules: rules}}
	}
	others := func(id autoscaler.PodID, rules *fit.Pod) autoscaler.Pod { return on("node-00013", id, rules) }
	keepsAway := &fit.Pod{Labels: fit.Labels{{Key: "app", Value: "lone"}}, Away: []fit.Term{{
		Topology: "pool", Namespaces: []string{""}, Selector: fit.Selector{Requirements: []fit.Requirement{{Key: "app", Operator: fit.In, Values: []string{"web"}}}},
	}}}
	needs := fit.Amounts{{Name: fit.CPU, Value: 8_000}, {Name: fit.Memory, Value: 1 << 30}}
	for name, c := range map[string]struct {
		set    func(*autoscaler.State)
		rules  *fit.Pod // of the workload's pods
		change func(*autoscaler.Book)
		ok     bool
	}{
		"no node has room":         {change: func(*autoscaler.Book) {}},
		"a pod left":               {change: func(b *autoscaler.Book) { b.Gone("other/node-00013") }, ok: true},
		"a pod moved":              {change: func(b *autoscaler.Book) { b.Pod(others("other/node-00013", nil)) }, ok: true},
		"a pod left, another came": {change: func(b *autoscaler.Book) { b.Gone("other/node-00013"); b.Pod(others("new/a", nil)) }, ok: true},
		"a pod of nobody's waits": {change: func(b *autoscaler.Book) {
			b.Gone("other/node-00013")
			b.Pod(autoscaler.Pod{ID: "new/a", Phase: autoscaler.Pending})
		}},
		"the port is free":  {rules: &fit.Pod{Needs: needs, Ports: port}, change: func(b *autoscaler.Book) { b.Gone("other/node-00013") }, ok: true},
		"the port is taken": {rules: &fit.Pod{Needs: needs, Ports: port}, change: func(b *autoscaler.Book) { b.Pod(others("other/node-00013", &fit.Pod{Ports: port})) }},
		"kept away from the zone": {
			rules: &fit.Pod{Needs: needs, Labels: fit.Labels{{Key: "app", Value: "web"}}},
			change: func(b *autoscaler.Book) {
				b.Gone("other/node-00013")
				b.Pod(on("node-00015", "new/lone", keepsAway))
			},
		},
		"no place is left for a pod": {change: func(b *autoscaler.Book) {
			b.Gone("other/node-00013")
			for _, id := range []autoscaler.PodID{"new/a", "new/b", "new/c"} {
				b.Pod(others(id, nil))
			}
		}},
		"its own node is emptied": {
			set:    func(s *autoscaler.State) { s.Nodes[0].Draining = true },
			change: func(b *autoscaler.Book) { b.Gone("other/node-00013") },
		},
		"its pods must be apart":     {rules: &fit.Pod{Needs: needs, Away: []fit.Term{{Topology: fit.LabelHostname}}}, change: func(b *autoscaler.Book) { b.Gone("other/node-00013") }},
		"a claim that one alone has": {rules: &fit.Pod{Needs: needs, Claims: []string{"shop/data"}}, change: func(b *autoscaler.Book) { b.Gone("other/node-00013") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := crowd()
			s.Workloads[0].Shape.Rules = c.rules
			if c.set != nil {
				c.set(&s)
			}
			book, _ := autoscaler.Open(s)
			c.change(book)
			_, d, ok := glance(book, s, slices.Clone(s.Workloads))
			if ok != c.ok {
				t.Fatalf("the glance says %v\n%s", ok, autoscaler.Describe(d, true))
			}
			if at := s.Nodes[freed].ID; ok && (len(d.Placements) != 1 || len(d.Placements[0].Spots) != 1 || d.Placements[0].Spots[0].Node != at) {
				t.Errorf("not placed on %s:\n%s", at, autoscaler.Describe(d, true))
			}
		})
	}
}
