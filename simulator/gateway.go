package simulator

import (
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// request is one on its way.
type request struct {
	arrived time.Time
	service time.Duration
	pod     *pod // nil while held
}

// workload is the model of one: its queue at the gateway, its pods, and the meter.
type workload struct {
	Workload
	replicas int // as written, or being written
	pods     []*pod
	serial   int
	queue    []*request
	inFlight int
	// The meter: the integral of requests held and in flight, and what came and ended, since the last report.
	integral float64
	arrivals int
	ended    int
	service  time.Duration
	metered  time.Time
}

// meter brings the integral up to now; it is called before each change of what is held or in flight.
func (w *workload) meter(now time.Time) {
	w.integral += float64(len(w.queue)+w.inFlight) * now.Sub(w.metered).Seconds()
	w.metered = now
}

// freePod is the pod with a free slot and the least in flight, the first of equals; nil when there is none.
func (w *workload) freePod() *pod {
	var best *pod
	for _, p := range w.pods {
		if !p.serving || w.Policy.Slots > 0 && p.inFlight >= w.Policy.Slots {
			continue
		}
		if best == nil || p.inFlight < best.inFlight {
			best = p
		}
	}
	return best
}

func (s *simulation) arrive(w *workload, service time.Duration) {
	now := s.now
	w.meter(now)
	w.arrivals++
	s.result.arrived(now)
	r := &request{arrived: now, service: service}
	if len(w.queue) == 0 {
		if p := w.freePod(); p != nil {
			s.release(w, r, p)
			return
		}
	}
	w.queue = append(w.queue, r)
	s.result.held++
	s.after(w.Hold, func() { s.expire(w, r) })
	s.urgent(w)
}

// urgent makes the controller plan at once, as a gateway's report of a queue does; several in a row make one plan.
func (s *simulation) urgent(w *workload) {
	if s.urgentSince.IsZero() {
		s.urgentSince = s.now
		s.after(s.Delays.Decide, func() {
			since := s.urgentSince
			s.urgentSince = time.Time{}
			s.report()
			s.plan(since)
		})
	}
}

// expire answers a request that was held for as long as it may be with an error.
func (s *simulation) expire(w *workload, r *request) {
	if r.pod != nil {
		return
	}
	for i, q := range w.queue {
		if q == r {
			w.meter(s.now)
			w.queue = append(w.queue[:i:i], w.queue[i+1:]...)
			s.result.failed(s.now.Sub(r.arrived))
			return
		}
	}
}

func (s *simulation) release(w *workload, r *request, p *pod) {
	r.pod = p
	p.inFlight++
	w.inFlight++
	s.result.released(s.now.Sub(r.arrived))
	s.after(r.service, func() { s.answer(w, r) })
}

func (s *simulation) answer(w *workload, r *request) {
	w.meter(s.now)
	p := r.pod
	p.inFlight--
	w.inFlight--
	w.ended, w.service = w.ended+1, w.service+r.service
	s.result.answered(s.now)
	if p.leaving && p.inFlight == 0 {
		s.removePod(w, p)
		return
	}
	s.drainQueue(w)
}

// drainQueue releases held requests while there are free slots.
func (s *simulation) drainQueue(w *workload) {
	w.meter(s.now)
	for len(w.queue) > 0 {
		p := w.freePod()
		if p == nil {
			return
		}
		r := w.queue[0]
		w.queue = w.queue[1:]
		s.release(w, r, p)
	}
}

// report tells the memory what the one gateway sees, as gateway/link does each tick and when a queue forms.
func (s *simulation) report() {
	o := autoscaler.Observation{At: s.now, Gateway: "gateway", Interval: s.now.Sub(s.reported)}
	for _, w := range s.workloads {
		w.meter(s.now)
		if w.integral == 0 && len(w.queue)+w.inFlight+w.arrivals+w.ended == 0 {
			continue
		}
		load := autoscaler.Load{ID: w.ID, Queued: len(w.queue), Arrivals: w.arrivals, Ended: w.ended, Service: w.service}
		if o.Interval > 0 {
			load.Concurrency = w.integral / o.Interval.Seconds()
		}
		w.integral, w.arrivals, w.ended, w.service = 0, 0, 0, 0
		for _, p := range w.pods {
			if p.inFlight > 0 {
				load.Pods = append(load.Pods, autoscaler.PodLoad{ID: p.id, InFlight: p.inFlight})
			}
		}
		o.Workloads = append(o.Workloads, load)
	}
	s.reported = s.now
	s.memory.Observe(o)
}
