package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/cloudprovider"
)

// cloud does what it is told, in no time.
type cloud struct {
	pools   []cloudprovider.Pool
	states  map[string]*cloudprovider.Known
	unknown string
	ordered int
	fails   error
}

func newCloud() *cloud {
	return &cloud{
		pools: []cloudprovider.Pool{
			{ID: "a", Max: 100, PricePerHour: 1, PriceKnown: true}, {ID: "b", Max: 100, PricePerHour: 3, PriceKnown: true}, {ID: "c", Max: 100},
		},
		states: map[string]*cloudprovider.Known{"a": {}, "b": {}, "c": {}},
	}
}

func (c *cloud) Pools(context.Context) ([]cloudprovider.Pool, error) { return c.pools, nil }

func (c *cloud) List(context.Context) ([]cloudprovider.PoolState, error) {
	var all []cloudprovider.PoolState
	for _, p := range c.pools {
		s := cloudprovider.PoolState{ID: p.ID, Known: c.states[p.ID]}
		if p.ID == c.unknown {
			s.Known, s.Unknown = nil, "no answer"
		}
		all = append(all, s)
	}
	return all, nil
}

func (c *cloud) SetTarget(_ context.Context, ch cloudprovider.Change) (int, error) {
	if c.fails != nil {
		return 0, c.fails
	}
	k := c.states[ch.Pool]
	k.Target = max(ch.Target, len(k.Instances))
	for len(k.Instances) < k.Target {
		c.ordered++
		k.Instances = append(k.Instances, cloudprovider.Instance{ProviderID: fmt.Sprint(c.ordered), Phase: cloudprovider.Running})
	}
	return k.Target, nil
}

func (c *cloud) Delete(ctx context.Context, ch cloudprovider.Change) (int, error) {
	k := c.states[ch.Pool]
	var kept []cloudprovider.Instance
	for _, i := range k.Instances {
		gone := false
		for _, id := range ch.Instances {
			gone = gone || id == i.ProviderID
		}
		if !gone {
			kept = append(kept, i)
		}
	}
	k.Instances = kept
	return c.SetTarget(ctx, ch)
}

func bounded(t *testing.T, c cloudprovider.Provider, config Config) *Provider {
	t.Helper()
	p, err := New(c, config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func set(t *testing.T, p *Provider, pool string, target int) error {
	t.Helper()
	_, err := p.SetTarget(t.Context(), cloudprovider.Change{Pool: pool, Target: target})
	return err
}

func TestPools(t *testing.T) {
	c := newCloud()
	p := bounded(t, c, Config{Pools: map[string]int{"a": 2, "b": 1000}})
	pools, err := p.Pools(t.Context())
	if err != nil || len(pools) != 2 || pools[0].Max != 2 || pools[1].Max != 100 {
		t.Errorf("%+v, %v", pools, err)
	}
	if states, err := p.List(t.Context()); err != nil || len(states) != 2 {
		t.Errorf("%+v, %v", states, err)
	}
	for pool, want := range map[string]error{"a": cloudprovider.ErrOverLimit, "c": cloudprovider.ErrNoPool, "b": nil} {
		if err := set(t, p, pool, 3); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", pool, err, want)
		}
	}
	if c.ordered != 3 {
		t.Errorf("%d were ordered", c.ordered)
	}
}

func TestPrice(t *testing.T) {
	c := newCloud()
	p := bounded(t, c, Config{PricePerHour: 10})
	if err := set(t, p, "b", 3); err != nil { // 9
		t.Fatal(err)
	}
	if err := set(t, p, "a", 2); !errors.Is(err, cloudprovider.ErrOverLimit) || !strings.Contains(err.Error(), "limits.pricePerHour") {
		t.Errorf("11 of 10: %v", err)
	}
	if err := set(t, p, "a", 1); err != nil {
		t.Errorf("10 of 10: %v", err)
	}
	if err := set(t, p, "c", 1); !errors.Is(err, cloudprovider.ErrOverLimit) || !strings.Contains(err.Error(), "no known price") {
		t.Errorf("no price: %v", err)
	}
	c.unknown = "b"
	if _, err := p.Delete(t.Context(), cloudprovider.Change{Pool: "a", Instances: []string{"4"}}); err != nil {
		t.Errorf("a delete while another pool is unknown: %v", err)
	}
	if err := set(t, p, "a", 1); !errors.Is(err, cloudprovider.ErrUnavailable) {
		t.Errorf("growth while another pool is unknown: %v", err)
	}
}

func TestCreationsPerHour(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := newCloud()
	c.states["c"] = &cloudprovider.Known{Target: 1, Instances: []cloudprovider.Instance{{ProviderID: "x", Created: now.Add(-time.Minute)}}}
	p := bounded(t, c, Config{CreationsPerHour: 3, Now: func() time.Time { return now }})
	// A loop that buys and ends: one that was there before this process counts too.
	for i := range 2 {
		if err := set(t, p, "a", 1); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Delete(t.Context(), cloudprovider.Change{Pool: "a", Instances: []string{fmt.Sprint(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := set(t, p, "a", 1); !errors.Is(err, cloudprovider.ErrOverLimit) {
		t.Errorf("the fourth within the hour: %v", err)
	}
	now = now.Add(time.Hour)
	c.fails = errors.New("reply lost")
	if err := set(t, p, "a", 3); err == nil {
		t.Fatal("no error")
	}
	c.fails = nil
	if err := set(t, p, "a", 1); !errors.Is(err, cloudprovider.ErrOverLimit) {
		t.Errorf("after an order whose outcome is not known: %v", err)
	}
	now = now.Add(time.Hour)
	c.fails = cloudprovider.ErrInvalid
	_ = set(t, p, "a", 3)
	c.fails = nil
	if err := set(t, p, "a", 3); err != nil {
		t.Errorf("after an order that was refused: %v", err)
	}
}

func TestThePriceIsNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCloud()
		limit := float64(rapid.IntRange(1, 50).Draw(t, "limit"))
		p, err := New(c, Config{PricePerHour: limit})
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				_, err := p.SetTarget(t.Context(), cloudprovider.Change{
					Pool: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "pool"), Target: rapid.IntRange(0, 60).Draw(t, "target"),
				})
				if err != nil && !errors.Is(err, cloudprovider.ErrOverLimit) {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				pool := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "pool")
				ids := []string{}
				for _, i := range c.states[pool].Instances {
					if rapid.Bool().Draw(t, "ends") {
						ids = append(ids, i.ProviderID)
					}
				}
				_, err := p.Delete(t.Context(), cloudprovider.Change{Pool: pool, Instances: ids, Target: rapid.IntRange(0, 60).Draw(t, "target")})
				if err != nil && !errors.Is(err, cloudprovider.ErrOverLimit) {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				a, b := c.states["a"].Target, c.states["b"].Target
				if price := float64(a + 3*b); price > limit || c.states["c"].Target > 0 {
					t.Fatalf("a %d, b %d, c %d: above %v", a, b, c.states["c"].Target, limit)
				}
			},
		})
	})
}

func TestConfigErrorsNameTheField(t *testing.T) {
	for want, c := range map[string]Config{
		"limits.pools.a":          {Pools: map[string]int{"a": -1}},
		"limits.pricePerHour":     {PricePerHour: -1},
		"limits.creationsPerHour": {CreationsPerHour: -1},
	} {
		if _, err := New(newCloud(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
