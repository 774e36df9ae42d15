package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator/trace"
)

// Config is a run: who is asked for what, where it can run, and how long things take.
type Config struct {
	// Workloads and Pools are as the core knows them; figures that the model keeps (replicas, demand, target) are ignored.
	Workloads []Workload
	Pools     []Pool
	Delays    Delays
	// Requests are in order of arrival. One without a workload is for the first.
	Requests []trace.Request
	// Seed of all chance. The default is 1: a run without a seed is repeatable too.
	Seed uint64
	// Settle is how long after the last answer the run goes on at most while pods or nodes are left. Default 1 h.
	Settle time.Duration
}

// Workload is one that scales, with the time that its pods take from being bound to serving.
type Workload struct {
	autoscaler.Workload
	PodStart Delay
	// Hold is how long a request is held at most. Default 60 s.
	Hold time.Duration
}

// Pool is machines to buy, with the time that they take from the order to a ready node.
type Pool struct {
	autoscaler.Pool
	Join Delay
}

// Delay is a duration with chance in it: normal about Mean, never below half of it. The zero value is no delay.
type Delay struct{ Mean, Deviation time.Duration }

// Delays are what the parts of the loop itself take.
type Delays struct {
	// Decide is from the arrival of a request that must wait to the plan (report and plan); default 2 ms.
	Decide time.Duration
	// Write is from the plan to the acknowledged scale, Order to the provider having the target; default 5 ms each.
	Write, Order time.Duration
	// Create is from the acknowledged scale, or the ready node, to a bound pod (controller manager and scheduler); default 50 ms.
	Create time.Duration
	// Probe is from a serving pod to the first release to it; default 5 ms.
	Probe time.Duration
	// Delete is from the order to the node being gone; default 1 s.
	Delete time.Duration
}

func (c *Config) complete() error {
	if len(c.Workloads) == 0 || len(c.Pools) == 0 {
		return errors.New("a run needs a workload and a pool at least")
	}
	c.Seed, c.Settle = cmp.Or(c.Seed, 1), cmp.Or(c.Settle, time.Hour)
	d := &c.Delays
	d.Decide, d.Write, d.Order = cmp.Or(d.Decide, 2*time.Millisecond), cmp.Or(d.Write, 5*time.Millisecond), cmp.Or(d.Order, 5*time.Millisecond)
	d.Create, d.Probe, d.Delete = cmp.Or(d.Create, 50*time.Millisecond), cmp.Or(d.Probe, 5*time.Millisecond), cmp.Or(d.Delete, time.Second)
	for i := range c.Workloads {
		w := &c.Workloads[i]
		w.Hold = cmp.Or(w.Hold, time.Minute)
		if w.Policy.Target <= 0 || w.Policy.StableWindow <= 0 || w.Policy.PanicWindow <= 0 || w.Policy.UpRate <= 1 || w.Policy.DownRate <= 1 {
			return fmt.Errorf("workload %s: its policy needs target, windows and rates", w.ID)
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

// sample is one delay. The stream belongs to the entity that is delayed.
func (d Delay) sample(r *rand.Rand) time.Duration {
	if d.Deviation == 0 {
		return d.Mean
	}
	return max(d.Mean/2, d.Mean+time.Duration(r.NormFloat64()*float64(d.Deviation)))
}

// stream is the chance of one entity.
func stream(seed uint64, entity string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(entity)) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
