package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/load"
	"github.com/wholescale/wholescale/test/sighting"
)

// Options of a benchmark.
type Options struct {
	// Repeat is the number of repetitions that count; one more goes before them and does not.
	Repeat int
	// Cold takes the nodes away too before each repetition; otherwise one stays ready.
	Cold bool
	// Burst is how many requests step sends at once; 0 is of from-zero.
	Burst int
}

// nodes are the bounds of the pool.
func (o Options) nodes() (least, most int) {
	switch {
	case o.Burst > 0:
		return 0, 8
	case o.Cold:
		return 0, 4
	}
	return 1, 4
}

// FromZero sends one request to a workload without pods, again and again, and splits its way into stages.
func FromZero(ctx context.Context, t Target, o Options) (r Result, err error) {
	r.Name = "from-zero, one node ready"
	if o.Cold {
		r.Name = "from-zero, no node"
	}
	minNodes, _ := o.nodes()
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
	var s samples
	for i := range o.Repeat + 1 {
		t.Progress(fmt.Sprintf("from zero, %d of %d", i, o.Repeat))
		if err := seen.Until(ctx, func(pods, nodes int) bool { return pods == 0 && (nodes == minNodes) }); err != nil {
			return r, fmt.Errorf("waiting for the cluster to be empty: %w", err)
		}
		alone, err := t.scaleAlone(ctx, seen)
		if err != nil {
			return r, err
		}
		began := time.Now()
		outcome := load.Run(ctx, load.Config{URL: t.URL, Host: host, Requests: []trace.Request{{Service: 0}}})[0]
		if i == 0 {
			continue // the first one warms caches and connections
		}
		r.Repetitions++
		r.Requests++
		if !outcome.OK() {
			r.Failed++
			continue
		}
		j, err := t.journals(ctx, began)
		if err != nil {
			return r, err
		}
		s.fromZero(&j, seen, t.Pool, outcome)
		s.add("floor: a scale written alone", alone)
	}
	r.StagesMs = s.stages()
	return r, nil
}

// fromZero splits one request's way.
func (s *samples) fromZero(j *journals, seen *sighting.Book, pool string, o load.Outcome) {
	if len(j.held) == 0 {
		s.add("total", o.Took)
		return
	}
	h := j.held[0]
	scale, bought, pod := j.firstScale(h.Workload), j.firstOrder(pool), seen.Of(h.Pod)
	arrived := at(h.Arrived)
	s.between("request -> reported", arrived, at(h.QueuedReport))
	s.between("reported -> planned", at(h.QueuedReport), scale.Planned)
	s.between("planned -> scale written", scale.Planned, scale.Done)
	s.between("request -> scale written", arrived, scale.Done)
	from := scale.Done
	if !bought.IsZero() {
		joined := seen.FirstReady(bought)
		s.between("request -> provider has it", arrived, bought)
		s.between("bought -> node ready", bought, joined)
		from = joined
	}
	s.between("-> pod bound", from, pod.Bound)
	s.between("bound -> address known", pod.Bound, at(h.Endpoint))
	s.between("address -> probe passed", at(h.Endpoint), at(h.Probed))
	s.between("probed -> released", at(h.Probed), at(h.Released))
	s.between("released -> first byte", at(h.Released), at(h.FirstByte))
	s.between("total", arrived, at(h.FirstByte))
	if scale.Planned.IsZero() {
		return // nobody asked for a pod after this request came
	}
	s.add("our share: report, plan, release", at(h.QueuedReport).Sub(arrived)+scale.Planned.Sub(at(h.QueuedReport))+at(h.Released).Sub(at(h.Probed)))
}
