package window_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/window"
)

func at(second int) time.Time { return time.Unix(1_000_000+int64(second), 0) }

func TestMean(t *testing.T) {
	type add struct {
		second int
		value  float64
	}
	for _, c := range []struct {
		name string
		adds []add
		now  int
		want float64
	}{
		{"nothing", nil, 0, 0},
		{"one second is averaged over itself", []add{{0, 6}}, 0, 6},
		{"values of one second add up", []add{{0, 6}, {0, 4}}, 0, 10},
		{"younger than the window: over its age", []add{{0, 6}, {1, 2}}, 1, 4},
		{"a gap counts as zero", []add{{0, 6}, {2, 6}}, 2, 4},
		{"full: the oldest second falls out", []add{{0, 100}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}}, 5, 1},
		{"silence is not zero", []add{{0, 6}, {1, 6}}, 3, 6},
		{"silence lets old seconds go", []add{{0, 10}, {1, 10}, {2, 10}, {3, 0}, {4, 0}}, 6, 10.0 / 3},
		{"as silent as it is long: nothing is known", []add{{0, 6}}, 5, 0},
		{"a silence as long as the window starts it anew", []add{{0, 100}, {5, 2}}, 5, 2},
		{"late values count in their second", []add{{2, 4}, {0, 2}}, 2, 2},
		{"later than the window: dropped", []add{{10, 4}, {5, 100}}, 10, 4},
		{"sums of floats do not show", []add{{0, 0.1}, {0, 0.2}}, 0, 0.3},
		{"less than a millionth is nothing", []add{{0, 4e-7}}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := window.New(5 * time.Second)
			for _, a := range c.adds {
				w.Add(at(a.second), a.value)
			}
			if got := w.Mean(at(c.now)); math.Abs(got-c.want) > 1e-6 {
				t.Errorf("%v, not %v", got, c.want)
			}
		})
	}
}

func TestLengthIsInWholeSeconds(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{
		-time.Second: time.Second, 0: time.Second, time.Millisecond: time.Second, time.Second: time.Second, 1500 * time.Millisecond: 2 * time.Second,
	} {
		if got := window.New(length).Length(); got != want {
			t.Errorf("%s becomes %s, not %s", length, got, want)
		}
	}
}

// naive keeps all that was added and counts again each time.
type naive struct {
	length, first, last int
	used                bool
	values              map[int]float64
}

func (n *naive) add(second int, v float64) {
	switch {
	case !n.used || second-n.last >= n.length:
		n.values, n.first, n.last, n.used = map[int]float64{}, second, second, true
	case second <= n.last-n.length:
		return
	}
	n.first, n.last = min(n.first, second), max(n.last, second)
	n.values[second] += v
}

func (n *naive) mean(now int) float64 {
	if !n.used || now-n.last >= n.length {
		return 0
	}
	total, seconds := 0.0, 0
	for s := max(n.first, now-n.length+1); s <= n.last; s++ {
		total += n.values[s]
	}
	seconds = min(n.length-(now-n.last), n.last-n.first+1)
	return total / float64(seconds)
}

func TestAverageEqualsTheNaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(1, 12).Draw(t, "length")
		w, n := window.New(time.Duration(length)*time.Second), naive{length: length}
		now := 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, 5, 13}).Draw(t, "step")
			second, v := now-rapid.SampledFrom([]int{0, 0, 0, 1, 4, 12}).Draw(t, "late"), float64(rapid.IntRange(0, 100).Draw(t, "value"))
			w.Add(at(second), v)
			n.add(second, v)
			ask := max(now, n.last) + rapid.IntRange(0, 14).Draw(t, "ask")
			if got, want := w.Mean(at(ask)), n.mean(ask); math.Abs(got-want) > 1e-5 {
				t.Fatalf("at %d: %v, not %v", ask, got, want)
			}
			if got, want := w.Empty(at(ask)), ask-n.last >= length; got != want {
				t.Fatalf("at %d: empty %v, not %v", ask, got, want)
			}
		}
	})
}

func TestResizeKeepsTheRecentSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, next := rapid.IntRange(1, 12).Draw(t, "old"), rapid.IntRange(1, 12).Draw(t, "new")
		w, n := window.New(time.Duration(old)*time.Second), naive{length: old}
		now := 0
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now += rapid.IntRange(0, 2).Draw(t, "step")
			v := float64(rapid.IntRange(0, 100).Draw(t, "value"))
			w.Add(at(now), v)
			n.add(now, v)
		}
		r := w.Resize(time.Duration(next) * time.Second)
		if r.Length() != time.Duration(next)*time.Second {
			t.Fatalf("length %s", r.Length())
		}
		n.length = min(old, next)
		if got, want := r.Mean(at(now)), n.mean(now); math.Abs(got-want) > 1e-5 {
			t.Fatalf("%d s made %d s: %v, not %v", old, next, got, want)
		}
	})
}

func TestResizeOfNothing(t *testing.T) {
	if w := window.New(time.Second).Resize(time.Minute); !w.Empty(at(0)) || w.Length() != time.Minute {
		t.Errorf("%+v", w)
	}
}

func TestLargest(t *testing.T) {
	const granularity, length = 2 * time.Second, 10 * time.Second
	var peaks []window.Peak
	for _, c := range []struct{ second, value, want int }{
		{0, 5, 5}, {2, 9, 9}, {4, 1, 9}, {6, 3, 9}, {10, 2, 9}, {12, 2, 3}, {14, 2, 3}, {16, 1, 2}, {40, 0, 0},
	} {
		before := append([]window.Peak(nil), peaks...)
		got, next := window.Largest(peaks, at(c.second), c.value, length, granularity)
		if got != c.want {
			t.Errorf("second %d: %d, not %d", c.second, got, c.want)
		}
		if diff := cmp.Diff(before, peaks); diff != "" {
			t.Errorf("it changed its argument:\n%s", diff)
		}
		peaks = next
	}
}

func TestLargestEqualsTheNaiveOne(t *testing.T) {
	type wish struct{ bucket, value int }
	rapid.Check(t, func(t *rapid.T) {
		buckets := rapid.IntRange(1, 10).Draw(t, "buckets")
		var peaks []window.Peak
		var all []wish
		now := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += rapid.IntRange(0, 4).Draw(t, "step")
			w := wish{bucket: (1_000_000 + now) / 2, value: rapid.IntRange(0, 9).Draw(t, "value")}
			all = append(all, w)
			want := 0
			for _, o := range all {
				if w.bucket-o.bucket < buckets {
					want = max(want, o.value)
				}
			}
			var got int
			if got, peaks = window.Largest(peaks, at(now), w.value, time.Duration(buckets)*2*time.Second, 2*time.Second); got != want {
				t.Fatalf("second %d: %d, not %d", now, got, want)
			}
			if len(peaks) > buckets {
				t.Fatalf("%d peaks for %d buckets", len(peaks), buckets)
			}
		}
	})
}

func TestDeviationStaysBelowWhatItIsAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(2, 20).Draw(t, "length")
		a := window.New(time.Duration(length) * time.Second)
		now := 0
		for range rapid.IntRange(1, 30).Draw(t, "values") {
			now += rapid.IntRange(0, 3).Draw(t, "later")
			a.Add(at(now), rapid.Float64Range(0, 10).Draw(t, "value"))
		}
		most := a.DeviationAtMost(at(now))
		for end := now + length + 2; now <= end; now++ {
			a.Rest(at(now))
			if got := a.Deviation(at(now)); got > most {
				t.Fatalf("%g, and at most %g was said", got, most)
			}
		}
	})
}
