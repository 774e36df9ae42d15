package pack_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// TestRulesAreThoseSaidPlainly places pods where they may be and now and then takes one away, and compares each answer.
func TestRulesAreThoseSaidPlainly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t, true)
		r := pack.NewRules(p)
		n := newNaive(p, nil)
		for range rapid.IntRange(0, 3).Draw(t, "machines") {
			if len(p.Offers) > 0 {
				o := rapid.IntRange(0, len(p.Offers)-1).Draw(t, "offer")
				r.Open(o)
				n.machines = append(n.machines, o)
			}
		}
		if r.Places() == 0 {
			return
		}
		for range 12 {
			g := rapid.IntRange(0, len(p.Groups)-1).Draw(t, "group")
			at := rapid.IntRange(0, r.Places()-1).Draw(t, "place")
			why := r.Allows(g, at)
			if got, want := why == pack.Fits, n.allows(g, at); got != want {
				t.Fatalf("group %d on place %d: Rules say %q, the plain rules say %v", g, at, why, want)
			}
			if last := len(n.pods) - 1; last >= 0 && n.pods[last].group >= 0 && rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
				r.Remove(n.pods[last].group, n.pods[last].place, 1)
				n.pods = n.pods[:last]
				continue
			}
			if why != pack.Fits {
				continue
			}
			most := r.Most(g, at, 4)
			for k := range 4 {
				if got, want := k < most, n.allows(g, at); got != want {
					t.Fatalf("group %d on place %d: Most is %d, but pod %d: %v", g, at, most, k, want)
				}
				if k >= most {
					break
				}
				n.add(g, at)
			}
			r.Place(g, at, most)
		}
	})
}

func TestRefusals(t *testing.T) {
	host := []pack.Topology{{Domains: 2, Fresh: true}, {Domains: 2}}
	bins := []pack.Bin{{Free: pack.Resources{CPU: 10, Memory: 10, Pods: 10}, Domains: []int{0, 0}, Ports: []int{7}}, {Free: pack.Resources{CPU: -1, Memory: 1, Pods: 1}, Domains: []int{1}}}
	one := pack.Resources{CPU: 1, Memory: 1, Pods: 1}
	for _, c := range []struct {
		name  string
		group pack.Group
		place int
		want  pack.Refusal
	}{
		{"room", pack.Group{Needs: one}, 0, pack.Fits},
		{"an overfull bin takes what needs none of it", pack.Group{Needs: pack.Resources{Memory: 1, Pods: 1}}, 1, pack.Fits},
		{"an overfull bin takes no more", pack.Group{Needs: one}, 1, pack.NoCPU},
		{"memory", pack.Group{Needs: pack.Resources{Memory: 2}}, 1, pack.NoMemory},
		{"slots", pack.Group{Needs: pack.Resources{Pods: 2}}, 1, pack.NoPodSlot},
		{"a resource nobody has", pack.Group{Extended: []int64{0, 1}}, 0, pack.NoExtended},
		{"port", pack.Group{Needs: one, Ports: []int{7}}, 0, pack.PortTaken},
		{"class", pack.Group{Needs: one, Nodes: 1}, 0, pack.NodeClass},
		{"no zone label, spread", pack.Group{Spreads: []pack.Spread{{Topology: 1, MaxSkew: 1}}}, 1, pack.SpreadLabel},
		{"no zone label, affinity", pack.Group{Affinity: pack.Affinity{Topologies: []int{1}, Self: true}}, 1, pack.AffinityLabel},
		{"nobody to be with", pack.Group{Affinity: pack.Affinity{Topologies: []int{1}, Selector: 9}}, 0, pack.AffinityUnmet},
		{"the first of its own kind", pack.Group{Affinity: pack.Affinity{Topologies: []int{1}, Selector: 9, Self: true}}, 0, pack.Fits},
		{"beside one it avoids", pack.Group{Anti: []pack.Term{{Topology: 0, Selector: 1}}}, 0, pack.AntiAffinity},
		{"beside one that avoids it", pack.Group{Matches: []int{2}}, 0, pack.AntiAffinityOfOthers},
		{"skew", pack.Group{Matches: []int{1}, Spreads: []pack.Spread{{Topology: 0, Selector: 1, MaxSkew: 1, Self: true}}}, 0, pack.SpreadSkew},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pack.Problem{Topologies: host, Bins: bins, Sets: []pack.ClassSet{{2}}, Groups: []pack.Group{c.group},
				Running: []pack.Running{{Bin: 0, Count: 1, Matches: []int{1}, Anti: []pack.Term{{Topology: 0, Selector: 2}}}}}
			if got := pack.NewRules(p).Allows(0, c.place); got != c.want {
				t.Errorf("Allows says %q, want %q", got, c.want)
			}
		})
	}
}
