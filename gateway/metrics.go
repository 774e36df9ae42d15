package gateway

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// outcome is what became of a request; each gets exactly one.
type outcome int

const (
	outcomeAnswered outcome = iota // a pod answered, with whatever status
	outcomeRefused                 // 404 or 503 without a pod
	outcomeExpired                 // 504: the hold ended
	outcomeFailed                  // 502 or 504: the pod broke off or was silent
	outcomeGone                    // the client left or broke off before an answer began
	outcomePage                    // a browser was shown the waiting page, and asks again
)

var outcomes = [...]string{"answered", "refused", "expired", "failed", "client_gone", "waiting_page"}

// seriesMost bounds the label workload; the sum of all beyond it is told as "other".
const seriesMost = 1000

// counts is what is counted for the gateway as a whole.
type counts struct {
	refusedAddresses, redialled     atomic.Uint64
	probesPassed, probesFailed      atomic.Uint64
	noRoutes, noRoute, notServed    atomic.Uint64
	reports, urgentReports, streams atomic.Uint64
	holds                           prometheus.Histogram
	cold                            *prometheus.HistogramVec // by stage
}

// The stages of a cold start that a gateway sees; the controller has the others, under the same name.
const (
	stageHold  = "hold"  // all that a request waited that went to a pod which came for it
	stageProbe = "probe" // from the pod's address to its answer; a part of it may be the pod's own start
)

func (c *counts) init() {
	c.holds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "wholescale_gateway_hold_seconds",
		Help:    "How long requests that were held waited.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 17), // 1 ms to 65 s
	})
	c.cold = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "wholescale_cold_start_seconds",
		Help:    "Cold starts by stage: hold, decide, buy, join, pull, start, probe.",
		Buckets: []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 120, 300},
	}, []string{"stage"})
	for _, stage := range []string{stageHold, stageProbe} {
		c.cold.WithLabelValues(stage)
	}
}

func (c *counts) coldStage(stage string, d time.Duration) {
	c.cold.WithLabelValues(stage).Observe(max(0, d).Seconds())
}

func (c *counts) held(d time.Duration) { c.holds.Observe(d.Seconds()) }

func (c *counts) probed(err error) {
	if err == nil {
		c.probesPassed.Add(1)
	} else {
		c.probesFailed.Add(1)
	}
}

func (c *counts) turnedAway(why *refusal) {
	switch why {
	case refuseNoRoutes:
		c.noRoutes.Add(1)
	case refuseNoRoute:
		c.noRoute.Add(1)
	default:
		c.notServed.Add(1)
	}
}

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("wholescale_gateway_"+name, help, labels, nil)
}

var (
	descRequests  = description("requests_total", "Requests that ended, by workload and outcome.", "workload", "outcome")
	descHeld      = description("held", "Requests held now.", "workload")
	descInFlight  = description("in_flight", "Requests on pods now.", "workload")
	descPods      = description("pods", "Pods by whether the gateway's probe passed.", "workload", "probed")
	descTurned    = description("turned_away_total", "Requests that belong to no workload, by reason.", "reason")
	descProbes    = description("probes_total", "Probes of pods, by result.", "result")
	descAddresses = description("endpoints_refused_total", "Pod addresses that the gateway refuses to dial.")
	descRedialled = description("redialled_total", "Requests put back to the line as their pod could not be dialled.")
	descReports   = description("reports_total", "Reports to the controller, by kind.", "kind")
	descStreams   = description("link_streams_total", "Streams to the controller that were opened.")
	descLinked    = description("link_connected", "1 while the controller's stream is open.")
	descRoutes    = description("routes", "Workloads that requests are taken for.")
	descQueue     = description("held_all", "Requests held now in all workloads.")
)

// Describe sends nothing: the collector is unchecked, as its workloads come and go.
func (h *hub) Describe(chan<- *prometheus.Desc) {}

// Collect reads the workloads' own figures, so that a request costs no lookup of a labelled metric.
func (h *hub) Collect(out chan<- prometheus.Metric) {
	var other usage
	list := h.list()
	for i, w := range list {
		u := w.usage()
		if i < seriesMost {
			u.send(out, w.name)
		} else {
			other.add(u)
		}
	}
	if len(list) > seriesMost {
		other.send(out, "other")
	}
	out <- prometheus.MustNewConstMetric(descRoutes, prometheus.GaugeValue, float64(len(list)))
	c := &h.counts
	counter := func(d *prometheus.Desc, n *atomic.Uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.Load()), labels...)
	}
	counter(descTurned, &c.noRoutes, "no_routes_yet")
	counter(descTurned, &c.noRoute, "no_route")
	counter(descTurned, &c.notServed, "not_served")
	counter(descProbes, &c.probesPassed, "passed")
	counter(descProbes, &c.probesFailed, "failed")
	counter(descAddresses, &c.refusedAddresses)
	counter(descRedialled, &c.redialled)
	counter(descReports, &c.reports, "regular")
	counter(descReports, &c.urgentReports, "urgent")
	counter(descStreams, &c.streams)
	var linked float64
	if h.linked.Load() {
		linked = 1
	}
	out <- prometheus.MustNewConstMetric(descLinked, prometheus.GaugeValue, linked)
	out <- prometheus.MustNewConstMetric(descQueue, prometheus.GaugeValue, float64(h.queue.len()))
	c.holds.Collect(out)
	c.cold.Collect(out)
}

// usage is the figures of one workload, or the sum of several.
type usage struct {
	ended          [len(outcomes)]uint64
	held, inFlight int
	probed, not    int
}

func (w *workload) usage() usage {
	var u usage
	for i := range u.ended {
		u.ended[i] = w.outcomes[i].Load()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u.held = w.line.len()
	for _, l := range w.slots.loads() {
		u.inFlight += l.inFlight
	}
	u.probed = len(w.slots.open)
	u.not = len(w.slots.pods) - u.probed
	return u
}

func (u *usage) add(v usage) {
	for i := range u.ended {
		u.ended[i] += v.ended[i]
	}
	u.held, u.inFlight, u.probed, u.not = u.held+v.held, u.inFlight+v.inFlight, u.probed+v.probed, u.not+v.not
}

func (u *usage) send(out chan<- prometheus.Metric, workload string) {
	for i, n := range u.ended {
		if outcome(i) == outcomePage && n == 0 {
			continue // few routes have a page, and a series for each that has none would be many
		}
		out <- prometheus.MustNewConstMetric(descRequests, prometheus.CounterValue, float64(n), workload, outcomes[i])
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(descHeld, u.held, workload)
	gauge(descInFlight, u.inFlight, workload)
	gauge(descPods, u.probed, workload, strconv.FormatBool(true))
	gauge(descPods, u.not, workload, strconv.FormatBool(false))
}

// MetricsSample is a gateway's metrics with a value of each, for documentation and for checks of queries. None of the values
// means anything.
func MetricsSample() prometheus.Gatherer {
	h := newHub(Config{})
	h.workload("demo/cart")
	r := prometheus.NewRegistry()
	r.MustRegister(h)
	return r
}

// metricsHandler serves the hub's figures with those of the process.
func metricsHandler(h *hub) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(h, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
