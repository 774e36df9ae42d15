package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	ctrl "github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/simulator/tune"
)

// simulateFlags are one kind of workload on one pool, or on the pools of a file.
type simulateFlags struct {
	read                             readFlags
	output, policies, report, pools  string
	asserts, config, sweeps          []string
	writeTo                          string
	point                            tune.Point      // of a sweep
	swept                            map[string]bool // what of the world a sweep has set
	begin                            string
	command                          *cobra.Command
	placement                        string
	seed, traceSeed                  uint64
	from, length, window, service    time.Duration
	slots, most, cpu, memory         int
	nodeCPU, nodeMemory, nodeMost    int
	price, waitPrice                 float64
	objective                        time.Duration
	podStart, pull, nodeJoin, create string
	hold, metricsDelay, idle, settle time.Duration
	consolidate                      time.Duration
	decisions, planAll, check        bool
	aggregated                       bool
}

func simulateCommand() *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use: "simulate [TRACE]", Short: "What would this policy have done to this traffic, and what would it have cost?",
		Long: `Replays a trace through the decision code that the controller runs, on a virtual clock, and through the rules of other
autoscalers beside it. TRACE is a file or folder in any format of wholescale trace --help, but pods alone; without it the shipped
sample is taken, the Azure LLM code trace of 2023. Each function of a trace is a workload of its own. The same flags give the
same bytes.

--policy takes one or more of these, with commas between them; each gets a run of its own, on as many cores as there are:

  wholescale     the one loop: replicas and nodes in one plan (autoscaler.Plan)
  kpa            the same loop with Knative's rules for replicas
  kpa+ca         Knative's rules, and nodes as Cluster Autoscaler buys them (10 s scan, least waste, 10 min unneeded)
  kpa+karpenter  Knative's rules, and nodes as Karpenter buys them (1 s to 10 s batch, consolidation)
  hpa            Kubernetes' HorizontalPodAutoscaler on requests held and in flight (15 s, 10 %, 300 s down), never below one
  keepalive      an instance for each request that finds none free, ended after 10 min idle
  hybrid         the same, with when to unload and to load again by the histogram of "Serverless in the Wild"
  static         as many replicas as the busiest moment needs, all the time, on nodes that are bought once
  oracle         knows the future: a floor for what it costs that nobody waits, and no policy

hpa, keepalive, hybrid and static also take +ca or +karpenter; without it they have Cluster Autoscaler's nodes, static its own.
docs/simulator.md says what the figures mean and what the model leaves out.`,
		Example: "  wholescale simulate --from 5m --for 100s\n" +
			"  wholescale simulate invocations.csv.gz --policy wholescale,kpa+ca,kpa+karpenter,oracle -o json\n" +
			"  wholescale simulate access.log --policy wholescale,hpa --report report.html",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(c, args); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.simulate(c, args) },
	}
	recordFlag(c, &f.output)
	f.read.add(c)
	f.add(c)
	f.command = c
	c.AddCommand(keepaliveCommand())
	return c
}

func (f *simulateFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.policies, "policy", string(simulator.Wholescale), "who decides; several with commas between them")
	flags.Uint64Var(&f.seed, "seed", 1, "of all chance; the same seed gives the same bytes")
	flags.StringVar(&f.placement, "placement", string(trace.Uniform), "where in their period counts arrive: uniform, equidistant or exponential")
	flags.DurationVar(&f.service, "service", 100*time.Millisecond, "how long a request takes of which the trace says nothing")
	flags.DurationVar(&f.from, "from", 0, "leave out what arrived before")
	flags.DurationVar(&f.length, "for", 0, "how much of the trace to take (default: all)")
	flags.DurationVar(&f.window, "window", time.Minute, "stable window; the panic window is a tenth of it")
	flags.DurationVar(&f.objective, "objective", 300*time.Millisecond, "the wait that 99 of 100 requests should not exceed; 0 is none; wholescale alone")
	flags.Float64Var(&f.waitPrice, "price-of-waiting", 0, "what a second of one request's waiting costs; wholescale alone (default: none)")
	flags.DurationVar(&f.hold, "hold", time.Minute, "how long a request is held at most; then it is an error")
	flags.IntVar(&f.slots, "limit", 4, "requests in flight per pod at most")
	flags.IntVar(&f.most, "max", 0, "replicas of one workload at most (default: 100 of Azure LLM, 1000 of other traces)")
	flags.IntVar(&f.cpu, "cpu", 0, "millicores of one replica (default: 1000 of Azure LLM, 250 of other traces)")
	flags.IntVar(&f.memory, "memory", 0, "MiB of one replica (default: what the trace says of the function, else 1024 of Azure LLM and 256 of others)")
	flags.StringVar(&f.podStart, "pod-start", "2s", "from bound to serving: a duration, give or take a fifth, or normal(2s,1s), lognormal(2s,1s), empirical(1s,3s)")
	flags.StringVar(&f.pull, "pull", "0s", "the image's way to a node that does not have it, before the start; like --pod-start")
	flags.StringVar(&f.create, "create", "normal(50ms,0s)", "from a written scale to a bound pod; like --pod-start")
	flags.DurationVar(&f.metricsDelay, "metrics-delay", 0, "how old hpa's figures are")
	flags.StringArrayVar(&f.config, "config", nil, "YAML file with PodAutoscalers, NodePools and Deployments, as they are applied; again for more; a flag that is given goes before it")
	flags.StringVar(&f.begin, "begin", "2026-01-05T00:00:00Z", "what time it is when the trace begins, for schedules and budgets in --config")
	flags.StringVar(&f.pools, "pools", "", "YAML file of what pools' machines are, with faults; the flags for nodes are then its defaults (docs/simulator.md)")
	flags.IntVar(&f.nodeCPU, "node-cpu", 4000, "millicores of one node")
	flags.IntVar(&f.nodeMemory, "node-memory", 16384, "MiB of one node")
	flags.IntVar(&f.nodeMost, "node-max", 0, "nodes at most (default: 100 of Azure LLM, 1000 of other traces)")
	flags.Float64Var(&f.price, "node-price", 0.12, "of one node and hour")
	flags.StringVar(&f.nodeJoin, "node-join", "45s", "from ordered to ready; like --pod-start")
	flags.DurationVar(&f.idle, "node-idle", 30*time.Second, "how long a node is empty before it is given back (Karpenter: consolidateAfter)")
	flags.DurationVar(&f.consolidate, "node-consolidate", 2*time.Minute, "how long nothing has changed on a node before wholescale and kpa may move its pods to save it; 0 is never")
	flags.DurationVar(&f.settle, "settle", 15*time.Minute, "how long after the last answer the run goes on at most, while there are pods or nodes")
	flags.BoolVar(&f.decisions, "decisions", false, "print each decision that changes something, with its reasons, to stderr")
	flags.StringVar(&f.report, "report", "", "HTML file to write, self-contained")
	flags.StringArrayVar(&f.asserts, "assert", nil, "what must hold, such as 'wait.p99<=500ms' or 'money<=rival.money*0.8'; again for more; exit code 3 when one does not")
	flags.StringArrayVar(&f.sweeps, "sweep", nil, "a setting and its values, such as 'objective.wait=50ms..5s/6' or 'node.join=20s,60s,180s'; again for a grid; the first policy is tuned")
	flags.StringVar(&f.writeTo, "write", "", "YAML file for the PodAutoscaler and NodePool of the run, or of the point that a sweep chose: the cheapest for which all --assert hold")
	flags.BoolVar(&f.planAll, "plan-all", false, "let each plan look at all workloads, also those with which nothing goes on (slower)")
	flags.BoolVar(&f.aggregated, "aggregated", false, "take counts as an even stream in each period, not as single requests; says on stderr how far off that is on a part of the trace")
	flags.BoolVar(&f.check, "check", true, "hold each decision to autoscaler.Check; violations are counted")
}

// names are the policies asked for.
func (f *simulateFlags) names() ([]simulator.Policy, error) {
	var list []simulator.Policy
	seen := map[string]bool{}
	for name := range strings.SplitSeq(f.policies, ",") {
		p := simulator.Policy(strings.TrimSpace(name))
		if p == "" {
			return nil, fmt.Errorf("%w: --policy %q: there is no name", errUsage, f.policies)
		}
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%w: --policy: %w", errUsage, err)
		}
		if !seen[string(p)] {
			seen[string(p)], list = true, append(list, p)
		}
	}
	return list, nil
}

func (f *simulateFlags) simulate(c *cobra.Command, args []string) error {
	policies, err := f.names()
	if err != nil {
		return err
	}
	claims, err := f.claims(policies)
	if err != nil {
		return err
	}
	if len(f.sweeps) > 0 {
		return f.sweep(c, args, policies, claims)
	}
	m, err := f.model(args)
	if err != nil {
		return err
	}
	if len(m.objects.ignored) > 0 {
		fmt.Fprintln(c.ErrOrStderr(), "left out of --config, as they say nothing to a simulation:", strings.Join(m.objects.ignored, ", "))
	}
	// A run makes much garbage and keeps little: memory is cheaper than collecting it four times as often.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	b := batch{flags: f, model: m, command: c, args: args, policies: policies}
	results, err := b.run()
	if err != nil {
		return err
	}
	if f.aggregated {
		if err := b.compare(); err != nil {
			return err
		}
	}
	runs := make([]report.Run, len(results))
	for i, r := range results {
		runs[i] = r.Run
		if f.decisions {
			fmt.Fprint(c.ErrOrStderr(), r.Decisions)
		}
		if v := r.Figures.Violations; v > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "warning: %s: Check found %d violations; those decisions were not carried out\n", r.Name, v)
		}
	}
	if f.report != "" {
		if err := writeReport(f.report, "Simulated: "+f.title(args), runs); err != nil {
			return err
		}
		fmt.Fprintln(c.ErrOrStderr(), "the report is in", f.report)
	}
	if f.writeTo != "" {
		if err := f.writeObjects(f.writeTo, "as simulated", &m); err != nil {
			return err
		}
	}
	if err := figures(runs).write(c.OutOrStdout(), f.output); err != nil {
		return err
	}
	return judge(c.ErrOrStderr(), claims, runs)
}

// model is what all runs have in common.
type model struct {
	llm   bool // the shipped sample, or a trace of its kind
	base  simulator.Config
	start simulator.Delay
	pull  simulator.Delay
	// settings are those of a function for which there is no object.
	settings ctrl.Settings
	objects  *objects
	byObject map[*v1alpha1.PodAutoscaler]ctrl.Settings
	clock    clock
	// controlPlane is what goes wrong with it, by --pools.
	controlPlane simulator.ControlPlane
}

func (f *simulateFlags) model(args []string) (model, error) {
	var m model
	switch {
	case f.slots <= 0 || f.cpu < 0 || f.memory < 0 || f.most < 0 || f.nodeCPU <= 0 || f.nodeMemory <= 0 || f.nodeMost < 0:
		return m, fmt.Errorf("%w: limit, cpu, memory, max, node-cpu, node-memory and node-max must be above 0", errUsage)
	case f.window < 6*time.Second || f.window > time.Hour:
		return m, fmt.Errorf("%w: --window %s: it is 6s to 1h", errUsage, f.window)
	case f.hold <= 0 || f.idle < 0 || f.metricsDelay < 0 || f.from < 0 || f.length < 0 || f.objective < 0 || f.settle < 0 || f.consolidate < 0:
		return m, fmt.Errorf("%w: hold must be above 0; node-idle, metrics-delay, node-consolidate, from, for, settle and objective not below it", errUsage)
	case f.price < 0 || math.IsNaN(f.price) || math.IsInf(f.price, 0) || f.waitPrice < 0 || math.IsNaN(f.waitPrice) || math.IsInf(f.waitPrice, 0):
		return m, fmt.Errorf("%w: node-price and price-of-waiting must be numbers not below 0", errUsage)
	}
	m.llm = len(args) == 0
	if !m.llm {
		kind, err := f.formatOf(args[0])
		if err != nil {
			return m, err
		}
		m.llm = kind == trace.AzureLLM
	}
	var join, create simulator.Delay
	for _, d := range []struct {
		name, text string
		to         *simulator.Delay
	}{{"pod-start", f.podStart, &m.start}, {"pull", f.pull, &m.pull}, {"node-join", f.nodeJoin, &join}, {"create", f.create, &create}} {
		v, err := spread(d.text)
		if err != nil {
			return m, fmt.Errorf("%w: --%s: %w", errUsage, d.name, err)
		}
		*d.to = v
	}
	var err error
	if m.clock.begin, err = time.Parse(time.RFC3339, f.begin); err != nil {
		return m, fmt.Errorf("%w: --begin: %w", errUsage, err)
	}
	m.clock.epoch = simulator.Epoch()
	if m.objects, err = readObjects(f.config); err != nil {
		return m, err
	}
	if m.settings, err = f.settings(nil); err != nil {
		return m, err
	}
	if m.byObject, err = f.settingsByObject(m.objects); err != nil {
		return m, err
	}
	pools, err := f.nodePools(&m, join)
	if err != nil {
		return m, err
	}
	m.base = simulator.Config{
		Pools: pools, Delays: simulator.Delays{Create: create, Metrics: f.metricsDelay}, Seed: f.seed, Settle: f.settle,
		ControlPlane: m.controlPlane, PlanAll: f.planAll, Unchecked: !f.check, Tolerant: true, Log: f.decisions,
	}
	if f.report != "" {
		m.base.Moments = 400
	}
	return m, nil
}

func (m *model) either(llm, other int) int {
	if m.llm {
		return llm
	}
	return other
}

// spread reads a delay; a plain duration is give or take a fifth.
func spread(text string) (simulator.Delay, error) {
	d, err := simulator.ParseDelay(text)
	if err == nil && d.Spread == "" {
		d.Deviation = d.Mean / 5
	}
	return d, err
}

// formatOf is what a trace is, or is to be read as.
func (f *simulateFlags) formatOf(path string) (trace.Format, error) {
	t, err := f.read.open(context.Background(), path)
	if err != nil {
		return "", err
	}
	kind, format := t.Kind(), t.Format()
	if err := t.Close(); err != nil {
		return "", badTrace(path, err)
	}
	if kind == trace.Pods {
		return "", fmt.Errorf("%w: %s: %s has pods and no requests; there is nothing that a policy could answer", errUsage, path, format)
	}
	return format, nil
}

// workload is what a function of the trace is made of.
func (f *simulateFlags) workload(m *model, v trace.Function) simulator.Workload {
	id := autoscaler.WorkloadID("demo/chat")
	if v.Name != "" {
		id = autoscaler.WorkloadID("trace/" + v.Name)
	}
	object, settings := m.objects.of(v.Name), m.settings
	if object != nil {
		settings = m.byObject[object]
	}
	if settings.Policy.Max == 0 {
		settings.Policy.Max = m.either(100, 1000)
	}
	w := simulator.Workload{
		Workload: autoscaler.Workload{ID: id, Policy: settings.Policy, Priority: settings.Priority, Start: settings.Start},
		PodStart: m.start, Pull: m.pull, Hold: settings.Hold,
	}
	if object != nil && len(object.Spec.Schedule) > 0 {
		w.Floors = func(at time.Time) []autoscaler.Floor {
			list := settings.Floors(m.clock.real(at))
			for i := range list {
				list[i].From, list[i].Until = m.clock.virtual(list[i].From), m.clock.virtual(list[i].Until)
			}
			return list
		}
	}
	w.Shape = f.shape(m, object, v)
	return w
}

// shape is what a replica asks for: what the flags say, what its Deployment does, what the trace does.
func (f *simulateFlags) shape(m *model, object *v1alpha1.PodAutoscaler, v trace.Function) autoscaler.Shape {
	if object != nil && !f.given("cpu") && !f.given("memory") {
		if d := m.objects.deployments[object.Spec.TargetRef.Name]; d != nil {
			return ctrl.ShapeOf(d)
		}
	}
	memory := int64(f.memory) << 20
	if memory == 0 && v.MemoryMB > 0 {
		memory = int64(math.Ceil(v.MemoryMB)) * 1_000_000
	}
	return autoscaler.Shape{Needs: autoscaler.Resources{
		CPU: int64(cmp.Or(f.cpu, m.either(1000, 250))), Memory: cmp.Or(memory, int64(m.either(1024, 256))<<20), Pods: 1,
	}}
}

func (f *simulateFlags) title(args []string) string {
	if len(args) == 0 {
		return "the Azure LLM code trace of 2023"
	}
	return "traffic of a trace"
}

// figures are the runs as records, policies by columns.
func figures(runs []report.Run) records {
	out := records{key: "policy"}
	for _, r := range runs {
		row := record{name: r.Name}
		for _, f := range report.Fields() {
			row.fields = append(row.fields, field{f.Name, f.Value(r.Figures)})
		}
		out.rows = append(out.rows, row)
	}
	return out
}

// digits rounds: more is noise in a figure of a model.
func digits(v float64, n int) float64 {
	scale := math.Pow10(n)
	return math.Round(v*scale) / scale
}
