package simulator

import "time"

// karpenter buys machines as Karpenter does. Sources are of kubernetes-sigs/karpenter, pkg/controllers unless said otherwise, at
// commit 2266468 of 2026-08-20, read on 2026-11-25:
//
//   - up: pods that the scheduler has refused are gathered until none came for 1 s, 10 s at most
//     (provisioning/batcher.go; pkg/operator/options/options.go, BATCH_IDLE_DURATION, BATCH_MAX_DURATION), and get nodes
//     together: the largest pods first, onto nodes that are coming, then onto new ones (provisioning/scheduling/scheduler.go,
//     Solve), of the pool of the highest weight, and there of the one that is cheapest for them;
//   - a pool that was out of stock is left alone for 3 minutes (karpenter-provider-aws, pkg/cache/cache.go,
//     UnavailableOfferingsTTL; some other providers have 30);
//   - down, every 10 s (disruption/controller.go, pollingPeriod): nodes that are empty for consolidateAfter
//     (disruption/emptiness.go), then one node whose pods fit on others (disruption/singlenodeconsolidation.go), and of
//     either only what is still so 15 s later (disruption/consolidation.go, commandValidationDelay); no more than 10 % of a
//     pool, rounded up, at a time (pkg/apis/v1/nodepool.go, disruption.budgets);
//   - a node that has not registered after 15 minutes is given up (nodeclaim/lifecycle/liveness.go, registrationTimeout).
//
// consolidateAfter is 0 s by default in Karpenter's API (pkg/apis/v1/nodepool.go); a pool's own IdleAfter goes before it where
// it is longer, as it is the same setting.
type karpenter struct {
	s           *simulation
	first, last time.Duration // of the batch; first below 0 without one
	closing     bool
	validating  bool
}

const (
	karpenterIdle     = time.Second
	karpenterMost     = 10 * time.Second
	karpenterPoll     = 10 * time.Second
	karpenterValidate = 15 * time.Second
	karpenterRegister = 15 * time.Minute
	karpenterStock    = 3 * time.Minute
	karpenterBudget   = 10 // percent
)

func (k *karpenter) refused(*pod) {
	now := k.s.now
	if k.first < 0 {
		k.first = now
	}
	k.last = now
	if !k.closing {
		k.closing = true
		k.s.after(karpenterIdle, k.close)
	}
}

// close ends the batch when it has been idle for long enough, or is old enough.
func (k *karpenter) close() {
	now := k.s.now
	if until := min(k.last+karpenterIdle, k.first+karpenterMost); now < until {
		k.s.at(until, k.close)
		return
	}
	k.closing, k.first = false, -1
	k.provision()
}

func (k *karpenter) provision() {
	s := k.s
	pending := s.unplaced()
	for _, weight := range weights(s.pools) {
		for len(pending) > 0 {
			var best *pool
			bestPrice, bestNodes := 0.0, 0
			for _, p := range s.pools {
				if p.Weight != weight || p.outOfStock(s.now, karpenterStock) {
					continue
				}
				nodes, placed := estimate(pending, p, p.Max-max(p.staying(), p.target))
				if nodes == 0 {
					continue
				}
				if price := float64(nodes) * p.PricePerHour / share(placed, p.Allocatable); best == nil || price < bestPrice {
					best, bestPrice, bestNodes = p, price, nodes
				}
			}
			if best == nil {
				break
			}
			best.target = max(best.staying(), best.target) + bestNodes
			s.after(s.way(&s.Delays.Order, "order"), func() {
				s.order(best, nil, func() { s.result.bought(0, true) })
			})
			before := len(pending)
			if pending = s.unplaced(); len(pending) >= before {
				break
			}
		}
	}
	if len(pending) > 0 { // what could not be placed is tried again
		k.first, k.last, k.closing = s.now, s.now, true
		s.after(karpenterMost, k.close)
	}
}

// weights are the weights of pools, the highest first.
func weights(pools []*pool) []int {
	var list []int
	for _, p := range pools {
		at := 0
		for at < len(list) && list[at] > p.Weight {
			at++
		}
		if at == len(list) || list[at] != p.Weight {
			list = append(list[:at], append([]int{p.Weight}, list[at:]...)...)
		}
	}
	return list
}

func (k *karpenter) tick() {
	s := k.s
	if !s.due(karpenterPoll) {
		return
	}
	for _, p := range s.pools {
		for _, n := range p.nodes {
			if !n.ready && !n.deleting && s.now-n.ordered >= karpenterRegister {
				p.target--
				s.end(n)
				k.refused(nil)
				return
			}
		}
		for short := p.Min - max(p.staying(), p.target); short > 0; short-- {
			p.target = p.Min
			s.setTarget(p, p.target, nil)
		}
	}
	if !k.validating {
		k.disrupt()
	}
}

// disrupt takes up the first kind of disruption that finds candidates, and carries out what still holds 15 s later.
func (k *karpenter) disrupt() {
	s := k.s
	var list []*node
	for _, p := range s.pools {
		left := k.budget(p)
		for _, n := range p.nodes {
			if left > 0 && k.empty(n) {
				list = append(list, n)
				left--
			}
		}
	}
	check := k.empty
	if len(list) == 0 {
		check = k.spare
		if n := k.leastUsed(); n != nil {
			list = []*node{n}
		}
	}
	if len(list) == 0 {
		return
	}
	k.validating = true
	s.after(karpenterValidate, func() {
		k.validating = false
		for _, n := range list {
			if check(n) {
				s.drainNode(n)
			}
		}
	})
}

func (k *karpenter) budget(p *pool) int {
	leaving := 0
	for _, n := range p.nodes {
		if n.draining || n.deleting {
			leaving++
		}
	}
	return (len(p.nodes)*karpenterBudget+99)/100 - leaving
}

func (k *karpenter) empty(n *node) bool {
	return n.ready && !n.draining && !n.deleting && len(n.pods) == 0 && k.s.now-n.emptySince >= n.pool.IdleAfter
}

// spare says that a node's pods fit on others and that nothing has come to it for consolidateAfter.
func (k *karpenter) spare(n *node) bool {
	if !n.ready || n.draining || n.deleting || len(n.pods) == 0 || k.s.now-n.joined < n.pool.IdleAfter {
		return false
	}
	for _, p := range n.pods {
		if k.s.now-p.bound < n.pool.IdleAfter {
			return false
		}
	}
	return k.s.fitsElsewhere(n)
}

// leastUsed is the spare node with the fewest pods (disruption/types.go, the cost of a candidate).
func (k *karpenter) leastUsed() *node {
	var best *node
	for _, p := range k.s.pools {
		if k.budget(p) <= 0 {
			continue
		}
		for _, n := range p.nodes {
			if (best == nil || len(n.pods) < len(best.pods)) && k.spare(n) {
				best = n
			}
		}
	}
	return best
}

// fixed buys once, for all that is there at the beginning, and never again but for pods that have no node at all.
type fixed struct{ *karpenter }

func (f fixed) tick() {}
