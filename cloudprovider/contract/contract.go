// Package contract is the test that every provider passes. It asks only what the interface promises, so it runs
// against a provider in this process, over the wire, and against a cloud.
package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wholescale/wholescale/cloudprovider"
)

// Fixture is what the test must know of the provider that it is given.
type Fixture struct {
	// Pool has no instance, a target of 0, and Max from 3 to 1000.
	Pool string
	// Standby is another pool of that kind, which keeps one machine stopped that is ended. Empty: its case is skipped.
	Standby string
	// Restart ends the provider and opens it again on the same state. Nil: the restart cases are skipped.
	Restart func(t *testing.T) cloudprovider.Provider
}

// patience bounds each wait for an instance to come or go; a local one takes milliseconds.
const patience = 30 * time.Second

// Test runs all cases, each on a provider of its own from open.
func Test(t *testing.T, open func(*testing.T) (cloudprovider.Provider, Fixture)) {
	for _, c := range []struct {
		name string
		run  func(*run)
	}{
		{"pools and list are sorted and agree", (*run).sorted},
		{"a target is absolute and a repeat changes nothing", (*run).absolute},
		{"a late repeat of an old order changes nothing", (*run).lateRepeat},
		{"a token names one order", (*run).tokenNamesOne},
		{"a lower target ends no instance", (*run).lowerEndsNone},
		{"delete ends the named and sets the target", (*run).deleteNamed},
		{"an instance that is gone is a success", (*run).goneIsSuccess},
		{"an old epoch has no effect", (*run).oldEpoch},
		{"a pool that does not exist", (*run).noPool},
		{"a target over the limit does nothing", (*run).overLimit},
		{"orders without sense", (*run).invalid},
		{"a context that has ended", (*run).deadline},
		{"concurrent targets end at one of them", (*run).concurrent},
		{"provider ids are never used again", (*run).idsAreFresh},
		{"a stopped instance resumes first", (*run).standby},
		{"a restart forgets nothing", (*run).restart},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, f := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
			defer cancel()
			c.run(&run{T: t, p: p, f: f, ctx: ctx})
		})
	}
}

type run struct {
	*testing.T
	p     cloudprovider.Provider
	f     Fixture
	ctx   context.Context
	token int
}

// change is an order for the fixture's pool, with a fresh token and epoch 1.
func (r *run) change(target int, instances ...string) cloudprovider.Change {
	r.token++
	return cloudprovider.Change{Pool: r.f.Pool, Target: target, Instances: instances, Token: fmt.Sprintf("t%d", r.token), Epoch: 1}
}

func (r *run) set(c cloudprovider.Change) int {
	r.Helper()
	got, err := r.p.SetTarget(r.ctx, c)
	if err != nil {
		r.Fatalf("SetTarget(%+v): %v", c, err)
	}
	return got
}

func (r *run) end(c cloudprovider.Change) int {
	r.Helper()
	got, err := r.p.Delete(r.ctx, c)
	if err != nil {
		r.Fatalf("Delete(%+v): %v", c, err)
	}
	return got
}

func (r *run) refused(want error, c cloudprovider.Change, call func(context.Context, cloudprovider.Change) (int, error)) {
	r.Helper()
	if _, err := call(r.ctx, c); !errors.Is(err, want) {
		r.Errorf("%+v: %v; want: %v", c, err, want)
	}
}

// state is what the provider says of the fixture's pool.
func (r *run) state() cloudprovider.Known {
	r.Helper()
	all, err := r.p.List(r.ctx)
	if err != nil {
		r.Fatalf("List: %v", err)
	}
	for _, s := range all {
		if s.ID != r.f.Pool {
			continue
		}
		if s.Known == nil {
			r.Fatalf("pool %s is unknown: %s", s.ID, s.Unknown)
		}
		return *s.Known
	}
	r.Fatalf("List has no pool %s: %+v", r.f.Pool, all)
	return cloudprovider.Known{}
}

// ids are the instances that are neither stopped nor on their way out.
func (r *run) ids() []string {
	r.Helper()
	var ids []string
	for _, i := range r.state().Instances {
		if i.Phase == cloudprovider.Failed {
			r.Fatalf("instance %s failed: %s", i.ProviderID, i.Message)
		}
		if i.Phase != cloudprovider.Deleting && i.Phase != cloudprovider.Stopped {
			ids = append(ids, i.ProviderID)
		}
	}
	return ids
}

// await asks until there are n instances that stay.
func (r *run) await(n int) []string {
	r.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		ids := r.ids()
		if len(ids) == n {
			return ids
		}
		if time.Now().After(limit) {
			r.Fatalf("%d instances after %s, want %d: %v", len(ids), patience, n, ids)
		}
	}
}

func (r *run) stands(target int, ids []string) {
	r.Helper()
	if k := r.state(); k.Target != target {
		r.Errorf("target %d stands, want %d", k.Target, target)
	}
	if got := r.ids(); !slices.Equal(got, ids) {
		r.Errorf("instances %v, want %v", got, ids)
	}
}

func (r *run) sorted() {
	r.set(r.change(3))
	r.await(3)
	pools, err := r.p.Pools(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	states, err := r.p.List(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	var offered, listed []string
	for _, p := range pools {
		offered = append(offered, p.ID)
		if p.Allocatable.CPUMillis <= 0 || p.Allocatable.MemoryBytes <= 0 || p.Allocatable.Pods <= 0 {
			r.Errorf("pool %s offers %+v", p.ID, p.Allocatable)
		}
	}
	for _, s := range states {
		listed = append(listed, s.ID)
		if (s.Known == nil) == (s.Unknown == "") {
			r.Errorf("pool %s must be either known or unknown: %+v", s.ID, s)
		}
	}
	if !slices.IsSorted(offered) || !slices.Equal(offered, listed) {
		r.Errorf("Pools %v, List %v; want both sorted and the same", offered, listed)
	}
	instances := r.state().Instances
	if !slices.IsSortedFunc(instances, func(a, b cloudprovider.Instance) int {
		if a.ProviderID < b.ProviderID {
			return -1
		}
		return 1
	}) {
		r.Errorf("instances are not sorted, or one is there twice: %+v", instances)
	}
	for _, i := range instances {
		if i.Phase < cloudprovider.Creating || i.Phase > cloudprovider.Failed || i.Created.IsZero() {
			r.Errorf("instance without phase or time: %+v", i)
		}
	}
}

func (r *run) absolute() {
	order := r.change(2)
	for range 3 {
		if got := r.set(order); got != 2 {
			r.Fatalf("SetTarget returned %d, want 2", got)
		}
	}
	ids := r.await(2)
	r.set(r.change(2)) // the same target in a new decision
	r.stands(2, ids)
}

func (r *run) lateRepeat() {
	first := r.change(1)
	r.set(first)
	r.set(r.change(2))
	ids := r.await(2)
	if got := r.set(first); got != 1 {
		r.Errorf("the repeat was answered %d, want 1 as the first time", got)
	}
	r.stands(2, ids)
	gone := r.change(1, ids[0])
	r.end(gone)
	r.await(1)
	r.set(r.change(2))
	ids = r.await(2)
	r.end(gone)
	r.stands(2, ids)
}

func (r *run) tokenNamesOne() {
	first := r.change(1)
	r.set(first)
	ids := r.await(1)
	other := first
	other.Target = 2
	r.refused(cloudprovider.ErrInvalid, other, r.p.SetTarget)
	other.Target, other.Instances = 1, ids
	r.refused(cloudprovider.ErrInvalid, other, r.p.Delete)
	r.stands(1, ids)
}

func (r *run) lowerEndsNone() {
	r.set(r.change(3))
	ids := r.await(3)
	got := r.set(r.change(0))
	r.stands(got, ids)
}

func (r *run) deleteNamed() {
	r.set(r.change(3))
	ids := r.await(3)
	if got := r.end(r.change(1, ids[0], ids[2])); got != 1 {
		r.Errorf("Delete returned %d, want 1", got)
	}
	r.await(1)
	r.stands(1, []string{ids[1]})
}

func (r *run) goneIsSuccess() {
	r.set(r.change(2))
	ids := r.await(2)
	r.end(r.change(1, ids[0]))
	r.await(1)
	r.end(r.change(1, ids[0]))
	r.stands(1, []string{ids[1]})
}

func (r *run) oldEpoch() {
	newer := r.change(1)
	newer.Epoch = 7
	r.set(newer)
	ids := r.await(1)
	old := r.change(3)
	old.Epoch = 6
	r.refused(cloudprovider.ErrOldEpoch, old, r.p.SetTarget)
	old = r.change(0, ids[0])
	old.Epoch = 6
	r.refused(cloudprovider.ErrOldEpoch, old, r.p.Delete)
	r.stands(1, ids)
}

func (r *run) noPool() {
	c := r.change(1)
	c.Pool = "there-is-no-such-pool"
	r.refused(cloudprovider.ErrNoPool, c, r.p.SetTarget)
	c.Target, c.Instances = 0, []string{"x"}
	r.refused(cloudprovider.ErrNoPool, c, r.p.Delete)
}

func (r *run) overLimit() {
	r.set(r.change(1))
	ids := r.await(1)
	pools, err := r.p.Pools(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	at := slices.IndexFunc(pools, func(p cloudprovider.Pool) bool { return p.ID == r.f.Pool })
	r.refused(cloudprovider.ErrOverLimit, r.change(pools[at].Max+1), r.p.SetTarget)
	r.refused(cloudprovider.ErrOverLimit, r.change(pools[at].Max+1, ids[0]), r.p.Delete)
	r.stands(1, ids)
}

func (r *run) invalid() {
	r.refused(cloudprovider.ErrInvalid, r.change(-1), r.p.SetTarget)
	r.refused(cloudprovider.ErrInvalid, r.change(-1, "x"), r.p.Delete)
	nameless := r.change(1)
	nameless.Token = ""
	r.refused(cloudprovider.ErrInvalid, nameless, r.p.SetTarget)
	r.stands(0, nil)
}

func (r *run) deadline() {
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.p.SetTarget(ended, r.change(2)); err == nil {
		r.Error("SetTarget with an ended context succeeded")
	}
	if _, err := r.p.List(ended); err == nil {
		r.Error("List with an ended context succeeded")
	}
	r.stands(0, nil)
}

func (r *run) concurrent() {
	var group errgroup.Group
	for i := range 24 {
		c := r.change(1 + i%3)
		group.Go(func() error {
			_, err := r.p.SetTarget(r.ctx, c)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		r.Fatal(err)
	}
	target := r.state().Target
	if target < 1 || target > 3 {
		r.Fatalf("target %d was never asked for", target)
	}
	r.await(target)
}

func (r *run) idsAreFresh() {
	seen := map[string]bool{}
	for range 3 {
		r.set(r.change(2))
		ids := r.await(2)
		for _, id := range ids {
			if seen[id] {
				r.Fatalf("provider id %s came back", id)
			}
			seen[id] = true
		}
		r.end(r.change(0, ids...))
		r.await(0)
	}
}

// standby: of two machines that are ended one is stopped; it resumes under its id before another is made, and ends when it is
// ended while it is stopped.
func (r *run) standby() {
	if r.f.Standby == "" {
		r.Skip("the provider stops no machines")
	}
	r.f.Pool = r.f.Standby
	r.set(r.change(2))
	ids := r.await(2)
	for _, id := range ids {
		r.running(id)
	}
	first := r.state().Instances[0].Created
	if got := r.end(r.change(0, ids...)); got != 0 {
		r.Errorf("Delete returned %d, want 0", got)
	}
	stopped := r.stopped(1)
	if !slices.Contains(ids, stopped) {
		r.Fatalf("%s is stopped, and %v were ended", stopped, ids)
	}
	r.set(r.change(2))
	now := r.await(2)
	if !slices.Contains(now, stopped) || slices.Contains(now, ids[0]) == slices.Contains(now, ids[1]) {
		r.Errorf("%v, want %s and a new one", now, stopped)
	}
	for _, i := range r.state().Instances {
		if i.ProviderID == stopped && !i.Created.After(first) {
			r.Errorf("created %s, which is not when it resumed", i.Created)
		}
	}
	r.running(stopped)
	r.end(r.change(1, stopped))
	r.stopped(1)
	r.end(r.change(1, stopped))
	r.stopped(0)
}

// running waits until an instance runs: one that is made or resumed still may be ended where it would be stopped.
func (r *run) running(id string) {
	r.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		for _, i := range r.state().Instances {
			if i.ProviderID == id && i.Phase == cloudprovider.Running {
				return
			}
		}
		if time.Now().After(limit) {
			r.Fatalf("%s does not run after %s", id, patience)
		}
	}
}

// stopped waits until so many, one at most, are stopped and none is on its way out, and returns that one.
func (r *run) stopped(n int) string {
	r.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		var ids []string
		leaving := false
		for _, i := range r.state().Instances {
			leaving = leaving || i.Phase == cloudprovider.Deleting
			if i.Phase == cloudprovider.Stopped {
				ids = append(ids, i.ProviderID)
			}
		}
		if !leaving && len(ids) == n {
			return append(ids, "")[0]
		}
		if time.Now().After(limit) {
			r.Fatalf("%v are stopped after %s, want %d", ids, patience, n)
		}
	}
}

func (r *run) restart() {
	if r.f.Restart == nil {
		r.Skip("the fixture has no Restart")
	}
	first := r.change(2)
	first.Epoch = 5
	r.set(first)
	ids := r.await(2)
	r.p = r.f.Restart(r.T)
	r.stands(2, ids)
	if got := r.set(first); got != 2 {
		r.Errorf("a repeat after the restart was answered %d", got)
	}
	other := first
	other.Target = 3
	r.refused(cloudprovider.ErrInvalid, other, r.p.SetTarget)
	old := r.change(3)
	old.Epoch = 4
	r.refused(cloudprovider.ErrOldEpoch, old, r.p.SetTarget)
	r.stands(2, ids)
	next := r.change(1, ids[0])
	next.Epoch = 5
	r.end(next)
	r.await(1)
	r.stands(1, ids[1:])
}
