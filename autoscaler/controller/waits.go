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
	of      map[autoscaler.WorkloadID]*waitHistogram
	rotated time.Time
}

// waitHistogram counts by wire.WaitBin, in this window and the one before.
type waitHistogram [2][wire.WaitBins]uint64

// add takes in a report's counts. What cannot be is left out.
func (w *waits) add(now time.Time, r *wire.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotate(now)
	for _, line := range r.GetWorkloads() {
		if len(line.GetWaits()) == 0 {
			continue
		}
		id := autoscaler.WorkloadID(line.GetWorkload())
		h := w.of[id]
		if h == nil {
			if len(w.of) >= mostWaits {
				continue
			}
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

// mostWaits bounds what gateways can make the controller remember; statuses clean up after each plan.
const mostWaits = 1_000_000

// rotate begins a new window when it is time. The lock is held.
func (w *waits) rotate(now time.Time) {
	if w.of == nil {
		w.of, w.rotated = map[autoscaler.WorkloadID]*waitHistogram{}, now
	}
	over := now.Sub(w.rotated) / waitWindow
	if over <= 0 {
		return
	}
	w.rotated = now
	for _, h := range w.of {
		h[1], h[0] = h[0], [wire.WaitBins]uint64{}
		if over > 1 {
			h[1] = h[0]
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

// keep forgets all others.
func (w *waits) keep(ids map[autoscaler.WorkloadID]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.of) <= len(ids) {
		return
	}
	for id := range w.of {
		if !ids[id] {
			delete(w.of, id)
		}
	}
}
