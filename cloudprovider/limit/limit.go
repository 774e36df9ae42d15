// Package limit is a provider's own last word: bounds that hold whoever asks, enforced in the process that holds the
// cloud's credential and written apart from the controller that should keep them too.
package limit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wholescale/wholescale/cloudprovider"
)

// Config is the bounds. The zero value bounds nothing.
type Config struct {
	// Pools are the pools that may be used, with the most instances of each; empty: all, with the cloud's own max.
	Pools map[string]int `yaml:"pools"`
	// PricePerHour bounds the price of all targets together, in the provider's currency; 0 is no bound. Under a bound a
	// pool without a known price cannot grow.
	PricePerHour float64 `yaml:"pricePerHour"`
	// CreationsPerHour bounds how many instances are ordered in any hour, so that a loop that buys and ends machines is
	// stopped; 0 is no bound.
	CreationsPerHour int `yaml:"creationsPerHour"`
	// Now is the clock; nil is time.Now.
	Now func() time.Time `yaml:"-"`
}

// Validate names the field that cannot be used.
func (c Config) Validate() error {
	var errs []error
	for id, most := range c.Pools {
		if most < 0 {
			errs = append(errs, fmt.Errorf("limits.pools.%s: %d is negative", id, most))
		}
	}
	if !(c.PricePerHour >= 0 && c.PricePerHour <= 1e9) {
		errs = append(errs, fmt.Errorf("limits.pricePerHour: %v must be from 0 to 1e9", c.PricePerHour))
	}
	if c.CreationsPerHour < 0 {
		errs = append(errs, fmt.Errorf("limits.creationsPerHour: %d is negative", c.CreationsPerHour))
	}
	return errors.Join(errs...)
}

// Provider is another provider within bounds.
type Provider struct {
	inner  cloudprovider.Provider
	config Config
	// turn makes one order at a time, or two that fit alone could break a bound together.
	turn chan struct{}
	// created are the orders of the last hour; the turn's holder owns it. Nil: not yet learned from the cloud.
	created []creation
}

type creation struct {
	at    time.Time
	count int
}

var _ cloudprovider.Provider = (*Provider)(nil)

// New bounds a provider.
func New(inner cloudprovider.Provider, c Config) (*Provider, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Provider{inner: inner, config: c, turn: make(chan struct{}, 1)}, nil
}

// Pools are those that may be used, each with the lower of the two max.
func (p *Provider) Pools(ctx context.Context) ([]cloudprovider.Pool, error) {
	all, err := p.inner.Pools(ctx)
	if err != nil || len(p.config.Pools) == 0 {
		return all, err
	}
	var allowed []cloudprovider.Pool
	for _, o := range all {
		if most, ok := p.config.Pools[o.ID]; ok {
			o.Max = min(o.Max, most)
			allowed = append(allowed, o)
		}
	}
	return allowed, nil
}

// List is of the pools that may be used.
func (p *Provider) List(ctx context.Context) ([]cloudprovider.PoolState, error) {
	all, err := p.inner.List(ctx)
	if err != nil || len(p.config.Pools) == 0 {
		return all, err
	}
	var allowed []cloudprovider.PoolState
	for _, s := range all {
		if _, ok := p.config.Pools[s.ID]; ok {
			allowed = append(allowed, s)
		}
	}
	return allowed, nil
}

// SetTarget refuses what is over a bound with ErrOverLimit, and does nothing then.
func (p *Provider) SetTarget(ctx context.Context, c cloudprovider.Change) (int, error) {
	return p.change(ctx, c, p.inner.SetTarget)
}

// Delete refuses a target that is over a bound; without one, ending machines is always allowed.
func (p *Provider) Delete(ctx context.Context, c cloudprovider.Change) (int, error) {
	return p.change(ctx, c, p.inner.Delete)
}

func (p *Provider) change(ctx context.Context, c cloudprovider.Change, do func(context.Context, cloudprovider.Change) (int, error)) (int, error) {
	if len(p.config.Pools) > 0 {
		most, ok := p.config.Pools[c.Pool]
		if !ok {
			return 0, fmt.Errorf("%w: %q is not among limits.pools", cloudprovider.ErrNoPool, c.Pool)
		}
		if c.Target > most {
			return 0, fmt.Errorf("%w: target %d of pool %s, limits.pools allows %d", cloudprovider.ErrOverLimit, c.Target, c.Pool, most)
		}
	}
	if p.config.PricePerHour == 0 && p.config.CreationsPerHour == 0 {
		return do(ctx, c)
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the orders before this one: %w", ctx.Err())
	}
	states, err := p.inner.List(ctx)
	if err != nil {
		return 0, fmt.Errorf("learn what stands, to keep the limits: %w", err)
	}
	more := p.creations(states, c)
	if more > 0 {
		if err := p.fits(ctx, states, c, more); err != nil {
			return 0, err
		}
	}
	answer, err := do(ctx, c)
	// An order whose outcome is not known may have bought; one that was refused has not.
	if more > 0 && !refused(err) {
		p.created = append(p.created, creation{p.config.Now(), more})
	}
	return answer, err
}

func refused(err error) bool {
	for _, kind := range []error{cloudprovider.ErrOldEpoch, cloudprovider.ErrNoPool, cloudprovider.ErrOverLimit, cloudprovider.ErrInvalid} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// creations is how many instances the order would buy.
func (p *Provider) creations(states []cloudprovider.PoolState, c cloudprovider.Change) int {
	for _, s := range states {
		if s.ID != c.Pool || s.Known == nil {
			continue
		}
		ending := map[string]bool{}
		for _, id := range c.Instances {
			ending[id] = true
		}
		ends := 0
		for _, i := range s.Known.Instances {
			if ending[i.ProviderID] && i.Phase != cloudprovider.Deleting && i.Phase != cloudprovider.Stopped {
				ends++
			}
		}
		return max(0, c.Target-(bought(s.Known)-ends))
	}
	// The pool is unknown, so all of the target could be new.
	return max(0, c.Target)
}

// bought is what costs money: the target, or the instances that a lower target left running.
func bought(k *cloudprovider.Known) int {
	n := 0
	for _, i := range k.Instances {
		if i.Phase != cloudprovider.Deleting && i.Phase != cloudprovider.Stopped {
			n++
		}
	}
	return max(n, k.Target)
}

func (p *Provider) fits(ctx context.Context, states []cloudprovider.PoolState, c cloudprovider.Change, more int) error {
	if limit := p.config.PricePerHour; limit > 0 {
		price, err := p.price(ctx, states, c)
		if err != nil {
			return err
		}
		if price > limit {
			return fmt.Errorf("%w: target %d of pool %s makes %.4g an hour, limits.pricePerHour is %.4g", cloudprovider.ErrOverLimit, c.Target, c.Pool, price, limit)
		}
	}
	if limit := p.config.CreationsPerHour; limit > 0 {
		if recent := p.lastHour(states); recent+more > limit {
			return fmt.Errorf("%w: %d more after %d in the last hour, limits.creationsPerHour is %d", cloudprovider.ErrOverLimit, more, recent, limit)
		}
	}
	return nil
}

// price is what all pools cost with the order carried out. A machine on its way out is not counted, nor can it be
// bought again.
func (p *Provider) price(ctx context.Context, states []cloudprovider.PoolState, c cloudprovider.Change) (float64, error) {
	offers, err := p.inner.Pools(ctx)
	if err != nil {
		return 0, fmt.Errorf("learn the prices, to keep limits.pricePerHour: %w", err)
	}
	each := map[string]cloudprovider.Pool{}
	for _, o := range offers {
		each[o.ID] = o
	}
	total := 0.0
	for _, s := range states {
		target := c.Target
		if s.ID != c.Pool {
			if s.Known == nil {
				return 0, fmt.Errorf("%w: pool %s is unknown (%s), so limits.pricePerHour cannot be kept", cloudprovider.ErrUnavailable, s.ID, s.Unknown)
			}
			target = bought(s.Known)
		}
		if target == 0 {
			continue
		}
		if !each[s.ID].PriceKnown {
			return 0, fmt.Errorf("%w: pool %s has no known price, and limits.pricePerHour is set", cloudprovider.ErrOverLimit, s.ID)
		}
		total += float64(target) * each[s.ID].PricePerHour
	}
	return total, nil
}

// lastHour is how many were ordered in it. The first time it counts the instances that the cloud has, since a restart
// must not be a way round the limit.
func (p *Provider) lastHour(states []cloudprovider.PoolState) int {
	since := p.config.Now().Add(-time.Hour)
	if p.created == nil {
		p.created = []creation{}
		for _, s := range states {
			if s.Known == nil {
				continue
			}
			for _, i := range s.Known.Instances {
				p.created = append(p.created, creation{i.Created, 1})
			}
		}
	}
	recent := p.created[:0]
	count := 0
	for _, c := range p.created {
		if c.at.After(since) {
			recent = append(recent, c)
			count += c.count
		}
	}
	p.created = recent
	return count
}
