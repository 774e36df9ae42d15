package controller

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// signals are a workload's other measures of demand, sorted by name. What is not known, or of which a part is not, may only
// raise. The lock is held.
func (m *measures) signals(a *adopted, ready []*autoscaler.Pod, now time.Time) []autoscaler.Signal {
	var list []autoscaler.Signal
	s, needs := &a.spec.Signals, a.shape.Needs
	if s.CPUPercentage != nil {
		list = append(list, m.resource("cpu", ready, now, func(u use) float64 { return u.cpu / 1000 }, float64(needs.CPU)/1000*float64(*s.CPUPercentage)/100))
	}
	if s.MemoryPercentage != nil {
		list = append(list, m.resource("memory", ready, now, func(u use) float64 { return u.memory }, float64(needs.Memory)*float64(*s.MemoryPercentage)/100))
	}
	for i := range s.Custom {
		list = append(list, m.custom(a, &s.Custom[i], ready, now))
	}
	for i := range s.External {
		e := &s.External[i]
		q := question{namespace: a.namespace, metric: e.Metric, selector: selectorText(e.Selector)}
		list = append(list, m.one(q, e.Name, e.Target, now))
	}
	slices.SortFunc(list, func(a, b autoscaler.Signal) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// resource adds up what the ready pods use. A pod of which nothing fresh is known makes the sum one that may only raise. What
// one pod can bear is told as none: idle pods use something too, and whether the last one stays is for the requests to say.
func (m *measures) resource(name string, ready []*autoscaler.Pod, now time.Time, of func(use) float64, target float64) autoscaler.Signal {
	s := autoscaler.Signal{Name: name, Target: target}
	for _, p := range ready {
		if u, ok := m.ofPods[p.ID]; ok && u.fresh(now) {
			s.Value += of(u)
		} else {
			s.Stale = true
		}
	}
	if s.Value <= target {
		s.Value = 0
	}
	return s
}

func (m *measures) custom(a *adopted, c *v1alpha1.CustomMetric, ready []*autoscaler.Pod, now time.Time) autoscaler.Signal {
	q := question{namespace: a.namespace, metric: c.Metric, selector: selectorText(c.Selector), kind: kindOfPods.Kind}
	if c.Object != nil {
		q.group, q.kind, q.object = c.Object.Group, c.Object.Kind, c.Object.Name
		return m.one(q, c.Name, c.Target, now)
	}
	m.questions[q] = true
	s := autoscaler.Signal{Name: c.Name, Target: amount(c.Target)}
	values := m.answers[q]
	for _, p := range ready {
		if r, ok := values[string(p.ID)]; ok && r.fresh(now) {
			s.Value += r.value
		} else {
			s.Stale = true
		}
	}
	return s
}

// one is a signal of a single value. While it is not fresh its last value stands, and may only raise.
func (m *measures) one(q question, name, target string, now time.Time) autoscaler.Signal {
	m.questions[q] = true
	r, ok := m.answers[q][""]
	return autoscaler.Signal{Name: name, Target: amount(target), Value: r.value, Stale: !ok || !r.fresh(now)}
}

func amount(text string) float64 {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0 // Validate has refused it, and the core takes it as unknown
	}
	return q.AsApproximateFloat64()
}

// size is what one pod of a workload uses on average, over minutes, to be held against what it requests.
type size struct {
	cpu, memory float64 // of one pod
	since       time.Time
	last, at    time.Time // of the newest reading taken in, and of the last plan that asked
	// What is said of it, and the figures that it was said with: words that change with each reading would be a write of the
	// status each time.
	reason, drift       string
	saidCPU, saidMemory float64
}

const (
	// sizeHalf is the time in which an old reading loses half of its weight, and sizeLeast how long is watched before
	// anything is said.
	sizeHalf  = 5 * time.Minute
	sizeLeast = 10 * time.Minute
	// A pod that uses this many times its request is crowded on nodes that are planned full by requests; one that uses less
	// than this part of both pays for what it does not use. The difference to the limits at which the condition goes is wide
	// enough that it does not come and go.
	tooLowCPU, tooLowMemory = 1.5, 1.1
	tooHigh                 = 0.25
	staysBy                 = 0.8
)

// measureSize takes in what the ready pods of a workload use. The lock is held.
func (m *measures) measureSize(w *autoscaler.Workload, ready []*autoscaler.Pod, now time.Time) {
	s := m.sizes[w.ID]
	if s == nil {
		s = &size{}
		m.sizes[w.ID] = s
	}
	s.at = now
	sum, n := use{}, 0.0
	for _, p := range ready {
		if u, ok := m.ofPods[p.ID]; ok && u.fresh(now) {
			sum.cpu, sum.memory, n = sum.cpu+u.cpu, sum.memory+u.memory, n+1
			if u.at.After(sum.at) {
				sum.at = u.at
			}
		}
	}
	if n == 0 || !sum.at.After(s.last) {
		return
	}
	if s.since.IsZero() {
		s.since, s.cpu, s.memory = sum.at, sum.cpu/n, sum.memory/n
	} else {
		keep := math.Exp2(-sum.at.Sub(s.last).Seconds() / sizeHalf.Seconds())
		s.cpu, s.memory = s.cpu*keep+sum.cpu/n*(1-keep), s.memory*keep+sum.memory/n*(1-keep)
	}
	s.last = sum.at
	if s.last.Sub(s.since) >= sizeLeast {
		s.judge(w.Shape.Needs)
	}
}

// judge holds what is used against what is requested.
func (s *size) judge(requested autoscaler.Resources) {
	cpu, memory := s.cpu/float64(max(1, requested.CPU)), s.memory/float64(max(1, requested.Memory))
	low, high := 1.0, tooHigh
	switch s.reason { // what is said stays until it is clearly over
	case "RequestsTooLow":
		low = staysBy
	case "RequestsTooHigh":
		high = tooHigh / staysBy
	}
	before := s.reason
	words := fmt.Sprintf("a pod uses %.0fm CPU and %.0fMi on average and requests %dm and %dMi", s.cpu, s.memory/(1<<20), requested.CPU, requested.Memory>>20)
	switch {
	case cpu > tooLowCPU*low || memory > tooLowMemory*low:
		s.reason, words = "RequestsTooLow", words+": nodes that are full by requests are overfull"
	case cpu < high && memory < high:
		s.reason, words = "RequestsTooHigh", words+": most of the room that it is given is of no use"
	default:
		s.reason, s.drift = "", ""
		return
	}
	if s.reason != before || far(s.cpu, s.saidCPU) || far(s.memory, s.saidMemory) {
		s.drift, s.saidCPU, s.saidMemory = words, s.cpu, s.memory
	}
}

// far says that a figure has changed by enough to be said anew.
func far(now, said float64) bool { return math.Abs(now-said) > 0.25*said }

// drift is how far a workload's requests are from what its pods use; empty when they are near or it is not known.
func (m *measures) drift(id autoscaler.WorkloadID) (reason, words string) {
	if m == nil {
		return "", ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sizes[id]; s != nil {
		return s.reason, s.drift
	}
	return "", ""
}
