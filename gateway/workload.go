package gateway

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wholescale/wholescale/api/wire/trace"
)

// workload is the traffic of one scaled thing in this gateway. Its lock covers slots, queue and meter together, so that
// no slot stays free while somebody waits for it.
type workload struct {
	name     string
	hub      *hub
	line     line
	settings atomic.Pointer[route] // of the last Routes; nil until it is named there
	outcomes [len(outcomes)]atomic.Uint64

	lastUrgent time.Time // owned by the link's sender

	mu      sync.Mutex
	slots   slots
	meter   meter
	hold    hold
	traced  trace.Context // of the request that was held first, while any is
	active  bool          // in the hub's list of workloads to report
	removed bool          // no longer routed: takes no more requests
}

// hold is what the controller says that waiting requests may hope for.
type hold struct {
	refuse   bool
	reason   string
	arrivals []time.Time // sorted
}

// next returns the first arrival after now; zero when none is known.
func (h hold) next(now time.Time) time.Time {
	for _, at := range h.arrivals {
		if at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// arrive counts a request and gives it a pod with its slot taken, a place in the line, or a refusal.
func (w *workload) arrive(rt *route, now time.Time) (*pod, *waiter, *refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meter.arrive(now)
	w.activate()
	if w.removed {
		return nil, nil, refuseRemoved
	}
	if w.line.len() == 0 { // otherwise those who wait come first
		if p := w.slots.take(); p != nil {
			w.meter.served(0)
			return p, nil, nil
		}
	}
	if w.hold.refuse {
		return nil, nil, &refusal{status: 503, outcome: outcomeRefused, reason: orElse(w.hold.reason, "no capacity is coming")}
	}
	wt := newWaiter(now, nil)
	if w.hub.config.Traces != nil && w.line.len() == 0 {
		wt.trace = trace.New()
		w.traced = wt.trace
	}
	if no := w.hub.queue.push(&w.line, wt, rt.queueLimit); no != nil {
		return nil, nil, no
	}
	wt.record = w.hub.records.add(w.name, now)
	w.hub.urgent(w)
	return nil, wt, nil
}

// leave ends a request that arrive counted, and hands its slot on. p is nil when it had none.
func (w *workload) leave(p *pod, now time.Time, service time.Duration, how outcome) {
	w.outcomes[how].Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meter.leave(now, service, how == outcomeAnswered)
	if p != nil {
		w.slots.put(p)
		w.dispatch(now)
	}
}

// unreachable gives back the slot of a pod that could not be dialled, has it probed again, and puts the request back to
// its old place in the line.
func (w *workload) unreachable(p *pod, wt *waiter, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slots.close(p) {
		w.startProbe(p)
	}
	w.slots.put(p)
	if w.removed {
		wt.verdict <- verdict{refusal: refuseRemoved}
		return
	}
	w.hub.queue.pushBack(&w.line, wt)
	w.dispatch(now)
	w.hub.urgent(w)
}

// dispatch gives free slots to those who wait, in their order. The caller holds the lock.
func (w *workload) dispatch(now time.Time) {
	for w.line.len() > 0 {
		p := w.slots.take()
		if p == nil {
			return
		}
		wt := w.hub.queue.pop(&w.line)
		if wt == nil { // the last one left at this moment
			w.slots.put(p)
			return
		}
		wt.record.write(func(s *stages) {
			s.Endpoint, s.Probed, s.Released, s.Pod = p.known.UnixNano(), p.probed.UnixNano(), now.UnixNano(), p.name
		})
		w.meter.served(now.Sub(wt.arrived))
		if p.probed.After(wt.arrived) {
			w.hub.counts.coldStage(stageHold, now.Sub(wt.arrived))
		}
		wt.verdict <- verdict{pod: p}
	}
}

// setEndpoints replaces the pods; new ones are probed.
func (w *workload) setEndpoints(wants []want, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.slots.replace(wants, now) {
		w.startProbe(p)
	}
	w.dispatch(now) // a pod may have more slots than before
}

// setHold replaces the outlook; a refusal goes to all who wait.
func (w *workload) setHold(h hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = h
	if h.refuse {
		w.hub.queue.flush(&w.line, &refusal{status: 503, outcome: outcomeRefused, reason: orElse(h.reason, "no capacity is coming")})
	}
}

// remove ends the workload's routing. It reports whether nothing of it is left.
func (w *workload) remove() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = true
	w.slots.replace(nil, time.Time{})
	w.hub.queue.flush(&w.line, refuseRemoved)
	return w.meter.level == 0
}

// setRoute gives the workload its settings and makes it take requests (again).
func (w *workload) setRoute(rt *route) {
	w.settings.Store(rt)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = false
}

// explain adds what is known of coming capacity to a refusal that says when to come again.
func (w *workload) explain(why *refusal, now time.Time) *refusal {
	if why.status != 503 && why.status != 504 {
		return why
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	told := *why
	told.by = w.hold.next(now)
	return &told
}

// expired is the refusal of a request whose hold ended.
func (w *workload) expired(after time.Duration) *refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	reason := fmt.Sprintf("no pod had a free slot within the hold timeout of %v", after)
	if w.hold.reason != "" {
		reason += ": " + w.hold.reason
	}
	return &refusal{status: 504, outcome: outcomeExpired, reason: reason}
}

// activate has the next report name the workload. The caller holds the lock.
func (w *workload) activate() {
	if !w.active {
		w.active = true
		w.hub.activate(w)
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
