package autoscaler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler/learn"
)

// Tick is how often gateways report and drivers plan when nothing urgent happens.
const Tick = time.Second

const (
	// staleAfter is how old a gateway's last report may be: three ticks, so that one that is late and one that is lost
	// in a row do not stop scaling down, and no more than that goes by unseen.
	staleAfter = 3 * Tick
	// forgetAfter is when a gateway that went silent without a goodbye counts no more, provided another one reports: the
	// longest that a request is held by default.
	forgetAfter = 60 * time.Second
	// leadQuantile of the learned starts and joins is what is planned with: late one time in ten.
	leadQuantile = 0.9
	// The times planned with until one was measured, when the workload or pool does not say.
	defaultStart = 5 * time.Second
	defaultJoin  = 60 * time.Second
)

// Observation is one report of one gateway.
type Observation struct {
	At      time.Time // of arrival, by the driver's clock
	Gateway string
	// Interval is what the averages cover, up to At.
	Interval time.Duration
	// Partial: only the workloads named have changed; of the others stands what the gateway said last. The averages come with
	// the next report that is not partial, so that Interval and Concurrency are 0.
	Partial bool
	// Goodbye: the gateway has ended in good order; it holds nothing any more.
	Goodbye bool
	// Workloads that are not named had nothing held or in flight. Sorted by ID.
	Workloads []Load
}

// Load is what one gateway saw of one workload.
type Load struct {
	ID WorkloadID
	// Concurrency is the average over the interval of requests held and in flight.
	Concurrency float64
	// Arrivals are the requests that came in the interval; Ended those that a pod was done with, after Service in all.
	Arrivals, Ended int
	Service         time.Duration
	// Queued and Pods are now.
	Queued int
	Pods   []PodLoad // sorted by ID
}

// PodLoad is the requests that one gateway has in flight on one pod.
type PodLoad struct {
	ID       PodID
	InFlight int
}

// Memory is what the past has taught: windows of concurrency, learned times, and the last Decision's memo. Each driver
// has one and feeds it; neither invents another. It is for one goroutine. Use NewMemory.
type Memory struct {
	workloads map[WorkloadID]*demandMemory
	gateways  map[string]*gatewayMemory
	heard     time.Time // the end of the newest report of all
	starts    map[WorkloadID]*learn.Durations
	joins     map[PoolID]*learn.Durations
	resumes   map[PoolID]*learn.Durations
	memo      Memo
	// later are memos of workloads that are younger than memo.
	later map[WorkloadID]WorkloadMemo
}

type gatewayMemory struct {
	at   time.Time
	last []Load // sorted by id
}

// NewMemory is a memory that has seen nothing.
func NewMemory() *Memory {
	return &Memory{
		workloads: map[WorkloadID]*demandMemory{},
		gateways:  map[string]*gatewayMemory{},
		starts:    map[WorkloadID]*learn.Durations{},
		joins:     map[PoolID]*learn.Durations{},
		resumes:   map[PoolID]*learn.Durations{},
		later:     map[WorkloadID]WorkloadMemo{},
	}
}

// Observe takes in one report. What it says of a workload that the next State does not know is forgotten with that State.
func (m *Memory) Observe(o Observation) {
	if o.Goodbye {
		delete(m.gateways, o.Gateway)
		return
	}
	if o.Partial && m.gateways[o.Gateway] != nil {
		m.observePart(o)
		return
	}
	if byID := func(a, b Load) int { return cmp.Compare(a.ID, b.ID) }; !slices.IsSortedFunc(o.Workloads, byID) {
		o.Workloads = slices.Clone(o.Workloads)
		slices.SortStableFunc(o.Workloads, byID)
	}
	var before []Load
	if g := m.gateways[o.Gateway]; g != nil {
		before = g.last
	}
	m.gateways[o.Gateway] = &gatewayMemory{at: o.At, last: o.Workloads}
	for i := range o.Workloads {
		m.demand(o.Workloads[i].ID).observe(o.At, &o.Workloads[i], o.Interval, len(m.gateways))
	}
	// A workload that is not named was idle here. Those that were named before end their time; of the others, rest tells.
	next := 0
	for i := range before {
		for next < len(o.Workloads) && o.Workloads[next].ID < before[i].ID {
			next++
		}
		if next == len(o.Workloads) || o.Workloads[next].ID != before[i].ID {
			m.idle(o, m.workloads[before[i].ID])
		}
	}
	if o.At.Add(-o.Interval).Unix() > m.heard.Unix()+1 {
		m.gap(o)
	}
	if o.At.After(m.heard) {
		m.heard = o.At
	}
}

// idle takes in that a report did not name a workload.
func (m *Memory) idle(o Observation, w *demandMemory) {
	if w == nil {
		return
	}
	if m.rest(w); w.stable.Empty(o.At) {
		w.clear()
		return
	}
	w.observe(o.At, &Load{}, o.Interval, len(m.gateways))
}

// gap takes in a report before which there was none for a while. Nobody knows what was then; windows that it is longer than begin anew.
func (m *Memory) gap(o Observation) {
	named := make(map[WorkloadID]bool, len(o.Workloads))
	for i := range o.Workloads {
		named[o.Workloads[i].ID] = true
	}
	for id, w := range m.workloads {
		if !named[id] {
			m.idle(o, w)
		}
	}
}

// observePart takes in a report of what has changed since the last one.
func (m *Memory) observePart(o Observation) {
	g := m.gateways[o.Gateway]
	g.at = o.At
	for i := range o.Workloads {
		l := &o.Workloads[i]
		m.demand(l.ID).observe(o.At, l, 0, len(m.gateways))
		at, found := slices.BinarySearchFunc(g.last, l.ID, func(l Load, id WorkloadID) int { return cmp.Compare(l.ID, id) })
		if found {
			g.last[at] = *l
		} else {
			g.last = slices.Insert(g.last, at, *l)
		}
	}
}

// Started takes in the time from a pod's binding to its being ready.
func (m *Memory) Started(id WorkloadID, d time.Duration) { addSample(m.starts, id, d) }

// Joined takes in the time from an instance's creation to its node being ready.
func (m *Memory) Joined(id PoolID, d time.Duration) { addSample(m.joins, id, d) }

// Resumed takes in the time from a stopped instance's being told to start to its node being ready.
func (m *Memory) Resumed(id PoolID, d time.Duration) { addSample(m.resumes, id, d) }

// Keep remembers what Plan wants to be told next time.
func (m *Memory) Keep(d Decision) {
	m.memo = d.Memo
	clear(m.later)
}

// KeepPart remembers what it wants to be told of the workloads of a decision that was about a few (Book.Glance).
func (m *Memory) KeepPart(d Decision) {
	for _, w := range d.Memo.Workloads {
		m.later[w.ID] = w
	}
}

// memoOf is what is remembered for a State of some workloads, sorted by id.
func (m *Memory) memoOf(c *Cluster) Memo {
	memo := m.memo
	if len(m.later) == 0 && !c.Partial {
		return memo
	}
	memo.Workloads = make([]WorkloadMemo, 0, len(c.Workloads))
	for i := range c.Workloads {
		id := c.Workloads[i].ID
		if w, ok := m.later[id]; ok {
			memo.Workloads = append(memo.Workloads, w)
		} else if at, found := slices.BinarySearchFunc(m.memo.Workloads, id, func(w WorkloadMemo, id WorkloadID) int { return cmp.Compare(w.ID, id) }); found {
			memo.Workloads = append(memo.Workloads, m.memo.Workloads[at])
		}
	}
	return memo
}

// State completes a picture of the cluster with what is remembered. The cluster's slices are sorted in place and become
// the State's.
func (m *Memory) State(now time.Time, c Cluster) State {
	c.sort()
	m.forget(now, &c)
	stale := m.stale(now)
	loads := m.loads(c.Workloads)
	for i := range c.Workloads {
		w := &c.Workloads[i]
		w.Demand = m.demandOf(now, w, loads[i], stale)
		w.Start = m.start(w)
	}
	for i := range c.Pools {
		p := &c.Pools[i]
		p.Join = lead(m.joins[p.ID], cmp.Or(p.Join, defaultJoin))
		p.Resume = lead(m.resumes[p.ID], cmp.Or(p.Resume, p.Join))
		p.Joins = m.joins[p.ID].Spread()
	}
	m.readyPods(&c)
	dueNodes(&c)
	podLoads(&c, loads)
	return State{Now: now, Workloads: c.Workloads, Pools: c.Pools, Groups: c.Groups, Nodes: c.Nodes, Pods: c.Pods, Daemons: c.Daemons,
		Buffers: c.Buffers, Namespaces: c.Namespaces, PriceCap: c.PriceCap, Memo: m.memoOf(&c)}
}

// readyPods tells each workload's memory how many pods share what gateways report.
func (m *Memory) readyPods(c *Cluster) {
	if c.Partial {
		for i := range c.Workloads {
			if w := m.workloads[c.Workloads[i].ID]; w != nil {
				w.ready = 0
			}
		}
	} else {
		for _, w := range m.workloads {
			w.ready = 0
		}
	}
	for i := range c.Pods {
		if p := &c.Pods[i]; p.Phase == Ready && p.Workload != "" {
			if w := m.workloads[p.Workload]; w != nil {
				w.ready++
			}
		}
	}
}

// dueNodes expects each coming node, of which the driver does not know better, when its pool's machines usually join.
func dueNodes(c *Cluster) {
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.Phase != Coming || !n.Due.IsZero() || n.Since.IsZero() {
			continue
		}
		k, ok := slices.BinarySearchFunc(c.Pools, n.Pool, func(p Pool, id PoolID) int { return cmp.Compare(p.ID, id) })
		if ok {
			n.Due = n.Since.Add(c.Pools[k].Join)
			if n.Resuming {
				n.Due = n.Since.Add(c.Pools[k].Resume)
			}
		}
	}
}

// loads adds up the gateways' last words of each workload of a list that is sorted by id.
func (m *Memory) loads(of []Workload) []Load {
	sum := make([]Load, len(of))
	for _, name := range slices.Sorted(maps.Keys(m.gateways)) {
		last := m.gateways[name].last
		few := len(of)*8 < len(last)
		for i := range of {
			id := of[i].ID
			if few {
				at, _ := slices.BinarySearchFunc(last, id, func(l Load, id WorkloadID) int { return cmp.Compare(l.ID, id) })
				last = last[at:]
			}
			for len(last) > 0 && last[0].ID < id {
				last = last[1:]
			}
			for ; len(last) > 0 && last[0].ID == id; last = last[1:] {
				s := &sum[i]
				s.Queued += last[0].Queued
				s.Pods = append(s.Pods[:len(s.Pods):len(s.Pods)], last[0].Pods...)
			}
		}
	}
	return sum
}

// podLoads tells each pod what is in flight on it.
func podLoads(c *Cluster, loads []Load) {
	onPod := map[PodID]int{}
	for i := range loads {
		for _, p := range loads[i].Pods {
			onPod[p.ID] += p.InFlight
		}
	}
	if len(onPod) == 0 {
		return
	}
	for i := range c.Pods {
		if c.Pods[i].Workload != "" {
			c.Pods[i].InFlight = onPod[c.Pods[i].ID]
		}
	}
}

// stale: unknown is when nobody reports, or somebody who did does not any more.
func (m *Memory) stale(now time.Time) bool {
	if len(m.gateways) == 0 {
		return true
	}
	for _, g := range m.gateways {
		if now.Sub(g.at) > staleAfter {
			return true
		}
	}
	return false
}

// forget drops gateways that went silent long ago while others report, and what is remembered of workloads and pools that
// are gone, so that memory is bounded by the cluster.
func (m *Memory) forget(now time.Time, c *Cluster) {
	fresh := false
	for _, g := range m.gateways {
		fresh = fresh || now.Sub(g.at) <= staleAfter
	}
	if fresh {
		maps.DeleteFunc(m.gateways, func(_ string, g *gatewayMemory) bool { return now.Sub(g.at) > forgetAfter })
	}
	if c.Partial {
		return
	}
	forgetOthers(m.workloads, c.Workloads)
	forgetOthers(m.starts, c.Workloads)
	gone := func(id PoolID, _ *learn.Durations) bool {
		return !slices.ContainsFunc(c.Pools, func(p Pool) bool { return p.ID == id })
	}
	maps.DeleteFunc(m.joins, gone)
	maps.DeleteFunc(m.resumes, gone)
}

// forgetOthers keeps what is known of the workloads of a sorted list. Most often that is all there is.
func forgetOthers[T any](known map[WorkloadID]T, list []Workload) {
	there := 0
	for i := range list {
		if _, ok := known[list[i].ID]; ok {
			there++
		}
	}
	if there == len(known) {
		return
	}
	maps.DeleteFunc(known, func(id WorkloadID, _ T) bool {
		_, ok := slices.BinarySearchFunc(list, id, func(w Workload, id WorkloadID) int { return cmp.Compare(w.ID, id) })
		return !ok
	})
}

func (c *Cluster) sort() {
	slices.SortFunc(c.Workloads, func(a, b Workload) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Pools, func(a, b Pool) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Groups, func(a, b Group) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	sortPods(c.Pods)
	slices.SortFunc(c.Daemons, func(a, b Daemon) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Buffers, func(a, b Buffer) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Namespaces, func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
}

// sortPods sorts by id. There are many of them and they are large: each is moved twice, whatever their order.
func sortPods(pods []Pod) {
	if slices.IsSortedFunc(pods, func(a, b Pod) int { return cmp.Compare(a.ID, b.ID) }) {
		return
	}
	type place struct {
		id PodID
		at int
	}
	places := make([]place, len(pods))
	for i := range pods {
		places[i] = place{id: pods[i].ID, at: i}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.id, b.id) })
	old := slices.Clone(pods)
	for i, p := range places {
		pods[i] = old[p.at]
	}
}

func addSample[ID comparable](m map[ID]*learn.Durations, id ID, d time.Duration) {
	if m[id] == nil {
		m[id] = &learn.Durations{}
	}
	m[id].Add(d)
}

// start is the expected start of a workload's pods: what was learned, else what the driver says.
func (m *Memory) start(w *Workload) time.Duration {
	return lead(m.starts[w.ID], cmp.Or(w.Start, defaultStart))
}

func lead(d *learn.Durations, prior time.Duration) time.Duration {
	if d == nil {
		return prior
	}
	return d.Quantile(leadQuantile, prior)
}
