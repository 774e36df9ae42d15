package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// attemptTimeout bounds one call, taskTimeout all tries of one task.
	attemptTimeout = 5 * time.Second
	taskTimeout    = 20 * time.Second
	// tasksAtOnce bounds what is under way; more wait for their turn.
	tasksAtOnce = 64
)

// tasks carries out what was decided: for each key one task at a time, the newest wish for it next, each try with a
// deadline, tries apart by a growing, jittered pause. The zero value is not ready: use newTasks.
type tasks struct {
	ctx   context.Context
	slots chan struct{}
	// may is asked before each try; its error ends the task.
	may  func() error
	done func(key string, err error)

	mu      sync.Mutex
	current map[string]*task
	wg      sync.WaitGroup
}

type task struct {
	want any // what the running try is for; equal wishes are one
	next *wish
}

type wish struct {
	want any
	do   func(context.Context) error
}

func newTasks(ctx context.Context, may func() error, done func(key string, err error)) *tasks {
	return &tasks{ctx: ctx, slots: make(chan struct{}, tasksAtOnce), may: may, done: done, current: map[string]*task{}}
}

// do starts do for key, unless the same is under way. A different wish for a busy key is done next, and replaces one that
// waited. do returns a backoff.Permanent error for what no retry mends.
func (t *tasks) do(key string, want any, do func(context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if running := t.current[key]; running != nil {
		running.next = nil
		if running.want != want {
			running.next = &wish{want: want, do: do}
		}
		return
	}
	t.current[key] = &task{want: want}
	t.wg.Go(func() { t.run(key, wish{want: want, do: do}) })
}

// wait returns when all tasks have ended; they end soon after the context does.
func (t *tasks) wait() { t.wg.Wait() }

func (t *tasks) run(key string, w wish) {
	for {
		select {
		case t.slots <- struct{}{}:
		case <-t.ctx.Done():
			return
		}
		err := t.try(w.do)
		<-t.slots
		t.mu.Lock()
		next := t.current[key].next
		if next == nil {
			delete(t.current, key)
		} else {
			t.current[key] = &task{want: next.want}
		}
		t.mu.Unlock()
		t.done(key, err)
		if next == nil {
			return
		}
		w = *next
	}
}

func (t *tasks) try(do func(context.Context) error) error {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(taskTimeout),
	)
	err := backoff.Retry(func() error {
		if err := t.may(); err != nil {
			return backoff.Permanent(err)
		}
		ctx, cancel := context.WithTimeout(t.ctx, attemptTimeout)
		defer cancel()
		return do(ctx)
	}, backoff.WithContext(b, t.ctx))
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		return permanent.Err
	}
	return err
}
