package packing

import (
	"fmt"
	"slices"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// placeState is a node as the checker sees it. The checker knows the instance and the steps, and nothing of the packer.
type placeState struct {
	zone              string
	cpu, memory, pods int64
	groups            map[int]int
}

type checker struct {
	in     *instance
	places []placeState
	zones  []string
	// match[g][h]: pods of group g match the selector of rule h, all rules of all groups in a row.
	selectors []map[string]string
	byZone    []map[string]int // by selector
	byPlace   []map[int]int    // by selector
	matching  [][]int          // by group: selectors
	total     []int
	placed    []int
	// avoiders are, by place, selectors of anti-affinity carried there.
	avoiders []map[int]int
}

// check replays the steps and returns what is wrong with them, and the price of the machines.
func check(in *instance, sol *pack.Solution) (broken []string, price float64) {
	c := &checker{in: in, placed: make([]int, len(in.Pods))}
	c.readPlaces(sol, &price)
	c.readSelectors()
	for i := 0; i < len(sol.Steps); {
		k := i + 1
		for k < len(sol.Steps) && sol.Steps[k].Group == sol.Steps[i].Group && sol.Steps[k].InTurn && sol.Steps[i].InTurn {
			k++
		}
		broken = append(broken, c.block(sol.Steps[i].Group, sol.Steps[i:k])...)
		i = k
	}
	for g := range in.Pods {
		if c.placed[g] > in.Pods[g].Count {
			broken = append(broken, fmt.Sprintf("group %s: %d of %d pods placed", in.Pods[g].Group, c.placed[g], in.Pods[g].Count))
		}
	}
	return broken, price
}

func (c *checker) readPlaces(sol *pack.Solution, price *float64) {
	size := map[string]int{}
	for i, s := range c.in.Shapes {
		size[s.Name] = i
		for _, z := range s.Zones {
			if !slices.Contains(c.zones, z) {
				c.zones = append(c.zones, z)
			}
		}
	}
	for _, n := range c.in.Nodes {
		s := c.in.Shapes[size[n.Shape]]
		c.places = append(c.places, placeState{zone: n.Zone, cpu: s.CPUMilli - n.UsedCPUMilli, memory: s.MemoryMi - n.UsedMemoryMi,
			pods: s.Pods - n.UsedPods, groups: map[int]int{}})
	}
	type kind struct {
		shape int
		zone  string
	}
	var offers []kind
	for i, s := range c.in.Shapes {
		for _, z := range s.Zones {
			offers = append(offers, kind{i, z})
		}
	}
	for _, m := range sol.Machines {
		s := c.in.Shapes[offers[m].shape]
		*price += s.PricePerHour
		c.places = append(c.places, placeState{zone: offers[m].zone, cpu: s.CPUMilli, memory: s.MemoryMi, pods: s.Pods, groups: map[int]int{}})
	}
}

func (c *checker) selector(sel map[string]string) int {
	for i, s := range c.selectors {
		if fmt.Sprint(s) == fmt.Sprint(sel) {
			return i
		}
	}
	c.selectors = append(c.selectors, sel)
	return len(c.selectors) - 1
}

func (c *checker) readSelectors() {
	for _, g := range c.in.Pods {
		for _, s := range g.Spread {
			c.selector(s.Selector)
		}
		for _, a := range append(slices.Clone(g.Affinity), g.AntiAffinity...) {
			c.selector(a.Selector)
		}
	}
	for _, g := range c.in.Pods {
		var m []int
		for i, sel := range c.selectors {
			all := true
			for k, v := range sel {
				all = all && g.Labels[k] == v
			}
			if all {
				m = append(m, i)
			}
		}
		c.matching = append(c.matching, m)
	}
	c.total = make([]int, len(c.selectors))
	for range c.selectors {
		c.byZone = append(c.byZone, map[string]int{})
	}
	for range c.places {
		c.byPlace = append(c.byPlace, map[int]int{})
		c.avoiders = append(c.avoiders, map[int]int{})
	}
}

// block places the pods of one step, or of steps in turn, each time where the zone has the fewest of what the group
// spreads by.
func (c *checker) block(g int, steps []pack.Step) (broken []string) {
	left := slices.Clone(steps)
	for len(left) > 0 {
		at := 0
		for _, s := range c.in.Pods[g].Spread {
			if s.TopologyKey == "zone" {
				counts := c.byZone[c.selector(s.Selector)]
				for i := range left {
					if counts[c.places[left[i].Place].zone] < counts[c.places[left[at].Place].zone] {
						at = i
					}
				}
			}
		}
		if why := c.pod(g, left[at].Place); why != "" && len(broken) < 5 {
			broken = append(broken, fmt.Sprintf("group %s on place %d: %s", c.in.Pods[g].Group, left[at].Place, why))
		}
		if left[at].Count--; left[at].Count <= 0 {
			left = slices.Delete(left, at, at+1)
		}
	}
	return broken
}

// pod places one pod and says which rule it breaks.
func (c *checker) pod(g, place int) (why string) {
	group, p := &c.in.Pods[g], &c.places[place]
	p.cpu, p.memory, p.pods = p.cpu-group.CPUMilli, p.memory-group.MemoryMi, p.pods-1
	c.placed[g]++
	if p.cpu < 0 || p.memory < 0 || p.pods < 0 {
		why = fmt.Sprintf("overfull: %d m, %d Mi, %d pods too much", -p.cpu, -p.memory, -p.pods)
	}
	why = c.before(g, place, why)
	for _, sel := range c.matching[g] {
		c.byZone[sel][p.zone]++
		c.byPlace[place][sel]++
		c.total[sel]++
	}
	for _, s := range group.Spread {
		sel := c.selector(s.Selector)
		count, least := c.byPlace[place][sel], 0
		if s.TopologyKey == "zone" {
			count, least = c.byZone[sel][p.zone], 1<<30
			for _, z := range c.zones {
				n := c.byZone[sel][z]
				if z == p.zone && slices.Contains(c.matching[g], sel) {
					n-- // the least count is taken before the pod is there
				}
				least = min(least, n)
			}
		}
		if count-least > s.MaxSkew {
			why = fmt.Sprintf("spread over %s: %d against %d", s.TopologyKey, count, least)
		}
	}
	for _, a := range group.AntiAffinity {
		c.avoiders[place][c.selector(a.Selector)]++
	}
	return why
}

// before checks affinity and anti-affinity, which look at the pods that are there already.
func (c *checker) before(g, place int, why string) string {
	group := &c.in.Pods[g]
	for _, a := range group.Affinity {
		sel := c.selector(a.Selector)
		there := c.byPlace[place][sel]
		if a.TopologyKey == "zone" {
			there = c.byZone[sel][c.places[place].zone]
		}
		if there == 0 && (c.total[sel] > 0 || !slices.Contains(c.matching[g], sel)) {
			why = "affinity over " + a.TopologyKey
		}
	}
	for _, a := range group.AntiAffinity {
		if c.byPlace[place][c.selector(a.Selector)] > 0 {
			why = "anti-affinity"
		}
	}
	for _, sel := range c.matching[g] {
		if c.avoiders[place][sel] > 0 {
			why = "anti-affinity of another pod"
		}
	}
	return why
}
