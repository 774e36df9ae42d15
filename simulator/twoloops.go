package simulator

import (
	"fmt"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// twoLoops is how rivals decide: one loop for replicas, which knows nothing of machines, and one for machines, which sees
// pods that have no node and nodes that have no use. Each has its own period.
type twoLoops struct {
	s       *simulation
	scaler  scaler
	buyer   buyer
	present []*workload // in the order in which they were made
}

// scaler decides the replicas of one workload at a time.
type scaler interface {
	// every is its period, a multiple of a second.
	every() time.Duration
	// wish is the replicas that the workload should have.
	wish(w *workload) int
	// wake is what it does at once when a request has to wait; -1 is nothing before the next period.
	wake(w *workload) int
}

// buyer decides machines.
type buyer interface {
	// tick is called each second.
	tick()
	// refused is called when the scheduler has no node for a pod.
	refused(p *pod)
}

// rivalMemory is what scalers remember of a workload.
type rivalMemory struct {
	integral float64 // of requests held and in flight since the scaler last took it
	taken    time.Duration
	kpa      kpaMemory
	hpa      hpaMemory
	hybrid   hybridMemory
	waking   bool
}

// average is the concurrency since the scaler last asked.
func (m *rivalMemory) average(now time.Duration) float64 {
	seconds := (now - m.taken).Seconds()
	sum := m.integral
	m.integral, m.taken = 0, now
	if seconds <= 0 {
		return 0
	}
	return sum / seconds
}

func (l *twoLoops) heard(h happening) {
	s := l.s
	switch h.what {
	case workloadAdded:
		l.present = append(l.present, h.workload)
		h.workload.rival.taken = s.now
		if n := l.bounded(h.workload, l.scaler.wish(h.workload)); n > 0 {
			s.standing(h.workload, n)
		}
	case queueFormed:
		w := h.workload
		if s.undecided() || w.rival.waking || l.scaler.wake(w) < 0 {
			return
		}
		w.rival.waking = true
		since := s.now
		s.after(s.Delays.Decide, func() {
			w.rival.waking = false
			if n := l.scaler.wake(w); n > w.replicas {
				s.scale(w, l.bounded(w, n), since)
			}
		})
	case cameBack:
		l.forget()
	case podRefused:
		l.buyer.refused(h.pod)
	}
}

func (l *twoLoops) bounded(w *workload, n int) int {
	if w.Policy.Max > 0 {
		n = min(n, w.Policy.Max)
	}
	return max(n, w.Policy.Min, 0)
}

func (l *twoLoops) tick() {
	s := l.s
	if s.undecided() {
		return
	}
	if every := l.scaler.every(); s.due(every) {
		for _, w := range l.present {
			if w.replicas == 0 && w.busy() == 0 && w.rival.integral == 0 && !w.rival.hybrid.due(s.now) {
				w.rival.taken = s.now
				continue
			}
			w.meter(s.now)
			s.scale(w, l.bounded(w, l.scaler.wish(w)), s.now)
		}
	}
	for _, w := range s.touched {
		w.touched = false
		w.meter(s.now)
	}
	s.touched = s.touched[:0]
	l.buyer.tick()
}

// standing gives a workload replicas that have been there since before the run began: a scaler that never goes to zero had
// them then. A workload is made when its first request comes, so that they are paid for from the beginning here.
func (s *simulation) standing(w *workload, replicas int) {
	s.result.account(s.now)
	s.result.scaledBy(0, replicas)
	w.replicas = replicas
	for range replicas {
		n := s.roomiest(w)
		if n == nil {
			if n = s.standingNode(w); n == nil {
				s.setReplicas(w, w.replicas) // like any other
				return
			}
		}
		w.serial++
		p := &pod{id: autoscaler.PodID(fmt.Sprintf("%s-%05d", w.ID, w.serial)), w: w, node: n, made: true, ready: true, serving: true}
		w.pods = append(w.pods, p)
		w.live, w.ready = w.live+1, w.ready+1
		n.take(w, 1)
		n.pods = append(n.pods, p)
		s.result.pods++
		s.result.podServes(w, s.now)
		s.result.run.Summary.PodSeconds += s.now.Seconds()
		s.result.slotSeconds += w.perPod() * s.now.Seconds()
	}
}

// standingNode is one more machine for them, of the pool where a pod costs least.
func (s *simulation) standingNode(w *workload) *node {
	var best *pool
	price := func(p *pool) float64 { return p.PricePerHour * share(w.Shape.Needs, p.Allocatable) }
	for _, p := range s.pools {
		if p.staying() < p.Max && p.runs(w) && p.Allocatable.Holds(w.Shape.Needs) && (best == nil || price(p) < price(best)) {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	best.serial++
	n := &node{id: fmt.Sprintf("%s-%05d", best.ID, best.serial), pool: best, free: best.Allocatable, ready: true}
	best.nodes = append(best.nodes, n)
	best.target = max(best.target, best.staying())
	s.result.nodes++
	s.result.price += best.PricePerHour
	s.result.run.Summary.NodeSeconds += s.now.Seconds()
	s.result.run.Summary.Cost += best.PricePerHour * s.now.Hours()
	return n
}

// bins are rooms that pods are packed into, first fit.
type bins []autoscaler.Resources

// put puts a pod into the first bin that holds it.
func (b bins) put(need autoscaler.Resources) bool {
	for i := range b {
		if b[i].Holds(need) {
			b[i] = b[i].Minus(need)
			return true
		}
	}
	return false
}
