package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/test/holding"
)

// TestHoldsAsTheGatewayDoes drives the model of queue and slots by the same rules as gateway's test of that name does the
// gateway's own.
func TestHoldsAsTheGatewayDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		holding.Check(t, func(l holding.Limits) holding.Holder { return newModelHolder(l) })
	})
}

// modelHolder is a simulation without a cluster.
type modelHolder struct {
	s       *simulation
	node    node
	pods    map[string]*pod
	names   map[*pod]string
	request map[int32]int // by place, as long as the place is the request's
	place   map[int]int32
	order   uint64
}

// deaf decides nothing.
type deaf struct{}

func (deaf) tick()           {}
func (deaf) heard(happening) {}

func newModelHolder(l holding.Limits) *modelHolder {
	s := &simulation{
		Config:  Config{QueueLimit: l.PerQueue, QueueTotal: l.Total, Delays: Delays{Stop: Delay{Mean: time.Hour}}},
		decider: deaf{}, byName: map[string]*workload{}, shapes: map[autoscaler.Resources]*fit.Pod{}, result: newResult("", 0),
	}
	for i := range l.Workloads {
		s.add(Workload{
			Workload: autoscaler.Workload{ID: autoscaler.WorkloadID(fmt.Sprint(i)), Policy: autoscaler.Policy{Slots: l.Slots, StableWindow: time.Minute, Target: 1}},
			Hold:     time.Hour,
		})
	}
	return &modelHolder{s: s, pods: map[string]*pod{}, names: map[*pod]string{}, request: map[int32]int{}, place: map[int]int32{}}
}

func (m *modelHolder) Arrive(workload, request int) {
	place := int32(len(m.s.requests))
	if n := len(m.s.spare); n > 0 {
		place = m.s.spare[n-1]
	}
	m.request[place], m.place[request] = request, place
	m.s.now += time.Millisecond
	m.s.arrive(m.s.workloads[workload], time.Hour)
}

func (m *modelHolder) Open(workload int, name string) {
	w := m.s.workloads[workload]
	p := &pod{w: w, node: &m.node, ready: true, serving: true}
	w.pods, w.live, w.ready = append(w.pods, p), w.live+1, w.ready+1
	m.pods[name], m.names[p] = p, name
	m.s.drainQueue(w)
}

func (m *modelHolder) Close(_ int, name string) { m.s.leave(m.pods[name]) }

func (m *modelHolder) Answer(request int) {
	place := m.place[request]
	delete(m.request, place)
	m.s.answer(place)
}

func (m *modelHolder) Leave(workload int) {
	w := m.s.workloads[workload]
	first := &m.s.requests[w.queue[w.head]]
	first.arrived = m.s.now - w.Hold // its time is over
	for _, i := range w.queue[w.head+1:] {
		m.s.requests[i].arrived = m.s.now
	}
	m.s.expire(w)
}

// Outcomes are those that got a pod, told by the answers that are to come, and those whose place is free without one.
func (m *modelHolder) Outcomes() []holding.Outcome {
	var released []event
	for _, e := range m.s.heap {
		if e.kind == answers && e.order > m.order {
			released = append(released, e)
		}
	}
	m.order = m.s.count
	slices.SortFunc(released, func(a, b event) int { return cmp.Compare(a.order, b.order) })
	var list []holding.Outcome
	for _, e := range released {
		list = append(list, holding.Outcome{Request: m.request[e.index], Pod: m.names[m.s.requests[e.index].pod]})
	}
	for _, place := range m.s.spare {
		if request, ok := m.request[place]; ok {
			list = append(list, holding.Outcome{Request: request})
			delete(m.request, place)
		}
	}
	return list
}
