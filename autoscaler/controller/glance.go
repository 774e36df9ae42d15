package controller

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// In a large cluster, what happens between ticks is answered from a book of the last plan about all (autoscaler.Book): a queue in
// one workload, or a pod of it that is ready, costs less than a millisecond then. What the book cannot tell, and whatever
// changed but pods and replicas, makes a plan about all as before.

const (
	// glanceFrom is from how many workloads, nodes and pods together a book is kept. A plan about fewer takes as long as a glance.
	glanceFrom = 2_000
	// glanceMost is about how many workloads a glance is at most.
	glanceMost = 64
)

// kept is the last plan about all.
type kept struct {
	book      *autoscaler.Book
	adopted   []adopted
	workloads []autoscaler.Workload // before Memory completed them; in the order of adopted
}

// keep notes a plan about all, where glances are worth it. workloads are those of the picture before Memory completed them.
func (l *loop) keep(pic *picture, workloads []autoscaler.Workload, book *autoscaler.Book) {
	l.kept = nil
	if l.large(pic) {
		l.kept = &kept{book: book, adopted: pic.adopted, workloads: workloads}
	}
}

func (l *loop) large(pic *picture) bool {
	return len(pic.cluster.Workloads)+len(pic.cluster.Nodes)+len(pic.cluster.Pods) >= l.glanceFrom
}

// glance plans for the workloads to which something happened, if that is enough.
func (l *loop) glance(cause string, observed, now time.Time) bool {
	if l.kept == nil {
		return false
	}
	news, ok := l.world.takeNews()
	if !ok {
		return false
	}
	about := l.takeIn(&news, now)
	if len(about) > glanceMost {
		return false
	}
	if len(about) == 0 {
		return true
	}
	s, d, ok := l.kept.book.Glance(l.kept.current(about, l.world, l.actor.written, now), func(c autoscaler.Cluster) autoscaler.State { return l.memory.State(now, c) })
	if !ok {
		return false
	}
	if faults := autoscaler.Check(s, d); len(faults) > 0 {
		l.refuse(s, faults)
		return false
	}
	l.metrics.plan.WithLabelValues(cause).Observe(time.Since(now).Seconds())
	l.memory.KeepPart(d)
	l.kept.book.Glanced(d)
	l.traces.decided(&s, &d, now)
	l.actor.carryOut(&picture{cluster: autoscaler.Cluster{Pods: s.Pods}}, d, origin{cause: cause, at: observed})
	l.link.publishSomeHolds(d.Holds, about)
	l.decisions.noteSome(d, cause)
	return true
}

// takeIn tells the book and the memory what happened, and returns about which workloads of ours a glance is to be, sorted.
func (l *loop) takeIn(n *news, now time.Time) []autoscaler.WorkloadID {
	about := make(map[autoscaler.WorkloadID]bool, len(l.forming))
	note := func(id autoscaler.WorkloadID) {
		if l.kept.find(id) >= 0 {
			about[id] = true
		}
	}
	for i := range n.pods {
		p := &n.pods[i]
		note(p.Workload)
		if l.kept.find(p.Workload) < 0 {
			p.Workload = ""
		}
		if since, starting := l.startOf(p, now); starting {
			l.starting[p.ID] = since
		} else {
			delete(l.starting, p.ID)
		}
		l.kept.book.Pod(*p)
	}
	for _, p := range n.gone {
		note(p.Workload)
		delete(l.starting, p.ID)
		l.kept.book.Gone(p.ID)
	}
	for _, id := range n.targets {
		note(id)
	}
	for id := range l.forming {
		note(id)
	}
	clear(l.forming)
	for _, id := range l.kept.book.Wanting() {
		note(id)
	}
	return slices.Sorted(maps.Keys(about))
}

// find is the position of a workload of ours; -1 for none.
func (k *kept) find(id autoscaler.WorkloadID) int {
	at, found := slices.BinarySearchFunc(k.adopted, id, func(a adopted, id autoscaler.WorkloadID) int { return cmp.Compare(a.id, id) })
	if !found {
		return -1
	}
	return at
}

// current are some workloads as they are now.
func (k *kept) current(ids []autoscaler.WorkloadID, w *world, written *writtenScales, now time.Time) []autoscaler.Workload {
	list := make([]autoscaler.Workload, 0, len(ids))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		at := k.find(id)
		a := k.adopted[at]
		if t := w.targets[id]; t != nil {
			a.target = t
		}
		v := a.workload(written, now)
		v.Signals = k.workloads[at].Signals
		list = append(list, v)
	}
	return list
}

// news is what changed since the last look, where only pods and replicas did.
type news struct {
	pods    []autoscaler.Pod // as they are now
	gone    []autoscaler.Pod // only ID and Workload are known
	targets []autoscaler.WorkloadID
}

// changes are what a world notes for the next look.
type changes struct {
	stirred bool // more than what stands below
	pods    map[string]autoscaler.WorkloadID
	targets map[autoscaler.WorkloadID]bool
}

// takeNews is what changed since the last look; no when it is more than pods and replicas, which the next look is to see.
func (w *world) takeNews() (news, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changes.stirred {
		return news{}, false
	}
	var n news
	for _, key := range slices.Sorted(maps.Keys(w.changes.pods)) {
		r := w.pods[key]
		if r == nil || r.Phase == autoscaler.Leaving && r.Node == "" {
			n.gone = append(n.gone, autoscaler.Pod{ID: autoscaler.PodID(key), Workload: w.changes.pods[key]})
			continue
		}
		p := r.Pod
		p.Workload = w.workloadOf(r)
		n.pods = append(n.pods, p)
	}
	n.targets = slices.Sorted(maps.Keys(w.changes.targets))
	w.changes = changes{}
	return n, true
}

// podChanges notes that a pod of a workload, or of nobody's, is not as it was; the lock is held.
func (c *changes) pod(key string, id autoscaler.WorkloadID) {
	if c.pods == nil {
		c.pods = map[string]autoscaler.WorkloadID{}
	}
	c.pods[key] = id
}

func (c *changes) target(id autoscaler.WorkloadID) {
	if c.targets == nil {
		c.targets = map[autoscaler.WorkloadID]bool{}
	}
	c.targets[id] = true
}
