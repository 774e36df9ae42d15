package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/autoscaler"
)

// The stages of a cold start that a controller sees. The gateway has two more, hold and probe, under the same name.
const (
	stageDecide = "decide" // from the report to the acknowledged scale
	stageBuy    = "buy"    // from the plan to the provider's acknowledgement
	stageJoin   = "join"   // from the instance's creation to its ready node
	stagePull   = "pull"   // from the pod's node to its running containers: sandbox, volumes, images
	stageStart  = "start"  // from there to the pod's readiness
)

// coldBuckets are OpenTelemetry's for request durations, and five more up to the slowest start that is of use.
var coldBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 120, 300}

// metrics is what Prometheus sees. Labels are bounded: rules, stages and causes are closed lists, workloads have a most.
type metrics struct {
	plan         *prometheus.HistogramVec // by cause
	violations   prometheus.Counter
	scaleWrite   prometheus.Histogram
	providerCall prometheus.Histogram
	taskErrors   *prometheus.CounterVec   // by kind of task
	scales       *prometheus.CounterVec   // by direction and rule
	orders       *prometheus.CounterVec   // by direction and rule
	cold         *prometheus.HistogramVec // by stage
	state        *stateCollector
}

func newMetrics(reg prometheus.Registerer, gateways func() int) *metrics {
	fast := prometheus.ExponentialBuckets(0.0005, 2, 16) // 0.5 ms to 16 s
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wholescale_" + name, Help: help, Buckets: buckets}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wholescale_" + name, Help: help}, labels)
	}
	m := &metrics{
		plan: histogram("plan_duration_seconds", "From picture to checked decision, by what caused it.", fast, "cause"),
		violations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wholescale_check_violations_total", Help: "Decisions that Check found fault with; none of them was acted on.",
		}),
		scaleWrite: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wholescale_scale_write_seconds", Help: "From the report that caused it to the acknowledged scale.", Buckets: fast,
		}),
		providerCall: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wholescale_provider_call_seconds", Help: "From the plan to the provider's answer.", Buckets: fast,
		}),
		taskErrors: counter("task_errors_total", "Writes, orders and evictions given up for now, by kind.", "kind"),
		scales:     counter("scales_total", "Scales that were written, by direction and the rule that decided.", "direction", "rule"),
		orders:     counter("orders_total", "Orders that the provider acknowledged, by direction and the rule that decided.", "direction", "rule"),
		cold:       histogram("cold_start_seconds", "Cold starts by stage: hold, decide, buy, join, pull, start, probe.", coldBuckets, "stage"),
		state:      newStateCollector(seriesMost),
	}
	for _, stage := range []string{stageDecide, stageBuy, stageJoin, stagePull, stageStart} {
		m.cold.WithLabelValues(stage)
	}
	reg.MustRegister(m.plan, m.violations, m.scaleWrite, m.providerCall, m.taskErrors, m.scales, m.orders, m.cold, m.state)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wholescale_gateways", Help: "Gateways connected.",
	}, func() float64 { return float64(gateways()) }))
	return m
}

// coldStage takes in how long one stage of a cold start took. The clock's steps back are no durations.
func (m *metrics) coldStage(stage string, took time.Duration) {
	m.cold.WithLabelValues(stage).Observe(max(0, took).Seconds())
}

// scaled takes in a scale that was acknowledged now and that a report at observed had caused.
func (m *metrics) scaled(s autoscaler.Scale, observed, now time.Time) {
	m.scaleWrite.Observe(now.Sub(observed).Seconds())
	m.scales.WithLabelValues(direction(s.From, s.To), s.Why[0].Rule.String()).Inc()
	if s.To > s.From {
		m.coldStage(stageDecide, now.Sub(observed))
	}
}

// ordered takes in the provider's answer to an order.
func (m *metrics) ordered(o autoscaler.Order, planned, now time.Time, err error) {
	m.providerCall.Observe(now.Sub(planned).Seconds())
	if err != nil {
		return
	}
	m.orders.WithLabelValues(direction(o.From, o.To), o.Why[0].Rule.String()).Inc()
	if o.To > o.From {
		m.coldStage(stageBuy, now.Sub(planned))
	}
}

func direction(from, to int) string {
	switch {
	case to > from:
		return "up"
	case to < from:
		return "down"
	}
	return "same"
}

// MetricsSample is a controller's metrics with a value of each, for documentation and for checks of queries. None of the
// values means anything.
func MetricsSample() prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	m := newMetrics(registry, func() int { return 1 })
	m.plan.WithLabelValues("tick").Observe(0)
	m.taskErrors.WithLabelValues("scale").Inc()
	why := []autoscaler.Reason{{Rule: autoscaler.QueuedDemand}}
	s := autoscaler.State{
		Now:       time.Unix(1, 0),
		Workloads: []autoscaler.Workload{{ID: "demo/cart", Signals: []autoscaler.Signal{{Name: "cpu"}}}},
		Pools:     []autoscaler.Pool{{ID: "m"}}, PriceCap: 1,
	}
	d := autoscaler.Decision{
		Scales: []autoscaler.Scale{{Workload: "demo/cart", To: 1, Why: why}}, Orders: []autoscaler.Order{{Pool: "m", To: 1, Why: why}},
	}
	m.scaled(d.Scales[0], s.Now, s.Now)
	m.ordered(d.Orders[0], s.Now, s.Now, nil)
	m.state.set(&s, &d)
	return registry
}
