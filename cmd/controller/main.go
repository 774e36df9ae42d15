// Command controller decides: from what gateways report and the cluster shows, how many replicas and which machines.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/api/wire/trace"
	"github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/cloudprovider/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// flags is what controller.Config does not take as it is.
type flags struct {
	config               controller.Config
	kubeconfig, provider string
	otlp, caps           string
	keys                 identity.Files
}

func command() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "controller --provider HOST:PORT --ca FILE --cert FILE --key FILE",
		Short: "Decide replicas and machines, and see that they come about",
		Args:  cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context()) },
	}
	p := c.Flags()
	p.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; empty is the service account of the pod that this runs in")
	p.StringVar(&f.provider, "provider", "", "the provider's host:port")
	p.StringVar(&f.config.Link, "link", ":7444", "address that gateways connect to")
	p.StringVar(&f.config.Admin, "admin", "127.0.0.1:9091", "address of /healthz, /readyz, /metrics, /state, /actions and /decisions")
	p.StringVar(&f.config.Live, "live-address", "", "address of the live page, on loopback alone, such as 127.0.0.1:9095; empty serves none")
	p.StringVar(&f.config.DecisionLog, "decision-log", "", "folder where the last decisions are kept over a restart, 32 MiB at most; empty keeps them in memory alone")
	p.StringVar(&f.otlp, "otlp-endpoint", "", "OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318, for traces from held requests to nodes; empty sends none")
	p.StringVar(&f.config.Namespace, "namespace", "wholescale-system", "namespace of the leader's Lease")
	p.Float64Var(&f.config.PriceCap, "price-cap", 0, "the most that all pools together may cost an hour, in the currency of their prices; 0 is no cap")
	p.StringVar(&f.caps, "price-caps", "", `caps by the clock beside --price-cap, as priceCaps of a NodePool, such as '[{name: night, perHour: 2, begins: "0 20 * * *", lasts: 10h, timeZone: Europe/Berlin}]'; the lowest that holds now counts`)
	p.DurationVar(&f.config.LeaseDuration, "lease-duration", 0, "how long a leader that died is waited for (default 15s)")
	p.StringVar(&f.config.Name, "name", "", "name of this process among its like (default host name and a random suffix)")
	p.StringVar(&f.keys.CA, "ca", "", "PEM file with the authorities to trust")
	p.StringVar(&f.keys.Cert, "cert", "", "PEM file with the controller's certificate")
	p.StringVar(&f.keys.Key, "key", "", "PEM file with the controller's private key")
	for _, name := range []string{"provider", "ca", "cert", "key"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // a flag that is not defined above
		}
	}
	c.AddCommand(certificatesCommand())
	return c
}

func (f *flags) run(ctx context.Context) error {
	log, err := zap.NewProduction()
	if err != nil {
		return fmt.Errorf("making the logger: %w", err)
	}
	defer func() { _ = log.Sync() }() // standard error has nothing to sync, and says so
	f.config.Log = log
	if f.config.PriceCaps, err = readCaps(f.caps); err != nil {
		return err
	}
	if f.config.Kubernetes, err = connect(f.kubeconfig); err != nil {
		return err
	}
	if f.config.Name == "" {
		f.config.Name = freshName()
	}
	if f.config.Traces, err = trace.NewExporter(f.otlp, "wholescale-controller"); err != nil {
		return fmt.Errorf("--otlp-endpoint: %w", err)
	}
	if f.config.TLS, err = f.keys.Server(identity.Gateway); err != nil {
		return err
	}
	seller, err := f.keys.Client(identity.Provider)
	if err != nil {
		return err
	}
	provider, err := remote.Dial(remote.Config{Address: f.provider, TLS: seller})
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }() // nothing is under way any more
	f.config.Provider = provider
	return controller.Run(ctx, f.config)
}

// readCaps reads price caps by the clock: YAML or JSON, nothing in it that is not known. Run judges what it says.
func readCaps(text string) ([]v1alpha1.PriceCap, error) {
	var caps []v1alpha1.PriceCap
	if err := yaml.UnmarshalStrict([]byte(text), &caps); err != nil {
		return nil, fmt.Errorf("reading --price-caps, a list of {name, perHour, begins, lasts, timeZone}: %w", err)
	}
	return caps, nil
}

// connect reads a kubeconfig file, or, without one, the service account of the pod.
func connect(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		c, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no --kubeconfig, and not in a pod with a service account: %w", err)
		}
		return c, nil
	}
	c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", kubeconfig, err)
	}
	return c, nil
}

// freshName is new for each start, so that a leader that comes back is another leader.
func freshName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "controller"
	}
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // never fails (crypto/rand)
	return host + "-" + hex.EncodeToString(suffix)
}
