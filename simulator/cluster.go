package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// pod is the model of one.
type pod struct {
	id        autoscaler.PodID
	w         *workload
	node      *node // nil while it waits
	created   time.Duration
	bound     time.Duration
	readyAt   time.Duration
	idleSince time.Duration
	refused   time.Duration // since when the scheduler has no node for it; 0 before it tried
	parked    bool          // it is tried again when there is more room
	made      bool          // the controller manager has created it
	ready     bool
	serving   bool // ready, and the gateway's probe has passed
	leaving   bool
	gone      bool
	inFlight  int
	cost      int
}

// setReplicas makes a workload have as many pods, as a ReplicaSet does: creates, or deletes those that are not ready
// first, then those of the lowest deletion cost, then the newest.
func (s *simulation) setReplicas(w *workload, n int) {
	for w.live < n {
		s.createPod(w)
	}
	if surplus := w.live - n; surplus > 0 {
		live := slices.DeleteFunc(slices.Clone(w.pods), func(p *pod) bool { return p.leaving })
		slices.SortStableFunc(live, func(a, b *pod) int {
			return cmp.Or(compareBool(a.node != nil, b.node != nil), compareBool(a.ready, b.ready), cmp.Compare(a.cost, b.cost), cmp.Compare(b.created, a.created))
		})
		for _, p := range live[:surplus] {
			s.leave(p)
		}
	}
}

func (s *simulation) createPod(w *workload) {
	w.serial++
	p := &pod{id: autoscaler.PodID(fmt.Sprintf("%s-%05d", w.ID, w.serial)), w: w, created: s.now, idleSince: s.now}
	s.result.account(s.now)
	s.result.pods++
	w.pods = append(w.pods, p)
	w.live++
	s.after(s.chance(&s.Delays.Create, string(p.id), "create"), func() {
		p.made = true
		s.waiting = append(s.waiting, p)
		s.schedule()
		s.decider.heard(happening{what: podWaits, workload: w})
	})
}

// chance draws a delay of an entity; what says which of its delays it is.
func (s *simulation) chance(d *Delay, entity, what string) time.Duration {
	if d.Deviation == 0 && len(d.Samples) == 0 {
		return d.Mean
	}
	if d.Spread == Recorded {
		if s.played == nil {
			s.played = map[string]int{}
		}
		i := s.played[what]
		s.played[what]++
		return d.Samples[i%len(d.Samples)]
	}
	return d.sample(stream(s.Seed, entity+"/"+what))
}

// way is the delay of something written or ordered; each is an entity of its own.
func (s *simulation) way(d *Delay, what string) time.Duration {
	if d.Deviation == 0 && len(d.Samples) == 0 {
		return d.Mean
	}
	s.writes++
	return s.chance(d, strconv.Itoa(s.writes), what)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// leave is the beginning of a pod's end: it gets nothing more and ends what it has.
func (s *simulation) leave(p *pod) {
	if p.leaving {
		return
	}
	p.w.live--
	if p.ready {
		p.w.ready--
	}
	p.leaving, p.serving = true, false
	if p.inFlight == 0 {
		s.stop(p)
	}
}

// stop is the end of a pod that has nothing in flight.
func (s *simulation) stop(p *pod) {
	d := s.chance(&s.Delays.Stop, string(p.id), "stop")
	if d == 0 {
		s.removePod(p)
		return
	}
	s.after(d, func() { s.removePod(p) })
}

func (s *simulation) removePod(p *pod) {
	if p.gone {
		return
	}
	p.gone = true
	s.result.account(s.now)
	s.result.pods--
	w := p.w
	if p.ready {
		s.result.podEnds(w)
	}
	w.pods = slices.DeleteFunc(w.pods, func(o *pod) bool { return o == p })
	if p.node != nil {
		p.node.take(w, -1)
		p.node.pods = slices.DeleteFunc(p.node.pods, func(o *pod) bool { return o == p })
		if len(p.node.pods) == 0 {
			p.node.emptySince = s.now
		}
		s.wake()
	}
	s.decider.heard(happening{what: worldChanged, workload: w})
}

// lose ends a pod with its node: its requests in flight are errors, and the ReplicaSet makes another one.
func (s *simulation) lose(p *pod) {
	w := p.w
	if p.inFlight > 0 {
		w.meter(s.now)
		s.touch(w)
		for i := range s.requests {
			if r := &s.requests[i]; r.pod == p && r.w == w {
				r.pod = nil
				w.inFlight--
				s.result.lost(r)
			}
		}
		p.inFlight = 0
	}
	s.leave(p)
	s.removePod(p)
	s.written(func() {
		for w.live < w.replicas {
			s.createPod(w)
		}
	})
}

// evict asks a pod to leave its node; the ReplicaSet makes another one.
func (s *simulation) evict(p *pod) {
	if p.leaving {
		return
	}
	s.leave(p)
	for p.w.live < p.w.replicas {
		s.createPod(p.w)
	}
}

// wake lets the scheduler try again what had no room: there is more.
func (s *simulation) wake() {
	for _, p := range s.waiting {
		p.parked = false
	}
	if len(s.waiting) > 0 {
		s.schedule()
	}
}

// schedule binds each waiting pod that is to be tried to the ready node with the most free CPU that holds it, the first of
// equals. As with the real scheduler, a new pod is tried at once, and may go before those that have been refused.
func (s *simulation) schedule() {
	if _, down := until(s.ControlPlane.APIDown, s.now); down {
		return // when it is back
	}
	kept := s.waiting[:0]
	var hopeless *workload
	for _, p := range s.waiting {
		if p.leaving || p.gone {
			continue
		}
		if p.parked || p.w == hopeless {
			kept = append(kept, p)
			continue
		}
		if n := s.roomiest(p.w); n != nil {
			s.bind(p, n)
			continue
		}
		hopeless = p.w
		kept = append(kept, p)
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
	for _, p := range kept {
		p.parked = true
		if p.refused == 0 {
			p.refused = s.now
			s.decider.heard(happening{what: podRefused, pod: p})
		}
	}
}

func (s *simulation) roomiest(w *workload) *node {
	var best *node
	var most int64
	for _, pool := range s.pools {
		if !pool.runs(w) {
			continue
		}
		for _, n := range pool.nodes {
			if n.ready && !n.draining && !n.deleting && (best == nil || n.free.CPU > most) && n.free.Holds(w.Shape.Needs) {
				best, most = n, n.free.CPU
			}
		}
	}
	return best
}

// runs: the model knows what of a pod and a node alone keeps them apart, and not the rules between pods.
func (p *pool) runs(w *workload) bool {
	if w.plain && len(p.Taints) == 0 {
		return true
	}
	return fit.Runs(w.Shape.Pod(), &fit.Node{Labels: p.Labels, Taints: p.Taints}) == fit.None
}

// take takes room for so many pods of a workload.
func (n *node) take(w *workload, pods int) { n.free = n.free.Minus(w.Shape.Needs.Times(pods)) }

func (s *simulation) bind(p *pod, n *node) {
	w := p.w
	p.node, p.bound = n, s.now
	n.take(w, 1)
	n.pods = append(n.pods, p)
	takes := s.chance(&w.PodStart, string(p.id), "start")
	if w.Pull.Mean > 0 || len(w.Pull.Samples) > 0 {
		if n.images == nil {
			n.images = map[*workload]time.Duration{}
		}
		at, pulled := n.images[w]
		if !pulled {
			at = s.now + s.chance(&w.Pull, n.id+"/"+string(w.ID), "pull")
			n.images[w] = at
		}
		takes += max(0, at-s.now)
	}
	if w.Ready.none() {
		s.after(takes, func() { s.becomesReady(p); s.after(s.Delays.Probe, func() { s.serves(p) }) })
		return
	}
	s.after(takes+s.Delays.Probe, func() { s.serves(p) })
	s.after(s.chance(&w.Ready, string(p.id), "ready"), func() { s.becomesReady(p) })
}

// becomesReady is what Kubernetes, and with it whoever decides, knows of.
func (s *simulation) becomesReady(p *pod) {
	w := p.w
	if p.leaving {
		return
	}
	p.ready = true
	if p.readyAt == 0 {
		p.readyAt = s.now
	}
	s.result.podServes(w, s.now)
	w.ready++
	s.decider.heard(happening{what: podStarted, workload: w, took: s.now - p.bound})
	s.result.started(s.now - p.bound)
}

// serves is that the gateway's probe has passed.
func (s *simulation) serves(p *pod) {
	if p.leaving {
		return
	}
	p.serving, p.idleSince = true, s.now
	if p.readyAt == 0 {
		p.readyAt = s.now
	}
	s.drainQueue(p.w)
}
