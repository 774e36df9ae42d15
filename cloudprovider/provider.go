// Package cloudprovider is the seam between Wholescale and whoever sells machines: one interface of four calls, the
// kinds of error that decide what the controller does next, and (in contract) the test that every provider passes.
//
// Three rules make a retry harmless. Targets are absolute, so asking twice buys once. Each change carries a token, so
// a late repeat of an old call changes nothing. Each change carries the leader's epoch, so a deposed leader has no
// effect. What a provider does not know it says as Unknown; it is never a number.
package cloudprovider

import (
	"context"
	"errors"
	"time"
)

// Provider sells and ends machines. Calls are safe for concurrent use, honour the context's deadline, and return one
// of the error kinds below (wrapped) or a plain error, which means: not known to have happened, ask again.
type Provider interface {
	// Pools tells what can be bought, sorted by ID.
	Pools(ctx context.Context) ([]Pool, error)
	// SetTarget says how many instances the pool should have, and returns what stands then. It never ends an instance
	// that exists: a lower target only forgets what was not started. Stopped instances do not count, and are started again
	// before others are made.
	SetTarget(ctx context.Context, c Change) (int, error)
	// Delete ends the instances named in the change and sets the target in one step. An instance that is gone already
	// is a success. A provider may stop instances instead, as many as it keeps so; one that is stopped already it ends.
	Delete(ctx context.Context, c Change) (int, error)
	// List tells what is there, sorted by pool.
	List(ctx context.Context) ([]PoolState, error)
}

// Change is one absolute order for one pool.
type Change struct {
	Pool   string
	Target int
	// Instances are the provider ids to end; only for Delete.
	Instances []string
	// Token names the decision that this order carries out. The same token and order again is answered as the first
	// time was; the same token with another order is ErrInvalid.
	Token string
	// Epoch grows with each change of leader. An epoch lower than the highest seen is ErrOldEpoch.
	Epoch uint64
}

// Pool is what can be bought: machines of one shape.
type Pool struct {
	ID          string
	Shape       string
	Allocatable Resources
	Labels      map[string]string
	Taints      []Taint
	// Max is the provider's own hard limit of instances.
	Max int
	// PricePerHour is meaningful only when PriceKnown.
	PricePerHour float64
	PriceKnown   bool
}

// Resources is what a machine offers to pods.
type Resources struct {
	CPUMillis   int64
	MemoryBytes int64
	Pods        int64
	// Further are other resources by their name in Kubernetes, as of devices (nvidia.com/gpu) and ephemeral-storage (bytes); what is
	// not named a machine has none of, and none is bought for pods that ask for it. Those of
	// attach/DRIVER are how many volumes of a CSI driver a machine can have; without it they are not bounded before it has joined.
	Further map[string]int64
}

// Taint is a Kubernetes node taint.
type Taint struct{ Key, Value, Effect string }

// PoolState is what a provider says of one pool. Known is nil when it could not learn it; Unknown then says why.
type PoolState struct {
	ID      string
	Known   *Known
	Unknown string
}

// Known is a pool's target and instances, sorted by ProviderID.
type Known struct {
	Target    int
	Instances []Instance
	// StockOutSince is when a start first failed for lack of stock or quota; zero when the last one did not.
	StockOutSince  time.Time
	StockOutReason string
}

// Phase is an instance's stage of life.
type Phase int

// The phases of an instance.
const (
	Creating Phase = iota + 1
	Running
	Deleting
	Failed
	// Stopped: it does not run and keeps its id.
	Stopped
)

// Instance is one machine.
type Instance struct {
	// ProviderID equals the Node's spec.providerID.
	ProviderID string
	Phase      Phase
	// Created is when it was made or, if it was stopped since, resumed.
	Created time.Time
	// ExpectedReady is the provider's own guess of the time from Created to a Ready node; 0 means none.
	ExpectedReady time.Duration
	Message       string
}

// The kinds of error that decide what happens next.
var (
	// ErrOldEpoch: another leader has spoken since; the caller must stop acting.
	ErrOldEpoch = errors.New("the order is from a leader that was replaced")
	// ErrNoPool: there is no such pool.
	ErrNoPool = errors.New("no such pool")
	// ErrNoStock: the cloud has no such machine or the quota is used up; try another pool, and this one later.
	ErrNoStock = errors.New("out of stock")
	// ErrOverLimit: the order is above the provider's own limits; nothing was done.
	ErrOverLimit = errors.New("above the provider's own limit")
	// ErrInvalid: the order makes no sense (negative target, a token used for another order).
	ErrInvalid = errors.New("invalid order")
	// ErrUnavailable: the cloud did not answer; ask again later.
	ErrUnavailable = errors.New("the cloud did not answer")
)
