package simulator

import (
	"math"
	"time"
)

// keepAlive is what function platforms do: a new instance for each request that finds none free, and an idle one ends
// after a fixed time (OpenWhisk: core/invoker .../ContainerProxy.scala, idle-container 10 minutes; the rule of the baselines
// in Shahrad et al., Serverless in the Wild, USENIX ATC 2020, section 5).
type keepAlive struct {
	s    *simulation
	idle time.Duration
}

func (k *keepAlive) every() time.Duration { return time.Second }

func (k *keepAlive) wake(w *workload) int { return max(w.replicas, w.instances()) }

func (k *keepAlive) wish(w *workload) int {
	return w.retire(w.instances(), func(p *pod) bool { return k.s.now-p.idleSince >= k.idle })
}

// instances is how many the requests held and in flight take.
func (w *workload) instances() int { return int(math.Ceil(float64(w.busy()) / w.perPod())) }

// retire is the replicas without the ready, idle pods that are over, which it marks as those to leave; at least least.
func (w *workload) retire(least int, over func(*pod) bool) int {
	n := w.replicas
	for _, p := range w.pods {
		p.cost = 0
		if p.ready && !p.leaving && p.inFlight == 0 && n > least && over(p) {
			p.cost = -1
			n--
		}
	}
	return max(n, least)
}

// hybrid is the histogram policy of Serverless in the Wild, sections 4.2 and 4.3 (its code: github.com/apache/openwhisk
// fork of the authors, core/controller .../PolicyHistogram): by the idle times that a function has had, in 240 bins of a
// minute, its instance ends at once and comes back before the next request is expected, or stays until it no longer is.
//
//   - pre-warm: 0.9 x the first bin at which 5 % of the idle times are reached;
//   - keep-alive: 1.1 x the end of the first bin at which 99 % are;
//   - with a coefficient of variation of the bins below 2, or half of the idle times of four hours and more: stay, for
//     four hours. (There the paper asks ARIMA for the latter, which is left out here, as in simulator/keepalive.)
type hybrid struct{ s *simulation }

const (
	hybridBins = 240
	hybridStay = hybridBins * time.Minute
)

type hybridMemory struct {
	bins            [hybridBins]uint16
	inside, outside int
	idleSince       time.Duration // meaningful when idle
	idle            bool
	prewarm, keep   time.Duration
}

// due says that an unloaded function is to be loaded again.
func (m *hybridMemory) due(now time.Duration) bool {
	return m.idle && m.prewarm > 0 && now >= m.idleSince+m.prewarm && now < m.idleSince+m.keep
}

func (h *hybrid) every() time.Duration { return time.Second }

func (h *hybrid) wake(w *workload) int {
	m := &w.rival.hybrid
	if m.idle {
		m.idle = false
		m.add(h.s.now - m.idleSince)
	}
	return max(w.replicas, w.instances())
}

func (h *hybrid) wish(w *workload) int {
	now, m := h.s.now, &w.rival.hybrid
	// The loop sees each second whether there was a request since, by when the last one was there.
	if busy := w.busy() > 0 || w.focus.lastBusy > m.idleSince; busy && m.idle {
		m.idle = false
		m.add(max(0, w.focus.lastBusy-m.idleSince))
	}
	if w.busy() > 0 {
		return max(w.replicas, w.instances())
	}
	if !m.idle {
		m.idle, m.idleSince = true, w.focus.lastBusy
		m.prewarm, m.keep = m.windows()
	}
	switch idle := now - m.idleSince; {
	case idle < m.prewarm, idle >= m.keep:
		return w.retire(0, func(*pod) bool { return true })
	case m.prewarm > 0:
		return max(w.replicas, 1)
	}
	return w.replicas
}

func (m *hybridMemory) add(idle time.Duration) {
	bin := int(idle / time.Minute)
	if bin >= hybridBins {
		m.outside++
		return
	}
	if m.bins[bin] == math.MaxUint16 {
		for i := range m.bins {
			m.inside -= int(m.bins[i] - m.bins[i]/2)
			m.bins[i] /= 2
		}
	}
	m.bins[bin]++
	m.inside++
}

// windows are when the function is loaded after it became idle: from prewarm until keep.
func (m *hybridMemory) windows() (prewarm, keep time.Duration) {
	if 2*m.outside >= m.inside+m.outside {
		return 0, hybridStay
	}
	mean := float64(m.inside) / hybridBins
	squares := 0.0
	for _, n := range m.bins {
		squares += (float64(n) - mean) * (float64(n) - mean)
	}
	if math.Sqrt(squares/hybridBins)/mean < 2 {
		return 0, hybridStay
	}
	head, tail, sum := -1, 0, 0
	for i, n := range m.bins {
		sum += int(n)
		if head < 0 && float64(sum) >= 0.05*float64(m.inside) {
			head = i
		}
		if float64(sum) >= 0.99*float64(m.inside) {
			tail = i + 1
			break
		}
	}
	return time.Duration(math.Floor(0.9*float64(head))) * time.Minute, time.Duration(math.Ceil(1.1*float64(tail))) * time.Minute
}

// always is a static peak: as many replicas as the run needs at its busiest moment, from its beginning to its end.
type always struct{ s *simulation }

func (a *always) every() time.Duration { return time.Hour }
func (a *always) wake(*workload) int   { return -1 }
func (a *always) wish(w *workload) int { return max(1, a.s.Peaks[w.ID]) }
