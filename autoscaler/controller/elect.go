package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseName is the Lease that says who leads.
const LeaseName = "wholescale-controller"

// errDeposed ends a controller that leads no more: it starts anew rather than trusting what it remembers.
var errDeposed = errors.New("the leadership was lost to another controller; this one ends so that it starts afresh")

// lead waits to be the leader, governs while it is, and returns. The number of leaders so far is the epoch under which the
// provider takes orders, so that one who was replaced without noticing has no effect.
func (p *process) lead(ctx context.Context) error {
	c := &p.config
	lock := &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: LeaseName}, Client: p.client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: c.Name},
	}
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		once   sync.Once
		result error
	)
	end := func(err error) {
		once.Do(func() { result = err })
		cancel()
	}
	governed := make(chan struct{})
	var started atomic.Bool
	var (
		elector *leaderelection.LeaderElector
		err     error
	)
	elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: c.LeaseDuration, RenewDeadline: renewWithin(c.LeaseDuration), RetryPeriod: c.LeaseDuration / 8,
		ReleaseOnCancel: true, Name: LeaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				started.Store(true)
				defer close(governed)
				epoch, err := p.epoch(ctx)
				if err == nil {
					err = p.govern(ctx, leadership{epoch: epoch, holds: func() error { return holds(elector, c.LeaseDuration) }, deposed: func() { end(errDeposed) }})
				}
				if err != nil {
					end(err)
				}
			},
			OnStoppedLeading: func() { cancel() },
			OnNewLeader: func(name string) {
				if name != c.Name {
					c.Log.Info("another controller leads", zap.String("leader", name))
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("setting up leader election: %w", err)
	}
	elector.Run(leading)
	if started.Load() {
		<-governed
	}
	if ctx.Err() == nil {
		end(errDeposed)
	}
	return result
}

// leadership is what one who leads is told of it.
type leadership struct {
	// epoch is its number, under which the provider takes orders.
	epoch uint64
	// holds is asked before each write to the API server, which knows no epoch: a process that stood still for a while
	// believes that it leads until its clock tells it otherwise.
	holds func() error
	// deposed is called when somebody else is found to lead.
	deposed func()
}

// renewWithin is how old the last renewal of a Lease may be: others wait for all of duration before they take it.
func renewWithin(duration time.Duration) time.Duration { return duration * 2 / 3 }

// holds says by the clock alone whether the Lease is still ours.
func holds(elector *leaderelection.LeaderElector, duration time.Duration) error {
	if !elector.IsLeader() || elector.Check(renewWithin(duration)-duration) != nil {
		return errDeposed
	}
	return nil
}

// epoch is how often the Lease has changed hands, from the record that made us the leader; at least 1.
func (p *process) epoch(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	lease, err := p.client.CoordinationV1().Leases(p.config.Namespace).Get(ctx, LeaseName, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading the Lease %s/%s: %w", p.config.Namespace, LeaseName, err)
	}
	if h := lease.Spec.HolderIdentity; h == nil || *h != p.config.Name {
		return 0, errDeposed
	}
	if lease.Spec.LeaseTransitions == nil {
		return 1, nil
	}
	return uint64(*lease.Spec.LeaseTransitions) + 1, nil
}

func splitKey(key string) (kind, subject string) {
	kind, subject, _ = strings.Cut(key, " ")
	return kind, subject
}
