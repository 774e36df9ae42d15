package gateway

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/test/holding"
)

// TestHoldsAsTheModelDoes drives queue and slots by the same rules as simulator's TestHoldsAsTheGatewayDoes does the model.
func TestHoldsAsTheModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		holding.Check(t, func(l holding.Limits) holding.Holder { return newRealHolder(l) })
	})
}

// realHolder is a hub without a network.
type realHolder struct {
	hub      *hub
	limits   holding.Limits
	now      time.Time
	all      []*workload
	pods     []map[string]bool // open, by workload
	waiting  map[int]*waiter
	of       map[int]*workload
	at       map[int]*pod
	outcomes []holding.Outcome
}

func newRealHolder(l holding.Limits) *realHolder {
	h := &realHolder{
		hub: newHub(Config{QueueTotal: l.Total}.withDefaults()), limits: l, now: epoch,
		waiting: map[int]*waiter{}, of: map[int]*workload{}, at: map[int]*pod{},
	}
	for i := range l.Workloads {
		h.all = append(h.all, h.hub.workload(fmt.Sprint(i)))
		h.pods = append(h.pods, map[string]bool{})
	}
	return h
}

func (h *realHolder) Arrive(workload, request int) {
	h.now = h.now.Add(time.Millisecond)
	w := h.all[workload]
	h.of[request] = w
	p, wt, no := w.arrive(&route{queueLimit: h.limits.PerQueue}, h.now)
	switch {
	case no != nil:
		h.outcomes = append(h.outcomes, holding.Outcome{Request: request})
	case p != nil:
		h.at[request] = p
		h.outcomes = append(h.outcomes, holding.Outcome{Request: request, Pod: p.name})
	default:
		h.waiting[request] = wt
	}
}

// replace tells of all pods of a workload, as the controller does.
func (h *realHolder) replace(workload int) (added []*pod) {
	var wants []want
	for _, name := range slices.Sorted(maps.Keys(h.pods[workload])) {
		wants = append(wants, want{name: name, address: "127.0.0.1:1", limit: h.limits.Slots})
	}
	return h.all[workload].slots.replace(wants, h.now)
}

func (h *realHolder) Open(workload int, pod string) {
	w := h.all[workload]
	h.pods[workload][pod] = true
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range h.replace(workload) {
		w.slots.opened(p, h.now) // as when its probe passes
	}
	w.dispatch(h.now)
}

func (h *realHolder) Close(workload int, pod string) {
	w := h.all[workload]
	delete(h.pods[workload], pod)
	w.mu.Lock()
	defer w.mu.Unlock()
	h.replace(workload)
	w.dispatch(h.now)
}

func (h *realHolder) Answer(request int) {
	p := h.at[request]
	delete(h.at, request)
	h.of[request].leave(p, h.now, time.Millisecond, outcomeAnswered)
}

func (h *realHolder) Leave(workload int) {
	w := h.all[workload]
	for _, request := range slices.Sorted(maps.Keys(h.waiting)) {
		if wt := h.waiting[request]; h.of[request] == w {
			if h.hub.queue.leave(wt) {
				w.leave(nil, h.now, 0, outcomeExpired)
				delete(h.waiting, request)
				h.outcomes = append(h.outcomes, holding.Outcome{Request: request})
			}
			return
		}
	}
}

func (h *realHolder) Outcomes() []holding.Outcome {
	for request, wt := range h.waiting {
		select {
		case v := <-wt.verdict:
			delete(h.waiting, request)
			o := holding.Outcome{Request: request}
			if v.pod != nil {
				o.Pod, h.at[request] = v.pod.name, v.pod
			}
			h.outcomes = append(h.outcomes, o)
		default:
		}
	}
	list := h.outcomes
	h.outcomes = nil
	return list
}
