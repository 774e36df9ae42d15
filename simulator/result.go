package simulator

import (
	"time"

	"github.com/wholescale/wholescale/simulator/report"
)

// result gathers what happens into a report.Run.
type result struct {
	run                                report.Run
	held                               int
	waits, scales, buys, joins, starts []time.Duration
	firstArrival, firstAnswer          time.Time
	accounted                          time.Time
	sincePoint                         int
	lastPoint                          time.Time
}

func (r *result) arrived(now time.Time) {
	if r.firstArrival.IsZero() {
		r.firstArrival = now
	}
	r.run.Summary.Requests++
	r.sincePoint++
}

func (r *result) released(wait time.Duration) { r.waits = append(r.waits, wait) }

func (r *result) failed(wait time.Duration) {
	r.run.Summary.Errors++
	r.waits = append(r.waits, wait)
}

func (r *result) answered(now time.Time) {
	if r.firstAnswer.IsZero() {
		r.firstAnswer = now
	}
	r.run.Summary.Answered++
}

func (r *result) scaled(d time.Duration, up bool) {
	if up {
		r.scales = append(r.scales, d)
	}
}

func (r *result) bought(d time.Duration, up bool) {
	if up {
		r.buys = append(r.buys, d)
	}
}

func (r *result) joined(d time.Duration)  { r.joins = append(r.joins, d) }
func (r *result) started(d time.Duration) { r.starts = append(r.starts, d) }

// account adds the pods and nodes that were there since the last time to the bill; it is called before each change.
func (r *result) account(s *simulation, now time.Time) {
	if r.accounted.IsZero() {
		r.accounted = epoch
	}
	seconds := now.Sub(r.accounted).Seconds()
	r.accounted = now
	pods, nodes := 0, 0
	for _, w := range s.workloads {
		pods += len(w.pods)
	}
	for _, p := range s.pools {
		nodes += len(p.nodes)
		r.run.Summary.Cost += float64(len(p.nodes)) * seconds * p.PricePerHour / 3600
	}
	r.run.Summary.PodSeconds += float64(pods) * seconds
	r.run.Summary.NodeSeconds += float64(nodes) * seconds
	r.run.Summary.ReplicasMax, r.run.Summary.NodesMax = max(r.run.Summary.ReplicasMax, pods), max(r.run.Summary.NodesMax, nodes)
	r.run.Summary.PodsAtEnd, r.run.Summary.NodesAtEnd = pods, nodes
}

// point adds the state of things to the series.
func (r *result) point(s *simulation) {
	r.account(s, s.now)
	p := report.Point{At: s.now.Sub(epoch), Cost: r.run.Summary.Cost}
	if d := s.now.Sub(r.lastPoint).Seconds(); !r.lastPoint.IsZero() && d > 0 {
		p.Arrivals = float64(r.sincePoint) / d
	} else {
		p.Arrivals = float64(r.sincePoint)
	}
	r.sincePoint, r.lastPoint = 0, s.now
	for _, w := range s.workloads {
		p.Held += len(w.queue)
		p.InFlight += w.inFlight
		p.Wanted += w.replicas
		for _, pod := range w.pods {
			if pod.ready && !pod.leaving {
				p.Ready++
			}
		}
	}
	for _, pool := range s.pools {
		for _, n := range pool.nodes {
			if n.ready {
				p.NodesReady++
			} else {
				p.NodesComing++
			}
		}
	}
	r.run.Series = append(r.run.Series, p)
}

func (r *result) finish(s *simulation) {
	r.point(s)
	sum := &r.run.Summary
	sum.HeldRequests = r.held
	sum.WaitMs, sum.RequestToScaleMs, sum.RequestToBuyMs = report.QuantilesOf(r.waits), report.QuantilesOf(r.scales), report.QuantilesOf(r.buys)
	sum.NodeJoinMs, sum.PodStartMs = report.QuantilesOf(r.joins).P50, report.QuantilesOf(r.starts).P50
	if !r.firstAnswer.IsZero() {
		sum.FirstAnswerMs = report.Milliseconds(r.firstAnswer.Sub(r.firstArrival))
	}
}
