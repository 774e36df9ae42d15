package predictors

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantilesOfTheNormalDistribution(t *testing.T) {
	for _, c := range []struct{ q, want float64 }{{0.5, 0}, {0.9, 1.2816}, {0.99, 2.3263}, {0.01, -2.3263}, {0.999, 3.0902}} {
		if got := normalQuantile(c.q); math.Abs(got-c.want) > 5e-4 {
			t.Errorf("quantile %v: %v, want %v", c.q, got, c.want)
		}
	}
}

func TestRecent(t *testing.T) {
	for _, c := range []struct {
		name                           string
		mean, latest, deviation, apart float64
		horizon                        float64
		want                           Outlook
	}{
		{"steady", 10, 10, 2, 27, 5, Outlook{10, 2}},
		{"a rise goes on", 10, 37, 2, 27, 5, Outlook{42, 2}},
		{"a fall does not", 10, 1, 2, 27, 5, Outlook{10, 2}},
		{"no distance, no slope", 10, 12, 0, 0, 5, Outlook{12, 0}},
	} {
		if got := Recent(c.mean, c.latest, c.deviation, c.apart, c.horizon); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestQuantilesGrow: with the probability, and none is negative.
func TestQuantilesGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Outlook{rapid.Float64Range(0, 1e6).Draw(t, "mean"), rapid.Float64Range(0, 1e6).Draw(t, "deviation")}
		a, b := rapid.Float64Range(0.001, 0.999).Draw(t, "a"), rapid.Float64Range(0.001, 0.999).Draw(t, "b")
		if lo, hi := o.Quantile(min(a, b)), o.Quantile(max(a, b)); lo > hi+1e-3*o.Deviation || lo < 0 {
			t.Errorf("%+v: quantile %v is %v, of %v it is %v", o, min(a, b), lo, max(a, b), hi)
		}
	})
}
