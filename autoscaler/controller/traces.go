package controller

import (
	"strings"
	"sync"
	"time"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/api/wire/trace"
	"github.com/wholescale/wholescale/autoscaler"
)

// traces follows a request that was held first to the node that it caused: decide.pods, decide.nodes, provider.increase,
// node.join. A nil one follows none.
type traces struct {
	exporter *trace.Exporter

	mu sync.Mutex
	// held are the requests that are held first, by workload, as gateways told.
	held map[autoscaler.WorkloadID]heldFirst
	// orders are the spans decide.nodes that an order is to carry on, and joins those that wait for a node, by pool.
	orders map[autoscaler.PoolID]trace.Context
	joins  map[autoscaler.PoolID]awaited
}

// heldFirst is such a request. seen says that a decision was made while it was held: a plan may run between a gateway's words
// and the State that has them in it. told says that a decision raised replicas for it.
type heldFirst struct {
	from       trace.Context
	seen, told bool
}

// awaited is how many nodes of a pool a trace has caused that are not there yet.
type awaited struct {
	from  trace.Context
	nodes int
}

func newTraces(e *trace.Exporter) *traces {
	if e == nil {
		return nil
	}
	return &traces{
		exporter: e, held: map[autoscaler.WorkloadID]heldFirst{},
		orders: map[autoscaler.PoolID]trace.Context{}, joins: map[autoscaler.PoolID]awaited{},
	}
}

// reported takes in which requests a gateway holds first.
func (t *traces) reported(r *wire.Report) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range r.GetWorkloads() {
		id := autoscaler.WorkloadID(w.GetWorkload())
		if c, ok := trace.Parse(w.GetTraceParent()); ok && t.held[id].from != c {
			t.held[id] = heldFirst{from: c}
		}
	}
}

// decided makes the spans of a plan that began at from: for each workload that is raised for a held request, and for each
// pool that is to buy for it.
func (t *traces) decided(s *autoscaler.State, d *autoscaler.Decision, from time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	pods := map[autoscaler.WorkloadID]trace.Context{}
	for i := range d.Scales {
		scale := &d.Scales[i]
		held, ok := t.held[scale.Workload]
		if !ok {
			continue
		}
		if s.Workloads[i].Demand.Queued == 0 {
			if held.seen { // nobody is held any more: what is raised from now on is for others
				delete(t.held, scale.Workload)
			}
			continue
		}
		raised := scale.To > scale.From && !held.told
		held.seen, held.told = true, held.told || raised
		t.held[scale.Workload] = held
		if !raised {
			continue
		}
		namespace, name, _ := strings.Cut(string(scale.Workload), "/")
		pods[scale.Workload] = held.from.Child()
		t.exporter.Send(trace.Span{
			Name: "decide.pods", Context: pods[scale.Workload], Parent: held.from.Span, From: from, To: now,
			Words:   map[string]string{"k8s.namespace.name": namespace, "k8s.deployment.name": name, "wholescale.rule": scale.Why[0].Rule.String(), "wholescale.why": scale.Why[0].Sentence()},
			Numbers: map[string]int{"wholescale.replicas.from": scale.From, "wholescale.replicas.to": scale.To, "wholescale.held": s.Workloads[i].Demand.Queued},
		})
	}
	for i := range d.Orders {
		if o := &d.Orders[i]; o.To > o.From {
			t.bought(o, d.Placements, pods, trace.Span{From: from, To: now})
		}
	}
}

// bound forgets the requests of workloads that are gone; there are so many that are not.
func (t *traces) bound(workloads int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) > 2*workloads+64 {
		clear(t.held)
	}
}

// bought makes the span of an order for the first traced workload that it is for.
func (t *traces) bought(o *autoscaler.Order, placements []autoscaler.Placement, pods map[autoscaler.WorkloadID]trace.Context, span trace.Span) {
	for i := range placements {
		parent, ok := pods[placements[i].Workload]
		if !ok {
			continue
		}
		for _, spot := range placements[i].Spots {
			if spot.Pool != o.Pool {
				continue
			}
			span.Name, span.Context, span.Parent = "decide.nodes", parent.Child(), parent.Span
			span.Words = map[string]string{"wholescale.pool": string(o.Pool), "wholescale.workload": string(placements[i].Workload), "wholescale.rule": o.Why[0].Rule.String(), "wholescale.why": o.Why[0].Sentence()}
			span.Numbers = map[string]int{"wholescale.nodes.from": o.From, "wholescale.nodes.to": o.To}
			t.exporter.Send(span)
			t.orders[o.Pool] = span.Context
			return
		}
	}
}

// ordered makes the span of the provider's answer to an order that was planned for a traced request.
func (t *traces) ordered(o autoscaler.Order, planned, now time.Time, err error) {
	if t == nil || o.To <= o.From {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	parent, ok := t.orders[o.Pool]
	if !ok {
		return
	}
	s := trace.Span{
		Name: "provider.increase", Context: parent.Child(), Parent: parent.Span, From: planned, To: now,
		Words: map[string]string{"wholescale.pool": string(o.Pool)}, Numbers: map[string]int{"wholescale.nodes.to": o.To},
	}
	if err != nil {
		s.Failed = err.Error() // it is tried again, under the same parent
	} else {
		delete(t.orders, o.Pool)
		t.joins[o.Pool] = awaited{from: s.Context, nodes: o.To - o.From}
	}
	t.exporter.Send(s)
}

// joined makes the span of a node that has come for a traced request.
func (t *traces) joined(j join, now time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.joins[j.pool]
	if !ok {
		return
	}
	if a.nodes--; a.nodes <= 0 {
		delete(t.joins, j.pool)
	} else {
		t.joins[j.pool] = a
	}
	t.exporter.Send(trace.Span{
		Name: "node.join", Context: a.from.Child(), Parent: a.from.Span, From: now.Add(-j.took), To: now, Words: map[string]string{"wholescale.pool": string(j.pool)},
	})
}
