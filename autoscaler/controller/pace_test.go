package controller

import (
	"testing"
	"time"
)

func TestWhenTheNextPlanIsDue(t *testing.T) {
	const ms = time.Millisecond
	zero := time.Unix(1000, 0)
	for _, c := range []struct {
		name   string
		took   time.Duration // the last plan, which ended at zero
		wants  []string
		at     time.Duration // of the last of them; the others came at zero
		wait   time.Duration
		sooner bool
		cause  string
	}{
		{"a tick does not wait", 50 * ms, []string{"tick"}, 0, 0, true, "tick"},
		{"a change waits for its swarm", ms, []string{"change"}, 2 * ms, 3 * ms, true, "change"},
		{"a late change does not wait", ms, []string{"change"}, 9 * ms, 0, true, "change"},
		{"a queue waits as long as the last plan took", 8 * ms, []string{"queue"}, 2 * ms, 6 * ms, true, "queue"},
		{"a queue after a cheap plan does not wait", 0, []string{"queue"}, 0, 0, true, "queue"},
		{"a queue goes before a change that waits", ms, []string{"change", "queue"}, ms, 0, true, "queue"},
		{"a change is answered with the queue's plan", 8 * ms, []string{"queue", "change"}, ms, 0, false, "queue"},
		{"a second queue is answered with the first's", 8 * ms, []string{"queue", "queue"}, ms, 0, false, "queue"},
	} {
		var p pace
		p.planned(zero.Add(-c.took), zero)
		var wait time.Duration
		var sooner bool
		for i, cause := range c.wants {
			now := zero
			if i == len(c.wants)-1 {
				now = zero.Add(c.at)
			}
			wait, sooner = p.want(cause, now, now)
		}
		if wait != c.wait || sooner != c.sooner {
			t.Errorf("%s: %v %v, want %v %v", c.name, wait, sooner, c.wait, c.sooner)
		}
		if cause, _ := p.take(); cause != c.cause {
			t.Errorf("%s: caused by %q, want %q", c.name, cause, c.cause)
		}
		if cause, _ := p.take(); cause != "" {
			t.Errorf("%s: %q is due twice", c.name, cause)
		}
	}
}
