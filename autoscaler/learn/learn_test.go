package learn_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/learn"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		name    string
		samples []time.Duration
		q       float64
		want    time.Duration
	}{
		{"without samples the prior", nil, 0.9, 7},
		{"one sample is each quantile", []time.Duration{3}, 0.9, 3},
		{"the median", []time.Duration{5, 1, 3}, 0.5, 3},
		{"nine of ten are at most it", []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.9, 9},
		{"all are at most it", []time.Duration{1, 2, 3}, 1, 3},
		{"below the first", []time.Duration{1, 2, 3}, 0.0001, 1},
		{"negative ones, of a clock that stepped, do not count", []time.Duration{-5, 4}, 0.1, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d learn.Durations
			for _, s := range c.samples {
				d.Add(s)
			}
			if got := d.Quantile(c.q, 7); got != c.want {
				t.Errorf("%d, not %d", got, c.want)
			}
		})
	}
}

func TestTheLast64SamplesCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d learn.Durations
		var all []time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "samples") {
			s := time.Duration(rapid.IntRange(0, 1000).Draw(t, "sample"))
			d.Add(s)
			all = append(all, s)
		}
		last := slices.Clone(all[max(0, len(all)-64):])
		slices.Sort(last)
		if d.Count() != len(last) {
			t.Fatalf("%d count, not %d", d.Count(), len(last))
		}
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		if got, want := d.Quantile(q, 0), last[int(math.Ceil(q*float64(len(last))))-1]; got != want {
			t.Fatalf("%d, not %d", got, want)
		}
	})
}
