package simulator

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogramIsPreciseToAThousandth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h histogram
		var all []time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			d := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "d"))
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		q := rapid.Float64Range(0.001, 1).Draw(t, "q")
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
		if got := h.quantile(q); got > want || float64(want-got) > float64(want)/1000+float64(time.Microsecond) {
			t.Fatalf("quantile %g is %s, not %s", q, got, want)
		}
	})
}

func TestEventsComeInOrder(t *testing.T) {
	var e events
	r := rand.New(rand.NewPCG(1, 2))
	var got []int
	for i := range 1000 {
		at := time.Duration(r.IntN(50))
		e.at(at, func() { got = append(got, int(at)*1000+i) })
	}
	for len(e.heap) > 0 {
		e.pop().call()
	}
	if len(got) != 1000 || !slices.IsSorted(got) {
		t.Error("events come out of order, or not all of them")
	}
}

func TestTrendCountsWindows(t *testing.T) {
	tr := trend{window: time.Minute, ends: time.Minute, target: 2}
	tr.add(0, 90*time.Second, 3)                // a window of 3, half a window of 3
	tr.add(90*time.Second, 2*time.Minute, 9)    // 6 on average
	tr.add(2*time.Minute, 100*time.Minute, 0)   // quiet
	tr.add(100*time.Minute, 101*time.Minute, 2) // one replica
	if tr.moved != 2+1+3+1 {
		t.Errorf("the trend moved %d replicas, not 7", tr.moved)
	}
}

func TestHPALimits(t *testing.T) {
	var m hpaMemory
	if n := m.limitUp(0, 100, 1); n != 5 {
		t.Errorf("from 1 up to %d at once, not 5", n)
	}
	if n := m.limitUp(time.Second, 100, 5); n != 5 {
		t.Errorf("%d a second later, not 5: four came in these 15 s", n)
	}
	if n := m.limitUp(16*time.Second, 100, 5); n != 10 {
		t.Errorf("%d after 15 s, not 10", n)
	}
	m = hpaMemory{}
	m.stabilise(0, 8, 8)
	if n := m.stabilise(299*time.Second, 2, 8); n != 8 {
		t.Errorf("down to %d within 300 s", n)
	}
	if n := m.stabilise(301*time.Second, 2, 8); n != 2 {
		t.Errorf("%d after 300 s, not 2", n)
	}
}

func TestHybridWindows(t *testing.T) {
	var m hybridMemory
	if p, k := m.windows(); p != 0 || k != hybridStay {
		t.Errorf("knowing nothing: %s to %s", p, k)
	}
	for range 50 {
		m.add(20*time.Minute + 30*time.Second)
	}
	if p, k := m.windows(); p != 18*time.Minute || k != 24*time.Minute {
		t.Errorf("with idle times of 20 minutes it is loaded from %s to %s, not 18m to 24m", p, k)
	}
	for range 60 {
		m.add(5 * time.Hour)
	}
	if p, k := m.windows(); p != 0 || k != hybridStay {
		t.Errorf("with idle times beyond the bins: %s to %s", p, k)
	}
}
