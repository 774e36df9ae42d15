package gateway

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/api/wire"
)

// hub is all that the gateway knows: the routes, the workloads and their pods, the queue over all of them.
type hub struct {
	config  Config
	allowed addresses
	queue   queue
	records records
	arrived arrivals
	counts  counts
	table   atomic.Pointer[table] // nil until the controller has said its routes
	linked  atomic.Bool

	probes     sync.WaitGroup
	probing    context.Context
	stopProbes context.CancelFunc
	probeWith  [2]prober // by route.h2c

	mu        sync.Mutex
	workloads map[string]*workload

	activeMu sync.Mutex // taken inside of a workload's lock
	actives  map[*workload]struct{}

	urgentMu sync.Mutex // taken inside of a workload's lock
	urgents  map[*workload]struct{}
	wake     chan struct{} // holds one: urgents is not empty
}

func newHub(c Config) *hub {
	h := &hub{
		config:    c,
		allowed:   addresses{allowLoopback: c.AllowLoopback, deny: c.Deny},
		queue:     queue{total: c.QueueTotal},
		arrived:   arrivals{size: c.Arrivals},
		workloads: map[string]*workload{},
		actives:   map[*workload]struct{}{},
		urgents:   map[*workload]struct{}{},
		wake:      make(chan struct{}, 1),
	}
	h.counts.init()
	h.probing, h.stopProbes = context.WithCancel(context.Background())
	return h
}

// close ends all probes and waits for them.
func (h *hub) close() {
	h.stopProbes()
	h.probes.Wait()
}

// workload returns the named one, new when need be. The caller holds the lock.
func (h *hub) workload(name string) *workload {
	w := h.workloads[name]
	if w == nil {
		w = &workload{name: name, hub: h}
		h.workloads[name] = w
	}
	return w
}

// setRoutes replaces all routes. A workload that is no longer named loses its pods, and its held requests are refused.
func (h *hub) setRoutes(m *wire.Routes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	named := map[string]bool{}
	t := newTable(m.GetRoutes(), func(r *wire.Route) (*workload, *route) {
		named[r.GetWorkload()] = true
		w, rt := h.workload(r.GetWorkload()), h.route(r)
		w.setRoute(rt)
		return w, rt
	})
	h.table.Store(t)
	for name, w := range h.workloads {
		if !named[name] && w.remove() {
			delete(h.workloads, name)
		}
	}
}

func (h *hub) route(r *wire.Route) *route {
	rt := &route{
		holdTimeout:     h.config.HoldTimeout,
		waitingPage:     max(0, r.GetWaitingPage().AsDuration()),
		responseTimeout: max(0, r.GetResponseTimeout().AsDuration()),
		queueLimit:      h.config.QueueLimit,
		probePath:       r.GetProbePath(),
		h2c:             r.GetH2C(),
	}
	if d := r.GetHoldTimeout().AsDuration(); d > 0 {
		rt.holdTimeout = d
	}
	if n := r.GetQueueLimit(); n > 0 {
		rt.queueLimit = int(n)
	}
	return rt
}

// setEndpoints replaces the pods of one workload. Routes come first: pods of a workload that the next Routes does not
// name are forgotten.
func (h *hub) setEndpoints(m *wire.Endpoints, now time.Time) {
	wants := make([]want, 0, len(m.GetPods()))
	for _, e := range m.GetPods() {
		if err := h.allowed.check(e.GetAddress()); err != nil {
			h.counts.refusedAddresses.Add(1)
			h.config.Logger.Warn("endpoint refused", zap.String("workload", m.GetWorkload()), zap.String("pod", e.GetPod()), zap.Error(err))
			continue
		}
		wants = append(wants, want{name: e.GetPod(), address: e.GetAddress(), limit: int(e.GetSlots())})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workload(m.GetWorkload()).setEndpoints(wants, now)
}

func (h *hub) setHold(m *wire.Hold) {
	out := hold{refuse: m.GetRefuse(), reason: m.GetReason()}
	for _, a := range m.GetArrivals() {
		out.arrivals = append(out.arrivals, a.GetAt().AsTime())
	}
	slices.SortFunc(out.arrivals, time.Time.Compare)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workload(m.GetWorkload()).setHold(out)
}

// refuseAll ends the wait of every held request.
func (h *hub) refuseAll(why *refusal) (n int) {
	for _, w := range h.list() {
		n += h.queue.flush(&w.line, why)
	}
	return n
}

// list returns all workloads by name.
func (h *hub) list() []*workload {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*workload, 0, len(h.workloads))
	for _, w := range h.workloads {
		out = append(out, w)
	}
	sortByName(out)
	return out
}

func (h *hub) activate(w *workload) {
	h.activeMu.Lock()
	defer h.activeMu.Unlock()
	h.actives[w] = struct{}{}
}

// urgent asks the link for a report at once.
func (h *hub) urgent(w *workload) {
	h.urgentMu.Lock()
	h.urgents[w] = struct{}{}
	h.urgentMu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// due empties the list of workloads that want an urgent report, unless all of them had one less than gap ago; then it
// says how long until the first may have its next.
func (h *hub) due(now time.Time, gap time.Duration) (wait time.Duration, yes bool) {
	h.urgentMu.Lock()
	defer h.urgentMu.Unlock()
	wait = gap
	for w := range h.urgents {
		left := gap - now.Sub(w.lastUrgent)
		yes = yes || left <= 0
		wait = min(wait, left)
	}
	if yes {
		for w := range h.urgents {
			w.lastUrgent = now
		}
		clear(h.urgents)
		return 0, true
	}
	return wait, false
}
