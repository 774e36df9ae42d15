package simulator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// Faults are what goes wrong at a provider. The zero value is nothing.
type Faults struct {
	// StockOuts are times in which nothing can be bought.
	StockOuts []Span
	// SlowShare of the machines join SlowFactor times as late; 0 to 1.
	SlowShare, SlowFactor float64
	// NeverShare of the machines never join; 0 to 1.
	NeverShare float64
	// ReclaimsPerHour is how many times a machine is taken away in an hour of its life on average (spot), with what is on it.
	ReclaimsPerHour float64
	// SmallShare of the machines have SmallFactor of what was promised of them; 0 to 1.
	SmallShare, SmallFactor float64
	// OrdersPerMinute is how many orders the provider takes, one at least at a time; more are tried again. 0 is no limit.
	OrdersPerMinute float64
	// Prices are changes of the price, in order of time.
	Prices []PriceChange
}

// Span is a time from the beginning of the run.
type Span struct{ From, Until time.Duration }

// PriceChange is a new price from a time on.
type PriceChange struct {
	At           time.Duration
	PricePerHour float64
}

func (f *Faults) validate() error {
	switch {
	case f.SlowShare < 0 || f.SlowShare > 1 || f.NeverShare < 0 || f.NeverShare > 1:
		return errors.New("faults: a share is 0 to 1")
	case f.SlowShare > 0 && f.SlowFactor < 1:
		return errors.New("faults.slowFactor: it is at least 1")
	case f.SmallShare < 0 || f.SmallShare > 1 || f.SmallFactor < 0 || f.SmallFactor > 1:
		return errors.New("faults: smallShare and smallFactor are 0 to 1")
	case !(f.OrdersPerMinute >= 0):
		return errors.New("faults.ordersPerMinute: it is not below 0")
	case f.ReclaimsPerHour < 0:
		return errors.New("faults.reclaimsPerHour: it is not below 0")
	}
	for _, s := range f.StockOuts {
		if s.From < 0 || s.Until <= s.From {
			return fmt.Errorf("faults.stockOuts: %s until %s is no time", s.From, s.Until)
		}
	}
	for _, p := range f.Prices {
		if p.PricePerHour < 0 {
			return errors.New("faults.prices: a price is not below 0")
		}
	}
	return nil
}

// out says that nothing can be bought at a time.
func (f *Faults) out(at time.Duration) bool {
	return slices.ContainsFunc(f.StockOuts, func(s Span) bool { return at >= s.From && at < s.Until })
}

// stockMemory is how long the controller believes a refusal (autoscaler/controller, pools.go, stockOutFor).
const stockMemory = time.Minute

// node is the model of one machine.
type node struct {
	id         string
	labels     fit.Labels // those of its pool and its name, once asked for
	pool       *pool
	ordered    time.Duration
	joined     time.Duration
	has, free  autoscaler.Resources
	pods       []*pod
	images     map[*workload]time.Duration // when they are there
	emptySince time.Duration
	ready      bool
	draining   bool
	deleting   bool
	gone       bool
	rival      rivalNode
}

// named is the labels with the node's own name, which each kubelet adds.
func (n *node) named() fit.Labels {
	if n.labels == nil {
		n.labels = n.pool.Labels.Or(fit.LabelHostname, n.id)
	}
	return n.labels
}

// pool is the model of one.
type pool struct {
	Pool
	target  int
	nodes   []*node
	serial  int
	refused time.Duration // when it last had no stock; 0 when it never had none
	throttle
}

// outOfStock says that a pool refused so lately that whoever remembers it for so long does not ask again.
func (p *pool) outOfStock(now, remembered time.Duration) bool {
	return p.refused > 0 && now < p.refused+remembered
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

// setTarget makes a pool have as many machines as it was told to; fewer only when they are named.
func (s *simulation) setTarget(p *pool, target int, ends []autoscaler.NodeID) {
	for _, id := range ends {
		for _, n := range p.nodes {
			if autoscaler.NodeID(n.id) == id {
				s.end(n)
			}
		}
	}
	for live := p.staying(); live < target; live++ {
		if p.Faults.out(s.now) {
			p.refused = max(s.now, 1)
			p.target = live
			s.result.refusals++
			s.decider.heard(happening{what: worldChanged, workload: nil})
			return
		}
		s.buy(p)
	}
}

// end deletes a machine.
func (s *simulation) end(n *node) {
	if n.deleting {
		return
	}
	n.deleting = true
	s.after(s.chance(&s.Delays.Delete, n.id, "delete"), func() { s.removeNode(n) })
}

// buy is one more machine.
func (s *simulation) buy(p *pool) *node {
	s.result.account(s.now)
	p.serial++
	n := &node{id: fmt.Sprintf("%s-%05d", p.ID, p.serial), pool: p, ordered: s.now, has: p.Allocatable}
	p.nodes = append(p.nodes, n)
	s.result.nodes++
	s.result.price += p.PricePerHour
	f := &p.Faults
	if f.SmallShare > 0 && stream(s.Seed, n.id+"/small").Float64() < f.SmallShare {
		n.has.CPU, n.has.Memory = int64(float64(n.has.CPU)*f.SmallFactor), int64(float64(n.has.Memory)*f.SmallFactor)
	}
	n.free = n.has
	takes := s.chance(&p.Join, n.id, "join")
	if f.SlowShare > 0 && stream(s.Seed, n.id+"/slow").Float64() < f.SlowShare {
		takes = time.Duration(float64(takes) * f.SlowFactor)
	}
	if f.NeverShare > 0 && stream(s.Seed, n.id+"/never").Float64() < f.NeverShare {
		return n
	}
	s.after(takes, func() { s.join(n) })
	if f.ReclaimsPerHour > 0 {
		s.after(time.Duration(stream(s.Seed, n.id+"/reclaim").ExpFloat64()/f.ReclaimsPerHour*float64(time.Hour)), func() { s.reclaim(n) })
	}
	return n
}

func (s *simulation) join(n *node) {
	if n.gone || n.deleting {
		return
	}
	n.ready, n.joined, n.emptySince = true, s.now, s.now
	s.decider.heard(happening{what: nodeJoined, pool: n.pool, took: s.now - n.ordered})
	s.result.joined(s.now - n.ordered)
	s.after(s.chance(&s.Delays.Bind, n.id, "schedule"), s.wake)
}

// reclaim is a spot machine that is taken away with what is on it.
func (s *simulation) reclaim(n *node) {
	if n.gone {
		return
	}
	s.result.reclaims++
	n.ready, n.deleting = false, true
	for _, p := range slices.Clone(n.pods) {
		s.lose(p)
	}
	n.pool.target = max(0, n.pool.target-1)
	s.removeNode(n)
	s.decider.heard(happening{what: worldChanged, workload: nil})
}

func (s *simulation) removeNode(n *node) {
	if n.gone {
		return
	}
	n.gone = true
	s.result.account(s.now)
	s.result.nodes--
	s.result.price -= n.pool.PricePerHour
	n.pool.nodes = slices.DeleteFunc(n.pool.nodes, func(o *node) bool { return o == n })
	for _, p := range slices.Clone(n.pods) {
		s.lose(p)
	}
	s.decider.heard(happening{what: worldChanged, workload: nil})
}

// changePrices lets each pool's prices change in their time.
func (s *simulation) changePrices() {
	for _, p := range s.pools {
		for _, c := range p.Faults.Prices {
			s.at(c.At, func() {
				s.result.account(s.now)
				s.result.price += (c.PricePerHour - p.PricePerHour) * float64(len(p.nodes))
				p.PricePerHour = c.PricePerHour
			})
		}
	}
}
