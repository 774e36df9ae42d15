package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/api/wire/trace"
)

// Config is all that a gateway is told at its start. The zero value of each field means the default that stands beside
// it; only Link, Listen or ListenTLS, and Name have to be given.
type Config struct {
	// Name is this process in the controller's eyes; it must differ at each start.
	Name string
	// Version is said to the controller in Hello; empty is allowed.
	Version string

	// Listen is "host:port" for HTTP/1.1 and HTTP/2 without TLS on one port; empty means no such listener.
	Listen string
	// ListenTLS is "host:port" for HTTP/1.1 and HTTP/2 over TLS; empty means no such listener. It needs TLS.
	ListenTLS string
	// TLS holds the certificates that ListenTLS shows.
	TLS *tls.Config
	// Admin is "host:port" for /healthz, /readyz, /metrics and /requests; empty means none. Keep it off public networks.
	Admin string

	// Link is "host:port" of the controller; of several, separated by commas, the one that leads answers.
	Link string
	// LinkTLS is the mutual TLS towards the controller; nil means plaintext, which is for tests only.
	LinkTLS *tls.Config

	// Traces takes the spans of requests that are held first; nil traces none.
	Traces *trace.Exporter

	// AllowLoopback lets pods have loopback addresses, as they do on the development cluster.
	AllowLoopback bool
	// Deny lists further networks that no pod may be in, such as the API server's address.
	Deny []netip.Prefix
	// TrustForwarded keeps the X-Forwarded-For and -Proto that came in (and adds to them), for a gateway behind a load
	// balancer; otherwise what clients claim is dropped.
	TrustForwarded bool

	// QueueLimit bounds the held requests of one workload whose route gives no limit; default 1000.
	QueueLimit int
	// QueueTotal bounds the held requests of all workloads; default 10000.
	QueueTotal int
	// Arrivals is how many ended requests are remembered for /arrivals, from which traffic is recorded: when, for whom, how long
	// and the status, and nothing of what was in them. About 64 bytes each, at most a million; default 0, none.
	Arrivals int
	// HoldTimeout is the longest hold of a request whose route gives none; default 60 s.
	HoldTimeout time.Duration
	// RetryAfter is said in a refusal when nothing is known of coming capacity; default 5 s.
	RetryAfter time.Duration

	// DrainDelay goes on accepting for so long after the end was asked for, while /readyz already says no; default 0.
	DrainDelay time.Duration
	// DrainTimeout is how long requests get to end after that; default 30 s.
	DrainTimeout time.Duration

	// ReportEvery is the step of regular reports; default 1 s.
	ReportEvery time.Duration
	// UrgentGap is the shortest time between two urgent reports for one workload; default 5 ms.
	UrgentGap time.Duration

	// ProbeStep is the first wait between probes of a pod, growing by half up to ProbeStepMax; defaults 10 ms, 250 ms.
	ProbeStep, ProbeStepMax time.Duration
	// ProbeTimeout ends one probe; probes overlap, so a lost packet does not hold up the next; default 1 s.
	ProbeTimeout time.Duration
	// DialTimeout ends one connection attempt for a request; default 1 s.
	DialTimeout time.Duration

	// ReadHeaderTimeout is for a request's head; default 10 s.
	ReadHeaderTimeout time.Duration
	// BodyIdleTimeout closes an HTTP/1.1 connection whose client sends nothing of a body for so long; default 60 s.
	BodyIdleTimeout time.Duration
	// AnswerIdleTimeout ends an answer of which the client takes nothing for so long; default 60 s.
	AnswerIdleTimeout time.Duration
	// IdleTimeout closes unused client connections; default 120 s.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's head; default 64 KiB.
	MaxHeaderBytes int
	// MaxStreams bounds the HTTP/2 streams of one client connection; default 250.
	MaxStreams int
	// IdlePerPod is how many unused connections to one pod are kept; default 256.
	IdlePerPod int

	// Logger gets what happens at the edges; nil means nothing is logged.
	Logger *zap.Logger
}

// Validate says which field is wrong and what it should be.
func (c Config) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("gateway.Config.%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Name == "" {
		wrong("Name", "is empty; give a name that differs at each start")
	}
	if c.Listen == "" && c.ListenTLS == "" {
		wrong("Listen", "and ListenTLS are both empty; give at least one address such as :8080")
	}
	if c.ListenTLS != "" && (c.TLS == nil || (len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil)) {
		wrong("TLS", "has no certificate, which ListenTLS %s needs", c.ListenTLS)
	}
	for field, address := range map[string]string{"Listen": c.Listen, "ListenTLS": c.ListenTLS, "Admin": c.Admin} {
		if address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			wrong(field, "%q is not host:port: %v", address, err)
		}
	}
	for _, address := range strings.Split(c.Link, ",") {
		if _, _, err := net.SplitHostPort(address); err != nil && c.Link != "" {
			wrong("Link", "%q is not host:port: %v", address, err)
		}
	}
	if c.Link == "" {
		wrong("Link", "is empty; give the controller's host:port")
	}
	for field, n := range map[string]int{
		"QueueLimit": c.QueueLimit, "QueueTotal": c.QueueTotal, "MaxHeaderBytes": c.MaxHeaderBytes,
		"MaxStreams": c.MaxStreams, "IdlePerPod": c.IdlePerPod,
	} {
		if n < 0 {
			wrong(field, "is %d; it must not be negative", n)
		}
	}
	if c.Arrivals < 0 || c.Arrivals > mostArrivals {
		wrong("Arrivals", "is %d; it must be from 0 to %d", c.Arrivals, mostArrivals)
	}
	for field, d := range c.durations() {
		if d < 0 {
			wrong(field, "is %v; it must not be negative", d)
		}
	}
	return joinSorted(errs)
}

// mostArrivals bounds the memory of what is recorded: about 64 MiB.
const mostArrivals = 1_000_000

func (c Config) durations() map[string]time.Duration {
	return map[string]time.Duration{
		"HoldTimeout": c.HoldTimeout, "RetryAfter": c.RetryAfter, "DrainDelay": c.DrainDelay, "DrainTimeout": c.DrainTimeout,
		"ReportEvery": c.ReportEvery, "UrgentGap": c.UrgentGap, "ProbeStep": c.ProbeStep, "ProbeStepMax": c.ProbeStepMax,
		"ProbeTimeout": c.ProbeTimeout, "DialTimeout": c.DialTimeout, "ReadHeaderTimeout": c.ReadHeaderTimeout,
		"BodyIdleTimeout": c.BodyIdleTimeout, "AnswerIdleTimeout": c.AnswerIdleTimeout, "IdleTimeout": c.IdleTimeout,
	}
}

// withDefaults fills what was left at zero.
func (c Config) withDefaults() Config {
	set(&c.QueueLimit, 1000)
	set(&c.QueueTotal, 10000)
	set(&c.HoldTimeout, 60*time.Second)
	set(&c.RetryAfter, 5*time.Second)
	set(&c.DrainTimeout, 30*time.Second)
	set(&c.ReportEvery, time.Second)
	set(&c.UrgentGap, 5*time.Millisecond)
	set(&c.ProbeStep, 10*time.Millisecond)
	set(&c.ProbeStepMax, 250*time.Millisecond)
	set(&c.ProbeTimeout, time.Second)
	set(&c.DialTimeout, time.Second)
	set(&c.ReadHeaderTimeout, 10*time.Second)
	set(&c.BodyIdleTimeout, 60*time.Second)
	set(&c.AnswerIdleTimeout, 60*time.Second)
	set(&c.IdleTimeout, 120*time.Second)
	set(&c.MaxHeaderBytes, 64<<10)
	set(&c.MaxStreams, 250)
	set(&c.IdlePerPod, 256)
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

func set[T int | time.Duration](field *T, fallback T) {
	if *field == 0 {
		*field = fallback
	}
}

// joinSorted makes one error of many, in an order that does not depend on map iteration.
func joinSorted(errs []error) error {
	for i := range errs {
		for j := i; j > 0 && errs[j].Error() < errs[j-1].Error(); j-- {
			errs[j], errs[j-1] = errs[j-1], errs[j]
		}
	}
	return errors.Join(errs...)
}
