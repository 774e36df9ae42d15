package gateway

import (
	"time"

	"github.com/wholescale/wholescale/api/wire"
)

// meter integrates a workload's concurrency (requests held plus in flight) over time. The clock is the caller's; a clock
// that goes back adds nothing. Not for use by several goroutines at once.
type meter struct {
	level   int       // held + in flight now
	from    time.Time // start of the interval
	last    time.Time // up to here area is complete
	area    float64   // request-seconds since from
	figures figures
}

// figures counts the events of an interval.
type figures struct {
	arrivals         uint64
	answered, failed uint64
	serviceSum       time.Duration // pod time of the requests that ended
	serviceCount     uint64
	waits            [wire.WaitBins]uint64 // of those that got a slot
}

// interval is what a meter measured between two cuts.
type interval struct {
	length      time.Duration
	concurrency float64 // time-averaged
	figures
}

func (m *meter) advance(now time.Time) {
	if m.from.IsZero() {
		m.from, m.last = now, now
	}
	if d := now.Sub(m.last); d > 0 {
		m.area += float64(m.level) * d.Seconds()
		m.last = now
	}
}

func (m *meter) arrive(now time.Time) {
	m.advance(now)
	m.level++
	m.figures.arrivals++
}

// served counts a request that has got a slot, once more when that was on a pod that could not be reached.
func (m *meter) served(wait time.Duration) { m.figures.waits[wire.WaitBin(wait)]++ }

// leave ends a request; service is its time on a pod, zero when it reached none.
func (m *meter) leave(now time.Time, service time.Duration, answered bool) {
	m.advance(now)
	m.level--
	if answered {
		m.figures.answered++
	} else {
		m.figures.failed++
	}
	if service > 0 {
		m.figures.serviceSum += service
		m.figures.serviceCount++
	}
}

// cut ends the interval at now and begins the next. The area is averaged over the time since `since`, which all
// workloads of a report share: a workload without traffic before its first request had a concurrency of zero then.
func (m *meter) cut(since, now time.Time) interval {
	m.advance(now)
	out := interval{length: now.Sub(since), figures: m.figures}
	switch {
	case out.length > 0:
		out.concurrency = m.area / out.length.Seconds()
	default:
		out.concurrency = float64(m.level)
	}
	m.from, m.area, m.figures = now, 0, figures{}
	return out
}
