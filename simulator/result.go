package simulator

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
)

const (
	// longWait is what counts as having waited.
	longWait = time.Second
	// mostPoints bounds the series: with more, each second one goes and points are twice as far apart.
	mostPoints = 4096
	// worstKept is how many of the longest waits are listed.
	worstKept = 20
)

// result gathers what happens into a report.Run. Its size does not grow with the run.
type result struct {
	run                                report.Run
	held                               int
	requests, answers, errors          int64
	waits, scales, buys, joins, starts histogram
	firstArrival, firstAnswer          time.Duration // below 0 before
	accounted                          time.Duration
	sincePoint                         int64
	lastPoint, pointEvery              time.Duration
	worst                              []report.Wait
	moments                            moments
	// pods and nodes are those that there are, price what the nodes cost an hour.
	pods, nodes int
	price       float64
	// slots are the slots of ready pods, cpu what the pods' nodes were asked for; their integrals make the utilisation.
	slots, slotSeconds, serviceSeconds float64
	moved                              int64
	flowAnswers, flowErrors            float64
	plans, violations                  int
	refusals, reclaims, throttled      int
	waitedForNode, waitedForPod        int64
}

func newResult(name string, momentsKept int) result {
	r := result{firstArrival: -1, firstAnswer: -1, lastPoint: -1, pointEvery: time.Second, moments: moments{most: momentsKept, every: time.Second, last: -time.Hour}}
	r.run.Name = name
	return r
}

func (r *result) arrived(now time.Duration) {
	if r.firstArrival < 0 {
		r.firstArrival = now
	}
	r.requests++
	r.sincePoint++
}

// released takes in how long a request waited for its slot, and why.
func (r *result) released(q *request, now time.Duration) {
	wait := now - q.arrived
	r.waits.add(wait)
	r.serviceSeconds += q.service.Seconds()
	if wait == 0 {
		return
	}
	cause := "all slots were taken"
	switch p := q.pod; {
	case p.node.joined >= q.arrived:
		r.waitedForNode++
		cause = "a node had to join, and a pod to start on it"
	case p.readyAt >= q.arrived:
		r.waitedForPod++
		cause = "a pod had to start"
	}
	r.bad(q.w, wait, q.arrived, cause)
}

// bad keeps the worst waits.
func (r *result) bad(w *workload, wait, arrived time.Duration, cause string) {
	if len(r.worst) == worstKept && wait <= r.worst[worstKept-1].Waited {
		return
	}
	v := report.Wait{At: arrived, Waited: wait, Workload: string(w.ID), Cause: cause}
	at, _ := slices.BinarySearchFunc(r.worst, v, func(a, b report.Wait) int { return cmp.Or(cmp.Compare(b.Waited, a.Waited), cmp.Compare(a.At, b.At)) })
	r.worst = slices.Insert(r.worst, at, v)
	if len(r.worst) > worstKept {
		r.worst = r.worst[:worstKept]
	}
}

// failed is a request that was held in vain.
func (r *result) failed(w *workload, wait, arrived time.Duration, cause string) {
	r.errors++
	r.waits.add(wait)
	r.bad(w, wait, arrived, cause)
}

// lost is a request whose pod went with its node.
func (r *result) lost(q *request) {
	r.errors++
	r.bad(q.w, 0, q.arrived, "its node was taken away")
}

func (r *result) answered(now time.Duration) {
	if r.firstAnswer < 0 {
		r.firstAnswer = now
	}
	r.answers++
}

// cameN, flowed and flowFailed are of aggregated mode; parts of requests are carried on until they are whole.
func (r *result) cameN(now time.Duration, n int64) {
	if r.firstArrival < 0 {
		r.firstArrival = now
	}
	r.requests += n
	r.sincePoint += n
}

func (r *result) flowed(n float64, wait time.Duration, service float64) {
	r.serviceSeconds += n * service
	r.flowAnswers += n
	whole := math.Floor(r.flowAnswers + 1e-6)
	r.flowAnswers -= whole
	r.answers += int64(whole)
	r.waits.addN(wait, int64(whole))
	if wait > 0 {
		r.held += int(whole)
	}
}

func (r *result) flowFailed(n float64, wait time.Duration) {
	r.flowErrors += n
	whole := math.Floor(r.flowErrors + 1e-6)
	r.flowErrors -= whole
	r.errors += int64(whole)
	r.waits.addN(wait, int64(whole))
}

func (r *result) scaledBy(from, to int) { r.moved += int64(max(from-to, to-from)) }

func (r *result) scaled(d time.Duration, up bool) {
	if up {
		r.scales.add(d)
	}
}

func (r *result) bought(d time.Duration, up bool) {
	if up {
		r.buys.add(d)
	}
}

func (r *result) joined(d time.Duration)  { r.joins.add(d) }
func (r *result) started(d time.Duration) { r.starts.add(d) }

// account adds the pods and nodes that were there since the last time to the bill; it is called before each change.
func (r *result) account(now time.Duration) {
	seconds := (now - r.accounted).Seconds()
	r.accounted = now
	sum := &r.run.Summary
	sum.Cost += r.price * seconds / 3600
	sum.PodSeconds += float64(r.pods) * seconds
	sum.NodeSeconds += float64(r.nodes) * seconds
	r.slotSeconds += r.slots * seconds
	sum.ReplicasMax, sum.NodesMax = max(sum.ReplicasMax, r.pods), max(sum.NodesMax, r.nodes)
}

// podServes and podEnds keep the slots of ready pods; the figure has been accounted up to now.
func (r *result) podServes(w *workload, now time.Duration) {
	r.account(now)
	r.slots += w.perPod()
}

func (r *result) podEnds(w *workload) { r.slots -= w.perPod() }

// perPod is the requests that a pod takes at a time.
func (w *workload) perPod() float64 {
	if w.Policy.Slots > 0 {
		return float64(w.Policy.Slots)
	}
	return w.Policy.Total
}

// point adds the state of things to the series, when it is time for one.
func (r *result) point(s *simulation, force bool) {
	if !force && r.lastPoint >= 0 && s.now-r.lastPoint < r.pointEvery {
		return
	}
	r.account(s.now)
	p := report.Point{At: s.now, Cost: r.run.Summary.Cost, Arrivals: float64(r.sincePoint)}
	if d := (s.now - r.lastPoint).Seconds(); r.lastPoint >= 0 && d > 0 {
		p.Arrivals /= d
	}
	r.sincePoint, r.lastPoint = 0, s.now
	for _, w := range s.workloads {
		p.Held += w.queued()
		p.InFlight += w.inFlight
		p.Wanted += w.replicas
		p.Ready += w.ready
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
	p.Waited = r.waits.sum.Seconds()
	r.run.Series = append(r.run.Series, p)
	if len(r.run.Series) >= mostPoints {
		r.thin()
	}
}

// thin halves the series: of two points the later stands for both.
func (r *result) thin() {
	half := r.run.Series[:0]
	for i := 1; i < len(r.run.Series); i += 2 {
		a, b := r.run.Series[i-1], r.run.Series[i]
		b.Arrivals = (a.Arrivals + b.Arrivals) / 2
		b.Held = max(a.Held, b.Held)
		half = append(half, b)
	}
	r.run.Series = half
	r.pointEvery *= 2
}

// moments are decisions kept for the report, spread over the run.
type moments struct {
	most        int
	every, last time.Duration
	kept        []report.Moment
}

func (m *moments) due(now time.Duration) bool { return m.most > 0 && now >= m.last+m.every }

func (m *moments) add(now time.Duration, text string) {
	m.kept, m.last = append(m.kept, report.Moment{At: now, Text: text}), now
	if len(m.kept) < m.most {
		return
	}
	half := m.kept[:0]
	for i := 0; i < len(m.kept); i += 2 {
		half = append(half, m.kept[i])
	}
	clear(m.kept[len(half):])
	m.kept = half
	m.every *= 2
}

func (r *result) finish(s *simulation) {
	r.point(s, true)
	sum := &r.run.Summary
	sum.Requests, sum.Answered, sum.Errors, sum.HeldRequests = int(r.requests), int(r.answers), int(r.errors), r.held
	sum.PodsAtEnd, sum.NodesAtEnd = r.pods, r.nodes
	sum.WaitMs, sum.RequestToScaleMs, sum.RequestToBuyMs = r.waits.quantiles(), r.scales.quantiles(), r.buys.quantiles()
	sum.NodeJoinMs, sum.PodStartMs = r.joins.quantiles().P50, r.starts.quantiles().P50
	if r.firstAnswer >= 0 {
		sum.FirstAnswerMs = report.Milliseconds(r.firstAnswer - r.firstArrival)
	}
	f := report.Figures{
		Requests: r.requests, Answered: r.answers, Errors: r.errors, WaitedOver1s: r.waits.over(longWait), WaitedForPod: r.waitedForPod, WaitedForNode: r.waitedForNode,
		WaitP50Ms: sum.WaitMs.P50, WaitP99Ms: sum.WaitMs.P99, WaitP999Ms: report.Milliseconds(r.waits.quantile(0.999)),
		WaitSeconds: r.waits.sum.Seconds(), PodHours: sum.PodSeconds / 3600, NodeHours: sum.NodeSeconds / 3600, Money: sum.Cost,
		ReplicasMax: sum.ReplicasMax, NodesMax: sum.NodesMax, Plans: int64(r.plans), Violations: int64(r.violations),
		OrdersRefused: int64(r.refusals), NodesReclaimed: int64(r.reclaims), OrdersThrottled: int64(r.throttled),
	}
	for _, w := range s.workloads {
		f.HeldAtEnd += int64(w.busy())
	}
	if r.slotSeconds > 0 {
		f.Utilisation = r.serviceSeconds / r.slotSeconds
	}
	trend := 0
	for _, w := range s.workloads {
		w.meter(s.now)
		trend += w.trend.moved
	}
	f.Thrash = float64(r.moved) / float64(max(1, trend))
	r.run.Figures, r.run.Worst, r.run.Moments = &f, r.worst, r.moments.kept
}

func (h *histogram) quantiles() report.Quantiles {
	return report.Quantiles{P50: report.Milliseconds(h.quantile(0.5)), P99: report.Milliseconds(h.quantile(0.99))}
}
