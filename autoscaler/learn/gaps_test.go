package learn

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func gapsOf(list ...time.Duration) *Gaps {
	g := &Gaps{}
	for _, d := range list {
		g.Add(d)
	}
	return g
}

func TestKeep(t *testing.T) {
	half := slices.Concat(slices.Repeat([]time.Duration{20 * time.Second}, 10), slices.Repeat([]time.Duration{time.Hour}, 10))
	for _, c := range []struct {
		name     string
		gaps     []time.Duration
		cold     time.Duration
		min, max time.Duration
	}{
		{"nothing known", nil, time.Minute, 0, 0},
		{"short gaps are bridged", slices.Repeat([]time.Duration{20 * time.Second}, 10), time.Minute, 20 * time.Second, 40 * time.Second},
		{"an hour is not, for a minute's worth", slices.Repeat([]time.Duration{time.Hour}, 10), time.Minute, 0, 0},
		{"an hour is, for a day's worth", slices.Repeat([]time.Duration{time.Hour}, 10), 24 * time.Hour, time.Hour, 2 * time.Hour},
		{"of two kinds the short ones are", half, time.Minute, 20 * time.Second, 40 * time.Second},
		{"a cheap cold start bridges nothing", half, time.Second, 0, 0},
	} {
		if got := gapsOf(c.gaps...).Keep(c.cold); got < c.min || got > c.max {
			t.Errorf("%s: %v, want %v to %v", c.name, got, c.min, c.max)
		}
	}
}

func TestGapsFade(t *testing.T) {
	g := gapsOf(slices.Repeat([]time.Duration{time.Hour}, 100)...)
	for range 1000 {
		g.Add(10 * time.Second)
	}
	if n := g.Count(); n > gapsKept {
		t.Errorf("%d gaps are kept", n)
	}
	if got := g.Keep(time.Minute); got < 10*time.Second || got > 20*time.Second {
		t.Errorf("the last thousand gaps are of 10 s, kept for %v", got)
	}
	g.Add(-time.Second)
	g.Add(1 << 62)
}

// TestDearerColdStartsKeepLonger whatever the gaps are.
func TestDearerColdStartsKeepLonger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &Gaps{}
		for _, s := range rapid.SliceOf(rapid.IntRange(0, 400_000)).Draw(t, "gaps") {
			g.Add(time.Duration(s) * time.Second)
		}
		a, b := rapid.IntRange(0, 100_000).Draw(t, "a"), rapid.IntRange(0, 100_000).Draw(t, "b")
		if cheap, dear := g.Keep(time.Duration(min(a, b))*time.Second), g.Keep(time.Duration(max(a, b))*time.Second); cheap > dear {
			t.Errorf("%v for %d s, %v for %d s", cheap, min(a, b), dear, max(a, b))
		}
	})
}
