package controller

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/live"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// changeGap is the least time between two plans that a change of the world causes: changes come in swarms (a pod's status
// five times in a row), and one plan answers them all. A queue that forms waits only as long as the last plan took, so
// that planning takes half of one core at most whatever comes.
const changeGap = 5 * time.Millisecond

// loop is the one place where decisions are made: it owns the Memory, and it alone calls Plan.
type loop struct {
	priceCap float64 // an hour, of all pools; 0 is none
	world    *world
	pools    *pools
	link     *link
	actor    *actor
	tell     *teller
	metrics  *metrics
	traces   *traces
	log      *zap.Logger
	reports  <-chan autoscaler.Observation
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
	last     time.Time
	took     time.Duration // of the last plan
	faults   string        // what Check last found, to say it once

	mu    sync.Mutex
	state autoscaler.State // of the last plan, for people who ask
}

// run plans each tick, and at once when a queue forms or when the world changes while something is under way.
func (l *loop) run(ctx context.Context) {
	tick := time.NewTicker(autoscaler.Tick)
	defer tick.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	cause, observed := "", time.Time{}
	want := func(why string, at time.Time, apart time.Duration) {
		if cause == "" || why == "queue" && cause != "queue" {
			cause, observed = why, at
			gap.Reset(max(0, apart-time.Since(l.last)))
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-l.reports:
			if l.observe(o) {
				want("queue", o.At, l.took)
			}
		case <-l.world.changed:
			want("change", time.Now(), changeGap)
		case now := <-tick.C:
			want("tick", now, 0)
		case <-gap.C:
			if cause != "" {
				l.plan(cause, observed)
				cause = ""
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
			queueFormed = queueFormed || w.Queued > before[w.ID]
		}
	}
	l.queued[o.Gateway] = now
	return queueFormed
}

func (l *loop) plan(cause string, observed time.Time) {
	now := time.Now()
	defer func() { l.last, l.took = time.Now(), time.Since(now) }()
	pic := look(l.world, l.pools, l.actor.written, now)
	pic.cluster.PriceCap = l.priceCap
	l.measures.fill(pic, now)
	for _, j := range pic.joins {
		l.memory.Joined(j.pool, j.took)
		l.metrics.coldStage(stageJoin, j.took)
		l.traces.joined(j, now)
	}
	l.measureStarts(pic, now)
	s := l.memory.State(now, pic.cluster)
	d := autoscaler.Plan(s)
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
	l.memory.Keep(d)
	l.traces.decided(&s, &d, now)
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
		since, was := l.starting[p.ID]
		switch p.Phase {
		case autoscaler.Starting:
			if !was {
				since = p.Since
			}
			seen[p.ID] = since
		case autoscaler.Ready:
			if was {
				l.memory.Started(p.Workload, now.Sub(since))
			}
		}
	}
	l.starting = seen
}

// lastState is the State of the last plan, in the form that replays it.
func (l *loop) lastState() string {
	l.mu.Lock()
	s := l.state
	l.mu.Unlock()
	return scenario.Print(s)
}
