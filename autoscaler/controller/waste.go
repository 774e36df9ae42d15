package controller

import (
	"github.com/wholescale/wholescale/autoscaler"
)

// wasteKinds are what of a node's price is of no use, apart from each other: their sum is the price at most.
var wasteKinds = [...]string{
	wasteEmpty:       "empty",       // a ready node without pods but daemons
	wasteUnrequested: "unrequested", // room on a node in use that no pod requests
	wasteStarting:    "starting",    // requested by pods that do not serve yet
	wasteIdle:        "idle",        // requested by pods of ours that have no requests to fill them
	wasteComing:      "coming",      // a node that is paid for and not there yet
}

const (
	wasteEmpty = iota
	wasteUnrequested
	wasteStarting
	wasteIdle
	wasteComing
)

// money is what things cost an hour, in the provider's currency. What has no price costs nothing here.
type money struct {
	pools     map[autoscaler.PoolID]*poolMoney
	workloads map[autoscaler.WorkloadID]float64
	nodes     map[autoscaler.NodeID]nodeMoney
}

type poolMoney struct {
	price float64
	empty int // ready nodes
	waste [len(wasteKinds)]float64
}

// nodeMoney is a node's price and which part of it is of no use.
type nodeMoney struct{ price, waste float64 }

func (m *money) pool(id autoscaler.PoolID) *poolMoney {
	p := m.pools[id]
	if p == nil {
		p = &poolMoney{}
		m.pools[id] = p
	}
	return p
}

// costs shares each node's price among its pods, by the larger of their shares of its CPU and memory, and says what of it is
// of no use. Pods that ask for more than the node has share all of it.
func costs(s *autoscaler.State) *money {
	m := &money{pools: map[autoscaler.PoolID]*poolMoney{}, workloads: map[autoscaler.WorkloadID]float64{}, nodes: map[autoscaler.NodeID]nodeMoney{}}
	prices := make(map[autoscaler.PoolID]float64, len(s.Pools))
	for i := range s.Pools {
		prices[s.Pools[i].ID] = s.Pools[i].PricePerHour
	}
	totals := make(map[autoscaler.WorkloadID]float64, len(s.Workloads))
	for i := range s.Workloads {
		totals[s.Workloads[i].ID] = s.Workloads[i].Policy.Total
	}
	on := make(map[autoscaler.NodeID][]*autoscaler.Pod, len(s.Nodes))
	for i := range s.Pods {
		if p := &s.Pods[i]; p.Node != "" {
			on[p.Node] = append(on[p.Node], p)
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Pool == "" {
			continue
		}
		pool, price := m.pool(n.Pool), prices[n.Pool]
		pool.price += price
		waste := m.node(n, price, on[n.ID], totals)
		sum := 0.0
		for k, w := range waste {
			pool.waste[k] += w
			sum += w
		}
		m.nodes[n.ID] = nodeMoney{price: price, waste: sum}
	}
	return m
}

func (m *money) node(n *autoscaler.Node, price float64, pods []*autoscaler.Pod, totals map[autoscaler.WorkloadID]float64) (waste [len(wasteKinds)]float64) {
	if n.Phase == autoscaler.Coming {
		waste[wasteComing] = price
		return waste
	}
	requested, inUse := 0.0, false
	shares := make([]float64, len(pods))
	for k, p := range pods {
		shares[k] = share(p.Shape.Needs, n.Allocatable)
		requested += shares[k]
		inUse = inUse || p.Daemon == "" && !p.Mirror
	}
	if !inUse {
		m.pool(n.Pool).empty += int(oneIf(n.Phase == autoscaler.Ready))
		waste[wasteEmpty] = price
		return waste
	}
	scale := 1.0
	if requested > 1 {
		scale = 1 / requested
	}
	waste[wasteUnrequested] = price * max(0, 1-requested)
	for k, p := range pods {
		if p.Workload == "" {
			continue
		}
		of := price * shares[k] * scale
		m.workloads[p.Workload] += of
		switch total := totals[p.Workload]; {
		case p.Phase == autoscaler.Starting:
			waste[wasteStarting] += of
		case p.Phase == autoscaler.Ready && total > 0:
			waste[wasteIdle] += of * max(0, 1-float64(p.InFlight)/total)
		}
	}
	return waste
}

func share(needs, of autoscaler.Resources) float64 {
	most := 0.0
	if of.CPU > 0 {
		most = float64(needs.CPU) / float64(of.CPU)
	}
	if of.Memory > 0 {
		most = max(most, float64(needs.Memory)/float64(of.Memory))
	}
	return min(1, most)
}
