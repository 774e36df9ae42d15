// Command gateway takes the users' requests and sends them to pods, holding them while there is none.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/api/wire/trace"
	"github.com/wholescale/wholescale/gateway"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// flags is what gateway.Config does not take as it is.
type flags struct {
	config          gateway.Config
	tlsCert, tlsKey string
	link            identity.Files
	plaintext       bool
	deny            []string
	debug           bool
	otlp            string
}

func command() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:           "gateway",
		Short:         "Take requests, hold them while no pod has a free slot, and send them on",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.run(c.Context()) },
	}
	p := c.Flags()
	p.StringVar(&f.config.Listen, "listen", ":8080", "address for HTTP/1.1 and HTTP/2 without TLS; empty for none")
	p.StringVar(&f.config.ListenTLS, "listen-tls", "", "address for HTTP/1.1 and HTTP/2 over TLS; empty for none")
	p.StringVar(&f.tlsCert, "tls-cert", "", "certificate file (PEM) of --listen-tls; read again when it changes")
	p.StringVar(&f.tlsKey, "tls-key", "", "key file (PEM) of --listen-tls")
	p.StringVar(&f.config.Admin, "admin", "127.0.0.1:9090", "address of /healthz, /readyz, /metrics and /requests; empty for none")
	p.StringVar(&f.config.Link, "link", "", "the controller's host:port; of several, separated by commas, the one that leads answers")
	p.StringVar(&f.link.CA, "ca", "", "file (PEM) of the authority that the controller's certificate is from")
	p.StringVar(&f.link.Cert, "cert", "", "certificate file (PEM) that the controller is shown")
	p.StringVar(&f.link.Key, "key", "", "key file (PEM) of --cert")
	p.BoolVar(&f.plaintext, "link-plaintext", false, "speak to the controller without TLS; for tests only")
	p.BoolVar(&f.config.AllowLoopback, "allow-loopback-pods", false, "let pods have loopback addresses, as on the development cluster")
	p.StringSliceVar(&f.deny, "deny", nil, "further networks (CIDR) that no pod may be in, such as the API server's")
	p.BoolVar(&f.config.TrustForwarded, "trust-forwarded", false, "keep X-Forwarded-* that come in, behind a load balancer")
	p.IntVar(&f.config.QueueLimit, "queue-limit", 1000, "requests held for one workload whose route gives no limit")
	p.IntVar(&f.config.QueueTotal, "queue-total", 10000, "requests held for all workloads")
	p.IntVar(&f.config.Arrivals, "arrivals", 0, "ended requests to remember for wholescale record: time, workload, duration, status; 0 for none")
	p.DurationVar(&f.config.DrainDelay, "drain-delay", 0, "time to go on accepting after SIGTERM, until load balancers have noticed")
	p.DurationVar(&f.config.DrainTimeout, "drain-timeout", 0, "time for requests to end after that (default 30s)")
	p.StringVar(&f.config.Name, "name", "", "name of this process for the controller (default host name and a random suffix)")
	p.StringVar(&f.otlp, "otlp-endpoint", "", "OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318, for traces of held requests; empty sends none")
	p.BoolVar(&f.debug, "debug", false, "log what single client connections do wrong, too")
	return c
}

func (f *flags) run(ctx context.Context) error {
	log, err := f.logger()
	if err != nil {
		return fmt.Errorf("set up the log: %w", err)
	}
	defer func() { _ = log.Sync() }() // standard error may be something that cannot be synced
	if err := f.complete(); err != nil {
		return err
	}
	f.config.Logger = log
	g, err := gateway.Listen(f.config)
	if err != nil {
		return err
	}
	log.Info("serving", zap.String("name", f.config.Name), zap.String("version", f.config.Version),
		zap.String("http", text(g.Addr())), zap.String("https", text(g.AddrTLS())), zap.String("admin", text(g.AdminAddr())))
	if err := g.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func text(a net.Addr) string {
	if a == nil {
		return "none"
	}
	return a.String()
}

// complete makes the configuration of the flags.
func (f *flags) complete() (err error) {
	c := &f.config
	c.Version = version()
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--name was not given and the host has none: %w", err)
		}
		c.Name = host + "-" + strings.ToLower(rand.Text()[:6])
	}
	if c.Traces, err = trace.NewExporter(f.otlp, "wholescale-gateway"); err != nil {
		return fmt.Errorf("--otlp-endpoint: %w", err)
	}
	for _, s := range f.deny {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return fmt.Errorf("--deny %q is not a network such as 10.0.0.0/8: %w", s, err)
		}
		c.Deny = append(c.Deny, p)
	}
	if c.ListenTLS != "" {
		if c.TLS, err = (identity.Files{Cert: f.tlsCert, Key: f.tlsKey}).Public(); err != nil {
			return fmt.Errorf("--listen-tls needs --tls-cert and --tls-key: %w", err)
		}
	}
	if f.plaintext {
		if f.link != (identity.Files{}) {
			return errors.New("--link-plaintext and --ca, --cert, --key contradict each other; give one of both")
		}
		return nil
	}
	if f.link.CA == "" || f.link.Cert == "" || f.link.Key == "" {
		return errors.New("--ca, --cert and --key are needed to speak to the controller; give all three")
	}
	if c.LinkTLS, err = f.link.Client(identity.Controller); err != nil {
		return fmt.Errorf("read --ca, --cert and --key: %w", err)
	}
	return nil
}

func (f *flags) logger() (*zap.Logger, error) {
	c := zap.NewProductionConfig()
	c.DisableStacktrace = true
	if f.debug {
		c.Level = zap.NewAtomicLevelAt(zap.DebugLevel)
	}
	return c.Build()
}

func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		return b.Main.Version
	}
	return "unknown"
}
