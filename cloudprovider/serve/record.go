package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/cloudprovider"
)

// maxOrders bounds the record; at one order a second it is more than an hour.
const maxOrders = 4096

// Order is one line of /orders.
type Order struct {
	// UnixNano is when the order came, Took how long it was worked on, in nanoseconds.
	UnixNano int64  `json:"unixNano"`
	Took     int64  `json:"tookNanos"`
	Kind     string `json:"kind"` // set, delete
	Pool     string `json:"pool"`
	Target   int    `json:"target"`
	// Instances is how many were named to be ended.
	Instances int    `json:"instances,omitempty"`
	Token     string `json:"token"`
	Epoch     uint64 `json:"epoch"`
	// Standing is the target that stood then; only when Result is "ok".
	Standing int `json:"standing"`
	// Result is ok, old-epoch, no-pool, no-stock, over-limit, invalid, unavailable or error.
	Result string `json:"result"`
	Error  string `json:"error,omitempty"`
}

// record is a provider that remembers the last orders and counts all.
type record struct {
	cloudprovider.Provider
	counted *prometheus.CounterVec
	took    *prometheus.HistogramVec

	mu    sync.Mutex
	ring  []Order
	first int
}

func newRecord(p cloudprovider.Provider, metrics prometheus.Registerer) *record {
	r := &record{Provider: p, counted: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wholescale_provider_orders_total", Help: "Orders by kind and result.",
	}, []string{"kind", "result"}), took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "wholescale_provider_order_seconds", Help: "How long the cloud took for an order, by kind.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
	}, []string{"kind"})}
	metrics.MustRegister(r.counted, r.took)
	return r
}

func (r *record) SetTarget(ctx context.Context, c cloudprovider.Change) (int, error) {
	return r.note("set", c, func() (int, error) { return r.Provider.SetTarget(ctx, c) })
}

func (r *record) Delete(ctx context.Context, c cloudprovider.Change) (int, error) {
	return r.note("delete", c, func() (int, error) { return r.Provider.Delete(ctx, c) })
}

func (r *record) note(kind string, c cloudprovider.Change, do func() (int, error)) (int, error) {
	came := time.Now()
	standing, err := do()
	o := Order{
		UnixNano: came.UnixNano(), Took: int64(time.Since(came)), Kind: kind, Pool: clip(c.Pool), Target: c.Target,
		Instances: len(c.Instances), Token: clip(c.Token), Epoch: c.Epoch, Standing: standing, Result: resultOf(err),
	}
	if err != nil {
		o.Error = clip(err.Error())
	}
	r.counted.WithLabelValues(kind, o.Result).Inc()
	r.took.WithLabelValues(kind).Observe(time.Duration(o.Took).Seconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < maxOrders {
		r.ring = append(r.ring, o)
	} else {
		r.ring[r.first] = o
		r.first = (r.first + 1) % maxOrders
	}
	return standing, err
}

// clip bounds text from the other side.
func clip(text string) string {
	if len(text) > 512 {
		return text[:512]
	}
	return text
}

func resultOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, k := range []struct {
		kind error
		name string
	}{
		{cloudprovider.ErrOldEpoch, "old-epoch"}, {cloudprovider.ErrNoPool, "no-pool"}, {cloudprovider.ErrNoStock, "no-stock"},
		{cloudprovider.ErrOverLimit, "over-limit"}, {cloudprovider.ErrInvalid, "invalid"}, {cloudprovider.ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, k.kind) {
			return k.name
		}
	}
	return "error"
}

// last are the orders remembered, oldest first.
func (r *record) last() []Order {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]Order(nil), r.ring[r.first:]...), r.ring[:r.first]...)
}

// ServeHTTP writes the orders as JSON lines, oldest first.
func (r *record) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for _, o := range r.last() {
		if lines.Encode(o) != nil {
			return // the reader went away
		}
	}
}

// MetricsSample is a provider's metrics with a value of each, for documentation and for checks of queries. None of the values
// means anything.
func MetricsSample() prometheus.Gatherer {
	metrics := prometheus.NewRegistry()
	r := newRecord(sample{}, metrics)
	_, _ = r.SetTarget(context.Background(), cloudprovider.Change{}) // sample has no errors
	metrics.MustRegister(newPools(sample{}))
	return metrics
}

// sample is a provider of one pool with nothing in it.
type sample struct{ cloudprovider.Provider }

func (sample) SetTarget(context.Context, cloudprovider.Change) (int, error) { return 0, nil }

func (sample) List(context.Context) ([]cloudprovider.PoolState, error) {
	return []cloudprovider.PoolState{{ID: "m", Known: &cloudprovider.Known{}}}, nil
}

// pools tells Prometheus what the provider says now.
type pools struct {
	provider cloudprovider.Provider
	target   *prometheus.Desc
	there    *prometheus.Desc
	known    *prometheus.Desc
}

func newPools(p cloudprovider.Provider) *pools {
	return &pools{
		provider: p,
		target:   prometheus.NewDesc("wholescale_provider_pool_target", "The target that stands.", []string{"pool"}, nil),
		there:    prometheus.NewDesc("wholescale_provider_pool_instances", "Instances by phase.", []string{"pool", "phase"}, nil),
		known:    prometheus.NewDesc("wholescale_provider_pool_known", "1 when the pool's state is known, else 0.", []string{"pool"}, nil),
	}
}

func (p *pools) Describe(to chan<- *prometheus.Desc) {
	to <- p.target
	to <- p.there
	to <- p.known
}

func (p *pools) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := p.provider.List(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(p.known, err)
		return
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for _, s := range all {
		if s.Known == nil {
			gauge(p.known, 0, s.ID)
			continue
		}
		gauge(p.known, 1, s.ID)
		gauge(p.target, s.Known.Target, s.ID)
		count := map[cloudprovider.Phase]int{}
		for _, i := range s.Known.Instances {
			count[i.Phase]++
		}
		for phase, name := range map[cloudprovider.Phase]string{
			cloudprovider.Creating: "creating", cloudprovider.Running: "running",
			cloudprovider.Deleting: "deleting", cloudprovider.Failed: "failed",
			cloudprovider.Stopped: "stopped",
		} {
			gauge(p.there, count[phase], s.ID, name)
		}
	}
}
