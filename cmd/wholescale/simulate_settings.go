package main

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/simulator/tune"
)

// setting is one that a sweep may change: a field of PodAutoscaler or NodePool, which is tuned, or something about the
// world, which is what it is: each value of that is a world of its own, in which rivals run too.
type setting struct {
	name       string
	kind       tune.Kind
	autoscaler func(*v1alpha1.PodAutoscalerSpec, tune.Value)
	pool       func(*v1alpha1.NodePoolSpec, tune.Value)
	world      func(*simulateFlags, tune.Value)
}

func span(v tune.Value) *metav1.Duration { return &metav1.Duration{Duration: v.Duration()} }

func number(v tune.Value) *float64 { return &v.Number }

// settings are all of them, sorted by name.
var settings = []setting{
	{name: "concurrency.limit", kind: tune.Whole, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Concurrency.Limit = int32(v.Number) }},
	{name: "concurrency.target", autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Concurrency.Target = number(v) }},
	{name: "concurrency.utilization", kind: tune.Whole, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Concurrency.Utilization = int32(v.Number) }},
	{name: "node.consolidateAfter", kind: tune.Time, pool: func(s *v1alpha1.NodePoolSpec, v tune.Value) { s.Disruption.ConsolidateAfter = span(v) }},
	{name: "node.cpu", kind: tune.Whole, world: func(f *simulateFlags, v tune.Value) { f.nodeCPU = int(v.Number) }},
	{name: "node.idleAfter", kind: tune.Time, pool: func(s *v1alpha1.NodePoolSpec, v tune.Value) { s.IdleAfter = span(v) }},
	{name: "node.join", kind: tune.Time, world: func(f *simulateFlags, v tune.Value) { f.nodeJoin = v.Text }},
	{name: "node.price", world: func(f *simulateFlags, v tune.Value) { f.price = v.Number }},
	{name: "objective.priceOfWaiting", autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Objective.Price = priceText(v.Number) }},
	{name: "objective.wait", kind: tune.Time, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Objective.Wait = span(v) }},
	{name: "pod.pull", kind: tune.Time, world: func(f *simulateFlags, v tune.Value) { f.pull = v.Text }},
	{name: "pod.start", kind: tune.Time, world: func(f *simulateFlags, v tune.Value) { f.podStart = v.Text }},
	{name: "rates.down", autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Rates.Down = number(v) }},
	{name: "rates.tolerancePercentage", kind: tune.Whole, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Rates.TolerancePercentage = int32(v.Number) }},
	{name: "rates.up", autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Rates.Up = number(v) }},
	{name: "replicas.max", kind: tune.Whole, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Replicas.Max = int32(v.Number) }},
	{name: "replicas.min", kind: tune.Whole, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Replicas.Min = int32(v.Number) }},
	{name: "seed", kind: tune.Whole, world: func(f *simulateFlags, v tune.Value) { f.seed = uint64(v.Number) }},
	{name: "windows.panicPercentage", autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Windows.PanicPercentage = number(v) }},
	{name: "windows.panicThreshold", autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Windows.PanicThreshold = number(v) }},
	{name: "windows.scaleDownDelay", kind: tune.Time, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Windows.ScaleDownDelay = span(v) }},
	{name: "windows.stable", kind: tune.Time, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Windows.Stable = span(v) }},
	{name: "windows.zeroRetention", kind: tune.Time, autoscaler: func(s *v1alpha1.PodAutoscalerSpec, v tune.Value) { s.Windows.ZeroRetention = span(v) }},
}

// settingOf finds one by its name.
func settingOf(name string) (*setting, error) {
	if i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name }); i >= 0 {
		return &settings[i], nil
	}
	var names []string
	for _, s := range settings {
		names = append(names, s.name)
	}
	return nil, fmt.Errorf("there is no setting %q; there are %s", name, strings.Join(names, ", "))
}

// axes are those of --sweep, of the world and of the settings that are tuned.
func (f *simulateFlags) axes() (worlds, tuned []tune.Axis, err error) {
	for _, text := range f.sweeps {
		a, err := tune.ParseAxis(text, func(name string) (tune.Kind, error) {
			s, err := settingOf(name)
			if err != nil {
				return 0, err
			}
			return s.kind, nil
		})
		if err != nil {
			return nil, nil, fmt.Errorf("%w: --sweep: %w", errUsage, err)
		}
		if s, _ := settingOf(a.Name); s.world != nil {
			worlds = append(worlds, a)
		} else {
			tuned = append(tuned, a)
		}
	}
	return worlds, tuned, nil
}

// at are the flags at a point: what is of the world is set, what is tuned goes before files and other flags.
func (f *simulateFlags) at(world, tuned tune.Point) *simulateFlags {
	g := *f
	g.point = tuned
	g.swept = map[string]bool{}
	for _, v := range world {
		if s, err := settingOf(v.Name); err == nil && s.world != nil {
			s.world(&g, v.Value)
			g.swept[v.Name] = true
		}
	}
	return &g
}

func (f *simulateFlags) tuneAutoscaler(s *v1alpha1.PodAutoscalerSpec) {
	for _, v := range f.point {
		if of, err := settingOf(v.Name); err == nil && of.autoscaler != nil {
			of.autoscaler(s, v.Value)
		}
	}
}

func (f *simulateFlags) tunePool(s *v1alpha1.NodePoolSpec) {
	for _, v := range f.point {
		if of, err := settingOf(v.Name); err == nil && of.pool != nil {
			of.pool(s, v.Value)
		}
	}
}
