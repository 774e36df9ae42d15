package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/load"
)

// stepService is how long each request of the step keeps a slot: longer than a pod takes to start, so that the burst
// must be met with pods and not by waiting for slots.
const stepService = time.Second

// Step sends a burst at once to a workload without pods in a pool without nodes, again and again.
func Step(ctx context.Context, t Target, o Options) (r Result, err error) {
	r.Name = fmt.Sprintf("step, %d requests at once", o.Burst)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen, err := t.watch(watching)
	if err != nil {
		return r, err
	}
	remove, err := t.prepare(ctx, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := t.routed(ctx); err != nil {
		return r, err
	}
	burst := make([]trace.Request, o.Burst)
	for i := range burst {
		burst[i] = trace.Request{Service: stepService}
	}
	var s samples
	for i := range o.Repeat {
		t.Progress(fmt.Sprintf("step, %d of %d", i+1, o.Repeat))
		if err := seen.Until(ctx, func(pods, nodes int) bool { return pods == 0 && nodes == 0 }); err != nil {
			return r, fmt.Errorf("waiting for the cluster to be empty: %w", err)
		}
		began := time.Now()
		outcomes := load.Run(ctx, load.Config{URL: t.URL, Host: host, Requests: burst})
		r.Repetitions++
		for _, o := range outcomes {
			r.Requests++
			if !o.OK() {
				r.Failed++
			}
			s.add("request -> answered", o.Took)
			s.add("held", o.Held)
		}
		j, err := t.journals(ctx, began)
		if err != nil {
			return r, err
		}
		if len(j.held) > 0 {
			arrived := at(j.held[0].Arrived)
			for _, h := range j.held {
				if a := at(h.Arrived); a.Before(arrived) {
					arrived = a
				}
			}
			s.between("request -> scale written", arrived, j.firstScale(workloadID).Done)
			s.between("request -> provider has it", arrived, j.firstOrder(t.Pool))
		}
	}
	r.StagesMs = s.stages()
	return r, nil
}
