package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/api/wire/trace"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/live"
	"github.com/wholescale/wholescale/cloudprovider"
)

// Config is what a controller needs. All fields without a default are required.
type Config struct {
	// Kubernetes is how the API server is reached.
	Kubernetes *rest.Config
	// Provider sells the machines.
	Provider cloudprovider.Provider
	// Link is the address that gateways connect to, and TLS its certificates; nil is plain text, for tests alone.
	Link string
	TLS  *tls.Config
	// Admin is the address of /healthz, /readyz, /metrics, /state, /actions and /decisions. Default 127.0.0.1:9091.
	Admin string
	// Live is the address of the live page, on loopback alone, as it asks nobody who he is. Empty serves none.
	Live string
	// Traces takes spans of the way from a held request to the node that it caused; nil traces none.
	Traces *trace.Exporter
	// DecisionLog is a folder, of this process alone, where the last decisions are kept over a restart (32 MiB at most).
	// Empty keeps them in memory alone.
	DecisionLog string
	// Namespace holds the leader's Lease. Default wholescale-system.
	Namespace string
	// Name is this process's name among its like; a new one for each start.
	Name string
	// LeaseDuration is how long a leader that died is waited for. Default 15 s.
	LeaseDuration time.Duration
	// PriceCap is the most that all pools together may cost an hour; 0 is no cap.
	PriceCap float64
	// PriceCaps are caps by the clock beside it: the lowest that holds now.
	PriceCaps []v1alpha1.PriceCap
	Log       *zap.Logger
}

// Validate fills defaults in and names the field that is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Kubernetes == nil:
		return errors.New("controller: Kubernetes is missing: how is the API server reached?")
	case c.Provider == nil:
		return errors.New("controller: Provider is missing: who sells machines?")
	case c.Link == "":
		return errors.New("controller: Link is missing: where do gateways connect?")
	case c.Name == "":
		return errors.New("controller: Name is missing")
	case !(c.PriceCap >= 0 && c.PriceCap <= 1e9):
		return fmt.Errorf("controller: PriceCap is %v; it must be from 0, for no cap, to 1e9 an hour", c.PriceCap)
	}
	if errs := v1alpha1.ValidateCaps(field.NewPath("PriceCaps"), c.PriceCaps); len(errs) > 0 {
		return fmt.Errorf("controller: %w", errs.ToAggregate())
	}
	if c.Admin == "" {
		c.Admin = "127.0.0.1:9091"
	}
	if c.Namespace == "" {
		c.Namespace = "wholescale-system"
	}
	if c.LeaseDuration == 0 {
		c.LeaseDuration = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return nil
}

// reportQueue bounds the reports between links and loop; a gateway that is faster waits.
const reportQueue = 1024

// Run runs a controller until ctx ends or its leadership is lost, and returns when all that it started has ended. It
// returns nil when ctx ended, and an error that says what to do otherwise.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	// Client-side limits would put seconds between decision and act; the API server has its own fairness.
	config := rest.CopyConfig(c.Kubernetes)
	config.QPS, config.Burst = 500, 1000
	built := rest.CopyConfig(config) // for the kinds that are built in, which the API server can send in a form that costs both less
	built.ContentType, built.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(built)
	if err != nil {
		return fmt.Errorf("reading the Kubernetes configuration: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("reading the Kubernetes configuration: %w", err)
	}
	if _, err := client.Discovery().ServerVersion(); err != nil {
		return fmt.Errorf("asking the API server at %s for its version (is it up, and is the token valid?): %w", config.Host, err)
	}
	admin, err := net.Listen("tcp", c.Admin)
	if err != nil {
		return fmt.Errorf("listening for admin on %s (is another controller running? choose another with --admin): %w", c.Admin, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	use, metric, err := newMeasuring(config)
	if err != nil {
		return err
	}
	p := &process{config: c, measures: newMeasures(use, metric, c.Log), client: client, dynamic: dyn, registry: registry, world: newWorld(), decisions: newDecisions(c.Log)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if c.DecisionLog != "" {
		file, err := p.decisions.open(c.DecisionLog)
		if err != nil {
			return err
		}
		wg.Go(func() { p.decisions.write(ctx, file) })
	}
	if c.Live != "" {
		page, err := live.Listen(c.Live)
		if err != nil {
			return err
		}
		c.Log.Info("serving the live page", zap.String("url", "http://"+page.Addr().String()))
		wg.Go(func() { serveUntil(ctx, page, live.Handler(p.livePage())) })
	}
	wg.Go(func() { serveUntil(ctx, admin, p.admin()) })
	wg.Go(func() { c.Traces.Run(ctx, func(err error) { c.Log.Warn("spans are lost", zap.Error(err)) }) })
	if err := watch(ctx, &wg, client, dyn, p.world, c.Log); err != nil {
		return err
	}
	return p.lead(ctx)
}

// process is one controller: what lives as long as it does, leader or not.
type process struct {
	config   Config
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	registry *prometheus.Registry
	world    *world
	leading  atomic.Pointer[loop]
	journal  journal
	// decisions are what was decided and why.
	decisions *decisions
	// measures asks the metrics APIs while this process leads.
	measures *measures
	// history is the last hour for the live page.
	history live.History
}

// govern makes the decisions while this process leads.
func (p *process) govern(ctx context.Context, lead leadership) error {
	c := &p.config
	listener, err := net.Listen("tcp", c.Link)
	if err != nil {
		return fmt.Errorf("listening for gateways on %s (is another controller running? choose another with --link): %w", c.Link, err)
	}
	reports := make(chan autoscaler.Observation, reportQueue)
	link := newLink(c.Log, reports, ctx.Done())
	link.traces = newTraces(c.Traces)
	m := newMetrics(p.registry, link.gateways)
	var wg sync.WaitGroup
	defer wg.Wait()
	recorder, stopEvents := p.recorder(ctx)
	defer stopEvents()
	work := newTasks(ctx, lead.holds, func(key string, err error) { p.taskDone(m, key, err) })
	defer work.wait()
	tell := &teller{events: recorder, client: p.dynamic, tasks: work, sent: map[string]sentStatus{}, said: map[string]string{}, measures: p.measures, waits: &link.waits}
	pools := newPools(c.Provider, c.Log, p.world.stir)
	l := &loop{
		world: p.world, pools: pools, link: link, tell: tell, metrics: m, traces: link.traces, log: c.Log, reports: reports, decisions: p.decisions,
		priceCap: c.PriceCap, priceCaps: c.PriceCaps,
		forming: map[autoscaler.WorkloadID]bool{}, glanceFrom: glanceFrom,
		memory: autoscaler.NewMemory(), measures: p.measures, history: &p.history,
		queued: map[string]map[autoscaler.WorkloadID]int{}, starting: map[autoscaler.PodID]time.Time{},
		actor: &actor{
			client: p.client, provider: c.Provider, pools: pools, written: newWrittenScales(), tasks: work, tell: tell, metrics: m, traces: link.traces,
			journal: &p.journal, log: c.Log, epoch: lead.epoch, deposed: lead.deposed,
		},
	}
	p.world.setPodChanged(link.podChanged)
	p.world.setStages(m.coldStage)
	p.leading.Store(l)
	defer p.leading.Store(nil)
	server := p.linkServer()
	wire.RegisterLinkServer(server, link)
	wg.Go(func() { _ = server.Serve(listener) }) // ends with Stop below
	wg.Go(func() { pools.run(ctx) })
	wg.Go(func() { p.measures.run(ctx) })
	c.Log.Info("leading", zap.Uint64("epoch", lead.epoch), zap.String("link", listener.Addr().String()))
	l.run(ctx)
	server.Stop()
	return nil
}

func (p *process) linkServer() *grpc.Server {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(16 << 20), grpc.MaxConcurrentStreams(8),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if p.config.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(p.config.TLS)))
	}
	return grpc.NewServer(options...)
}

func (p *process) recorder(ctx context.Context) (events.EventRecorder, func()) {
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: p.client.EventsV1()})
	_ = broadcaster.StartRecordingToSinkWithContext(ctx) // fails only for a sink without a client
	return broadcaster.NewRecorder(scheme.Scheme, "wholescale"), broadcaster.Shutdown
}

func (p *process) taskDone(m *metrics, key string, err error) {
	kind, subject := splitKey(key)
	if err != nil && !errors.Is(err, context.Canceled) {
		m.taskErrors.WithLabelValues(kind).Inc()
		p.config.Log.Warn("not done", zap.String("task", kind), zap.String("subject", subject), zap.Error(err))
	}
	if err == nil && kind == "scale" {
		p.world.nudge()
		return
	}
	p.world.stir()
}

// serveUntil answers people and probes until ctx ends.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_ = server.Serve(listener) // ends with Close
}

// admin is what people and probes may ask.
func (p *process) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if p.leading.Load() == nil {
			http.Error(w, "not leading", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		l := p.leading.Load()
		if l == nil {
			http.Error(w, "not leading", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(l.lastState()))
	})
	mux.Handle("GET /actions", &p.journal)
	mux.Handle("GET /decisions", p.decisions)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	return mux
}
