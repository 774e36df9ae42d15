package autoscaler_test

import (
	"slices"
	"testing"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// good is a State in which Plan has something to say of most kinds: scales up and some that stay, placements and pods
// without room, an order that ends a node, drains and holds.
const good = `
now 10:00:00
pool a nodes=0..2 target=2 price=0.1
pool b nodes=0..2 target=3 price=0.2 idle=0s
pool u nodes=0..5 target=1 unknown="the cloud did not answer"
node a1 a ready
node a2 a ready
node b1 b ready,draining
node b2 b ready
node b3 b ready
node u1 u ready
node x  - ready cpu=1
workload busy cpu=1 replicas=3 on=a1*2,b2
workload idle cpu=1 replicas=1 on=b3 blocked=paused
workload stale cpu=1 replicas=1 on=a1
workload up cpu=3 replicas=1 slots=10 bounds=1..4 on=a2
demand busy 60x1 inflight=1
demand stale stale
demand up 60x5 queued=20 inflight=10
pod lone node=b3 cpu=1 keep="no controller would replace it"
`

func TestCheckCatchesEachKindOfViolation(t *testing.T) {
	type decision = autoscaler.Decision
	type state = autoscaler.State
	for _, c := range []struct {
		says, detail string // the violation's sentence, and where there are several of it, its detail
		breaks       func(*state, *decision)
	}{
		{"each workload gets one decision", "3 for 4", func(_ *state, d *decision) { d.Scales = d.Scales[:3] }},
		{"a decision is about the state it was made from", "", func(_ *state, d *decision) { d.Scales[0].From++ }},
		{"each decision has a reason", "", func(_ *state, d *decision) { d.Scales[0].Why = nil }},
		{"what is blocked is left alone", "1 -> 0", func(_ *state, d *decision) { scaleOf(d, "idle").To = 0 }},
		{"replicas stay within their bounds", "0 below 1", func(_ *state, d *decision) { scaleOf(d, "up").To = 0 }},
		{"replicas stay within their bounds", "5 above 4", func(_ *state, d *decision) { scaleOf(d, "up").To = 5 }},
		{"unknown demand lowers nothing", "1 -> 0", func(_ *state, d *decision) { scaleOf(d, "stale").To = 0 }},
		{"a workload with requests held has a replica", "20 held", func(s *state, d *decision) { s.Workloads[3].Policy.Min, scaleOf(d, "up").To = 0, 0 }},
		{"a busy workload does not go to zero", "1 in flight", func(_ *state, d *decision) { scaleOf(d, "busy").To = 0 }},

		{"a spot holds pods", "", func(_ *state, d *decision) {
			d.Placements[0].Spots = append(d.Placements[0].Spots, autoscaler.Spot{Pool: "a", Count: 0})
		}},
		{"each decision has a reason", "1 unplaced", func(_ *state, d *decision) { d.Placements[0].Why = autoscaler.Reason{} }},
		{"each replica is placed once", "", func(_ *state, d *decision) { d.Placements[0].Spots[0].Count++ }},
		{"pods are placed on nodes that take them", "", func(s *state, d *decision) { nodeOf(*s, d.Placements[0].Spots[0].Node).Cordoned = true }},
		{"a node is not filled beyond its room", "", func(_ *state, d *decision) { d.Placements[0].Spots[0].Node = "x" }},
		{"pods are placed on nodes that are there", "1 unknown nodes", func(_ *state, d *decision) { d.Placements[0].Spots[0].Node = "nowhere" }},

		{"each pool gets one order", "2 for 3", func(_ *state, d *decision) { d.Orders = d.Orders[:2] }},
		{"an order is about the state it was made from", "", func(_ *state, d *decision) { d.Orders[0].Pool = "b" }},
		{"each decision has a reason", "2 -> 2", func(_ *state, d *decision) { d.Orders[0].Why = nil }},
		{"an unknown pool is left as it is", "1 -> 0", func(_ *state, d *decision) { d.Orders[2].To = 0 }},
		{"an unknown pool is left as it is", "1 -> 1", func(_ *state, d *decision) { d.Orders[2].Delete = []autoscaler.NodeID{"u1"} }},
		{"a pool grows to its bound at most", "3 above 2", func(_ *state, d *decision) { d.Orders[0].To = 3 }},
		{"no instance ends that was not named", "1 for 2 less 0", func(_ *state, d *decision) { d.Orders[0].To = 1 }},
		{"a pool shrinks to its bound at most", "2 below 3", func(s *state, d *decision) { s.Pools[1].Min = 3 }},
		{"only nodes that are there end", "not found", func(_ *state, d *decision) { d.Orders[0].Delete = []autoscaler.NodeID{"nowhere"} }},
		{"only nodes of the pool end with it", `node of pool "" in an order of "a"`, func(_ *state, d *decision) { d.Orders[0].Delete = []autoscaler.NodeID{"x"} }},
		{"a node is drained before it ends", "", func(s *state, d *decision) { nodeOf(*s, "b1").Draining = false }},
		{"a node that ends is empty", "pod lone", func(s *state, d *decision) { s.Pods[podAt(s, "lone")].Node = "b1" }},

		{"a node that is not ours is never touched", "", func(_ *state, d *decision) { d.Drains[0].Node = "x" }},
		{"a node that is not ours is never touched", "", func(_ *state, d *decision) { d.Drains[0].Node = "nowhere" }},
		{"a node marked to be kept does not leave", "by hand", func(s *state, _ *decision) { nodeOf(*s, "b1").Keep = "by hand" }},
		{"each decision has a reason", "", func(_ *state, d *decision) { d.Drains[0].Why = autoscaler.Reason{} }},
		{"only pods that are there are evicted", "not found", func(_ *state, d *decision) { d.Drains[0].Evict = []autoscaler.PodID{"nobody"} }},
		{"only pods that may move are evicted", `on "b3", keep "no controller would replace it"`, func(_ *state, d *decision) {
			d.Drains[0].Node, d.Drains[0].Evict = "b3", []autoscaler.PodID{"lone"}
		}},
		{"only pods that may move are evicted", "", func(s *state, d *decision) {
			s.Pods[podAt(s, "lone")].Keep, d.Drains[0].Evict = "", []autoscaler.PodID{"lone"}
		}},

		{"no more pods are marked than leave", "", func(_ *state, d *decision) {
			d.Costs = append(d.Costs, autoscaler.Cost{Pod: "up-1", Cost: autoscaler.LeaveCost}, autoscaler.Cost{Pod: "stale-1", Cost: autoscaler.LeaveCost})
		}},
		{"nobody is refused while room is coming", "", func(_ *state, d *decision) { d.Holds[len(d.Holds)-1].Refuse = true }},
		{"what arrives is room in the future", "", func(s *state, d *decision) {
			d.Holds[len(d.Holds)-1].Arrivals[0].At = s.Now.Add(-time.Second)
		}},
		{"what arrives is room in the future", "", func(_ *state, d *decision) { d.Holds[len(d.Holds)-1].Arrivals[0].Slots = 0 }},
	} {
		t.Run(c.says, func(t *testing.T) {
			s, d := goodDecision(t)
			c.breaks(&s, &d)
			found := autoscaler.Check(s, d)
			if !slices.ContainsFunc(found, func(v autoscaler.Violation) bool { return v.Rule == c.says && (c.detail == "" || v.Detail == c.detail) }) {
				t.Errorf("not %s (%s), but %v in\n%s", c.says, c.detail, found, autoscaler.Describe(d, true))
			}
		})
	}
}

// saving is a State in which Plan begins to save n2.
const saving = `
now 10:00:00
pool spot nodes=0..5 price=0.40 consolidate=2m
node n1 spot ready since=09:00:00
node n2 spot ready since=09:00:00
workload cart cpu=1 target=10 on=n1*2,n2
demand cart 25x60 inflight=8,8,8
memo cart
pod cart-1 workload=cart cpu=1 node=n1 since=09:00:10 inflight=8
pod cart-2 workload=cart cpu=1 node=n1 since=09:00:10 inflight=8
pod cart-3 workload=cart cpu=1 node=n2 since=09:00:10 inflight=8
`

func TestCheckOfASave(t *testing.T) {
	type decision = autoscaler.Decision
	type state = autoscaler.State
	for _, c := range []struct {
		says, detail string
		breaks       func(*state, *decision)
	}{
		{"nothing is bought when a node begins to be saved", "spot 2 -> 3", func(_ *state, d *decision) {
			d.Orders[0].To, d.Orders[0].Why = 3, []autoscaler.Reason{{Rule: autoscaler.PlacementShort, Observed: 1}}
		}},
		{"a node is saved only when nothing goes on there", "cart-3: phase 3", func(s *state, _ *decision) { s.Pods[podAt(s, "cart-3")].Phase = autoscaler.Starting }},
		{"a node is saved only when nothing goes on there", "", func(s *state, _ *decision) { s.Pods[podAt(s, "cart-3")].Since = s.Now.Add(-time.Minute) }},
		{"a node is saved only when nothing goes on there", "cart has 3 of 4 replicas", func(s *state, d *decision) { s.Workloads[0].Replicas, d.Scales[0].From = 4, 4 }},
		{"the pods of a node that is saved have room on others", "cart-3 has none", func(s *state, _ *decision) { nodeOf(*s, "n1").Allocatable.CPU = 2500 }},
		{"the pods of a node that is saved have room on others", "not all of them", func(s *state, _ *decision) {
			nodeOf(*s, "n1").Allocatable.CPU = 3000
			s.Pods[podAt(s, "cart-2")].Node = "n2"
			s.Pods[podAt(s, "cart-1")].Shape.Needs.CPU = 1500
		}},
		{"the pods of a node that is saved have room on others", "cart-3 has none", func(s *state, _ *decision) { nodeOf(*s, "n1").Cordoned = true }},
	} {
		t.Run(c.says, func(t *testing.T) {
			s := written(t, saving)
			d := autoscaler.Plan(s)
			if found := autoscaler.Check(s, d); len(found) > 0 || len(d.Drains) != 1 || d.Drains[0].Step != autoscaler.Cordon {
				t.Fatalf("the good decision: %v\n%s", found, autoscaler.Describe(d, true))
			}
			c.breaks(&s, &d)
			found := autoscaler.Check(s, d)
			if !slices.ContainsFunc(found, func(v autoscaler.Violation) bool { return v.Rule == c.says && (c.detail == "" || v.Detail == c.detail) }) {
				t.Errorf("not %s (%s), but %v", c.says, c.detail, found)
			}
		})
	}
}

func TestAViolationIsASentence(t *testing.T) {
	v := autoscaler.Violation{Subject: "ns/w", Rule: "replicas stay within their bounds", Detail: "5 above 4"}
	if got, want := v.String(), "ns/w: replicas stay within their bounds (5 above 4)"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// goodDecision is the decision about the State above, with each kind of thing in it and nothing that Check finds.
func goodDecision(t *testing.T) (autoscaler.State, autoscaler.Decision) {
	t.Helper()
	s := written(t, good)
	d := autoscaler.Plan(s)
	if found := autoscaler.Check(s, d); len(found) > 0 {
		t.Fatalf("the good decision has faults: %v", found)
	}
	if len(d.Placements) == 0 || d.Placements[0].Spots[0].Node == "" || len(d.Drains) == 0 || len(d.Orders[1].Delete) == 0 || len(d.Holds) == 0 ||
		len(d.Holds[len(d.Holds)-1].Arrivals) == 0 {
		t.Fatalf("the decision lacks a kind of thing:\n%s", autoscaler.Describe(d, true))
	}
	return s, d
}

func scaleOf(d *autoscaler.Decision, id autoscaler.WorkloadID) *autoscaler.Scale {
	return &d.Scales[slices.IndexFunc(d.Scales, func(s autoscaler.Scale) bool { return s.Workload == id })]
}

func podAt(s *autoscaler.State, id autoscaler.PodID) int {
	return slices.IndexFunc(s.Pods, func(p autoscaler.Pod) bool { return p.ID == id })
}
