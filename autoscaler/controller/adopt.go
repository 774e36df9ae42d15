package controller

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// adopted is a workload of ours: what scales it, with which settings, and how requests reach it.
type adopted struct {
	*target
	spec v1alpha1.PodAutoscalerSpec
	// object is the PodAutoscaler that says so; nil on the one-annotation path.
	object *v1alpha1.PodAutoscaler
	policy autoscaler.Policy
	hosts  []string
	// blocked, when not empty, is why we do not act; conflict says that it is for another writer.
	blocked  string
	conflict bool
	port     int32
}

// adopt lists the workloads of ours, sorted by id. A PodAutoscaler wins over annotations. The lock is held.
func (w *world) adopt() []adopted {
	byTarget := map[autoscaler.WorkloadID][]*v1alpha1.PodAutoscaler{}
	for _, key := range slices.Sorted(maps.Keys(w.autoscalers)) {
		pa := w.autoscalers[key]
		id := workloadID(pa.Spec.TargetRef.Kind, pa.Namespace, pa.Spec.TargetRef.Name)
		byTarget[id] = append(byTarget[id], pa)
	}
	rivals := map[autoscaler.WorkloadID]string{}
	for _, key := range slices.Sorted(maps.Keys(w.rivals)) {
		r := w.rivals[key]
		rivals[workloadID(r.kind, r.namespace, r.target)] = r.namespace + "/" + r.name
	}
	services := w.servicesByNamespace()
	var list []adopted
	for id, t := range w.targets {
		objects := byTarget[id]
		if len(objects) == 0 && t.annotations[v1alpha1.AnnotationAutoscale] != "true" {
			continue
		}
		a := adopted{target: t}
		var problem error
		if len(objects) > 0 {
			a.object, a.spec = objects[0], objects[0].Spec
		} else {
			a.spec, problem = specFromAnnotations(t.annotations)
		}
		a.complete(services[t.namespace], problem)
		switch rival, ok := rivals[id]; {
		case ok:
			a.blocked, a.conflict = "HorizontalPodAutoscaler "+rival+" scales the same target; delete one of the two", true
		case len(objects) > 1:
			a.blocked, a.conflict = fmt.Sprintf("PodAutoscalers %s and %s have the same target; delete one of the two", keyOf(objects[0]), keyOf(objects[1])), true
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b adopted) int { return cmp.Compare(a.id, b.id) })
	return list
}

func (w *world) servicesByNamespace() map[string][]service {
	m := map[string][]service{}
	for _, key := range slices.Sorted(maps.Keys(w.services)) {
		s := w.services[key]
		m[s.namespace] = append(m[s.namespace], s)
	}
	return m
}

// complete fills what follows from the settings: the core's policy, hosts, and the port.
func (a *adopted) complete(services []service, problem error) {
	a.spec.Default()
	checked := v1alpha1.PodAutoscaler{Spec: a.spec}
	checked.Spec.TargetRef.Name = a.name
	wrong := checked.Validate()
	switch {
	case problem != nil:
		a.blocked = problem.Error()
	case len(wrong) > 0:
		a.blocked = wrong[0].Error()
	case a.spec.Paused:
		a.blocked = "paused"
	}
	if problem != nil || len(wrong) > 0 {
		// It is left alone, and the core is shown settings that it can reckon with.
		a.spec = v1alpha1.PodAutoscalerSpec{TargetRef: a.spec.TargetRef}
		a.spec.Default()
	}
	a.policy = policyOf(&a.spec)
	a.hosts = a.spec.Hosts
	servicePort := ""
	for _, s := range services {
		if !s.selector.Matches(a.podLabels) {
			continue
		}
		if servicePort == "" {
			servicePort = s.port
		}
		if len(a.spec.Hosts) == 0 {
			short := s.name + "." + s.namespace
			a.hosts = append(a.hosts, short, short+".svc", short+".svc.cluster.local")
		}
	}
	if len(a.hosts) == 0 {
		a.hosts = []string{a.name + "." + a.namespace}
	}
	a.port = a.choosePort(servicePort)
	if a.port == 0 && a.blocked == "" {
		a.blocked = "no port is known: name one in the container's ports or set port"
	}
}

func (a *adopted) choosePort(servicePort string) int32 {
	if p := a.spec.Port; p != nil {
		return a.portNumber(p.String())
	}
	if n := a.portNumber(servicePort); n != 0 {
		return n
	}
	return a.target.port
}

func (a *adopted) portNumber(s string) int32 {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return int32(n)
	}
	return a.portsByName[s]
}

// policyOf is the core's policy for settings that are complete and valid.
func policyOf(s *v1alpha1.PodAutoscalerSpec) autoscaler.Policy {
	p := autoscaler.Policy{
		Name: autoscaler.PolicyName(s.Policy), Total: s.Concurrency.TargetPerPod(), Slots: int(s.Concurrency.Limit),
		Min: int(s.Replicas.Min), Max: int(s.Replicas.Max), Activation: int(s.Replicas.Activation),
		StableWindow: duration(s.Windows.Stable), ScaleDownDelay: duration(s.Windows.ScaleDownDelay), ZeroRetention: duration(s.Windows.ZeroRetention),
		PanicThreshold: *s.Windows.PanicThreshold / 100, UpRate: *s.Rates.Up, DownRate: *s.Rates.Down, BurstCapacity: float64(*s.BurstCapacity),
	}
	p.Auto = s.Concurrency.Auto && s.Policy != v1alpha1.PolicyKPA
	p.Objective.Wait = duration(s.Objective.Wait)
	p.Objective.Price, _ = s.Objective.PricePerSecond() // Validate has read it
	p.Tolerance = float64(s.Rates.TolerancePercentage) / 100
	if r := s.Rates.Ramp; r != nil {
		p.Ramp = autoscaler.Ramp{Replicas: int(r.Replicas), Period: r.Period.Duration}
	}
	if r := s.Signals.RequestsPerSecond; r != nil {
		p.RateTarget = *r
	}
	if s.Replicas.Initial != nil {
		p.Initial = int(*s.Replicas.Initial)
	}
	p.PanicWindow = max(leastPanic(s.Policy), time.Duration(float64(p.StableWindow)**s.Windows.PanicPercentage/100).Truncate(time.Second))
	p.Target = math.Max(leastTarget, p.Total*float64(s.Concurrency.Utilization)/100)
	p.Total = math.Max(p.Total, p.Target)
	return p
}

// leastPanic is the shortest panic window. Averages keep a bucket for each second, so that one of a single second is empty
// for a plan that comes before that second's report: whether anything is ever in panic then hangs on the moments at which gateway
// and controller began. Knative has that too, and KPA is Knative exactly.
func leastPanic(policy v1alpha1.PolicyName) time.Duration {
	if policy == v1alpha1.PolicyKPA {
		return autoscaler.Tick
	}
	return 2 * autoscaler.Tick
}

// floorsAt are the floors that hold at now or begin next.
func floorsAt(s *v1alpha1.PodAutoscalerSpec, now time.Time) []autoscaler.Floor {
	var floors []autoscaler.Floor
	for i := range s.Schedule {
		f := &s.Schedule[i]
		if p, ok := f.Next(now); ok {
			floors = append(floors, autoscaler.Floor{Name: f.Name, From: p.From, Until: p.Until, Replicas: int(f.Replicas)})
		}
	}
	return floors
}

// leastTarget is Knative's least target per pod.
const leastTarget = 0.01

func duration(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}

// annotationReader takes settings out of annotations and remembers the first that cannot be read.
type annotationReader struct {
	from map[string]string
	err  error
}

func (r *annotationReader) read(key string, parse func(string) error) {
	text, ok := r.from[key]
	if !ok || r.err != nil {
		return
	}
	if err := parse(strings.TrimSpace(text)); err != nil {
		r.err = fmt.Errorf("annotation %s is %q: %w", key, text, err)
	}
}

func (r *annotationReader) whole(key string, to *int32) {
	r.read(key, func(s string) error {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return errors.New("it must be a whole number")
		}
		*to = int32(n)
		return nil
	})
}

func (r *annotationReader) duration(key string, to **metav1.Duration) {
	r.read(key, func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("it must be a duration such as 30s")
		}
		*to = &metav1.Duration{Duration: d}
		return nil
	})
}

func (r *annotationReader) list(key string, to *[]string) {
	r.read(key, func(s string) error {
		for _, part := range strings.Split(s, ",") {
			if part = strings.ToLower(strings.TrimSpace(part)); part != "" {
				*to = append(*to, part)
			}
		}
		return nil
	})
}

// specFromAnnotations reads the siblings of the one annotation.
func specFromAnnotations(from map[string]string) (v1alpha1.PodAutoscalerSpec, error) {
	var s v1alpha1.PodAutoscalerSpec
	r := annotationReader{from: from}
	r.list(v1alpha1.AnnotationHost, &s.Hosts)
	r.read(v1alpha1.AnnotationPath, func(text string) error {
		s.Paths = strings.Split(text, ",")
		return nil
	})
	r.read(v1alpha1.AnnotationPort, func(text string) error {
		port := intstr.Parse(text)
		s.Port = &port
		return nil
	})
	r.read(v1alpha1.AnnotationTarget, func(text string) error {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("it must be a number above 0")
		}
		s.Concurrency.Target = &f
		return nil
	})
	r.whole(v1alpha1.AnnotationLimit, &s.Concurrency.Limit)
	r.whole(v1alpha1.AnnotationUtilization, &s.Concurrency.Utilization)
	r.whole(v1alpha1.AnnotationMin, &s.Replicas.Min)
	r.whole(v1alpha1.AnnotationMax, &s.Replicas.Max)
	if _, ok := from[v1alpha1.AnnotationInitial]; ok {
		s.Replicas.Initial = new(int32)
		r.whole(v1alpha1.AnnotationInitial, s.Replicas.Initial)
	}
	r.duration(v1alpha1.AnnotationWait, &s.Objective.Wait)
	r.whole(v1alpha1.AnnotationPriority, &s.Priority)
	r.duration(v1alpha1.AnnotationWindow, &s.Windows.Stable)
	r.duration(v1alpha1.AnnotationScaleDownDelay, &s.Windows.ScaleDownDelay)
	r.duration(v1alpha1.AnnotationHold, &s.Timeouts.Hold)
	r.duration(v1alpha1.AnnotationWaitingPage, &s.Timeouts.WaitingPage)
	r.read(v1alpha1.AnnotationPolicy, func(text string) error {
		s.Policy = v1alpha1.PolicyName(text)
		return nil
	})
	r.read(v1alpha1.AnnotationProbePath, func(text string) error {
		s.Probe.Path = text
		return nil
	})
	r.read(v1alpha1.AnnotationH2C, func(text string) (err error) {
		s.H2C, err = strconv.ParseBool(text)
		return err
	})
	return s, r.err
}
