package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// pod is the model of one.
type pod struct {
	id       autoscaler.PodID
	node     *node // nil while it waits
	created  time.Time
	bound    time.Time
	ready    bool
	serving  bool // ready, and the gateway's probe has passed
	leaving  bool
	inFlight int
	cost     int
}

// node is the model of one machine.
type node struct {
	id       string
	pool     *pool
	ordered  time.Time
	ready    bool
	draining bool
	deleting bool
}

// pool is the model of one.
type pool struct {
	Pool
	target int
	nodes  []*node
	serial int
}

// staying counts the machines that are not ending.
func (p *pool) staying() (n int) {
	for _, m := range p.nodes {
		if !m.deleting {
			n++
		}
	}
	return n
}

// setReplicas makes a workload have as many pods, as a ReplicaSet does: creates, or deletes those that are not ready
// first, then those of the lowest deletion cost, then the newest.
func (s *simulation) setReplicas(w *workload, n int) {
	live := slices.DeleteFunc(slices.Clone(w.pods), func(p *pod) bool { return p.leaving })
	for k := len(live); k < n; k++ {
		w.serial++
		p := &pod{id: autoscaler.PodID(fmt.Sprintf("%s-%d", w.ID, w.serial)), created: s.now}
		w.pods = append(w.pods, p)
		s.after(s.Delays.Create, func() { s.schedule() })
	}
	if surplus := len(live) - n; surplus > 0 {
		slices.SortStableFunc(live, func(a, b *pod) int {
			return cmp.Or(compareBool(a.node != nil, b.node != nil), compareBool(a.ready, b.ready), cmp.Compare(a.cost, b.cost), b.created.Compare(a.created))
		})
		for _, p := range live[:surplus] {
			p.leaving, p.serving = true, false
			if p.inFlight == 0 {
				s.removePod(w, p)
			}
		}
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (s *simulation) removePod(w *workload, p *pod) {
	s.result.account(s, s.now)
	w.pods = slices.DeleteFunc(w.pods, func(o *pod) bool { return o == p })
	s.change()
}

// schedule binds each waiting pod to the ready node with the most free CPU that holds it, the first of equals.
func (s *simulation) schedule() {
	for _, w := range s.workloads {
		for _, p := range w.pods {
			if p.node != nil || p.leaving || s.now.Sub(p.created) < s.Delays.Create {
				continue
			}
			if n := s.roomiest(w); n != nil {
				s.bind(w, p, n)
			}
		}
	}
	s.change()
}

func (s *simulation) roomiest(w *workload) *node {
	var best *node
	var most int64
	for _, pool := range s.pools {
		if !tolerated(w, pool) {
			continue
		}
		for _, n := range pool.nodes {
			if !n.ready || n.draining || n.deleting {
				continue
			}
			free := s.free(n)
			if free.Holds(w.Shape.Needs) && (best == nil || free.CPU > most) {
				best, most = n, free.CPU
			}
		}
	}
	return best
}

// tolerated: the model knows what of a pod and a node alone keeps them apart, and not the rules between pods.
func tolerated(w *workload, p *pool) bool {
	return fit.Runs(w.Shape.Pod(), &fit.Node{Labels: p.Labels, Taints: p.Taints}) == fit.None
}

func (s *simulation) free(n *node) autoscaler.Resources {
	free := n.pool.Allocatable
	for _, w := range s.workloads {
		for _, p := range w.pods {
			if p.node == n {
				free = free.Minus(w.Shape.Needs)
			}
		}
	}
	return free
}

func (s *simulation) bind(w *workload, p *pod, n *node) {
	p.node, p.bound = n, s.now
	s.after(w.PodStart.sample(stream(s.Seed, string(p.id))), func() {
		if p.leaving {
			return
		}
		p.ready = true
		s.memory.Started(w.ID, s.now.Sub(p.bound))
		s.result.started(s.now.Sub(p.bound))
		s.change()
		s.after(s.Delays.Probe, func() {
			if !p.leaving {
				p.serving = true
				s.drainQueue(w)
			}
		})
	})
}

// setTarget makes a pool have as many machines as it was told to; fewer only when they are named.
func (s *simulation) setTarget(p *pool, target int, ends []autoscaler.NodeID) {
	for _, id := range ends {
		for _, n := range p.nodes {
			if autoscaler.NodeID(n.id) == id && !n.deleting {
				n.deleting = true
				s.after(s.Delays.Delete, func() { s.removeNode(n) })
			}
		}
	}
	for live := p.staying(); live < target; live++ {
		s.result.account(s, s.now)
		p.serial++
		n := &node{id: fmt.Sprintf("%s-%d", p.ID, p.serial), pool: p, ordered: s.now}
		p.nodes = append(p.nodes, n)
		s.after(p.Join.sample(stream(s.Seed, n.id)), func() {
			n.ready = true
			s.memory.Joined(p.ID, s.now.Sub(n.ordered))
			s.result.joined(s.now.Sub(n.ordered))
			s.after(s.Delays.Create, func() { s.schedule() })
			s.change()
		})
	}
}

func (s *simulation) removeNode(n *node) {
	s.result.account(s, s.now)
	n.pool.nodes = slices.DeleteFunc(n.pool.nodes, func(o *node) bool { return o == n })
}

// picture is the model as the core sees it.
func (s *simulation) picture() autoscaler.Cluster {
	var c autoscaler.Cluster
	for _, p := range s.pools {
		pool := p.Pool.Pool
		pool.Target = p.target
		c.Pools = append(c.Pools, pool)
		for _, n := range p.nodes {
			v := autoscaler.Node{
				ID: autoscaler.NodeID(n.id), Pool: p.ID, Instance: n.id, Phase: autoscaler.Coming, Allocatable: p.Allocatable,
				Labels: p.Labels, Taints: p.Taints, Draining: n.draining, Since: n.ordered,
			}
			switch {
			case n.deleting:
				v.Phase = autoscaler.Leaving
			case n.ready:
				v.Phase = autoscaler.Ready
			}
			c.Nodes = append(c.Nodes, v)
		}
		for k := p.staying(); k < p.target; k++ {
			c.Nodes = append(c.Nodes, autoscaler.Node{
				ID: autoscaler.NodeID(fmt.Sprintf("%s/ordered-%d", p.ID, k)), Pool: p.ID, Phase: autoscaler.Coming,
				Allocatable: p.Allocatable, Labels: p.Labels, Taints: p.Taints, Since: s.now,
			})
		}
	}
	for _, w := range s.workloads {
		v := w.Workload.Workload
		v.Replicas, v.Initialized = w.replicas, v.Policy.Initial == 0
		c.Workloads = append(c.Workloads, v)
		for _, p := range w.pods {
			c.Pods = append(c.Pods, w.podView(p))
		}
	}
	return c
}

func (w *workload) podView(p *pod) autoscaler.Pod {
	v := autoscaler.Pod{ID: p.id, Workload: w.ID, Phase: autoscaler.Pending, Shape: w.Shape, Since: p.created, DeletionCost: p.cost}
	if p.node != nil {
		v.Node, v.Phase, v.Since = autoscaler.NodeID(p.node.id), autoscaler.Starting, p.bound
	}
	if p.ready {
		v.Phase = autoscaler.Ready
	}
	if p.leaving {
		v.Phase = autoscaler.Leaving
	}
	return v
}
