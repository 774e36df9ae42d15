package controller

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/goleak"
)

// outcome is what done was told.
type outcome struct {
	key string
	err error
}

func tasksFor(t *testing.T) (*tasks, <-chan outcome, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan outcome, 100)
	ts := newTasks(ctx, func() error { return nil }, func(key string, err error) { done <- outcome{key, err} })
	t.Cleanup(func() {
		cancel()
		ts.wait()
		goleak.VerifyNone(t)
	})
	return ts, done, cancel
}

func TestForEachKeyOneTaskAtATimeAndTheNewestNext(t *testing.T) {
	ts, done, _ := tasksFor(t)
	started, release := make(chan int, 10), make(chan struct{})
	var atOnce atomic.Int32
	work := func(n int) func(context.Context) error {
		return func(context.Context) error {
			if atOnce.Add(1) > 1 {
				t.Error("two tasks of one key at once")
			}
			started <- n
			<-release
			atOnce.Add(-1)
			return nil
		}
	}
	ts.do("a", 1, work(1))
	<-started
	ts.do("a", 1, work(10)) // the same is under way
	ts.do("a", 2, work(2))  // waits
	ts.do("a", 3, work(3))  // replaces it
	close(release)
	if next := <-started; next != 3 {
		t.Errorf("%d came next, not the newest", next)
	}
	<-done
	<-done
	ts.wait()
	if len(started) > 0 {
		t.Errorf("%d was done too", <-started)
	}
}

func TestAWishToStayAsItIsTakesTheNextOneBack(t *testing.T) {
	ts, done, _ := tasksFor(t)
	started, release := make(chan int, 10), make(chan struct{})
	ts.do("a", 1, func(context.Context) error { started <- 1; <-release; return nil })
	<-started
	ts.do("a", 2, func(context.Context) error { started <- 2; return nil })
	ts.do("a", 1, func(context.Context) error { started <- 1; return nil })
	close(release)
	<-done
	ts.wait()
	if len(started) > 0 {
		t.Errorf("%d was done though it was taken back", <-started)
	}
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	ts, done, _ := tasksFor(t)
	release := make(chan struct{})
	ts.do("slow", 1, func(context.Context) error { <-release; return nil })
	ts.do("quick", 1, func(context.Context) error { return nil })
	if o := <-done; o.key != "quick" {
		t.Errorf("%s was first", o.key)
	}
	close(release)
	<-done
}

func TestATryThatFailsIsRepeatedAndAPermanentOneIsNot(t *testing.T) {
	ts, done, _ := tasksFor(t)
	tries := 0
	ts.do("a", 1, func(context.Context) error {
		if tries++; tries < 2 {
			return errors.New("busy")
		}
		return nil
	})
	if o := <-done; o.err != nil || tries != 2 {
		t.Errorf("%d tries, %v", tries, o.err)
	}
	refused := errors.New("refused")
	tries = 0
	ts.do("a", 2, func(context.Context) error { tries++; return backoff.Permanent(refused) })
	if o := <-done; !errors.Is(o.err, refused) || tries != 1 {
		t.Errorf("%d tries, %v", tries, o.err)
	}
}

func TestTasksEndWithTheContext(t *testing.T) {
	ts, done, cancel := tasksFor(t)
	started := make(chan struct{}, 1)
	ts.do("a", 1, func(ctx context.Context) error {
		select {
		case started <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	})
	<-started
	cancel()
	ts.wait()
	if o := <-done; !errors.Is(o.err, context.Canceled) {
		t.Error(o.err)
	}
	ts.do("b", 1, func(context.Context) error { return nil })
	ts.wait() // comes back, whether b was done or not
	keys := []string{}
	for len(done) > 0 {
		keys = append(keys, (<-done).key)
	}
	if slices.Contains(keys, "a") {
		t.Error("a was done twice")
	}
}

// TestOneWhoLeadsNoMoreWritesNothing: each try asks first, also the ones after a pause.
func TestOneWhoLeadsNoMoreWritesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	leads := true
	done := make(chan error, 1)
	ts := newTasks(ctx, func() error {
		if leads {
			return nil
		}
		return errDeposed
	}, func(_ string, err error) { done <- err })
	tries := 0
	ts.do("a", 1, func(context.Context) error {
		tries++
		leads = false
		return errors.New("the API server does not answer")
	})
	if err := <-done; !errors.Is(err, errDeposed) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
	ts.wait()
}
