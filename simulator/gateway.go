package simulator

import (
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// request is one on its way. Requests lie in one slice and are named by their place in it; places are used again.
type request struct {
	arrived, service time.Duration
	w                *workload
	pod              *pod // nil while held
}

// workload is the model of one: its queue at the gateway, its pods, and the meter.
type workload struct {
	Workload
	index    int32 // of its creation
	plain    bool  // asks a node for room alone
	replicas int   // as written, or being written
	pods     []*pod
	serial   int
	queue    []int32 // requests, from head on
	head     int
	sized    uint64 // when the queue last changed, in steps of simulation.sized
	inFlight int
	ready    int // pods that are ready and not leaving
	live     int // pods that are not leaving
	expiring bool
	// The meter: the integral of requests held and in flight, and what came and ended, since the last report.
	integral float64
	arrivals int
	ended    int
	service  time.Duration
	metered  time.Duration
	touched  bool // is in simulation.touched
	trend    trend
	// flow and backlog are of aggregated mode: the requests as a fluid, and how many of them are held.
	flow    *flow
	backlog int
	// What the one loop knows, and what the rivals remember.
	focus focus
	rival rivalMemory
}

func (w *workload) queued() int { return len(w.queue) - w.head + w.backlog }

func (w *workload) busy() int { return w.queued() + w.inFlight }

// meter brings the integral up to now; it is called before each change of what is held or in flight.
func (w *workload) meter(now time.Duration) {
	if w.flow != nil {
		return // as it flows
	}
	seconds := float64(w.busy()) * (now - w.metered).Seconds()
	w.integral += seconds
	w.rival.integral += seconds
	n := float64(w.busy())
	w.trend.add(w.metered, now, n)
	w.metered = now
	if n > 0 {
		w.focus.lastBusy = now
	}
}

// freePod is the pod with a free slot and the least in flight; nil when there is none. Of equals it is the first by name, which
// here is the oldest. TestHoldsAsTheGatewayDoes holds it, and the queue, to the gateway's.
func (w *workload) freePod() *pod {
	var best *pod
	for _, p := range w.pods {
		if !p.serving || w.Policy.Slots > 0 && p.inFlight >= w.Policy.Slots {
			continue
		}
		if p.inFlight == 0 {
			return p
		}
		if best == nil || p.inFlight < best.inFlight {
			best = p
		}
	}
	return best
}

func (s *simulation) arrive(w *workload, service time.Duration) {
	w.meter(s.now)
	w.arrivals++
	s.touch(w)
	s.result.arrived(s.now)
	i := s.newRequest(w, service)
	if w.queued() == 0 {
		if p := w.freePod(); p != nil {
			s.release(i, p)
			return
		}
	}
	if why := s.makeRoom(w); why != "" {
		s.result.failed(w, 0, s.now, why)
		s.spare = append(s.spare, i)
		return
	}
	w.queue = append(w.queue, i)
	s.resized(w, 1)
	s.result.held++
	if !w.expiring {
		w.expiring = true
		s.push(event{at: s.now + w.Hold, kind: expires, index: w.index})
	}
	s.decider.heard(happening{what: queueFormed, workload: w})
}

// resized notes that a queue is one longer or shorter.
func (s *simulation) resized(w *workload, by int) {
	s.held += by
	s.sized++
	w.sized = s.sized
}

// makeRoom is why a queue may not grow; empty when it may. When all are full, one may still grow at the cost of the newest
// in the longest, as long as it stays shorter than that.
func (s *simulation) makeRoom(w *workload) string {
	if w.queued() >= s.QueueLimit {
		return "its queue was full"
	}
	if s.held < s.QueueTotal {
		return ""
	}
	longest := w
	for _, o := range s.workloads {
		if n := o.queued(); n > longest.queued() || n == longest.queued() && o.sized > longest.sized {
			longest = o
		}
	}
	if w.queued()+1 >= longest.queued() {
		return "all queues together were full"
	}
	longest.meter(s.now)
	s.touch(longest)
	last := len(longest.queue) - 1
	i := longest.queue[last]
	longest.queue = longest.queue[:last]
	s.resized(longest, -1)
	r := &s.requests[i]
	s.result.failed(longest, s.now-r.arrived, r.arrived, "all queues together were full, and its was the longest")
	s.spare = append(s.spare, i)
	return ""
}

func (s *simulation) newRequest(w *workload, service time.Duration) int32 {
	r := request{arrived: s.now, service: service, w: w}
	if n := len(s.spare); n > 0 {
		i := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.requests[i] = r
		return i
	}
	s.requests = append(s.requests, r)
	return int32(len(s.requests) - 1)
}

// touch puts a workload on the list of those that the next report names.
func (s *simulation) touch(w *workload) {
	if !w.touched {
		w.touched = true
		s.touched = append(s.touched, w)
	}
}

// expire answers the requests that were held for as long as they may be with an error. All of a workload are held for as
// long, so that one event in the future, for the first in the queue, is enough.
func (s *simulation) expire(w *workload) {
	w.expiring = false
	for w.queued() > 0 {
		i := w.queue[w.head]
		r := &s.requests[i]
		if until := r.arrived + w.Hold; until > s.now {
			w.expiring = true
			s.push(event{at: until, kind: expires, index: w.index})
			return
		}
		w.meter(s.now)
		s.touch(w)
		s.unqueue(w)
		s.result.failed(w, s.now-r.arrived, r.arrived, "held for as long as it may be")
		s.spare = append(s.spare, i)
	}
}

// unqueue takes the first out of the queue.
func (s *simulation) unqueue(w *workload) {
	s.resized(w, -1)
	w.head++
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	} else if w.head > 1024 && w.head > len(w.queue)/2 {
		w.queue = w.queue[:copy(w.queue, w.queue[w.head:])]
		w.head = 0
	}
}

func (s *simulation) release(i int32, p *pod) {
	r := &s.requests[i]
	r.pod = p
	p.inFlight++
	r.w.inFlight++
	s.result.released(r, s.now)
	s.push(event{at: s.now + r.service, kind: answers, index: i})
}

func (s *simulation) answer(i int32) {
	r := &s.requests[i]
	w, p := r.w, r.pod
	if p == nil { // its pod was lost with its node: it is an error already
		s.spare = append(s.spare, i)
		return
	}
	w.meter(s.now)
	s.touch(w)
	p.inFlight--
	w.inFlight--
	w.ended, w.service = w.ended+1, w.service+r.service
	r.pod = nil
	s.result.answered(s.now)
	s.spare = append(s.spare, i)
	if p.inFlight == 0 {
		p.idleSince = s.now
		if p.leaving {
			s.stop(p)
			return
		}
	}
	if w.queued() > 0 {
		s.drainQueue(w)
	}
}

// drainQueue releases held requests while there are free slots.
func (s *simulation) drainQueue(w *workload) {
	if w.flow != nil {
		return // at the next step
	}
	w.meter(s.now)
	for w.queued() > 0 {
		p := w.freePod()
		if p == nil {
			return
		}
		i := w.queue[w.head]
		s.unqueue(w)
		s.release(i, p)
	}
}

// report is what the one gateway sees, as gateway/link sends it each tick and when a queue forms.
func (s *simulation) report(memory *autoscaler.Memory) {
	o := autoscaler.Observation{At: s.clock(), Gateway: "gateway", Interval: s.now - s.reported, Workloads: make([]autoscaler.Load, 0, len(s.touched))}
	slices.SortFunc(s.touched, byID)
	kept := s.touched[:0]
	for _, w := range s.touched {
		w.meter(s.now)
		load := w.load()
		if o.Interval > 0 {
			load.Concurrency = w.integral / o.Interval.Seconds()
		}
		w.integral = 0
		o.Workloads = append(o.Workloads, load)
		if w.touched = w.busy() > 0; w.touched {
			kept = append(kept, w)
		}
	}
	s.touched = kept
	s.reported = s.now
	memory.Observe(o)
}

// reportPart is what a queue that forms adds: whom it is of, how long it is, and what is in flight.
func (s *simulation) reportPart(memory *autoscaler.Memory, list []*workload) {
	o := autoscaler.Observation{At: s.clock(), Gateway: "gateway", Partial: true}
	for _, w := range list {
		o.Workloads = append(o.Workloads, w.load())
	}
	memory.Observe(o)
}

// load is what the gateway says of a workload now, but for the average.
func (w *workload) load() autoscaler.Load {
	l := autoscaler.Load{ID: w.ID, Queued: w.queued(), Arrivals: w.arrivals, Ended: w.ended, Service: w.service}
	w.arrivals, w.ended, w.service = 0, 0, 0
	w.focus.told, w.focus.until = w.busy() > 0, 0
	if w.flow != nil {
		l.Pods = w.flowLoads()
	} else if w.inFlight > 0 {
		for _, p := range w.pods {
			if p.inFlight > 0 {
				l.Pods = append(l.Pods, autoscaler.PodLoad{ID: p.id, InFlight: p.inFlight})
			}
		}
	}
	return l
}
