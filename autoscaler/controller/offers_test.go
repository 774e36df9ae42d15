package controller

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/cloudprovider"
)

// shop sells what it is told.
type shop struct {
	cloudprovider.Provider
	sold []cloudprovider.Pool
}

func (s *shop) Pools(context.Context) ([]cloudprovider.Pool, error) { return s.sold, nil }

func (s *shop) List(context.Context) ([]cloudprovider.PoolState, error) {
	var list []cloudprovider.PoolState
	for _, id := range []string{"l-a-spot", "s-a", "s-b"} {
		list = append(list, cloudprovider.PoolState{ID: id, Known: &cloudprovider.Known{}})
	}
	return list, nil
}

func TestANodePoolIsAPoolForEachOffer(t *testing.T) {
	price := 0.5
	sells := func(id, shape, zone, kind string) cloudprovider.Pool {
		return cloudprovider.Pool{ID: id, Shape: shape, Max: 9, PriceKnown: true, PricePerHour: 0.1, Labels: map[string]string{
			"topology.kubernetes.io/zone": zone, v1alpha1.LabelCapacityType: kind,
		}}
	}
	s := &shop{sold: []cloudprovider.Pool{sells("l-a-spot", "large", "a", "spot"), sells("s-a", "small", "a", "on-demand"), sells("s-b", "small", "b", "on-demand")}}
	for name, c := range map[string]struct {
		offers v1alpha1.Offers
		want   []autoscaler.PoolID
	}{
		"all":           {v1alpha1.Offers{}, []autoscaler.PoolID{"web/l-a-spot", "web/s-a", "web/s-b"}},
		"pools":         {v1alpha1.Offers{Pools: []string{"s-*", "x"}}, []autoscaler.PoolID{"web/s-a", "web/s-b"}},
		"shape":         {v1alpha1.Offers{Shapes: []string{"large"}}, []autoscaler.PoolID{"web/l-a-spot"}},
		"zone":          {v1alpha1.Offers{Zones: []string{"b"}}, []autoscaler.PoolID{"web/s-b"}},
		"capacity type": {v1alpha1.Offers{CapacityTypes: []string{"spot"}, Zones: []string{"a", "b"}}, []autoscaler.PoolID{"web/l-a-spot"}},
		"none":          {v1alpha1.Offers{Zones: []string{"c"}}, []autoscaler.PoolID{"web"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPools(s, zap.NewNop(), func() {})
			p.ask(t.Context())
			objects := map[string]*v1alpha1.NodePool{"web": {
				ObjectMeta: metav1.ObjectMeta{Name: "web"},
				Spec:       v1alpha1.NodePoolSpec{Provider: v1alpha1.ProviderRef{Offers: &c.offers}, Nodes: v1alpha1.Bounds{Min: 1, Max: 5}, PriceCapPerHour: &price},
			}}
			list, _, _ := p.view(time.Now(), objects, nil)
			var got []autoscaler.PoolID
			for _, pool := range list {
				got = append(got, pool.ID)
				if p.resolved[pool.ID] == nil {
					t.Errorf("%s: nothing to act on", pool.ID)
				}
				if name == "none" {
					if pool.Unknown == "" {
						t.Error("a pool that is not sold is known")
					}
					continue
				}
				if pool.Group != "web" || pool.Min != 0 || pool.Max != 5 || pool.PriceCap != 0 || pool.Unknown != "" {
					t.Errorf("%+v", pool)
				}
				if labels, ok := pool.Labels.Get(v1alpha1.LabelPool); !ok || labels != "web" {
					t.Errorf("%s: labels %v", pool.ID, pool.Labels)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
			if g := groups(time.Now(), objects); len(g) != 1 || g[0] != (autoscaler.Group{ID: "web", Min: 1, Max: 5, PriceCap: 0.5}) {
				t.Errorf("%+v", g)
			}
		})
	}
}

func TestAnOfferThatIsSoldNoMoreKeepsItsMachines(t *testing.T) {
	s := &shop{sold: []cloudprovider.Pool{{ID: "s-a", Max: 9}, {ID: "s-b", Max: 9}}}
	p := newPools(s, zap.NewNop(), func() {})
	objects := map[string]*v1alpha1.NodePool{"web": {
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.NodePoolSpec{Provider: v1alpha1.ProviderRef{Offers: &v1alpha1.Offers{}}, Nodes: v1alpha1.Bounds{Max: 5}},
	}}
	p.ask(t.Context())
	p.view(time.Now(), objects, nil)
	s.sold = s.sold[:1]
	p.ask(t.Context())
	list, _, _ := p.view(time.Now(), objects, nil)
	if len(list) != 2 || list[1].ID != "web/s-b" || list[1].Unknown == "" || list[0].Unknown != "" {
		t.Errorf("%+v", list)
	}
}

func TestTheLowestCapHolds(t *testing.T) {
	night := v1alpha1.PriceCap{Name: "night", PerHour: 2, Begins: "0 20 * * *", Lasts: metav1.Duration{Duration: 10 * time.Hour}, TimeZone: "Europe/Berlin"}
	ten := 10.0
	spec := v1alpha1.NodePoolSpec{PriceCapPerHour: &ten, PriceCaps: []v1alpha1.PriceCap{night}}
	for at, want := range map[string]float64{"2026-01-01T18:59:00Z": 10, "2026-01-01T19:00:00Z": 2, "2026-01-02T04:59:00Z": 2, "2026-01-02T05:00:00Z": 10} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := priceCap(&spec, now); got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}
