package simulator

import (
	"math"
	"time"
)

// trend is the measure against which the replicas' movement counts as thrash: how much the replicas that a workload's
// demand needed have moved, where demand is concurrency (held and in flight) averaged over stable windows that follow one
// another, and a replica takes Policy.Target of it.
//
//	thrash = sum of |change of the replicas asked for| / max(1, sum of |change of the replicas needed by the trend|)
//
// both over all workloads. A policy that follows each window's demand and no more has 1; one that flaps has more; one that
// never moves has 0.
type trend struct {
	window, ends time.Duration
	target       float64
	sum          float64 // request-seconds in the window at hand
	needed       int
	moved        int
}

// add takes in a concurrency that held from one time to another.
func (t *trend) add(from, to time.Duration, concurrency float64) {
	for to >= t.ends {
		t.sum += concurrency * (t.ends - from).Seconds()
		from = t.ends
		t.close()
		if concurrency == 0 && t.needed == 0 && t.sum == 0 {
			t.ends = to - to%t.window + t.window // nothing moves in the quiet
			return
		}
	}
	t.sum += concurrency * (to - from).Seconds()
}

func (t *trend) close() {
	n := int(math.Ceil(math.Round(t.sum/t.window.Seconds()/t.target*1e6) / 1e6))
	t.moved += max(n-t.needed, t.needed-n)
	t.needed, t.sum = n, 0
	t.ends += t.window
}
