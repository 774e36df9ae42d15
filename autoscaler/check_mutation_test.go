package autoscaler_test

import (
	"slices"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// mutations are what a broken Plan could do. Each says whether it could break the decision at hand.
var mutations = map[string]func(s *autoscaler.State, d *autoscaler.Decision) bool{
	"a placement is forgotten": func(_ *autoscaler.State, d *autoscaler.Decision) bool {
		i := slices.IndexFunc(d.Placements, ofWorkload)
		if i >= 0 {
			p := &d.Placements[i]
			p.Spots = p.Spots[1:]
		}
		return i >= 0
	},
	"a pod is placed twice": func(_ *autoscaler.State, d *autoscaler.Decision) bool {
		i := slices.IndexFunc(d.Placements, ofWorkload)
		if i >= 0 {
			d.Placements[i].Spots[0].Count++
		}
		return i >= 0
	},
	"a node is filled beyond its room": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i := range d.Placements {
			if p := &d.Placements[i]; ofWorkload(*p) && p.Spots[0].Node != "" {
				nodeOf(*s, p.Spots[0].Node).Allocatable.Pods = 0
				return true
			}
		}
		return false
	},
	"the wrong node is chosen": func(_ *autoscaler.State, d *autoscaler.Decision) bool {
		for i := range d.Placements {
			if p := &d.Placements[i]; ofWorkload(*p) && p.Spots[0].Node != "" {
				p.Spots[0].Node = "nowhere"
				return true
			}
		}
		return false
	},
	"a pool grows beyond its bound": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i, p := range s.Pools {
			if p.Unknown == "" {
				d.Orders[i].To = max(p.Max, p.Min, p.Target, len(s.Nodes)) + 1
				return true
			}
		}
		return false
	},
	"a group grows beyond its bound": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i, p := range s.Pools {
			if p.Group != "" && p.Unknown == "" && !slices.ContainsFunc(s.Pools, func(o autoscaler.Pool) bool { return o.Group == p.Group && o.Unknown != "" }) {
				g := &s.Groups[0]
				s.Pools[i].Max = 100
				d.Orders[i].To = max(g.Max, g.Min, p.Target, len(s.Nodes)) + 20
				return true
			}
		}
		return false
	},
	"a price cap is passed": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i, p := range s.Pools {
			if p.PricePerHour > 0 && d.Orders[i].To > p.Target && d.Orders[i].To > p.Min && (p.Group == "" || d.Orders[i].Why[0].Rule != autoscaler.MinNodes) {
				s.PriceCap = p.PricePerHour / 2
				return true
			}
		}
		return false
	},
	"an unknown pool is ordered from": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i, p := range s.Pools {
			if p.Unknown != "" {
				d.Orders[i].To++
				return true
			}
		}
		return false
	},
	"a node in use ends": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for _, p := range s.Pods {
			if n := nodeOf(*s, p.Node); n != nil && n.Phase == autoscaler.Ready && p.Daemon == "" && !p.Mirror {
				if i := slices.IndexFunc(s.Pools, func(o autoscaler.Pool) bool { return o.ID == n.Pool }); i >= 0 && s.Pools[i].Unknown == "" {
					d.Orders[i].Delete = append(d.Orders[i].Delete, n.ID)
					return true
				}
			}
		}
		return false
	},
	"a kept node is emptied": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i := range s.Nodes {
			if n := &s.Nodes[i]; n.Keep != "" && n.Phase == autoscaler.Ready {
				d.Drains = append(d.Drains, autoscaler.Drain{Node: n.ID, Step: autoscaler.Cordon, Why: autoscaler.Reason{Rule: autoscaler.Empty}})
				return true
			}
		}
		return false
	},
	"a budget is passed": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for _, x := range d.Drains {
			if n := nodeOf(*s, x.Node); x.Step == autoscaler.Cordon && x.Why.Rule != autoscaler.OverMax {
				i := slices.IndexFunc(s.Pools, func(o autoscaler.Pool) bool { return o.ID == n.Pool })
				s.Pools[i].Disruption.Budgets = []autoscaler.Budget{{For: reasonOf(x.Why.Rule), Nodes: 0}}
				return true
			}
		}
		return false
	},
	"the minimum is passed": func(s *autoscaler.State, d *autoscaler.Decision) bool {
		for i, w := range s.Workloads {
			if w.Blocked == "" && w.Policy.Min > 0 {
				d.Scales[i].To = w.Policy.Min - 1
				return true
			}
		}
		return false
	},
}

func ofWorkload(p autoscaler.Placement) bool {
	return p.Workload != "" && p.Leaving == "" && p.Buffer == "" && len(p.Spots) > 0
}

func reasonOf(r autoscaler.Rule) autoscaler.LeaveReason {
	return map[autoscaler.Rule]autoscaler.LeaveReason{
		autoscaler.Empty: autoscaler.LeaveEmpty, autoscaler.Underused: autoscaler.LeaveUnderused, autoscaler.Replaced: autoscaler.LeaveUnderused,
		autoscaler.Expired: autoscaler.LeaveExpired, autoscaler.Drifted: autoscaler.LeaveDrifted,
	}[r]
}

// TestCheckFindsABrokenPlan: whatever the State, of a scenario or any other, what a broken Plan would do to its Decision is found.
func TestCheckFindsABrokenPlan(t *testing.T) {
	var shown scenarioRun
	shown.seen = map[autoscaler.Rule]bool{}
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) { datadriven.RunTest(t, path, shown.command) })
	for name, mutate := range mutations {
		finds := func(t interface{ Errorf(string, ...any) }, s autoscaler.State) (broken bool) {
			d := autoscaler.Plan(s)
			s.Nodes, s.Pools, s.Groups = slices.Clone(s.Nodes), slices.Clone(s.Pools), slices.Clone(s.Groups)
			if broken = mutate(&s, &d); broken && len(autoscaler.Check(s, d)) == 0 {
				t.Errorf("%s, and nothing is found:\n%s\n%s", name, scenario.Print(s), autoscaler.Describe(d, true))
			}
			return broken
		}
		t.Run(name, func(t *testing.T) {
			broken := 0
			for _, s := range shown.states {
				if finds(t, s) {
					broken++
				}
			}
			if broken == 0 {
				t.Error("no scenario's decision could be broken so")
			}
			rapid.Check(t, func(t *rapid.T) { finds(t, anyState(t)) })
		})
	}
}

// TestCheckLetsTheFirstOfItsKindBe: of pods that must be near their own kind, one may be the first where none is in the topology at
// all. A pod on a node without the topology's label is nowhere in it (kube-scheduler, satisfyPodAffinity).
func TestCheckLetsTheFirstOfItsKindBe(t *testing.T) {
	for where, is := range map[string]int{"n1": 0, "n2": 1} {
		s := written(t, `
pool spot nodes=0..9
node n1 spot ready labels=other=a
node n2 spot ready labels=topology.kubernetes.io/zone=b
node n3 spot ready labels=topology.kubernetes.io/zone=c
workload shop/db target=10 slots=10 on=`+where+` labels=app=cart
workload shop/cart target=10 slots=10 replicas=1 labels=app=cart near=zone:app=cart
demand shop/cart queued=5`)
		d := autoscaler.Plan(s)
		if found := autoscaler.Check(s, d); len(found) > 0 || len(d.Placements) != 1 || d.Placements[0].Unplaced > 0 {
			t.Fatalf("%s: %v\n%s", where, found, autoscaler.Describe(d, true))
		}
		d.Placements[0].Spots = []autoscaler.Spot{{Node: "n3", Count: 1, Due: s.Now}}
		if found := autoscaler.Check(s, d); len(found) != is {
			t.Errorf("another on %s: %v", where, found)
		}
	}
}

// TestCheckLetsOneOfThosePlacedBeFirst: two kinds are placed, of which one must be near its like: it may be bound before the other,
// and then nothing is there that it would have to be near. No second one may.
func TestCheckLetsOneOfThosePlacedBeFirst(t *testing.T) {
	s := written(t, `
pool spot nodes=0..9
node n1 spot ready labels=topology.kubernetes.io/zone=a
node n2 spot ready labels=topology.kubernetes.io/zone=b
node n3 spot ready labels=topology.kubernetes.io/zone=c
workload shop/cart target=10 slots=10 replicas=2 labels=app=cart near=zone:app=cart
workload shop/db target=10 slots=10 replicas=1 labels=app=cart
demand shop/cart queued=20
demand shop/db queued=5`)
	d := autoscaler.Plan(s)
	if found := autoscaler.Check(s, d); len(found) > 0 || len(d.Placements) != 2 {
		t.Fatalf("%v\n%s", found, autoscaler.Describe(d, true))
	}
	on := func(nodes ...autoscaler.NodeID) (spots []autoscaler.Spot) {
		for _, n := range nodes {
			spots = append(spots, autoscaler.Spot{Node: n, Count: 1, Due: s.Now})
		}
		return spots
	}
	d.Placements[1].Spots = on("n1")
	for _, c := range []struct {
		cart []autoscaler.Spot
		is   int
	}{{on("n1", "n2"), 0}, {on("n2", "n3"), 1}} {
		d.Placements[0].Spots = c.cart
		if found := autoscaler.Check(s, d); len(found) != c.is {
			t.Errorf("%v: %v", c.cart, found)
		}
	}
}

// TestCheckKnowsWhatPodsAskOfEachOther: pods of workloads are put elsewhere than Plan put them.
func TestCheckKnowsWhatPodsAskOfEachOther(t *testing.T) {
	const nodes = `
pool spot nodes=0..9
node n1 spot ready labels=topology.kubernetes.io/zone=a
node n2 spot ready labels=topology.kubernetes.io/zone=b
node n3 spot ready labels=topology.kubernetes.io/zone=b
`
	for name, c := range map[string]struct{ records, says string }{
		"apart on hosts": {`
workload shop/cart target=10 slots=10 replicas=2 labels=app=cart away=host
demand shop/cart queued=20`, "pods that must be apart are"},
		"spread over zones": {`
workload shop/cart target=10 slots=10 replicas=2 labels=app=cart spread=zone/1
demand shop/cart queued=20`, "pods are spread"},
		"near another": {`
workload shop/cart target=10 slots=10 on=n2 labels=app=db
workload shop/web target=10 slots=10 replicas=2 near=zone:app=db
demand shop/web queued=20`, "pods that must be near others are"},
		"kept away by one that is there": {`
workload shop/lone target=10 slots=10 on=n1 labels=app=lone away=zone:app=cart
workload shop/web target=10 slots=10 replicas=2 labels=app=cart
demand shop/web queued=20`, "pods that must be apart are"},
	} {
		t.Run(name, func(t *testing.T) {
			s := written(t, nodes+c.records)
			d := autoscaler.Plan(s)
			if found := autoscaler.Check(s, d); len(found) > 0 || len(d.Placements) != 1 || d.Placements[0].Unplaced > 0 {
				t.Fatalf("%v\n%s", found, autoscaler.Describe(d, true))
			}
			d.Placements[0].Spots = []autoscaler.Spot{{Node: "n1", Count: 2, Due: s.Now}}
			if found := autoscaler.Check(s, d); !slices.ContainsFunc(found, func(v autoscaler.Violation) bool { return v.Rule == c.says }) {
				t.Errorf("not %q, but %v", c.says, found)
			}
		})
	}
}
