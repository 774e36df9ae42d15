package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
)

// simulateFlags is one workload on one pool: what the first form of the simulator is for.
type simulateFlags struct {
	output, policy                string
	seed                          uint64
	from, length, window          time.Duration
	slots, most, cpu, memory      int
	nodeCPU, nodeMemory, nodeMost int
	price                         float64
	podStart, nodeJoin, idle      time.Duration
	decisions                     bool
}

func simulateCommand() *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use: "simulate [TRACE]", Short: "What would this policy have done to this traffic, and what would it have cost?",
		Long: `Replays a trace through the decision code that the controller runs, on a virtual clock.
Without TRACE the shipped sample is taken: the Azure LLM code trace of 2023.
TRACE is a file in that format (TIMESTAMP,ContextTokens,GeneratedTokens; gzipped or not).`,
		Example: "  wholescale simulate --from 5m --for 100s\n  wholescale simulate trace.csv.gz -o json",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(c, args); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.simulate(c, args) },
	}
	flags := c.Flags()
	outputFlag(c, &f.output)
	flags.StringVar(&f.policy, "policy", string(autoscaler.Wholescale), "wholescale or kpa")
	flags.Uint64Var(&f.seed, "seed", 1, "of all chance; the same seed gives the same bytes")
	flags.DurationVar(&f.from, "from", 0, "leave out what arrived before")
	flags.DurationVar(&f.length, "for", 24*time.Hour, "how much of the trace to take")
	flags.DurationVar(&f.window, "window", time.Minute, "stable window; the panic window is a tenth of it")
	flags.IntVar(&f.slots, "limit", 4, "requests in flight per pod at most")
	flags.IntVar(&f.most, "max", 100, "replicas at most")
	flags.IntVar(&f.cpu, "cpu", 1000, "millicores of one replica")
	flags.IntVar(&f.memory, "memory", 1024, "MiB of one replica")
	flags.IntVar(&f.nodeCPU, "node-cpu", 4000, "millicores of one node")
	flags.IntVar(&f.nodeMemory, "node-memory", 16384, "MiB of one node")
	flags.IntVar(&f.nodeMost, "node-max", 100, "nodes at most")
	flags.Float64Var(&f.price, "node-price", 0.12, "of one node and hour")
	flags.DurationVar(&f.podStart, "pod-start", 2*time.Second, "from bound to serving, give or take a fifth")
	flags.DurationVar(&f.nodeJoin, "node-join", 45*time.Second, "from ordered to ready, give or take a fifth")
	flags.DurationVar(&f.idle, "node-idle", 30*time.Second, "how long a node is empty before it is given back")
	flags.BoolVar(&f.decisions, "decisions", false, "print each decision that changes something, with its reasons, to stderr")
	c.AddCommand(keepaliveCommand())
	return c
}

func (f *simulateFlags) simulate(c *cobra.Command, args []string) error {
	var requests []trace.Request
	var err error
	if len(args) == 0 {
		requests, err = trace.AzureLLMSample(trace.DefaultServiceModel)
	} else {
		requests, err = trace.OpenAzureLLM(args[0], trace.DefaultServiceModel)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	config, err := f.config(trace.Slice(requests, f.from, f.length))
	if err != nil {
		return err
	}
	result, err := simulator.Run(config)
	if err != nil {
		return err
	}
	if f.decisions {
		fmt.Fprint(c.ErrOrStderr(), result.Decisions)
	}
	if f.output == "json" {
		return writeJSON(c.OutOrStdout(), result.Summary)
	}
	return report.Text(c.OutOrStdout(), result.Run)
}

func (f *simulateFlags) config(requests []trace.Request) (simulator.Config, error) {
	switch {
	case f.slots <= 0 || f.cpu <= 0 || f.memory <= 0 || f.nodeCPU <= 0 || f.nodeMemory <= 0 || f.nodeMost <= 0:
		return simulator.Config{}, fmt.Errorf("%w: limit, cpu, memory, node-cpu, node-memory and node-max must be above 0", errUsage)
	case f.policy != string(autoscaler.Wholescale) && f.policy != string(autoscaler.KPA):
		return simulator.Config{}, fmt.Errorf("%w: --policy %s: it is wholescale or kpa", errUsage, f.policy)
	case f.window < 6*time.Second || f.window > time.Hour:
		return simulator.Config{}, fmt.Errorf("%w: --window %s: it is 6s to 1h", errUsage, f.window)
	case len(requests) == 0:
		return simulator.Config{}, fmt.Errorf("%w: no request arrived in the chosen part of the trace", errUsage)
	}
	policy := autoscaler.Policy{
		Name: autoscaler.PolicyName(f.policy), Target: 0.7 * float64(f.slots), Total: float64(f.slots), Slots: f.slots, Max: f.most,
		StableWindow: f.window, PanicWindow: f.window / 10, PanicThreshold: 2, UpRate: 1000, DownRate: 2, BurstCapacity: 211,
	}
	spread := func(d time.Duration) simulator.Delay { return simulator.Delay{Mean: d, Deviation: d / 5} }
	return simulator.Config{
		Workloads: []simulator.Workload{{
			Workload: autoscaler.Workload{
				ID: "demo/chat", Policy: policy, Start: f.podStart,
				Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: int64(f.cpu), Memory: int64(f.memory) << 20, Pods: 1}},
			},
			PodStart: spread(f.podStart),
		}},
		Pools: []simulator.Pool{{
			Pool: autoscaler.Pool{
				ID: "pool", Allocatable: autoscaler.Resources{CPU: int64(f.nodeCPU), Memory: int64(f.nodeMemory) << 20, Pods: 110},
				Max: f.nodeMost, PricePerHour: f.price, Join: f.nodeJoin, IdleAfter: f.idle,
			},
			Join: spread(f.nodeJoin),
		}},
		Requests: requests, Seed: f.seed,
	}, nil
}
