// Package local sells processes on this machine as machines: each is started by a command, survives this provider, and
// is found again by a restarted one. It makes the whole of Wholescale run where there is no cloud.
package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wholescale/wholescale/cloudprovider"
)

// poolLabel is api/v1alpha1's LabelPool.
const poolLabel = "autoscaling.wholescale.dev/pool"

// defaultStopGrace is longer than the 30 s that a machine gives its pods.
const defaultStopGrace = 45 * time.Second

// Provider is a cloudprovider.Provider whose machines are processes. One at a time may use a state folder.
type Provider struct {
	config Config
	pools  []*pool // sorted by id
	lock   *os.File

	// epoch is the highest seen by any pool.
	epoch atomic.Uint64

	closing context.Context
	close   context.CancelFunc
	// background starts and ends machines.
	background sync.WaitGroup
}

var _ cloudprovider.Provider = (*Provider)(nil)

// Open reads the state folder and goes on from there: it finds the machines that run, ends those that were being ended
// and starts those that are missing. Close it in the end. Errors: *FieldError (joined), or a folder that cannot be used.
func Open(c Config) (*Provider, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.StopGrace == 0 {
		c.StopGrace = Duration(defaultStopGrace)
	}
	if err := os.MkdirAll(filepath.Join(c.State, "logs"), 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(c.State, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the state folder's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another provider uses the state folder %s: %w", c.State, err), lock.Close())
	}
	p := &Provider{config: c, lock: lock}
	p.closing, p.close = context.WithCancel(context.Background())
	for _, config := range c.Pools {
		pool, err := p.openPool(config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("pool %s: %w", config.ID, err), p.Close())
		}
		p.pools = append(p.pools, pool)
		p.sawEpoch(pool.state.Epoch)
	}
	slices.SortFunc(p.pools, func(a, b *pool) int { return strings.Compare(a.config.ID, b.config.ID) })
	return p, nil
}

// Close stops serving and leaves the machines running.
func (p *Provider) Close() error {
	p.close()
	p.background.Wait()
	return p.lock.Close()
}

func (p *Provider) openPool(c PoolConfig) (*pool, error) {
	l := &pool{provider: p, config: c, path: filepath.Join(p.config.State, c.ID+".json"), turn: make(chan struct{}, 1)}
	// The turn is held so that an ending machine's goroutine waits until all is read.
	if err := l.acquire(p.closing); err != nil {
		return nil, err
	}
	defer l.release()
	var err error
	if l.state, err = readState(l.path); err != nil {
		return nil, err
	}
	for i := range l.state.Instances {
		// Its start may have happened and not been written down.
		if at := &l.state.Instances[i]; at.Process.PID == 0 {
			at.Process, _ = find(at.ID)
		}
	}
	for _, i := range l.state.Instances {
		if i.Deleting || i.Stopped && i.Process.PID != 0 {
			l.terminate(i)
		}
	}
	// What was decided and not begun is begun now; out of stock is told by List.
	if err := l.fill(); err != nil && !errors.Is(err, cloudprovider.ErrNoStock) {
		return nil, err
	}
	return l, nil
}

// Pools tells what can be bought, sorted by id.
func (p *Provider) Pools(ctx context.Context) ([]cloudprovider.Pool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var offers []cloudprovider.Pool
	for _, l := range p.pools {
		offers = append(offers, l.offer())
	}
	return offers, nil
}

// SetTarget starts the machines that are missing. See cloudprovider.Provider.
func (p *Provider) SetTarget(ctx context.Context, c cloudprovider.Change) (int, error) {
	if len(c.Instances) > 0 {
		return 0, fmt.Errorf("%w: SetTarget names instances; only Delete ends any", cloudprovider.ErrInvalid)
	}
	return p.change(ctx, "set", c)
}

// Delete asks the named machines to end, and ends them after the grace. See cloudprovider.Provider.
func (p *Provider) Delete(ctx context.Context, c cloudprovider.Change) (int, error) {
	return p.change(ctx, "delete", c)
}

func (p *Provider) change(ctx context.Context, kind string, c cloudprovider.Change) (int, error) {
	l := p.pool(c.Pool)
	switch {
	case l == nil:
		return 0, fmt.Errorf("%w: %q", cloudprovider.ErrNoPool, c.Pool)
	case c.Token == "":
		return 0, fmt.Errorf("%w: no token", cloudprovider.ErrInvalid)
	case c.Target < 0:
		return 0, fmt.Errorf("%w: target %d", cloudprovider.ErrInvalid, c.Target)
	case c.Target > l.config.Max:
		return 0, fmt.Errorf("%w: target %d of pool %s, whose max is %d", cloudprovider.ErrOverLimit, c.Target, c.Pool, l.config.Max)
	}
	if err := l.acquire(ctx); err != nil {
		return 0, err
	}
	defer l.release()
	// The epoch is looked at when it is this order's turn, or a deposed leader's order that waited could still act.
	if seen := p.sawEpoch(c.Epoch); c.Epoch < seen {
		return 0, fmt.Errorf("%w: epoch %d, seen %d", cloudprovider.ErrOldEpoch, c.Epoch, seen)
	}
	return l.carryOut(newOrder(kind, c), c.Epoch)
}

// List tells what is there, sorted by pool.
func (p *Provider) List(ctx context.Context) ([]cloudprovider.PoolState, error) {
	var all []cloudprovider.PoolState
	for _, l := range p.pools {
		if err := l.acquire(ctx); err != nil {
			return nil, err
		}
		all = append(all, cloudprovider.PoolState{ID: l.config.ID, Known: l.known()})
		l.release()
	}
	return all, nil
}

func (p *Provider) pool(id string) *pool {
	for _, l := range p.pools {
		if l.config.ID == id {
			return l
		}
	}
	return nil
}

// sawEpoch raises the highest epoch seen, and returns it.
func (p *Provider) sawEpoch(epoch uint64) uint64 {
	for {
		seen := p.epoch.Load()
		if epoch <= seen {
			return seen
		}
		if p.epoch.CompareAndSwap(seen, epoch) {
			return epoch
		}
	}
}

// machineStorage is what the machines of devcluster say that they have, in bytes.
const machineStorage = 100 << 30

func (l *pool) offer() cloudprovider.Pool {
	cpu, memory := resource.MustParse(l.config.cpu()), resource.MustParse(l.config.memory())
	further := map[string]int64{"ephemeral-storage": machineStorage}
	maps.Copy(further, l.config.Further)
	offer := cloudprovider.Pool{
		ID: l.config.ID, Shape: orElse(l.config.Shape, l.config.ID), Max: l.config.Max, Labels: l.labels(),
		Allocatable: cloudprovider.Resources{CPUMillis: cpu.MilliValue(), MemoryBytes: memory.Value(), Pods: int64(l.config.pods()), Further: further},
	}
	for _, text := range l.config.Taints {
		m := taintPattern.FindStringSubmatch(text)
		offer.Taints = append(offer.Taints, cloudprovider.Taint{Key: m[1], Value: m[2], Effect: m[3]})
	}
	if l.config.PricePerHour != nil {
		offer.PricePerHour, offer.PriceKnown = *l.config.PricePerHour, true
	}
	return offer
}

// terminate asks the machine to end, kills it after the grace, and forgets it when it is gone.
func (l *pool) terminate(i instance) {
	l.provider.background.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		grace := time.NewTimer(time.Duration(l.provider.config.StopGrace))
		defer grace.Stop()
		// An error is looked at by its effect: a machine that still lives is killed after the grace, and again then.
		_ = i.Process.signal(syscall.SIGTERM)
		kill := false
		for i.Process.alive() {
			if kill {
				_ = i.Process.killSession()
			}
			select {
			case <-l.provider.closing.Done():
				return // the next Open goes on
			case <-grace.C:
				kill = true
			case <-tick.C:
			}
		}
		if l.acquire(l.provider.closing) != nil {
			return
		}
		defer l.release()
		l.forget(i.ID)
	})
}
