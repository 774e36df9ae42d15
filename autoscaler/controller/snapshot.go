package controller

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// picture is one look at everything: what the core decides from, and what acting needs beside it.
type picture struct {
	cluster  autoscaler.Cluster
	adopted  []adopted // sorted by id, as cluster.Workloads
	pools    map[autoscaler.PoolID]*v1alpha1.NodePool
	nodeName map[autoscaler.NodeID]string // of the nodes that the API server knows
	instance map[autoscaler.NodeID]string
	// orphans are Nodes of ours whose instance the provider does not have any more.
	orphans []string
	joins   []join
}

// look takes a picture at now. written holds scales that were written and that the informers may not show yet.
func look(w *world, p *pools, written *writtenScales, now time.Time) *picture {
	w.mu.Lock()
	defer w.mu.Unlock()
	pic := &picture{
		pools: map[autoscaler.PoolID]*v1alpha1.NodePool{}, nodeName: map[autoscaler.NodeID]string{}, instance: map[autoscaler.NodeID]string{},
	}
	w.lookAgain()
	w.changes = changes{}
	pic.adopted = w.adopt()
	written.keep(pic.adopted)
	for i := range pic.adopted {
		pic.cluster.Workloads = append(pic.cluster.Workloads, pic.adopted[i].workload(written, now))
	}
	pic.addNodes(w, p, now)
	pic.addPods(w)
	for _, d := range w.daemons {
		pic.cluster.Daemons = append(pic.cluster.Daemons, d)
	}
	pic.cluster.Buffers = w.headroom()
	for _, name := range slices.Sorted(maps.Keys(w.namespaces)) {
		pic.cluster.Namespaces = append(pic.cluster.Namespaces, autoscaler.Namespace{Name: name, Labels: w.namespaces[name]})
	}
	slices.SortFunc(pic.cluster.Daemons, func(a, b autoscaler.Daemon) int { return cmp.Compare(a.ID, b.ID) })
	return pic
}

// workload is how the core sees a workload of ours at now.
func (a *adopted) workload(written *writtenScales, now time.Time) autoscaler.Workload {
	policy := a.policy
	policy.Floors = floorsAt(&a.spec, now)
	blocked := a.blocked
	if blocked == "" {
		blocked = written.conflict(a.id, now)
	}
	return autoscaler.Workload{
		ID: a.id, Policy: policy, Priority: int(a.spec.Priority), Shape: a.shape, Replicas: written.current(a.id, a.replicas, now), Start: duration(a.spec.PodStart),
		Blocked: blocked, Initialized: a.object == nil || a.object.Status.ObservedGeneration > 0,
	}
}

func (pic *picture) addNodes(w *world, p *pools, now time.Time) {
	byProvider := make(map[string]*nodeRecord, len(w.nodes))
	for _, n := range w.nodes {
		if n.providerID != "" {
			byProvider[n.providerID] = n
		}
		pic.nodeName[n.ID] = string(n.ID)
	}
	var machines []autoscaler.Node
	pic.cluster.Pools, machines, pic.joins = p.view(now, w.pools, byProvider)
	pic.cluster.Groups = groups(now, w.pools)
	pic.pools = p.resolved // made by this view
	ours := make(map[autoscaler.NodeID]bool, len(machines))
	for _, n := range machines {
		ours[n.ID] = true
		pic.instance[n.ID] = n.Instance
	}
	pic.cluster.Nodes = machines
	known := !slices.ContainsFunc(pic.cluster.Pools, func(p autoscaler.Pool) bool { return p.Unknown != "" })
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		r := w.nodes[name]
		if ours[r.ID] {
			continue
		}
		n := r.Node
		n.Phase = autoscaler.NotReady
		if r.ready && !r.settling {
			n.Phase = autoscaler.Ready
		}
		pic.cluster.Nodes = append(pic.cluster.Nodes, n)
		if r.poolLabel != "" && r.providerID != "" && known && !r.ready && w.pools[r.poolLabel] != nil {
			pic.orphans = append(pic.orphans, name)
		}
	}
}

func (pic *picture) addPods(w *world) {
	scaled := make(map[autoscaler.WorkloadID]bool, len(pic.adopted))
	for _, a := range pic.adopted {
		scaled[a.id] = true
	}
	budgets := map[string][]budget{}
	for _, key := range slices.Sorted(maps.Keys(w.budgets)) {
		b := w.budgets[key]
		budgets[b.namespace] = append(budgets[b.namespace], b)
	}
	pic.cluster.Pods = make([]autoscaler.Pod, 0, len(w.pods))
	for _, r := range w.pods {
		p := r.Pod
		if p.Phase == autoscaler.Leaving && p.Node == "" {
			continue
		}
		if id := w.workloadOf(r); scaled[id] {
			p.Workload = id
		}
		for _, b := range budgets[r.namespace] {
			if p.Keep == "" && b.allowed <= 0 && b.selector.Matches(r.labels) {
				p.Keep = "PodDisruptionBudget " + b.namespace + "/" + b.name + " allows no eviction"
			}
		}
		pic.cluster.Pods = append(pic.cluster.Pods, p)
	}
}

// writtenScales is what we last wrote to each workload's scale. Informers lag behind our own writes; deciding on what they
// still show would write the same again. And somebody else who keeps writing is seen here.
type writtenScales struct {
	mu sync.Mutex
	by map[autoscaler.WorkloadID]*writtenScale
}

type writtenScale struct {
	replicas int
	at       time.Time
	shown    bool // the informer has shown our value
	// own are the values that we wrote, or began to write, of late: an informer may show one before its acknowledgement is
	// back, and shows each of several in a row.
	own []ownValue
	// foreign are the times at which the value changed to what we had not written.
	foreign []time.Time
	last    int
}

type ownValue struct {
	replicas int
	at       time.Time
}

const (
	// writtenFor is how long a write is believed against the informer.
	writtenFor = 5 * time.Second
	// foreignWrites within foreignWindow mean that another writer fights us (three ticks, FAULTS 18).
	foreignWrites  = 3
	foreignWindow  = 30 * time.Second
	conflictPeriod = 5 * time.Minute
)

func newWrittenScales() *writtenScales {
	return &writtenScales{by: map[autoscaler.WorkloadID]*writtenScale{}}
}

// writing notes a write that begins.
func (w *writtenScales) writing(id autoscaler.WorkloadID, replicas int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.by[id]
	if s == nil {
		s = &writtenScale{}
		w.by[id] = s
	}
	s.own = slices.DeleteFunc(s.own, func(v ownValue) bool { return now.Sub(v.at) > foreignWindow || v.replicas == replicas })
	s.own = append(s.own, ownValue{replicas: replicas, at: now})
}

// wrote notes an acknowledged write.
func (w *writtenScales) wrote(id autoscaler.WorkloadID, replicas int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.by[id]
	if s == nil {
		s = &writtenScale{}
		w.by[id] = s
	}
	s.replicas, s.at, s.shown = replicas, now, false
}

// keep forgets the workloads that are not among the ones of ours, sorted by id.
func (w *writtenScales) keep(ours []adopted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.by, func(id autoscaler.WorkloadID, _ *writtenScale) bool {
		_, ok := slices.BinarySearchFunc(ours, id, func(a adopted, id autoscaler.WorkloadID) int { return cmp.Compare(a.id, id) })
		return !ok
	})
}

// current is the replicas that stand: what the informer shows, or what we wrote and it does not show yet.
func (w *writtenScales) current(id autoscaler.WorkloadID, shows int, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.by[id]
	if s == nil {
		return shows
	}
	defer func() { s.last = shows }()
	switch {
	case shows == s.replicas:
		s.shown = true
	case s.shown && shows != s.last && !slices.ContainsFunc(s.own, func(v ownValue) bool { return v.replicas == shows }):
		s.foreign = append(slices.DeleteFunc(s.foreign, func(t time.Time) bool { return now.Sub(t) > foreignWindow }), now)
	case !s.shown && now.Sub(s.at) < writtenFor:
		return s.replicas
	}
	return shows
}

// conflict is why we stop writing for a while; empty when nobody fights us.
func (w *writtenScales) conflict(id autoscaler.WorkloadID, now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.by[id]
	if s == nil || len(s.foreign) < foreignWrites || now.Sub(s.foreign[len(s.foreign)-1]) > conflictPeriod {
		return ""
	}
	return "somebody else keeps changing the replicas; stop that, or take our annotation away"
}
