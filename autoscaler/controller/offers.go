package controller

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/cloudprovider"
)

// A NodePool with offers is, to the core, a pool for each of the provider's pools that it chooses, and a group that holds
// their common bounds. To what acts it is the same object with one of them as its provider's pool.

// offered is one pool of the provider's as a NodePool uses it.
type offered struct {
	object *v1alpha1.NodePool
	group  bool // it is one of several
}

// offered resolves NodePools, in the order of their names. What a NodePool has chosen and the provider sells no more stays
// its own as long as it is listed: it has machines, perhaps. The caller holds the lock.
func (p *pools) offered(objects map[string]*v1alpha1.NodePool) []offered {
	var list []offered
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		object := objects[name]
		if object.Spec.Provider.Offers == nil {
			list = append(list, offered{object: object})
			continue
		}
		chosen := map[string]bool{}
		for id := range p.chosen[name] {
			if _, listed := p.states[id]; listed {
				chosen[id] = true
			}
		}
		for id, sold := range p.offers {
			if chosen[id] = chooses(object.Spec.Provider.Offers, &sold); !chosen[id] {
				delete(chosen, id)
			}
		}
		p.chosen[name] = chosen
		for _, id := range slices.Sorted(maps.Keys(chosen)) {
			one := *object
			one.Spec.Provider = v1alpha1.ProviderRef{Pool: id}
			list = append(list, offered{object: &one, group: true})
		}
		if len(chosen) == 0 {
			list = append(list, offered{object: object}) // which the provider does not sell: it says so
		}
	}
	return list
}

// chooses says that what is sold meets all that offers ask for.
func chooses(o *v1alpha1.Offers, sold *cloudprovider.Pool) bool {
	among := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	capacity := cmp.Or(sold.Labels[v1alpha1.LabelCapacityType], sold.Labels["karpenter.sh/capacity-type"])
	named := len(o.Pools) == 0 || slices.ContainsFunc(o.Pools, func(want string) bool {
		prefix, all := strings.CutSuffix(want, "*")
		return want == sold.ID || all && strings.HasPrefix(sold.ID, prefix)
	})
	return named && among(o.Shapes, sold.Shape) && among(o.Zones, sold.Labels[fit.LabelZone]) && among(o.CapacityTypes, capacity)
}

// inGroup makes a pool one of several: bounds and caps are then the group's.
func inGroup(pool *autoscaler.Pool, id string) {
	pool.Group = autoscaler.GroupID(pool.ID)
	pool.ID += autoscaler.PoolID("/" + id)
	pool.Min, pool.PriceCap = 0, 0
}

// groups are the common bounds of NodePools with several offers.
func groups(now time.Time, objects map[string]*v1alpha1.NodePool) []autoscaler.Group {
	var list []autoscaler.Group
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if s := &objects[name].Spec; s.Provider.Offers != nil {
			list = append(list, autoscaler.Group{
				ID: autoscaler.GroupID(name), Min: int(s.Nodes.Min), Max: int(s.Nodes.Max), PriceCap: priceCap(s, now),
			})
		}
	}
	return list
}

// priceCap is the cap that holds at now; 0 is none.
func priceCap(s *v1alpha1.NodePoolSpec, now time.Time) float64 {
	always := 0.0
	if s.PriceCapPerHour != nil {
		always = *s.PriceCapPerHour
	}
	return v1alpha1.LowestCap(always, s.PriceCaps, now)
}

// reportGroup tells the status of a NodePool with several offers: figures of all of them, and the words of the one that
// changes, or else of one that is not known.
func (t *teller) reportGroup(object *v1alpha1.NodePool, s *autoscaler.State, d *autoscaler.Decision, members []int) {
	whole, order := s.Pools[members[0]], d.Orders[members[0]]
	order.From, order.To = 0, 0
	cost, seen, words := 0.0, map[autoscaler.PoolID]bool{}, -1
	for _, k := range members {
		seen[s.Pools[k].ID] = true
		order.From, order.To = order.From+d.Orders[k].From, order.To+d.Orders[k].To
		if d.Orders[k].Changes() || s.Pools[k].Unknown != "" && words < 0 {
			words = k
		}
	}
	if words >= 0 {
		order.Why, order.Delete, whole.Unknown = d.Orders[words].Why, d.Orders[words].Delete, s.Pools[words].Unknown
	}
	one := *s
	one.Nodes = nil
	for i := range s.Nodes {
		if n := s.Nodes[i]; seen[n.Pool] {
			for _, k := range members {
				if s.Pools[k].ID == n.Pool {
					cost += s.Pools[k].PricePerHour
				}
			}
			n.Pool = whole.ID
			one.Nodes = append(one.Nodes, n)
		}
	}
	whole.PricePerHour = 0
	if len(one.Nodes) > 0 {
		whole.PricePerHour = cost / float64(len(one.Nodes)) // on average: the status shows all of them together
	}
	t.reportPool(object, &one, &whole, &order)
}

// reportPools tells the status of each NodePool.
func (t *teller) reportPools(pic *picture, s *autoscaler.State, d *autoscaler.Decision) {
	members, order := map[autoscaler.GroupID][]int{}, []autoscaler.GroupID{}
	for i := range d.Orders {
		g := s.Pools[i].Group
		if g == "" {
			t.reportPool(pic.pools[d.Orders[i].Pool], s, &s.Pools[i], &d.Orders[i])
			continue
		}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], i)
	}
	for _, g := range order {
		t.reportGroup(pic.pools[s.Pools[members[g][0]].ID], s, d, members[g])
	}
}
