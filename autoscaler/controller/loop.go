package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/live"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// loop is the one place where decisions are made: it owns the Memory, and it alone calls Plan.
type loop struct {
	priceCap  float64 // an hour, of all pools; 0 is none
	priceCaps []v1alpha1.PriceCap
	world     *world
	pools     *pools
	link      *link
	actor     *actor
	tell      *teller
	metrics   *metrics
	traces    *traces
	log       *zap.Logger
	reports   <-chan autoscaler.Observation
	// decisions is told of each decision that is carried out.
	decisions *decisions
	// measures are what the metrics APIs say; nil asks none.
	measures *measures
	// history takes each decision in, for the live page.
	history *live.History

	memory *autoscaler.Memory
	// queued is the requests held by workload in the last report of each gateway, to see a queue form.
	queued map[string]map[autoscaler.WorkloadID]int
	// starting are the pods seen starting, since when, to measure how long they take.
	starting map[autoscaler.PodID]time.Time
	// forming are the workloads in which a queue formed since the last plan; kept is the last plan about all, from glanceFrom
	// workloads, nodes and pods on.
	forming    map[autoscaler.WorkloadID]bool
	kept       *kept
	glanceFrom int
	pace       pace
	faults     string // what Check last found, to say it once

	mu    sync.Mutex
	state autoscaler.State // of the last plan, for people who ask
}

// run plans each tick, and at once when a queue forms or when the world changes while something is under way.
func (l *loop) run(ctx context.Context) {
	tick := time.NewTicker(autoscaler.Tick)
	defer tick.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	want := func(cause string, seen time.Time) {
		if wait, sooner := l.pace.want(cause, seen, time.Now()); sooner {
			gap.Reset(wait)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-l.reports:
			if l.observe(o) {
				want("queue", o.At)
			}
		case <-l.world.changed:
			want("change", time.Now())
		case now := <-tick.C:
			want("tick", now)
		case <-gap.C:
			if cause, seen := l.pace.take(); cause != "" {
				l.plan(cause, seen)
			}
		}
	}
}

// observe takes a report in and says whether a queue formed in it.
func (l *loop) observe(o autoscaler.Observation) (queueFormed bool) {
	l.memory.Observe(o)
	before := l.queued[o.Gateway]
	if o.Goodbye {
		delete(l.queued, o.Gateway)
		return false
	}
	now := map[autoscaler.WorkloadID]int{}
	for i := range o.Workloads {
		w := &o.Workloads[i]
		if w.Queued > 0 {
			now[w.ID] = w.Queued
			if w.Queued > before[w.ID] {
				queueFormed = true
				l.forming[w.ID] = true
			}
		}
	}
	l.queued[o.Gateway] = now
	return queueFormed
}

func (l *loop) plan(cause string, observed time.Time) {
	now := time.Now()
	defer func() { l.pace.planned(now, time.Now()) }()
	if cause != "tick" && l.glance(cause, observed, now) {
		return
	}
	clear(l.forming)
	pic := look(l.world, l.pools, l.actor.written, now)
	pic.cluster.PriceCap = v1alpha1.LowestCap(l.priceCap, l.priceCaps, now)
	l.measures.fill(pic, now)
	for _, j := range pic.joins {
		if j.resumed {
			l.memory.Resumed(j.pool, j.took)
		} else {
			l.memory.Joined(j.pool, j.took)
		}
		l.metrics.coldStage(stageJoin, j.took)
		l.traces.joined(j, now)
	}
	l.measureStarts(pic, now)
	var before []autoscaler.Workload
	if l.large(pic) {
		before = slices.Clone(pic.cluster.Workloads)
	}
	s := l.memory.State(now, pic.cluster)
	book, d := autoscaler.Open(s)
	faults := autoscaler.Check(s, d)
	l.metrics.plan.WithLabelValues(cause).Observe(time.Since(now).Seconds())
	l.mu.Lock()
	l.state = s
	l.mu.Unlock()
	if len(faults) > 0 {
		l.refuse(s, faults)
		return
	}
	l.faults = ""
	l.keep(pic, before, book)
	l.memory.Keep(d)
	l.traces.decided(&s, &d, now)
	l.traces.bound(len(s.Workloads))
	l.actor.carryOut(pic, d, origin{cause: cause, at: observed})
	l.link.publishRoutes(pic.adopted, l.world.podsOf)
	l.link.publishHolds(d.Holds)
	l.metrics.state.set(&s, &d)
	l.decisions.note(d, cause)
	// Status can wait for the tick; the API server's time belongs to the scales first.
	if cause == "tick" {
		l.history.Add(totals(&s, &d))
		l.tell.report(pic, s, d)
	}
}

// refuse acts on nothing: a decision that must never be carried out came out, and the State that it came from is said, in
// the form that replays it.
func (l *loop) refuse(s autoscaler.State, faults []autoscaler.Violation) {
	l.metrics.violations.Inc()
	words := ""
	for _, v := range faults {
		words += v.String() + "\n"
	}
	if words == l.faults {
		return
	}
	l.faults = words
	l.log.Error("the decision breaks an invariant and is not carried out; please report it with the state", zap.String("violations", words), zap.String("state", scenario.Print(s)))
}

// measureStarts learns how long pods take from being bound to being ready, from the moments at which we saw both.
func (l *loop) measureStarts(pic *picture, now time.Time) {
	seen := make(map[autoscaler.PodID]time.Time, len(l.starting))
	for i := range pic.cluster.Pods {
		p := &pic.cluster.Pods[i]
		if p.Workload == "" {
			continue
		}
		if since, starting := l.startOf(p, now); starting {
			seen[p.ID] = since
		}
	}
	l.starting = seen
}

// startOf says since when a pod of ours is starting, and learns from one that was.
func (l *loop) startOf(p *autoscaler.Pod, now time.Time) (since time.Time, starting bool) {
	since, was := l.starting[p.ID]
	switch {
	case p.Workload == "":
	case p.Phase == autoscaler.Starting && was:
		return since, true
	case p.Phase == autoscaler.Starting:
		return p.Since, true
	case p.Phase == autoscaler.Ready && was:
		l.memory.Started(p.Workload, now.Sub(since))
	}
	return time.Time{}, false
}

// lastState is the State of the last plan, in the form that replays it.
func (l *loop) lastState() string {
	l.mu.Lock()
	s := l.state
	l.mu.Unlock()
	return scenario.Print(s)
}
