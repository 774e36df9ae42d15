package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wholescale/wholescale/cloudprovider/local"
	"github.com/wholescale/wholescale/test/bench"
	"github.com/wholescale/wholescale/test/stack"
)

// benchFlags say where to measure: on a devcluster of our own, or on the cluster of a kubeconfig.
type benchFlags struct {
	output, bin, kubeconfig, bootDelay string
	dry                                bool
	target                             bench.Target
	options                            bench.Options
}

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "bench", Short: "How long is the way from a request to its answer, and where does the time go?",
		Long: `Measures on a devcluster that it starts and ends, or, with --kubeconfig and --url, on a cluster that has Wholescale.
It removes what it made.`,
	}
	zero := benchVariant("from-zero", "One request to a workload without pods, again and again", bench.FromZero)
	step := benchVariant("step", "A burst of requests to a workload without pods in a pool without nodes", bench.Step)
	c.AddCommand(zero, step)
	return c
}

func benchVariant(name, short string, run func(context.Context, bench.Target, bench.Options) (bench.Result, error)) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return f.measure(c, run)
	}}
	flags := c.Flags()
	formatFlag(c, &f.output, "text", "json", "yaml")
	flags.IntVar(&f.options.Repeat, "repeat", 20, "repetitions that count")
	if name == "from-zero" {
		flags.BoolVar(&f.options.Cold, "cold", false, "take the nodes away too before each repetition")
	} else {
		flags.IntVar(&f.options.Burst, "burst", 40, "requests at once")
	}
	flags.StringVar(&f.bin, "bin", programFolder(), "folder with the programs that make build makes")
	flags.StringVar(&f.bootDelay, "boot-delay", "1s", "of a devcluster machine: a duration or a distribution such as normal:1s,200ms")
	flags.StringVar(&f.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "measure on this cluster (default $KUBECONFIG); without, on a devcluster")
	flags.StringVar(&f.target.URL, "url", "", "the gateway's URL, with --kubeconfig")
	flags.StringVar(&f.target.Image, "image", "", "image of the workload, with --kubeconfig: it answers /?ms=N after N ms on port 8080")
	flags.BoolVar(&f.dry, "dry-run", false, "print the objects that it would make, as YAML or JSON, and do nothing")
	flags.StringVar(&f.target.Pool, "pool", "spot", "the provider's pool to buy from")
	flags.StringVar(&f.target.Gateway, "gateway-admin", "", "the gateway's admin address, for its stages")
	flags.StringVar(&f.target.Controller, "controller-admin", "", "the controller's admin address, for its stages")
	flags.StringVar(&f.target.Provider, "provider-admin", "", "the provider's admin address, for its stages")
	return c
}

// programFolder is where this program is: make build puts all of them into one.
func programFolder() string {
	program, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(program)
}

func (f *benchFlags) measure(c *cobra.Command, run func(context.Context, bench.Target, bench.Options) (bench.Result, error)) (err error) {
	if f.options.Repeat < 1 || f.options.Burst < 0 {
		return fmt.Errorf("%w: --repeat and --burst are at least 1", errUsage)
	}
	if f.dry {
		return f.objects(c)
	}
	f.target.Progress = func(s string) { fmt.Fprintln(c.ErrOrStderr(), s) }
	end, err := f.connect(c.Context())
	if err != nil {
		return err
	}
	defer end()
	result, err := run(c.Context(), f.target, f.options)
	if err != nil {
		return err
	}
	if f.output != "text" {
		return writeObject(c.OutOrStdout(), f.output, result)
	}
	return bench.Text(c.OutOrStdout(), result)
}

// objects prints what would be made.
func (f *benchFlags) objects(c *cobra.Command) error {
	objects := f.target.Objects(f.options)
	if f.output == "json" {
		return writeJSON(c.OutOrStdout(), objects)
	}
	for _, o := range objects {
		if _, err := fmt.Fprintln(c.OutOrStdout(), "---"); err != nil {
			return fmt.Errorf("writing the objects: %w", err)
		}
		if err := writeObject(c.OutOrStdout(), "yaml", o); err != nil {
			return err
		}
	}
	return nil
}

// connect fills the target in; end ends what was started for it.
func (f *benchFlags) connect(ctx context.Context) (end func(), err error) {
	if f.target.URL != "" {
		if f.kubeconfig == "" || f.target.Image == "" {
			return nil, fmt.Errorf("%w: --url needs --kubeconfig and --image", errUsage)
		}
		config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("%w: reading the kubeconfig %s: %w", errUsage, f.kubeconfig, err)
		}
		if f.target.Client, err = kubernetes.NewForConfig(config); err != nil {
			return nil, err
		}
		f.target.Dynamic, err = dynamic.NewForConfig(config)
		return func() {}, err
	}
	price := 0.12
	s, err := stack.OnDevcluster(ctx, f.bin, []local.PoolConfig{
		{ID: f.target.Pool, CPU: "4", Memory: "8Gi", Pods: 30, Max: 8, PricePerHour: &price, BootDelay: f.bootDelay},
	}, f.target.Progress)
	if err != nil {
		return nil, err
	}
	f.target.Client, f.target.Dynamic, f.target.URL = s.Client, s.Dynamic, s.URL
	f.target.Gateway, f.target.Controller, f.target.Provider = s.Gateway.Admin, s.Controller.Admin, s.Provider.Admin
	f.target.Image, f.target.Command = "demo", s.WorkloadCommand()
	return s.Down, nil
}
