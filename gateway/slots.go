package gateway

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"time"
)

// pod is one address that requests may be sent to. Its fields belong to the lock of its workload.
type pod struct {
	name, address string
	limit         int // requests in flight at once from this gateway; zero means no limit
	inFlight      int
	passed        bool // the gateway's own probe passed and no dial failed since
	gone          bool // no longer in Endpoints: gets no more requests, ends those it has
	known, probed time.Time
	stopProbe     context.CancelFunc // nil when no probe runs
	index         int                // in the heap; -1 when not there
}

func (p *pod) full() bool { return p.limit > 0 && p.inFlight >= p.limit }

// slots picks pods and never lets one have more requests in flight than its limit. Not for several goroutines at once.
type slots struct {
	pods    map[string]*pod   // by name, as in the last Endpoints
	leaving map[*pod]struct{} // gone, with requests still in flight
	open    podHeap           // passed and not gone: the one with the fewest in flight and a free slot first
}

// want is an endpoint as the controller names it, its address already checked.
type want struct {
	name, address string
	limit         int
}

// replace makes the pods those of wants and returns the new ones, to be probed. A pod that comes back with another
// address is another pod. Probes of pods that went are stopped.
func (s *slots) replace(wants []want, now time.Time) (added []*pod) {
	if s.pods == nil {
		s.pods, s.leaving = map[string]*pod{}, map[*pod]struct{}{}
	}
	next := make(map[string]*pod, len(wants))
	for _, w := range wants {
		p := s.pods[w.name]
		if p == nil || p.address != w.address {
			p = &pod{name: w.name, address: w.address, known: now, index: -1}
			added = append(added, p)
		}
		p.limit = w.limit
		if p.index >= 0 {
			heap.Fix(&s.open, p.index)
		}
		next[w.name] = p
	}
	for name, p := range s.pods {
		if next[name] != p {
			s.drop(p)
		}
	}
	s.pods = next
	return added
}

func (s *slots) drop(p *pod) {
	p.gone = true
	s.close(p)
	if p.stopProbe != nil {
		p.stopProbe()
		p.stopProbe = nil
	}
	if p.inFlight > 0 {
		s.leaving[p] = struct{}{}
	}
}

// opened notes that the pod's probe passed.
func (s *slots) opened(p *pod, now time.Time) {
	if p.gone || p.passed {
		return
	}
	p.passed, p.probed, p.stopProbe = true, now, nil
	heap.Push(&s.open, p)
}

// close takes the pod out of the choice until it is opened again; it reports whether it was in it.
func (s *slots) close(p *pod) bool {
	was := p.passed
	p.passed = false
	if p.index >= 0 {
		heap.Remove(&s.open, p.index)
	}
	return was
}

// take returns the pod with the fewest requests in flight that has a free slot, one of which is now taken; nil if none has.
func (s *slots) take() *pod {
	if len(s.open) == 0 || s.open[0].full() {
		return nil
	}
	p := s.open[0]
	p.inFlight++
	heap.Fix(&s.open, 0)
	return p
}

// put gives back a slot that take took.
func (s *slots) put(p *pod) {
	p.inFlight--
	if p.index >= 0 {
		heap.Fix(&s.open, p.index)
	}
	if p.gone && p.inFlight == 0 {
		delete(s.leaving, p)
	}
}

type podLoad struct {
	name     string
	inFlight int
}

// loads lists the pods with requests in flight, those that leave included, sorted by name.
func (s *slots) loads() []podLoad {
	var out []podLoad
	for _, p := range s.pods {
		if p.inFlight > 0 {
			out = append(out, podLoad{p.name, p.inFlight})
		}
	}
	for p := range s.leaving {
		out = append(out, podLoad{p.name, p.inFlight})
	}
	slices.SortFunc(out, func(a, b podLoad) int { return cmp.Compare(a.name, b.name) })
	// A pod that came back under its name with another address counts once, with both figures.
	merged := out[:0]
	for _, l := range out {
		if n := len(merged); n > 0 && merged[n-1].name == l.name {
			merged[n-1].inFlight += l.inFlight
			continue
		}
		merged = append(merged, l)
	}
	return merged
}

// podHeap orders by full, in flight, name: the least loaded pod with a free slot is first, ties go by name.
type podHeap []*pod

func (h podHeap) Len() int { return len(h) }
func (h podHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if af, bf := a.full(), b.full(); af != bf {
		return bf
	}
	if a.inFlight != b.inFlight {
		return a.inFlight < b.inFlight
	}
	return a.name < b.name
}

func (h podHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *podHeap) Push(x any) {
	p := x.(*pod)
	p.index = len(*h)
	*h = append(*h, p)
}

func (h *podHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil
	p.index = -1
	*h = old[:len(old)-1]
	return p
}
