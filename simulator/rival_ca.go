package simulator

import (
	"cmp"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// clusterAutoscaler buys machines as Cluster Autoscaler does. Sources are of kubernetes-sigs/cluster-autoscaler, to which its
// code has moved, at commit 33c3f97b of 2026-08-21, read on 2026-11-25; the defaults are in pkg/config/flags/flags.go and
// pkg/config/const.go:
//
//   - a scan every 10 s (--scan-interval);
//   - up: pods that the scheduler has refused, less those that fit on nodes that are coming (pkg/core/static_autoscaler.go,
//     RunOnce; pkg/core/podlistprocessor/filter_out_schedulable.go), packed first-fit by size onto new nodes of one group
//     (pkg/estimator/binpacking_estimator.go), the group with the least waste (--expander; pkg/expander/waste/waste.go); a
//     group that failed is left alone for 5 minutes, doubled up to 30 (--initial-node-group-backoff-duration,
//     --max-node-group-backoff-duration);
//   - down: a node of which less than half is requested, of CPU and of memory (pkg/simulator/utilization/info.go,
//     --scale-down-utilization-threshold 0.5) and whose pods fit on others (pkg/simulator/cluster.go), for
//     10 minutes (--scale-down-unneeded-time), and not within 10 minutes of a scale-up (--scale-down-delay-after-add);
//     10 nodes at once, of those with pods one (--max-scale-down-parallelism, --max-drain-parallelism);
//   - a node that has not joined after 15 minutes is given up (--max-node-provision-time).
type clusterAutoscaler struct {
	s       *simulation
	grew    time.Duration // when it last bought; -1 hour before
	backoff map[*pool]backoff
}

type backoff struct {
	until, length time.Duration
}

// rivalNode is what buyers remember of a machine.
type rivalNode struct {
	unneededSince time.Duration // -1 when it is needed
	asked         time.Duration // Karpenter: since when it is a candidate
}

const (
	caScan          = 10 * time.Second
	caUnneeded      = 10 * time.Minute
	caAfterAdd      = 10 * time.Minute
	caUtilisation   = 0.5
	caEmptyBulk     = 10
	caProvision     = 15 * time.Minute
	caBackoff       = 5 * time.Minute
	caLongestPause  = 30 * time.Minute
	caDrainParallel = 1
)

func newClusterAutoscaler(s *simulation) *clusterAutoscaler {
	return &clusterAutoscaler{s: s, grew: -caAfterAdd, backoff: map[*pool]backoff{}}
}

func (c *clusterAutoscaler) refused(*pod) {}

func (c *clusterAutoscaler) tick() {
	if !c.s.due(caScan) {
		return
	}
	c.forget()
	if !c.up() {
		c.down()
	}
}

// forget gives up machines that have not joined in time.
func (c *clusterAutoscaler) forget() {
	for _, p := range c.s.pools {
		for _, n := range slices.Clone(p.nodes) {
			if !n.ready && !n.deleting && c.s.now-n.ordered >= caProvision {
				p.target--
				c.s.end(n)
				c.fail(p)
			}
		}
	}
}

func (c *clusterAutoscaler) fail(p *pool) {
	b := c.backoff[p]
	b.length = min(max(2*b.length, caBackoff), caLongestPause)
	b.until = c.s.now + b.length
	c.backoff[p] = b
}

// up buys for pods that have no node, of one group a scan; false when there was nothing to buy for.
func (c *clusterAutoscaler) up() bool {
	pending := c.s.unplaced()
	for _, p := range c.s.pools {
		if short := p.Min - p.staying(); short > 0 {
			c.buy(p, short)
		}
	}
	if len(pending) == 0 {
		return false
	}
	var best *pool
	bestNodes, bestWaste := 0, 0.0
	for _, p := range c.s.pools {
		if c.backoff[p].until > c.s.now {
			continue
		}
		nodes, placed := estimate(pending, p, p.Max-p.staying())
		if nodes == 0 {
			continue
		}
		if w := waste(p, nodes, placed); best == nil || w < bestWaste {
			best, bestNodes, bestWaste = p, nodes, w
		}
	}
	if best != nil {
		c.buy(best, bestNodes)
	}
	return true
}

func (c *clusterAutoscaler) buy(p *pool, nodes int) {
	c.grew = c.s.now
	before := p.staying()
	p.target = before + nodes
	c.s.after(c.s.way(&c.s.Delays.Order, "order"), func() {
		c.s.order(p, nil, func() { c.s.result.bought(0, true) })
		if p.outOfStock(c.s.now, 1) {
			c.fail(p)
		}
	})
}

// unplaced are the pods that the scheduler has refused and that will not fit on the nodes that are coming.
func (s *simulation) unplaced() []*pod {
	var coming bins
	for _, p := range s.pools {
		for _, n := range p.nodes {
			if !n.ready && !n.deleting {
				coming = append(coming, n.free)
			}
		}
		for k := p.staying(); k < p.target; k++ {
			coming = append(coming, p.Allocatable)
		}
	}
	var list []*pod
	for _, p := range s.waiting {
		if !p.leaving && !p.gone && !coming.put(p.w.Shape.Needs) {
			list = append(list, p)
		}
	}
	return list
}

// estimate packs pods, the largest first, onto new nodes of a pool: how many nodes, and what is placed on them.
func estimate(pods []*pod, p *pool, most int) (nodes int, placed autoscaler.Resources) {
	sorted := slices.Clone(pods)
	score := func(q *pod) float64 { return share(q.w.Shape.Needs, p.Allocatable) }
	slices.SortStableFunc(sorted, func(a, b *pod) int { return cmp.Compare(score(b), score(a)) })
	var open bins
	for _, q := range sorted {
		need := q.w.Shape.Needs
		if !p.runs(q.w) || !p.Allocatable.Holds(need) {
			continue
		}
		if !open.put(need) {
			if len(open) >= most {
				continue
			}
			open = append(open, p.Allocatable.Minus(need))
		}
		placed = autoscaler.Resources{CPU: placed.CPU + need.CPU, Memory: placed.Memory + need.Memory, Pods: placed.Pods + need.Pods}
	}
	return len(open), placed
}

// share is what part of a node a need takes, the sum of CPU and memory.
func share(need, of autoscaler.Resources) float64 {
	return float64(need.CPU)/float64(max(of.CPU, 1)) + float64(need.Memory)/float64(max(of.Memory, 1))
}

// waste is the part of what would be bought that stays free.
func waste(p *pool, nodes int, placed autoscaler.Resources) float64 {
	return 2 - share(placed, p.Allocatable)/float64(nodes)
}

// down looks which nodes are not needed, and ends those that have not been for long.
func (c *clusterAutoscaler) down() {
	s := c.s
	var empty, used []*node
	for _, p := range s.pools {
		for _, n := range p.nodes {
			switch {
			case !n.ready || n.deleting || n.draining:
				continue
			case !c.unneeded(n):
				n.rival.unneededSince = 0
				continue
			case n.rival.unneededSince == 0:
				n.rival.unneededSince = s.now
			}
			if s.now-n.rival.unneededSince < caUnneeded || s.now-c.grew < caAfterAdd {
				continue
			}
			if len(n.pods) == 0 {
				empty = append(empty, n)
			} else {
				used = append(used, n)
			}
		}
	}
	if len(empty) > 0 {
		for _, n := range empty[:min(len(empty), caEmptyBulk)] {
			c.end(n)
		}
		return
	}
	for _, n := range used[:min(len(used), caDrainParallel)] {
		s.drainNode(n)
	}
}

func (c *clusterAutoscaler) end(n *node) {
	if n.pool.staying() <= n.pool.Min {
		return
	}
	n.pool.target = n.pool.staying() - 1
	c.s.end(n)
}

// unneeded says that little of a node is requested and that its pods fit on others.
func (c *clusterAutoscaler) unneeded(n *node) bool {
	if len(n.pods) == 0 {
		return true
	}
	a := n.pool.Allocatable
	cpu, memory := 1-float64(n.free.CPU)/float64(a.CPU), 1-float64(n.free.Memory)/float64(a.Memory)
	return max(cpu, memory) < caUtilisation && c.s.fitsElsewhere(n)
}

// fitsElsewhere says that the pods of a node fit on other ready nodes.
func (s *simulation) fitsElsewhere(n *node) bool {
	var free bins
	for _, p := range s.pools {
		for _, o := range p.nodes {
			if o != n && o.ready && !o.draining && !o.deleting {
				free = append(free, o.free)
			}
		}
	}
	for _, p := range n.pods {
		if !p.leaving && !free.put(p.w.Shape.Needs) {
			return false
		}
	}
	return true
}

// drainNode cordons a node, evicts its pods, and ends it when they are gone.
func (s *simulation) drainNode(n *node) {
	if n.draining || n.pool.staying() <= n.pool.Min {
		return
	}
	n.draining = true
	for _, p := range slices.Clone(n.pods) {
		s.evict(p)
	}
	var wait func()
	wait = func() {
		if n.gone || n.deleting {
			return
		}
		if len(n.pods) > 0 {
			s.after(time.Second, wait)
			return
		}
		n.pool.target = max(0, n.pool.staying()-1)
		s.end(n)
	}
	s.after(time.Second, wait)
}
