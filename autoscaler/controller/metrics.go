package controller

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/autoscaler"
)

// metrics is what Prometheus sees. Labels are bounded: rules and causes are closed lists, workloads and pools are objects
// of ours.
type metrics struct {
	plan         *prometheus.HistogramVec // by cause
	violations   prometheus.Counter
	scaleWrite   prometheus.Histogram
	providerCall prometheus.Histogram
	taskErrors   *prometheus.CounterVec // by kind of task
	state        *stateCollector
}

func newMetrics(reg prometheus.Registerer, gateways func() int) *metrics {
	fast := prometheus.ExponentialBuckets(0.0005, 2, 16) // 0.5 ms to 16 s
	m := &metrics{
		plan: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wholescale_plan_duration_seconds", Help: "From picture to checked decision, by what caused it.", Buckets: fast,
		}, []string{"cause"}),
		violations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wholescale_check_violations_total", Help: "Decisions that Check found fault with; none of them was acted on.",
		}),
		scaleWrite: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wholescale_scale_write_seconds", Help: "From the report that caused it to the acknowledged scale.", Buckets: fast,
		}),
		providerCall: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wholescale_provider_call_seconds", Help: "From the plan to the provider's answer.", Buckets: fast,
		}),
		taskErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wholescale_task_errors_total", Help: "Writes, orders and evictions given up for now, by kind.",
		}, []string{"kind"}),
		state: &stateCollector{},
	}
	reg.MustRegister(m.plan, m.violations, m.scaleWrite, m.providerCall, m.taskErrors, m.state)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wholescale_gateways", Help: "Gateways connected.",
	}, func() float64 { return float64(gateways()) }))
	return m
}

// stateCollector shows the last State and Decision.
type stateCollector struct {
	mu sync.Mutex
	s  *autoscaler.State
	d  *autoscaler.Decision
}

func (c *stateCollector) set(s *autoscaler.State, d *autoscaler.Decision) {
	c.mu.Lock()
	c.s, c.d = s, d
	c.mu.Unlock()
}

var (
	workloadLabels = []string{"namespace", "workload"}
	descWanted     = prometheus.NewDesc("wholescale_workload_replicas_wanted", "Replicas decided.", workloadLabels, nil)
	descReady      = prometheus.NewDesc("wholescale_workload_replicas_ready", "Replicas that serve.", workloadLabels, nil)
	descQueued     = prometheus.NewDesc("wholescale_workload_requests_held", "Requests held by gateways.", workloadLabels, nil)
	descInFlight   = prometheus.NewDesc("wholescale_workload_requests_in_flight", "Requests on pods.", workloadLabels, nil)
	descBlocked    = prometheus.NewDesc("wholescale_workload_blocked", "1 while we do not act on it.", workloadLabels, nil)
	descTarget     = prometheus.NewDesc("wholescale_pool_target", "Instances decided.", []string{"pool"}, nil)
	descNodes      = prometheus.NewDesc("wholescale_pool_nodes", "Nodes by phase.", []string{"pool", "phase"}, nil)
	descPrice      = prometheus.NewDesc("wholescale_pool_price_per_hour", "Price of the pool's nodes now, in the provider's currency.", []string{"pool"}, nil)
	descUnknown    = prometheus.NewDesc("wholescale_pool_unknown", "1 while the provider's figures are not known.", []string{"pool"}, nil)
	descStale      = prometheus.NewDesc("wholescale_demand_stale", "1 while a gateway's report is overdue.", nil, nil)
)

func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descWanted, descReady, descQueued, descInFlight, descBlocked, descTarget, descNodes, descPrice, descUnknown, descStale} {
		ch <- d
	}
}

func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	s, d := c.s, c.d
	c.mu.Unlock()
	if s == nil {
		return
	}
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	ready := map[autoscaler.WorkloadID]int{}
	for i := range s.Pods {
		if s.Pods[i].Phase == autoscaler.Ready {
			ready[s.Pods[i].Workload]++
		}
	}
	stale := false
	for i := range s.Workloads {
		w := &s.Workloads[i]
		namespace, name, _ := strings.Cut(string(w.ID), "/")
		gauge(descWanted, float64(d.Scales[i].To), namespace, name)
		gauge(descReady, float64(ready[w.ID]), namespace, name)
		gauge(descQueued, float64(w.Demand.Queued), namespace, name)
		gauge(descInFlight, float64(w.Demand.InFlight), namespace, name)
		gauge(descBlocked, oneIf(w.Blocked != ""), namespace, name)
		stale = stale || w.Demand.Stale
	}
	gauge(descStale, oneIf(stale))
	c.collectPools(s, d, gauge)
}

func (c *stateCollector) collectPools(s *autoscaler.State, d *autoscaler.Decision, gauge func(*prometheus.Desc, float64, ...string)) {
	phases := []autoscaler.Phase{autoscaler.Coming, autoscaler.Ready, autoscaler.NotReady, autoscaler.Failed, autoscaler.Leaving}
	counts := map[autoscaler.PoolID]map[autoscaler.Phase]int{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if counts[n.Pool] == nil {
			counts[n.Pool] = map[autoscaler.Phase]int{}
		}
		counts[n.Pool][n.Phase]++
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		sum := 0
		for _, phase := range phases {
			n := counts[p.ID][phase]
			sum += n
			gauge(descNodes, float64(n), string(p.ID), phase.String())
		}
		gauge(descTarget, float64(d.Orders[i].To), string(p.ID))
		gauge(descPrice, p.PricePerHour*float64(sum), string(p.ID))
		gauge(descUnknown, oneIf(p.Unknown != ""), string(p.ID))
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
