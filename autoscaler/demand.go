package autoscaler

import (
	"time"

	"github.com/wholescale/wholescale/autoscaler/learn"
	"github.com/wholescale/wholescale/autoscaler/window"
)

// servicesKept is how many ended requests the mean service time is taken over; then the past counts half.
const servicesKept = 1000

// demandMemory is what the reports of all gateways add up to for one workload.
type demandMemory struct {
	// stable and panicked are the seconds of concurrency, rate those of arrivals.
	stable, panicked, rate *window.Average
	service                float64 // seconds, of ended requests
	ended                  float64
	idleSince, heldAt      time.Time
	// busyUntil is the end of the last interval in which there were requests; open that there still were some at its end.
	busyUntil time.Time
	open      bool
	gaps      learn.Gaps
	knee      *learn.Knee // made when it is asked for
	ready     int         // pods, by the last State
}

func (m *Memory) demand(id WorkloadID) *demandMemory {
	w := m.workloads[id]
	if w == nil {
		// The windows get their length when the workload is first in a State.
		w = &demandMemory{stable: window.New(time.Minute), panicked: window.New(6 * time.Second), rate: window.New(6 * time.Second)}
		m.workloads[id] = w
	}
	m.rest(w)
	return w
}

// rest takes in that the reports since the last one that named a workload did not: it was idle, which is a figure too. Doing so when
// the workload is asked for, and not with each report, makes reports cost by what they name.
func (m *Memory) rest(w *demandMemory) {
	if m.heard.IsZero() {
		return
	}
	end := m.heard.Add(-1) // a report is of the time before it
	w.stable.Rest(end)
	w.panicked.Rest(end)
	w.rate.Rest(end)
}

// clear forgets averages that are too old to count, so that what is added next begins anew.
func (w *demandMemory) clear() {
	w.stable.Clear()
	w.panicked.Clear()
	w.rate.Clear()
}

// observe spreads the averages over the seconds that they cover, so that each second holds its own integral.
func (w *demandMemory) observe(at time.Time, l *Load, interval time.Duration, gateways int) {
	w.service, w.ended = w.service+l.Service.Seconds(), w.ended+float64(l.Ended)
	if w.ended > servicesKept {
		w.service, w.ended = w.service/2, w.ended/2
	}
	w.learn(l, interval, gateways)
	open := l.Queued > 0 || len(l.Pods) > 0
	if w.open || open || l.Arrivals > 0 || l.Ended > 0 || l.Concurrency > 0 {
		w.busy(at, interval)
	}
	w.open = open
	from := at.Add(-interval)
	if oldest := at.Add(-w.stable.Length()); from.Before(oldest) {
		from = oldest
	}
	if !from.Before(at) {
		w.stable.Add(at, 0)
		w.panicked.Add(at, 0)
		w.rate.Add(at, float64(l.Arrivals))
		return
	}
	perSecond := float64(l.Arrivals) / at.Sub(from).Seconds()
	for from.Before(at) {
		to := from.Truncate(time.Second).Add(time.Second)
		if to.After(at) {
			to = at
		}
		seconds := to.Sub(from).Seconds()
		w.stable.Add(from, l.Concurrency*seconds)
		w.panicked.Add(from, l.Concurrency*seconds)
		w.rate.Add(from, perSecond*seconds)
		from = to
	}
}

// learn shows the knee what one gateway saw, as if the others saw the same.
func (w *demandMemory) learn(l *Load, interval time.Duration, gateways int) {
	if w.knee == nil || w.ready == 0 || interval <= 0 {
		return
	}
	share := float64(gateways) / float64(w.ready)
	w.knee.Add(interval.Seconds(), l.Service.Seconds()*share, float64(l.Ended)*share)
}

// target puts the learned concurrency in the place of the one that was given.
func (w *demandMemory) target(now time.Time, p *Policy) float64 {
	if !p.Auto {
		w.knee = nil
		return 0
	}
	if w.knee == nil {
		w.knee = &learn.Knee{}
	}
	most := mostTarget
	if p.Slots > 0 {
		most = float64(p.Slots)
	}
	total, known := w.knee.Target(now, p.Total, 1, most)
	if !known {
		return 0
	}
	p.Target, p.Total = p.Target/p.Total*total, total
	return total
}

// mostTarget bounds a learned target where nothing else does.
const mostTarget = 1000.0

func (m *Memory) demandOf(now time.Time, w *Workload, load Load, stale bool) Demand {
	mem := m.demand(w.ID)
	resize(&mem.stable, w.Policy.StableWindow)
	resize(&mem.panicked, w.Policy.PanicWindow)
	resize(&mem.rate, w.Policy.PanicWindow)
	d := Demand{
		Stale: stale, Stable: mem.stable.Mean(now), Panic: mem.panicked.Mean(now), Deviation: mem.stable.Deviation(now),
		Rate: mem.rate.Mean(now), Queued: load.Queued,
	}
	d.Learned = mem.target(now, &w.Policy)
	if mem.ended > 0 {
		d.Service = time.Duration(mem.service / mem.ended * float64(time.Second))
	}
	for _, p := range load.Pods {
		d.InFlight += p.InFlight
	}
	if d.Queued > 0 {
		mem.heldAt = now
	}
	d.HeldAt = mem.heldAt
	mem.idle(now, d.Queued+d.InFlight > 0, stale)
	d.IdleSince, d.Gaps = mem.idleSince, mem.gaps
	return d
}

// busy takes in that there were requests in an interval, and learns for how long there were none before it. Requests may come
// and end between two reports: that none is in flight at the moment of one says nothing.
func (w *demandMemory) busy(at time.Time, interval time.Duration) {
	if !w.busyUntil.IsZero() {
		w.gaps.Add(at.Add(-interval).Sub(w.busyUntil))
	}
	if at.After(w.busyUntil) {
		w.busyUntil = at
	}
	w.idleSince = time.Time{}
}

// idle keeps since when there is nothing to do. A time without reports is not known to be one.
func (w *demandMemory) idle(now time.Time, busy, stale bool) {
	switch {
	case stale:
		w.idleSince, w.busyUntil = time.Time{}, time.Time{}
	case busy:
		w.idleSince = time.Time{}
	case w.idleSince.IsZero() && w.busyUntil.IsZero():
		w.idleSince = now
	case w.idleSince.IsZero():
		w.idleSince = w.busyUntil
	}
}

func resize(w **window.Average, length time.Duration) {
	if (*w).Length() != length {
		*w = (*w).Resize(length)
	}
}
