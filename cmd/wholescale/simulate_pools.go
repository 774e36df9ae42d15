package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator"
)

// poolsFile is what --pools reads. Fields that are left out have the values of the flags for the one pool.
type poolsFile struct {
	Pools        []poolSpec       `json:"pools"`
	ControlPlane controlPlaneSpec `json:"controlPlane"`
}

type poolSpec struct {
	Name             string     `json:"name"`
	CPU              int64      `json:"cpu"`       // millicores
	MemoryMiB        int64      `json:"memoryMiB"` // of one node
	Pods             int64      `json:"pods"`
	Min              int        `json:"min"`
	Max              int        `json:"max"`
	Weight           int        `json:"weight"`
	PricePerHour     float64    `json:"pricePerHour"`
	PriceCap         float64    `json:"priceCapPerHour"`
	Join             string     `json:"join"` // a delay
	IdleAfter        string     `json:"idleAfter"`
	ConsolidateAfter string     `json:"consolidateAfter"`
	Faults           faultsSpec `json:"faults"`
}

type spanSpec struct {
	From  string `json:"from"`
	Until string `json:"until"`
}

type controlPlaneSpec struct {
	Down    []spanSpec `json:"down"`
	APIDown []spanSpec `json:"apiDown"`
}

type faultsSpec struct {
	StockOuts       []spanSpec `json:"stockOuts"`
	SmallShare      float64    `json:"smallShare"`
	SmallFactor     float64    `json:"smallFactor"`
	OrdersPerMinute float64    `json:"ordersPerMinute"`
	SlowShare       float64    `json:"slowShare"`
	SlowFactor      float64    `json:"slowFactor"`
	NeverShare      float64    `json:"neverShare"`
	ReclaimsPerHour float64    `json:"reclaimsPerHour"`
	Prices          []struct {
		At           string  `json:"at"`
		PricePerHour float64 `json:"pricePerHour"`
	} `json:"prices"`
}

// mostPoolsFile bounds a file of pools.
const mostPoolsFile = 1 << 20

// readPools reads a file of pools; fallback is the pool of the flags.
func readPools(path string, fallback simulator.Pool) ([]simulator.Pool, simulator.ControlPlane, error) {
	var plane simulator.ControlPlane
	info, err := os.Stat(path)
	if err != nil {
		return nil, plane, fmt.Errorf("%w: reading --pools: %w", errUsage, err)
	}
	if info.Size() > mostPoolsFile {
		return nil, plane, fmt.Errorf("%w: --pools %s: it is larger than %d bytes", errUsage, path, mostPoolsFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, plane, fmt.Errorf("%w: reading --pools: %w", errUsage, err)
	}
	var f poolsFile
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		return nil, plane, fmt.Errorf("%w: --pools %s: %w", errUsage, path, err)
	}
	plane, err = f.ControlPlane.faults()
	if err != nil {
		return nil, plane, fmt.Errorf("%w: --pools %s: %w", errUsage, path, err)
	}
	if len(f.Pools) == 0 && len(plane.Down)+len(plane.APIDown) > 0 {
		return []simulator.Pool{fallback}, plane, nil // faults alone
	}
	if len(f.Pools) == 0 {
		return nil, plane, fmt.Errorf("%w: --pools %s: there is no pool in it", errUsage, path)
	}
	var pools []simulator.Pool
	seen := map[string]bool{}
	for i := range f.Pools {
		p, err := f.Pools[i].pool(fallback)
		if err == nil && seen[f.Pools[i].Name] {
			err = errors.New("there are two of this name")
		}
		if err != nil {
			return nil, plane, fmt.Errorf("%w: --pools %s: pools[%d] (%s): %w", errUsage, path, i, f.Pools[i].Name, err)
		}
		seen[f.Pools[i].Name] = true
		pools = append(pools, p)
	}
	return pools, plane, nil
}

func (s *poolSpec) pool(base simulator.Pool) (simulator.Pool, error) {
	if s.Name == "" {
		return base, errors.New("name: it is missing")
	}
	if s.CPU < 0 || s.MemoryMiB < 0 || s.Pods < 0 || s.Min < 0 || s.Max < 0 || s.PricePerHour < 0 || s.PriceCap < 0 {
		return base, errors.New("a number is below 0")
	}
	p := base
	p.ID = autoscaler.PoolID(s.Name)
	p.Allocatable = autoscaler.Resources{
		CPU: cmp.Or(s.CPU, base.Allocatable.CPU), Memory: cmp.Or(s.MemoryMiB<<20, base.Allocatable.Memory), Pods: cmp.Or(s.Pods, base.Allocatable.Pods),
	}
	p.Min, p.Max, p.Weight = s.Min, cmp.Or(s.Max, base.Max), s.Weight
	p.PricePerHour, p.PriceCap = cmp.Or(s.PricePerHour, base.PricePerHour), s.PriceCap
	if p.Min > p.Max {
		return base, fmt.Errorf("min: %d is above max %d", p.Min, p.Max)
	}
	var err error
	if s.Join != "" {
		if p.Join, err = simulator.ParseDelay(s.Join); err != nil {
			return base, fmt.Errorf("join: %w", err)
		}
		p.Pool.Join = 0 // as the delay says
	}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"idleAfter", s.IdleAfter, &p.IdleAfter}, {"consolidateAfter", s.ConsolidateAfter, &p.Disruption.ConsolidateAfter}} {
		if err := duration(d.name, d.text, d.to); err != nil {
			return base, err
		}
	}
	p.Faults, err = s.Faults.faults()
	return p, err
}

// duration reads a duration that may be left out.
func duration(name, text string, to *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = errors.New("it is below 0")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*to = d
	return nil
}

func (s *faultsSpec) faults() (simulator.Faults, error) {
	f := simulator.Faults{SlowShare: s.SlowShare, SlowFactor: s.SlowFactor, NeverShare: s.NeverShare, ReclaimsPerHour: s.ReclaimsPerHour, SmallShare: s.SmallShare, SmallFactor: s.SmallFactor, OrdersPerMinute: s.OrdersPerMinute}
	var err error
	if f.StockOuts, err = spans("faults.stockOuts", s.StockOuts); err != nil {
		return f, err
	}
	for i, o := range s.Prices {
		change := simulator.PriceChange{PricePerHour: o.PricePerHour}
		if err := duration("at", o.At, &change.At); err != nil {
			return f, fmt.Errorf("faults.prices[%d]: %w", i, err)
		}
		f.Prices = append(f.Prices, change)
	}
	return f, nil
}

// spans reads times in which something is so.
func spans(name string, list []spanSpec) (out []simulator.Span, err error) {
	for i, o := range list {
		var v simulator.Span
		if err := errors.Join(duration("from", o.From, &v.From), duration("until", o.Until, &v.Until)); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func (s *controlPlaneSpec) faults() (c simulator.ControlPlane, err error) {
	if c.Down, err = spans("controlPlane.down", s.Down); err == nil {
		c.APIDown, err = spans("controlPlane.apiDown", s.APIDown)
	}
	return c, err
}
