package bench

import (
	"slices"
	"testing"
	"time"
)

func TestJoins(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	order := func(second, from, to, ended int) action {
		return action{Kind: "order", From: from, To: to, Ended: ended, Done: at(second)}
	}
	for name, c := range map[string]struct {
		actions []action
		ready   []time.Time
		want    []time.Duration
	}{
		"in their order":                    {[]action{order(0, 0, 1, 0), order(1, 1, 3, 0)}, []time.Time{at(6), at(4), at(5)}, []time.Duration{4 * time.Second, 4 * time.Second, 5 * time.Second}},
		"one is cancelled":                  {[]action{order(0, 0, 1, 0), order(1, 1, 2, 0), order(2, 2, 1, 0), order(60, 1, 2, 0)}, []time.Time{at(4), at(63)}, []time.Duration{4 * time.Second, 3 * time.Second}},
		"one that has joined is ended":      {[]action{order(0, 0, 2, 0), order(5, 2, 1, 1), order(6, 1, 2, 0)}, []time.Time{at(4), at(4), at(9)}, []time.Duration{4 * time.Second, 4 * time.Second, 3 * time.Second}},
		"planned before the last was known": {[]action{order(0, 0, 1, 0), order(1, 0, 3, 0), order(20, 3, 0, 3), order(35, 0, 1, 0)}, []time.Time{at(4), at(4), at(5), at(38)}, []time.Duration{4 * time.Second, 3 * time.Second, 4 * time.Second, 3 * time.Second}},
		"one never joins":                   {[]action{order(0, 0, 2, 0)}, []time.Time{at(4)}, []time.Duration{4 * time.Second}},
		"scales are not orders":             {[]action{{Kind: "scale", From: 0, To: 1, Done: at(0)}}, []time.Time{at(4)}, nil},
		"one was there before it began":     {[]action{order(5, 1, 2, 0)}, []time.Time{at(4), at(8)}, []time.Duration{3 * time.Second}},
	} {
		if got := joins(c.actions, c.ready); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}
