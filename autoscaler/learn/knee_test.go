package learn

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// serve adds minutes of a pod at some concurrency that has so many workers, each of which takes a second.
func serve(k *Knee, workers, concurrency float64) {
	k.Add(60, 60*concurrency, 60*math.Min(concurrency, workers))
}

// after is the target once it has had time to move.
func after(k *Knee, start float64) (target float64, ok bool) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 60 {
		now = now.Add(time.Minute)
		target, ok = k.Target(now, start, 1, 1000)
	}
	return target, ok
}

func TestTheKneeIsWhereThroughputEnds(t *testing.T) {
	for _, start := range []float64{2, 100} {
		var k Knee
		for _, c := range []float64{2, 4, 8, 16, 32} {
			serve(&k, 8, c)
		}
		if target, ok := after(&k, start); !ok || target < 7 || target > 9 {
			t.Errorf("from %v: %v %v, want the 8 that it has workers for", start, target, ok)
		}
	}
}

func TestItFindsOutWhatIsHigher(t *testing.T) {
	var k Knee
	for _, c := range []float64{2, 4, 8} {
		serve(&k, 100, c)
	}
	if target, ok := after(&k, 4); !ok || target < 11 || target > 12 {
		t.Errorf("%v %v: a half octave above what was seen", target, ok)
	}
}

func TestWithoutEvidenceItIsOff(t *testing.T) {
	var k Knee
	serve(&k, 8, 2)
	serve(&k, 8, 4)
	k.Add(5, 5*8, 40) // five seconds are none
	if target, ok := after(&k, 70); ok || target != 70 {
		t.Errorf("%v %v from two levels", target, ok)
	}
}

func TestItMovesByATenthAMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k Knee
		for range rapid.IntRange(0, 20).Draw(t, "levels") {
			k.Add(60, 60*rapid.Float64Range(0, 2000).Draw(t, "busy"), rapid.Float64Range(0, 1e5).Draw(t, "ended"))
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		last, ok := k.Target(now, 50, 1, 100)
		for range 10 {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
			next, again := k.Target(now, 50, 1, 100)
			if ok != again || next > last*1.1000001 || next < last/1.1000001 || next < 1 || next > 100 {
				t.Fatalf("%v after %v", next, last)
			}
			last = next
		}
	})
}
