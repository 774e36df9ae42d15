// Package workload is a server to scale: it does what each request asks of it (time, size, failure), in every protocol
// that a gateway carries, and counts honestly what it saw.
package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// Config of a server. Only Listen is needed.
type Config struct {
	// Listen is host:port.
	Listen string
	// Pod is the name that /count tells.
	Pod string
	// Concurrency is how many requests it serves at once; 0 is no limit.
	Concurrency int
	// Queue lets a request over the limit wait for its turn; off, it is answered 503.
	Queue bool
	// ServiceTime of a request that names none.
	ServiceTime time.Duration
	// StartDelay passes before it listens.
	StartDelay time.Duration
	// ReadyDelay passes between listening and /readyz being 200.
	ReadyDelay time.Duration
	// DrainDelay passes between the signal to end and the end of listening, as endpoints need time to forget it.
	DrainDelay time.Duration
	// DrainTimeout bounds the wait for requests in flight; 0 is 25 s.
	DrainTimeout time.Duration
}

// Validate names the field that makes no sense.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("workload: Listen %q: %w", c.Listen, err)
	}
	if c.Concurrency < 0 {
		return fmt.Errorf("workload: Concurrency %d is below 0", c.Concurrency)
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{{"ServiceTime", c.ServiceTime}, {"StartDelay", c.StartDelay}, {"ReadyDelay", c.ReadyDelay}, {"DrainDelay", c.DrainDelay}, {"DrainTimeout", c.DrainTimeout}} {
		if field.value < 0 {
			return fmt.Errorf("workload: %s %s is below 0", field.name, field.value)
		}
	}
	return nil
}

// Run serves until ctx ends, then drains: /readyz fails at once, requests in flight end, and new ones are taken until
// DrainDelay has passed.
func Run(ctx context.Context, config Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = 25 * time.Second
	}
	if !sleep(ctx, config.StartDelay) {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("workload: listen (is the address of this host and the port free?): %w", err)
	}
	return serve(ctx, listener, config)
}

func serve(ctx context.Context, listener net.Listener, config Config) error {
	handler := New(config)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if sleep(ctx, config.ReadyDelay) {
		handler.setReady(true)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("workload: serve: %w", err)
	case <-ctx.Done():
	}
	handler.setReady(false)
	sleep(context.WithoutCancel(ctx), config.DrainDelay)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.DrainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	handler.endSockets() // Shutdown does not know of WebSockets
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(fmt.Errorf("workload: %d requests were still running after %s", handler.running(), config.DrainTimeout), server.Close())
	}
	return err
}

// Handler is the server without its socket.
type Handler struct {
	config Config
	mux    *http.ServeMux
	grpc   *grpc.Server
	health *health.Server
	slots  chan struct{} // nil without a limit
	// sockets ends when the WebSockets shall.
	sockets    context.Context
	endSockets context.CancelFunc

	mu    sync.Mutex
	ready bool
	count Count
	now   int
}

// Count is what /count tells.
type Count struct {
	Pod           string         `json:"pod"`
	Served        int            `json:"served"`
	MaxConcurrent int            `json:"maxConcurrent"`
	OverLimit     int            `json:"overLimit"`
	Failures      int            `json:"failures"`
	ByPath        map[string]int `json:"byPath"`
}

// New makes a handler that is not ready yet.
func New(config Config) *Handler {
	h := &Handler{config: config, mux: http.NewServeMux(), grpc: grpc.NewServer(), health: health.NewServer()}
	h.count.ByPath = map[string]int{}
	h.sockets, h.endSockets = context.WithCancel(context.Background())
	if config.Concurrency > 0 {
		h.slots = make(chan struct{}, config.Concurrency)
	}
	healthpb.RegisterHealthServer(h.grpc, h.health)
	h.setReady(false)
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	h.mux.HandleFunc("GET /readyz", h.serveReady)
	h.mux.HandleFunc("GET /count", h.serveCount)
	h.mux.HandleFunc("/ws", h.limited(h.webSocket))
	h.mux.HandleFunc("/stream", h.limited(h.stream))
	h.mux.HandleFunc("/echo", h.limited(h.echo))
	h.mux.HandleFunc("/", h.limited(h.answer))
	return h
}

func (h *Handler) setReady(ready bool) {
	h.mu.Lock()
	h.ready = ready
	h.mu.Unlock()
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthpb.HealthCheckResponse_SERVING
	}
	h.health.SetServingStatus("", status)
}

func (h *Handler) running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
