package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	ctrl "github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/cloudprovider"
	"github.com/wholescale/wholescale/simulator"
)

// nodePools are the pools of a run: the NodePools of --config on the machines of --pools, or what the flags say.
func (f *simulateFlags) nodePools(m *model, join simulator.Delay) (list []simulator.Pool, err error) {
	machine := simulator.Pool{
		Pool: autoscaler.Pool{
			ID: "pool", Allocatable: autoscaler.Resources{CPU: int64(f.nodeCPU), Memory: int64(f.nodeMemory) << 20, Pods: 110},
			Max: cmp.Or(f.nodeMost, m.either(100, 1000)), PricePerHour: f.price,
		},
		Join: join,
	}
	if len(m.objects.pools) == 0 {
		object := f.nodePool(nil, machine.Max)
		base, err := f.pool(m, &object, machine)
		if err != nil || f.pools == "" {
			return []simulator.Pool{base}, err
		}
		list, m.controlPlane, err = readPools(f.pools, base)
		return list, err
	}
	var machines []simulator.Pool
	if f.pools != "" {
		if machines, m.controlPlane, err = readPools(f.pools, machine); err != nil {
			return nil, err
		}
	}
	for i := range m.objects.pools {
		object := f.nodePool(&m.objects.pools[i], machine.Max)
		of, known := machine, false
		for _, p := range machines {
			if string(p.ID) == object.Spec.Provider.Pool {
				of, known = p, true
			}
		}
		if j := object.Spec.Join; j != nil && !known && !f.given("node-join") && !f.swept["node.join"] {
			of.Join = simulator.Delay{Mean: j.Duration, Deviation: j.Duration / 5}
		}
		p, err := f.pool(m, &object, of)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// nodePool is an object, or the one of the flags; flags that were given go before it.
func (f *simulateFlags) nodePool(object *v1alpha1.NodePool, most int) v1alpha1.NodePool {
	var o v1alpha1.NodePool
	if object != nil {
		o = *object.DeepCopy()
	} else {
		o.Name, o.Spec.Provider.Pool = "pool", "pool"
	}
	given := func(name string) bool { return object == nil || f.given(name) }
	if given("node-max") {
		o.Spec.Nodes.Max = int32(most)
	}
	if given("node-price") || f.swept["node.price"] {
		o.Spec.PricePerHour = &f.price
	}
	if given("node-idle") {
		o.Spec.IdleAfter = &metav1.Duration{Duration: f.idle}
	}
	if given("node-consolidate") {
		o.Spec.Disruption.ConsolidateAfter = &metav1.Duration{Duration: f.consolidate}
	}
	f.tunePool(&o.Spec)
	return o
}

// pool is a NodePool on machines of a kind.
func (f *simulateFlags) pool(m *model, object *v1alpha1.NodePool, of simulator.Pool) (simulator.Pool, error) {
	offer := cloudprovider.Pool{
		ID: object.Spec.Provider.Pool, Max: of.Max, PricePerHour: of.PricePerHour, PriceKnown: of.PricePerHour > 0,
		Allocatable: cloudprovider.Resources{CPUMillis: of.Allocatable.CPU, MemoryBytes: of.Allocatable.Memory, Pods: of.Allocatable.Pods},
	}
	p, err := ctrl.PoolOf(object, offer, m.clock.begin)
	if err != nil {
		return of, fmt.Errorf("%w: NodePool %s: %w", errUsage, object.Name, err)
	}
	out := simulator.Pool{Pool: p, Join: of.Join, Faults: of.Faults}
	if object.Spec.Join == nil {
		out.Pool.Join = 0 // as the machines do
	}
	if len(object.Spec.Disruption.Budgets) > 0 {
		out.DisruptionAt = func(at time.Time, nodes int) autoscaler.Disruption {
			return ctrl.DisruptionOf(object, m.clock.real(at), nodes)
		}
	}
	return out, nil
}

// settingsByObject translates all objects, so that a wrong one is told of before anything runs.
func (f *simulateFlags) settingsByObject(o *objects) (map[*v1alpha1.PodAutoscaler]ctrl.Settings, error) {
	all := map[*v1alpha1.PodAutoscaler]ctrl.Settings{}
	for i := range o.autoscalers {
		s, err := f.settings(&o.autoscalers[i])
		if err != nil {
			return nil, err
		}
		all[&o.autoscalers[i]] = s
	}
	return all, nil
}

// priceText is a price as objects have it.
func priceText(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func newBuffered(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }
