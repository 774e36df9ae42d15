package controller

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/autoscaler"
)

// seriesMost bounds the workloads that have series of their own; what all others have in sum is told as "other".
const seriesMost = 1000

// stateCollector shows the last State and Decision.
type stateCollector struct {
	named names

	mu sync.Mutex
	s  *autoscaler.State
	d  *autoscaler.Decision
}

func newStateCollector(most int) *stateCollector {
	return &stateCollector{named: names{most: most, in: map[autoscaler.WorkloadID]bool{}}}
}

func (c *stateCollector) set(s *autoscaler.State, d *autoscaler.Decision) {
	c.mu.Lock()
	c.s, c.d = s, d
	c.mu.Unlock()
}

// names chooses the workloads that are told by name: whoever is, stays so while it is there and busy, so that series do
// not come and go; a busy one takes the place of an idle one.
type names struct {
	most int
	in   map[autoscaler.WorkloadID]bool
}

// choose names of the figures, which are sorted by id.
func (n *names) choose(all []*figures) {
	known := make(map[autoscaler.WorkloadID]*figures, len(all))
	for _, f := range all {
		known[f.id] = f
	}
	maps.DeleteFunc(n.in, func(id autoscaler.WorkloadID, _ bool) bool { return known[id] == nil })
	// Those that are in come first among the busy, and among the idle.
	order := slices.Clone(all)
	rank := func(f *figures) int {
		r := 0
		if !f.busy() {
			r += 2
		}
		if !n.in[f.id] {
			r++
		}
		return r
	}
	slices.SortStableFunc(order, func(a, b *figures) int { return cmp.Compare(rank(a), rank(b)) })
	clear(n.in)
	for _, f := range order[:min(n.most, len(order))] {
		n.in[f.id] = true
	}
}

// figures is what is told of one workload, or of several in sum.
type figures struct {
	id                                 autoscaler.WorkloadID
	rule                               string // that decided; empty for a sum
	wanted, ready, unplaced            int
	held, inFlight                     int
	blocked, refused, signalsUnknown   int
	average, rate, target, start, cost float64
}

func (f *figures) busy() bool {
	return f.wanted+f.ready+f.held+f.inFlight+f.blocked+f.refused+f.unplaced > 0
}

func (f *figures) add(g *figures) {
	f.wanted, f.ready, f.unplaced = f.wanted+g.wanted, f.ready+g.ready, f.unplaced+g.unplaced
	f.held, f.inFlight = f.held+g.held, f.inFlight+g.inFlight
	f.blocked, f.refused, f.signalsUnknown = f.blocked+g.blocked, f.refused+g.refused, f.signalsUnknown+g.signalsUnknown
	f.average, f.rate, f.cost = f.average+g.average, f.rate+g.rate, f.cost+g.cost
}

var (
	workloadLabels = []string{"namespace", "workload"}
	poolLabels     = []string{"pool"}

	descWanted   = workloadDesc("replicas_wanted", "Replicas decided.")
	descReady    = workloadDesc("replicas_ready", "Replicas that serve.")
	descUnplaced = workloadDesc("replicas_unplaced", "Replicas that have room nowhere and for which none can be bought.")
	descQueued   = workloadDesc("requests_held", "Requests held by gateways.")
	descInFlight = workloadDesc("requests_in_flight", "Requests on pods.")
	descAverage  = workloadDesc("requests_average", "Requests held and in flight on average over the stable window.")
	descRate     = workloadDesc("requests_per_second", "Requests that come a second, over the panic window.")
	descBlocked  = workloadDesc("blocked", "1 while we do not act on it; of \"other\", how many.")
	descRefused  = workloadDesc("refused", "1 while requests are refused as nothing will come; of \"other\", how many.")
	descSignals  = workloadDesc("signals_unknown", "Signals without a fresh value.")
	descTargeted = workloadDesc("concurrency_target", "Requests in flight that a pod is planned with; not told of \"other\".")
	descStart    = workloadDesc("start_seconds", "Time from a pod's node to its serving that is planned with; not told of \"other\".")
	descCost     = workloadDesc("price_per_hour", "Its pods' share of the price of their nodes, in the provider's currency.")
	descRule     = prometheus.NewDesc("wholescale_workload_rule", "1 for the rule that decided the replicas; not told of \"other\".", []string{"namespace", "workload", "rule"}, nil)

	descReasons = prometheus.NewDesc("wholescale_reasons", "How often a rule stands in the last decision, by what it is about and whether it decided or was overruled.", []string{"about", "rule", "role"}, nil)

	descTarget   = poolDesc("target", "Instances decided.")
	descNodes    = prometheus.NewDesc("wholescale_pool_nodes", "Nodes by phase.", []string{"pool", "phase"}, nil)
	descDraining = poolDesc("nodes_draining", "Nodes that carry our mark and are to leave.")
	descEmpty    = poolDesc("nodes_empty", "Ready nodes without pods but daemons.")
	descPrice    = poolDesc("price_per_hour", "Price of the pool's nodes now, in the provider's currency.")
	descWaste    = prometheus.NewDesc("wholescale_pool_waste_per_hour", "What of the price is of no use now: empty nodes, room that no pod requests, requested room that starts or that is idle.", []string{"pool", "kind"}, nil)
	descUnknown  = poolDesc("unknown", "1 while the provider's figures are not known.")
	descStockOut = poolDesc("out_of_stock", "1 while nothing can be bought.")
	descMost     = poolDesc("nodes_max", "Nodes that the pool may have.")
	descJoin     = poolDesc("join_seconds", "Time from an order to a ready node that is planned with.")

	descCap      = prometheus.NewDesc("wholescale_price_cap_per_hour", "What all pools together may cost; 0 is no cap.", nil, nil)
	descStale    = prometheus.NewDesc("wholescale_demand_stale", "1 while a gateway's report is overdue.", nil, nil)
	descWorkload = prometheus.NewDesc("wholescale_workloads", "Workloads that are scaled.", nil, nil)
	descPlanned  = prometheus.NewDesc("wholescale_last_plan_timestamp_seconds", "When the last decision was carried out.", nil, nil)
)

func workloadDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("wholescale_workload_"+name, help, workloadLabels, nil)
}

func poolDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("wholescale_pool_"+name, help, poolLabels, nil)
}

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descWanted, descReady, descUnplaced, descQueued, descInFlight, descAverage, descRate, descBlocked, descRefused, descSignals, descTargeted, descStart,
		descCost, descRule, descReasons, descTarget, descNodes, descDraining, descEmpty, descPrice, descWaste, descUnknown, descStockOut, descMost,
		descJoin, descCap, descStale, descWorkload, descPlanned,
	} {
		ch <- d
	}
}

// gauge sends one value.
type gauge func(desc *prometheus.Desc, v float64, labels ...string)

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock() // also for names, when two scrapes meet
	s, d := c.s, c.d
	if s == nil {
		return
	}
	var send gauge = func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	money := costs(s)
	c.collectWorkloads(s, d, money, send)
	collectPools(s, d, money, send)
	collectReasons(d, send)
	stale := slices.ContainsFunc(s.Workloads, func(w autoscaler.Workload) bool { return w.Demand.Stale })
	send(descStale, oneIf(stale))
	send(descCap, s.PriceCap)
	send(descWorkload, float64(len(s.Workloads)))
	send(descPlanned, float64(s.Now.UnixMilli())/1000)
}

func (c *stateCollector) collectWorkloads(s *autoscaler.State, d *autoscaler.Decision, money *money, send gauge) {
	all := figuresOf(s, d)
	for _, f := range all {
		f.cost = money.workloads[f.id]
	}
	c.named.choose(all)
	var rest figures
	for _, f := range all {
		if !c.named.in[f.id] {
			rest.add(f)
			continue
		}
		namespace, name, _ := strings.Cut(string(f.id), "/")
		f.send(send, namespace, name)
		send(descRule, 1, namespace, name, f.rule)
		send(descTargeted, f.target, namespace, name)
		send(descStart, f.start, namespace, name)
	}
	if len(all) > len(c.named.in) {
		rest.send(send, "", "other")
	}
}

func figuresOf(s *autoscaler.State, d *autoscaler.Decision) []*figures {
	all := make([]*figures, len(s.Workloads))
	by := make(map[autoscaler.WorkloadID]*figures, len(s.Workloads))
	for i := range s.Workloads {
		w := &s.Workloads[i]
		f := &figures{
			id: w.ID, wanted: d.Scales[i].To, held: w.Demand.Queued, inFlight: w.Demand.InFlight, average: w.Demand.Stable, rate: w.Demand.Rate,
			target: w.Policy.Target, start: w.Start.Seconds(), blocked: int(oneIf(w.Blocked != "")), rule: d.Scales[i].Why[0].Rule.String(),
		}
		for _, sig := range w.Signals {
			f.signalsUnknown += int(oneIf(sig.Stale))
		}
		all[i], by[w.ID] = f, f
	}
	for i := range s.Pods {
		if f := by[s.Pods[i].Workload]; f != nil && s.Pods[i].Phase == autoscaler.Ready {
			f.ready++
		}
	}
	for i := range d.Placements {
		if f := by[d.Placements[i].Workload]; f != nil {
			f.unplaced += d.Placements[i].Unplaced
		}
	}
	for i := range d.Holds {
		if f := by[d.Holds[i].Workload]; f != nil && d.Holds[i].Refuse {
			f.refused = 1
		}
	}
	return all
}

func (f *figures) send(send gauge, namespace, name string) {
	for _, v := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{descWanted, float64(f.wanted)}, {descReady, float64(f.ready)}, {descUnplaced, float64(f.unplaced)}, {descQueued, float64(f.held)},
		{descInFlight, float64(f.inFlight)}, {descAverage, f.average}, {descRate, f.rate}, {descBlocked, float64(f.blocked)},
		{descRefused, float64(f.refused)}, {descSignals, float64(f.signalsUnknown)}, {descCost, f.cost},
	} {
		send(v.desc, v.value, namespace, name)
	}
}

func collectPools(s *autoscaler.State, d *autoscaler.Decision, money *money, send gauge) {
	phases := []autoscaler.Phase{autoscaler.Coming, autoscaler.Ready, autoscaler.NotReady, autoscaler.Failed, autoscaler.Leaving}
	counts := map[autoscaler.PoolID]map[autoscaler.Phase]int{}
	draining := map[autoscaler.PoolID]int{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if counts[n.Pool] == nil {
			counts[n.Pool] = map[autoscaler.Phase]int{}
		}
		counts[n.Pool][n.Phase]++
		draining[n.Pool] += int(oneIf(n.Draining))
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		id := string(p.ID)
		for _, phase := range phases {
			send(descNodes, float64(counts[p.ID][phase]), id, phase.String())
		}
		m := money.pool(p.ID)
		for k, kind := range wasteKinds {
			send(descWaste, m.waste[k], id, kind)
		}
		send(descPrice, m.price, id)
		send(descEmpty, float64(m.empty), id)
		send(descDraining, float64(draining[p.ID]), id)
		send(descTarget, float64(d.Orders[i].To), id)
		send(descUnknown, oneIf(p.Unknown != ""), id)
		send(descStockOut, oneIf(p.StockOut != ""), id)
		send(descMost, float64(p.Max), id)
		send(descJoin, p.Join.Seconds(), id)
	}
}

// collectReasons counts each rule in the decision: what it was about, and whether it decided or was overruled.
func collectReasons(d *autoscaler.Decision, send gauge) {
	type reason struct {
		about, role string
		rule        autoscaler.Rule
	}
	n := map[reason]int{}
	count := func(about string, list ...autoscaler.Reason) {
		for i, why := range list {
			role := "overruled"
			if i == 0 {
				role = "decided"
			}
			n[reason{about, role, why.Rule}]++
		}
	}
	for i := range d.Scales {
		count("replicas", d.Scales[i].Why...)
	}
	for i := range d.Placements {
		if d.Placements[i].Unplaced > 0 {
			count("placement", d.Placements[i].Why)
		}
	}
	for i := range d.Orders {
		count("pool", d.Orders[i].Why...)
	}
	for i := range d.Drains {
		count("node", d.Drains[i].Why)
	}
	for i := range d.Costs {
		count("pod", d.Costs[i].Why)
	}
	for i := range d.Holds {
		count("hold", d.Holds[i].Why)
	}
	for r, k := range n {
		send(descReasons, float64(k), r.about, r.rule.String(), r.role)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
