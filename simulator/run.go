package simulator

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
)

// Result is what a run came to.
type Result struct {
	report.Run
	// Decisions is each decision that changed something, printed as people and scenarios see it, when Config.Log asks for it.
	Decisions string
}

// Run replays the requests. It fails when the Config makes no sense, when the traffic cannot be read, or when Check finds
// fault with a decision and Config.Tolerant is not set; the error then holds the State that replays it.
func Run(c Config) (Result, error) {
	if err := c.complete(); err != nil {
		return Result{}, err
	}
	if c.Traffic == nil {
		c.Traffic = &list{requests: c.Requests}
	}
	if c.Policy == Oracle {
		return runOracle(c)
	}
	s := &simulation{Config: c, byName: map[string]*workload{}, shapes: map[autoscaler.Resources]*fit.Pod{}, result: newResult("simulated", c.Moments)}
	for _, p := range c.Pools {
		s.pools = append(s.pools, &pool{Pool: p})
	}
	decider, err := newDecider(s)
	if err != nil {
		return Result{}, err
	}
	s.decider = decider
	if c.Counts == nil { // a fluid has no moments between its steps
		s.reportPhase, s.planPhase = s.phase("gateway/tick"), s.phase("controller/tick")
		s.scanPhase = time.Duration(stream(s.Seed, "controller/scan").IntN(mostScan)) * time.Second
	}
	for _, w := range c.Workloads {
		s.add(w)
	}
	s.changePrices()
	s.comeBack()
	run := s.run
	if c.Counts != nil {
		run = s.runCounts
	}
	if err := run(); err != nil {
		return Result{}, err
	}
	s.result.finish(s)
	return Result{Run: s.result.run, Decisions: s.decisions.String()}, nil
}

// list is Traffic from memory.
type list struct {
	requests []trace.Request
	next     int
}

func (l *list) Next(r *trace.Request) error {
	if l.next == len(l.requests) {
		return io.EOF
	}
	*r = l.requests[l.next]
	l.next++
	return nil
}

// simulation is a run under way.
type simulation struct {
	Config
	events
	decider   decider
	workloads []*workload // in the order in which they were made
	sorted    []*workload // by id
	byName    map[string]*workload
	shapes    map[autoscaler.Resources]*fit.Pod
	functions []*workload    // by index of the trace
	played    map[string]int // samples of recorded delays, by which delay it is
	writes    int            // of scales and orders, which have a delay each
	pools     []*pool
	requests  []request
	spare     []int32 // places in requests
	held      int     // requests in all queues
	sized     uint64  // how many times one of them changed
	touched   []*workload
	waiting   []*pod // that the scheduler has no node for yet
	reported  time.Duration
	ticking   bool
	// reportPhase and planPhase are where in each second the gateway reports and the decider has its tick: two processes that
	// started when they did. Nothing in the world is in step with the seconds that averages are kept in.
	reportPhase, planPhase time.Duration
	scanPhase              time.Duration // whole seconds, of what comes less often than each
	coming                 trace.Request
	ended                  bool // all requests have arrived
	lastBusy               time.Duration
	steps                  int
	result                 result
	decisions              strings.Builder
	rules                  autoscaler.PolicyName // for all workloads; empty for their own
	fault                  error
}

// add makes a workload.
func (s *simulation) add(v Workload) *workload {
	if s.rules != "" {
		v.Policy.Name = s.rules
	}
	w := &workload{Workload: v, index: int32(len(s.workloads)), metered: s.now}
	w.plain, w.Shape.Rules = w.Shape.Rules == nil, s.shared(&w.Shape)
	w.trend = trend{window: v.Policy.StableWindow, ends: s.now - s.now%v.Policy.StableWindow + v.Policy.StableWindow, target: v.Policy.Target}
	s.workloads = append(s.workloads, w)
	i, _ := slices.BinarySearchFunc(s.sorted, w, byID)
	s.sorted = slices.Insert(s.sorted, i, w)
	s.byName[string(w.ID)] = w
	s.decider.heard(happening{what: workloadAdded, workload: w})
	return w
}

// shared is what the scheduler looks at of a shape, the same for all shapes that ask for the same.
func (s *simulation) shared(shape *autoscaler.Shape) *fit.Pod {
	if shape.Rules != nil {
		return shape.Rules
	}
	if s.shapes[shape.Needs] == nil {
		s.shapes[shape.Needs] = shape.Pod()
	}
	return s.shapes[shape.Needs]
}

// workloadOf is whom a request is for.
func (s *simulation) workloadOf(r *trace.Request) (*workload, error) {
	if s.New == nil {
		if r.Workload == "" {
			return s.workloads[0], nil
		}
		if w := s.byName[r.Workload]; w != nil {
			return w, nil
		}
		return nil, fmt.Errorf("request %d is for %s, which is no workload of this run", s.result.requests+1, r.Workload)
	}
	for len(s.functions) <= r.Function {
		s.functions = append(s.functions, nil)
	}
	if w := s.functions[r.Function]; w != nil {
		return w, nil
	}
	v := s.New(r.Function, r.Workload)
	if err := v.complete(); err != nil {
		return nil, err
	}
	if s.byName[string(v.ID)] != nil {
		return nil, fmt.Errorf("there are two workloads %s", v.ID)
	}
	w := s.add(v)
	s.functions[r.Function] = w
	return w, nil
}

// often is how many events pass between two calls of Progress.
const often = 1 << 14

func (s *simulation) run() error {
	s.read()
	s.startTicks()
	for s.fault == nil {
		if s.steps++; s.steps%often == 0 && s.Progress != nil {
			if err := s.Progress(s.now, int(s.result.requests)); err != nil {
				return err
			}
		}
		at, any := s.next()
		switch {
		case !s.ended && (!any || s.coming.At <= at):
			s.arrival()
		case !any:
			return s.fault
		default:
			s.happen(s.pop())
			if s.ended && s.over() {
				return s.fault
			}
		}
	}
	return s.fault
}

func (s *simulation) happen(e event) {
	switch e.kind {
	case answers:
		s.answer(e.index)
	case expires:
		s.expire(s.workloads[e.index])
	default:
		e.call()
	}
}

// read takes the next request from the traffic.
func (s *simulation) read() {
	before := s.coming.At
	err := s.Traffic.Next(&s.coming)
	switch {
	case errors.Is(err, io.EOF):
		s.ended = true
	case err != nil:
		s.fault = err
	case s.coming.At < before:
		s.fault = fmt.Errorf("request %d arrives before the one ahead of it", s.result.requests+1)
	}
}

func (s *simulation) arrival() {
	s.now = s.coming.At
	w, err := s.workloadOf(&s.coming)
	if err != nil {
		s.fault = err
		return
	}
	s.startTicks()
	s.arrive(w, s.coming.Service)
	s.read()
}

// idle says that there is nothing that a tick could change.
func (s *simulation) idle() bool {
	if s.result.pods > 0 || len(s.touched) > 0 || len(s.requests) > len(s.spare) {
		return false
	}
	for _, w := range s.workloads {
		if w.replicas > 0 {
			return false
		}
	}
	for _, p := range s.pools {
		if len(p.nodes)+p.target > p.Min {
			return false
		}
	}
	return true
}

// over says that all is quiet or has had its time, after the last request.
func (s *simulation) over() bool {
	if len(s.requests) > len(s.spare) { // held or in flight
		s.lastBusy = s.now
		return false
	}
	return s.now-s.lastBusy > s.Settle || !s.ticking && len(s.heap) == 0
}

// phase is a moment within a second, of one process.
func (s *simulation) phase(process string) time.Duration {
	return time.Duration(stream(s.Seed, process).Int64N(int64(autoscaler.Tick)))
}

// mostScan is the longest of the rivals' periods that divide it, in seconds.
const mostScan = 60

// due says that a tick is one of those that come each so often.
func (s *simulation) due(every time.Duration) bool {
	return (s.now-s.planPhase-s.scanPhase)%every == 0
}

// following is the next moment of a phase.
func following(now, phase time.Duration) time.Duration {
	return (now - phase + autoscaler.Tick).Truncate(autoscaler.Tick) + phase
}

// startTicks makes the ticks run for as long as there is anything.
func (s *simulation) startTicks() {
	if s.ticking {
		return
	}
	s.ticking = true
	s.reported = s.now
	s.at(following(s.now, s.planPhase), s.tick)
	s.at(following(s.now, s.reportPhase), s.reportTick)
}

func (s *simulation) reportTick() {
	if s.ticking {
		s.decider.heard(happening{what: reportDue})
		s.after(autoscaler.Tick, s.reportTick)
	}
}

func (s *simulation) tick() {
	s.result.point(s, false)
	s.decider.tick()
	if s.idle() && s.result.requests > 0 {
		s.ticking = false
		return
	}
	s.after(autoscaler.Tick, s.tick)
}

// nodeByID finds a machine.
func (s *simulation) nodeByID(id autoscaler.NodeID) *node {
	for _, p := range s.pools {
		for _, n := range p.nodes {
			if n.id == string(id) {
				return n
			}
		}
	}
	return nil
}
