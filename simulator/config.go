package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator/trace"
)

// Config is a run: who is asked for what, where it can run, how long things take, and who decides.
type Config struct {
	// Workloads and Pools are as the core knows them; figures that the model keeps (replicas, demand, target) are ignored.
	Workloads []Workload
	Pools     []Pool
	Delays    Delays
	// ControlPlane is what goes wrong with it.
	ControlPlane ControlPlane
	// Requests are in order of arrival. One without a workload is for the first. Traffic goes before them.
	Requests []trace.Request
	// Traffic gives the requests one by one.
	Traffic Traffic
	// Counts make the run aggregated: how many requests came in each Period, as a fluid, instead of single requests.
	// ServiceOf is how long a function's requests take on average.
	Counts    Counts
	Period    time.Duration
	ServiceOf func(function int) time.Duration
	// New makes the workload of a function of Traffic when it is met for the first time; nil means that all are in Workloads.
	New func(function int, name string) Workload
	// Policy is who decides. The zero value is Wholescale's one loop.
	Policy Policy
	// Peaks are, for Policy static alone, the replicas of each workload, as Floor gives them.
	Peaks map[autoscaler.WorkloadID]int
	// Seed of all chance. The default is 1: a run without a seed is repeatable too.
	Seed uint64
	// QueueLimit bounds the requests held for one workload, QueueTotal those of all; the defaults are the gateway's, 1000 and
	// 10000. Aggregated runs have neither.
	QueueLimit, QueueTotal int
	// Settle is how long after the last answer the run goes on at most while pods or nodes are left. Default 1 h.
	Settle time.Duration
	// PlanAll makes each plan look at all workloads, as the controller does. The default looks at those alone for which
	// something can have changed: see docs/simulator.md, "What a plan looks at".
	PlanAll bool
	// Unchecked leaves Check out.
	Unchecked bool
	// Tolerant counts what Check finds, and acts on nothing; the default is that the run ends with an error.
	Tolerant bool
	// Log keeps each decision that changed something. It grows with the run.
	Log bool
	// Moments is how many decisions are kept at most, for the report: of those that changed something, spread over the run.
	Moments int
	// Progress is called now and then with the virtual time and the requests so far; it may be nil. Its error ends the run.
	Progress func(at time.Duration, requests int) error
}

// Traffic is requests in order of arrival: trace.Arrivals, or a list.
type Traffic interface {
	// Next fills in the next request; io.EOF after the last.
	Next(*trace.Request) error
}

// Workload is one that scales, with the time that its pods take from being bound to serving.
type Workload struct {
	autoscaler.Workload
	PodStart Delay
	// Pull is the time that the image takes to a node that does not have it yet; it comes before PodStart.
	Pull Delay
	// Hold is how long a request is held at most. Default 60 s.
	Hold time.Duration
	// Ready is the time from being bound to being Ready for Kubernetes, where that is another than serving (PodStart): a
	// readiness probe looks once in a while, and the gateway sees for itself. The default is PodStart.
	Ready Delay
	// Floors are those that hold at a time or begin next; nil is that there are none beside those of the policy.
	Floors func(at time.Time) []autoscaler.Floor
}

// Pool is machines to buy, with the time that they take from the order to a ready node.
type Pool struct {
	autoscaler.Pool
	Join   Delay
	Faults Faults
	// DisruptionAt, when not nil, is in the place of Disruption at a time, with so many nodes: budgets are percentages, and hold
	// at times.
	DisruptionAt func(at time.Time, nodes int) autoscaler.Disruption
}

// Delays are what the parts of the loop itself take. Those with a default have it when they are zero.
type Delays struct {
	// Decide is from the arrival of a request that must wait to the plan (report and plan); default 2 ms.
	Decide time.Duration
	// Write is from the plan to the acknowledged scale, Order to the provider having the target; default 5 ms each.
	Write, Order Delay
	// Create is from the acknowledged scale to a bound pod where there is room (controller manager and scheduler); default 50 ms.
	Create Delay
	// Bind is from a ready node to the binding of pods that waited for it; default as Create.
	Bind Delay
	// Probe is from a serving pod to the first release to it; default 5 ms.
	Probe time.Duration
	// Stop is from a pod's last answer to its being gone; default 0.
	Stop Delay
	// Delete is from the order to the node being gone; default 1 s.
	Delete Delay
	// Metrics is how old the figures are that HPA gets; default 0, which is better than it has it.
	Metrics time.Duration
}

func (c *Config) complete() error {
	if len(c.Workloads) == 0 && c.New == nil || len(c.Pools) == 0 {
		return errors.New("a run needs a workload and a pool at least")
	}
	if c.Counts != nil && (c.Period <= 0 || c.ServiceOf == nil || c.New == nil || c.Policy == Oracle) {
		return errors.New("counts need a period, service times and workloads made by New, and there is no oracle for them")
	}
	c.QueueLimit, c.QueueTotal = cmp.Or(c.QueueLimit, 1000), cmp.Or(c.QueueTotal, 10000)
	c.Seed, c.Settle = cmp.Or(c.Seed, 1), cmp.Or(c.Settle, time.Hour)
	d := &c.Delays
	d.Decide = cmp.Or(d.Decide, 2*time.Millisecond)
	orDefault(&d.Write, 5*time.Millisecond)
	orDefault(&d.Order, 5*time.Millisecond)
	d.Probe = cmp.Or(d.Probe, 5*time.Millisecond)
	orDefault(&d.Create, 50*time.Millisecond)
	if d.Bind.none() {
		d.Bind = d.Create
	}
	orDefault(&d.Delete, time.Second)
	for name, v := range map[string]Delay{"write": d.Write, "order": d.Order, "create": d.Create, "bind": d.Bind, "stop": d.Stop, "delete": d.Delete} {
		if err := v.Validate(); err != nil {
			return fmt.Errorf("delays.%s: %w", name, err)
		}
	}
	if err := c.ControlPlane.validate(); err != nil {
		return err
	}
	c.Workloads, c.Pools = slices.Clone(c.Workloads), slices.Clone(c.Pools)
	for i := range c.Workloads {
		if err := c.Workloads[i].complete(); err != nil {
			return err
		}
	}
	for i := range c.Pools {
		if err := c.Pools[i].complete(); err != nil {
			return err
		}
	}
	for i := 1; i < len(c.Requests); i++ {
		if c.Requests[i].At < c.Requests[i-1].At {
			return fmt.Errorf("request %d arrives before the one ahead of it", i+1)
		}
	}
	slices.SortFunc(c.Workloads, func(a, b Workload) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Pools, func(a, b Pool) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func orDefault(d *Delay, mean time.Duration) {
	if d.none() {
		d.Mean = mean
	}
}

func (w *Workload) complete() error {
	w.Hold = cmp.Or(w.Hold, time.Minute)
	w.Start = cmp.Or(w.Start, w.PodStart.typical())
	if w.Policy.Target <= 0 || w.Policy.StableWindow <= 0 || w.Policy.PanicWindow <= 0 || w.Policy.UpRate <= 1 || w.Policy.DownRate <= 1 {
		return fmt.Errorf("workload %s: its policy needs target, windows and rates", w.ID)
	}
	if err := w.PodStart.Validate(); err != nil {
		return fmt.Errorf("workload %s: podStart: %w", w.ID, err)
	}
	if err := w.Ready.Validate(); err != nil {
		return fmt.Errorf("workload %s: ready: %w", w.ID, err)
	}
	if err := w.Pull.Validate(); err != nil {
		return fmt.Errorf("workload %s: pull: %w", w.ID, err)
	}
	return nil
}

func (p *Pool) complete() error {
	if err := p.Join.Validate(); err != nil {
		return fmt.Errorf("pool %s: join: %w", p.ID, err)
	}
	p.Pool.Join = cmp.Or(p.Pool.Join, p.Join.typical())
	if err := p.Faults.validate(); err != nil {
		return fmt.Errorf("pool %s: %w", p.ID, err)
	}
	return nil
}
