package controller

import (
	"sync"
	"time"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/autoscaler"
)

// waitWindow is how long waits count for the status at least; at most twice as long.
const waitWindow = 5 * time.Minute

// waits are how long requests waited for a slot lately, by workload: what the objective is held against, for people. Plan does
// not need them.
type waits struct {
	mu      sync.Mutex
	of      map[autoscaler.WorkloadID]*waitHistogram // of those that are routed; nil until there are counts
	rotated time.Time
}

// waitHistogram counts by wire.WaitBin, in this window and the one before.
type waitHistogram [2][wire.WaitBins]uint64

// add takes in a report's counts. What cannot be is left out, and what is of workloads that are not routed.
func (w *waits) add(now time.Time, r *wire.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotate(now)
	for _, line := range r.GetWorkloads() {
		id := autoscaler.WorkloadID(line.GetWorkload())
		h, routed := w.of[id]
		if !routed || len(line.GetWaits()) == 0 {
			continue
		}
		if h == nil {
			h = &waitHistogram{}
			w.of[id] = h
		}
		for bin, n := range line.GetWaits() {
			if bin < wire.WaitBins && n <= mostRequests {
				h[0][bin] += n
			}
		}
	}
}

// rotate begins a new window when it is time. The lock is held.
func (w *waits) rotate(now time.Time) {
	over := now.Sub(w.rotated) / waitWindow
	if over <= 0 {
		return
	}
	w.rotated = now
	for id, h := range w.of {
		switch {
		case h == nil:
		case over > 1:
			w.of[id] = nil
		default:
			h[1], h[0] = h[0], [wire.WaitBins]uint64{}
		}
	}
}

// p99 is the wait that 99 of 100 requests did not exceed lately, to a half octave; false without requests.
func (w *waits) p99(now time.Time, id autoscaler.WorkloadID) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotate(now)
	h := w.of[id]
	if h == nil {
		return 0, false
	}
	total := uint64(0)
	for bin := range wire.WaitBins {
		total += h[0][bin] + h[1][bin]
	}
	if total == 0 {
		return 0, false
	}
	longer := uint64(0)
	for bin := wire.WaitBins - 1; bin > 0; bin-- {
		if longer += h[0][bin] + h[1][bin]; longer*100 > total {
			return wire.WaitBound(bin), true
		}
	}
	return 0, true
}

// route says which workloads are counted; of others nothing is remembered.
func (w *waits) route(ids map[autoscaler.WorkloadID]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[autoscaler.WorkloadID]*waitHistogram, len(ids))
	}
	for id := range w.of {
		if !ids[id] {
			delete(w.of, id)
		}
	}
	for id := range ids {
		if _, known := w.of[id]; !known {
			w.of[id] = nil
		}
	}
}
