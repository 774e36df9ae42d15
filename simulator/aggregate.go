package simulator

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator/trace"
)

// Counts are how many requests came in each period, in order of time: trace.Periods.
type Counts interface {
	// Next is the next period with any request: its begin, and whose; io.EOF after the last.
	Next() (time.Duration, []trace.Cell, error)
}

// flow is a workload's requests in aggregated mode: a stream of even rate within a period. Those that cannot be served
// at once wait in cohorts, one for each step.
type flow struct {
	rate, service float64 // requests and seconds
	before        float64 // concurrency in the period before
	held          []cohort
	carry         float64 // of a request
	counted       float64
}

type cohort struct {
	at time.Duration
	n  float64
}

// In aggregated mode a step is as long as what is under way allows.
const (
	busyStep = time.Second      // something is held, starting, joining or leaving
	slowStep = 15 * time.Second // the averages move, and nothing else
)

// counting is where a run in aggregated mode stands in its counts.
type counting struct {
	period time.Duration
	begin  time.Duration // of the next period
	cells  []trace.Cell
	until  time.Duration // the end of the period at hand
	ended  bool
	all    []*workload
}

// runCounts replays counts: pods, nodes and decisions are as in per-request mode, and requests are a fluid.
func (s *simulation) runCounts() error {
	c := &counting{period: s.Period}
	if err := s.nextCounts(c); err != nil {
		return err
	}
	for s.fault == nil {
		if s.steps++; s.steps%64 == 0 && s.Progress != nil {
			if err := s.Progress(s.now, int(s.result.requests)); err != nil {
				return err
			}
		}
		if s.now >= c.until {
			last := c.ended
			if err := s.enterPeriod(c); err != nil {
				return err
			}
			if last && !s.flowing(c) && (s.idle() || s.now-s.lastBusy > s.Settle) {
				return s.fault
			}
		}
		s.step(c, s.stepLength(c))
	}
	return s.fault
}

// nextCounts reads ahead.
func (s *simulation) nextCounts(c *counting) error {
	begin, cells, err := s.Counts.Next()
	if errors.Is(err, io.EOF) {
		c.ended, c.cells = true, nil
		return nil
	}
	if err != nil {
		return err
	}
	if begin < c.begin {
		return fmt.Errorf("counts of %s come after those of %s", begin, c.begin)
	}
	c.begin, c.cells = begin, append(c.cells[:0], cells...)
	return nil
}

// enterPeriod sets the rates of the period that begins now.
func (s *simulation) enterPeriod(c *counting) error {
	for _, w := range c.all {
		w.flow.before, w.flow.rate = w.flow.rate*w.flow.service, 0
	}
	if c.ended || c.begin > s.now {
		c.until = s.now + c.period
		if s.idle() && !s.flowing(c) && !c.ended {
			s.now = c.begin // nothing happens in the quiet
			for _, w := range c.all {
				w.metered = s.now
			}
			s.reported = s.now
			return s.enterPeriod(c)
		}
		return nil
	}
	for _, cell := range c.cells {
		w, err := s.workloadOf(&trace.Request{Function: cell.Function})
		if err != nil {
			return err
		}
		if w.flow == nil {
			w.flow = &flow{service: math.Max(s.ServiceOf(cell.Function).Seconds(), 1e-6)}
			w.metered = s.now
			c.all = append(c.all, w)
		}
		w.flow.rate = float64(cell.Count) / c.period.Seconds()
		w.flow.counted += float64(cell.Count)
	}
	c.until = c.begin + c.period
	return s.nextCounts(c)
}

func (s *simulation) flowing(c *counting) bool {
	for _, w := range c.all {
		if w.flow.rate > 0 || len(w.flow.held) > 0 {
			return true
		}
	}
	return false
}

// stepLength is how far the next step goes.
func (s *simulation) stepLength(c *counting) time.Duration {
	left := c.until - s.now
	if _, one := s.decider.(*oneLoop); !one || len(s.heap) > 0 {
		return min(busyStep, left)
	}
	for _, p := range s.pools {
		for _, n := range p.nodes {
			if !n.ready || n.draining || n.deleting || len(n.pods) == 0 {
				return min(busyStep, left)
			}
		}
	}
	length := left
	for _, w := range c.all {
		f := w.flow
		if len(f.held) > 0 || !w.settled() {
			return min(busyStep, left)
		}
		now := f.rate * f.service
		low, high := math.Min(now, f.before)/w.Policy.Target, math.Max(now, f.before)/w.Policy.Target
		if !w.simple() || int(math.Ceil(low)) != w.replicas || int(math.Ceil(high)) != w.replicas {
			length = min(slowStep, left)
		}
	}
	return length
}

// step lets d pass: events at their times, then the flows, then the tick.
func (s *simulation) step(c *counting, d time.Duration) {
	end := s.now + d
	for {
		at, any := s.next()
		if !any || at > end {
			break
		}
		s.happen(s.pop())
	}
	s.now = end
	for _, w := range c.all {
		s.flow(w, d)
	}
	s.result.point(s, false)
	s.decider.tick()
}

// flow lets a workload's requests come and go for d, up to now.
func (s *simulation) flow(w *workload, d time.Duration) {
	f, seconds := w.flow, d.Seconds()
	middle := s.now - d/2
	came := f.rate * seconds
	f.carry += came
	if n := math.Floor(f.carry + 1e-9); n > 0 {
		f.carry -= n
		w.arrivals += int(n)
		s.result.cameN(s.now, int64(n))
	}
	capacity := 0.0
	for _, p := range w.pods {
		if p.serving {
			capacity += w.perPod()
		}
	}
	if came > 0 {
		f.held = append(f.held, cohort{middle, came})
	}
	quota, served := capacity*seconds/f.service, 0.0
	for len(f.held) > 0 && quota > 1e-9 {
		h := &f.held[0]
		n := math.Min(h.n, quota)
		s.result.flowed(n, max(0, middle-h.at), f.service)
		h.n, quota, served = h.n-n, quota-n, served+n
		if h.n > 1e-9 {
			break
		}
		f.held = f.held[1:]
	}
	for len(f.held) > 0 && s.now-f.held[0].at >= w.Hold {
		s.result.flowFailed(f.held[0].n, s.now-f.held[0].at)
		f.held = f.held[1:]
	}
	backlog := 0.0
	for _, h := range f.held {
		backlog += h.n
	}
	inFlight := served * f.service / seconds
	concurrency := inFlight + backlog
	w.inFlight, w.backlog = int(math.Ceil(inFlight-1e-9)), int(math.Ceil(backlog-1e-9))
	w.integral += concurrency * seconds
	w.rival.integral += concurrency * seconds
	w.trend.add(w.metered, s.now, concurrency)
	w.metered = s.now
	w.ended += int(served)
	w.service += time.Duration(float64(int(served)) * f.service * float64(time.Second))
	if concurrency > 0 {
		s.lastBusy, w.focus.lastBusy = s.now, s.now
		s.touch(w)
	}
	if w.backlog > 0 {
		s.decider.heard(happening{what: queueFormed, workload: w})
	}
}

// flowLoads spreads what is in flight over the pods, for a report.
func (w *workload) flowLoads() (loads []autoscaler.PodLoad) {
	left, pods := w.inFlight, 0
	for _, p := range w.pods {
		if p.serving {
			pods++
		}
	}
	for _, p := range w.pods {
		if p.serving && left > 0 {
			n := (left + pods - 1) / pods
			loads = append(loads, autoscaler.PodLoad{ID: p.id, InFlight: n})
			left, pods = left-n, pods-1
		}
	}
	return loads
}
