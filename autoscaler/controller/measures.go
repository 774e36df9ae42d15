package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/wholescale/wholescale/autoscaler"
)

const (
	// measureEvery is how often the metrics APIs are asked. What stands behind them looks each 15 s or less often.
	measureEvery = 5 * time.Second
	// measureTimeout bounds one question.
	measureTimeout = 2 * time.Second
	// measuresAtOnce bounds the questions under way, and measuresMost how many are asked in one round.
	measuresAtOnce = 4
	measuresMost   = 1000
	// leastFresh is how old a value may be whose window is short or not told; otherwise it is three times the window.
	leastFresh = time.Minute
	// usePage is how many objects one answer of the resource metrics has.
	usePage = 500
)

// reading is what was measured once.
type reading struct {
	value  float64
	at     time.Time
	window time.Duration
}

// fresh says that it still tells of now.
func (r reading) fresh(now time.Time) bool {
	return !r.at.IsZero() && now.Sub(r.at) <= max(3*r.window, leastFresh)
}

// use is the CPU in millicores and the memory in bytes that a pod or node uses; a reading of each has the same time.
type use struct {
	cpu, memory float64
	at          time.Time
	window      time.Duration
}

func (u use) fresh(now time.Time) bool { return reading{at: u.at, window: u.window}.fresh(now) }

// question names a custom or external metric. Equal questions are asked once.
type question struct {
	namespace, metric, selector string
	// kind, group and object name what the metric is of; kind is empty for an external one, and object for all pods.
	group, kind, object string
}

// answer is a metric's values: by pod, or one under the empty name.
type answer map[string]reading

// useSource tells what pods and nodes use.
type useSource interface {
	pods(ctx context.Context, page string) (*metricsv1beta1.PodMetricsList, error)
	nodes(ctx context.Context, page string) (*metricsv1beta1.NodeMetricsList, error)
}

// metricSource answers one question. Its clients take no context; they have a timeout.
type metricSource interface {
	metric(q question, selector labels.Selector) (answer, error)
}

// measures asks the metrics APIs apart from the loop, and keeps what they said with its age. What they do not say is not
// known; it is never a number.
type measures struct {
	use     useSource
	metrics metricSource
	log     *zap.Logger

	mu        sync.Mutex
	ofPods    map[autoscaler.PodID]use
	ofNodes   map[autoscaler.NodeID]use
	answers   map[question]answer
	questions map[question]bool // of the last plan
	failures  map[string]string // by what was asked, to say each once
	sizes     map[autoscaler.WorkloadID]*size
	// read counts the readings of what pods and nodes use, and sized is how many of them the sizes have taken in.
	read, sized uint64
	readAt      time.Time // of the last one
}

func newMeasures(u useSource, m metricSource, log *zap.Logger) *measures {
	return &measures{
		use: u, metrics: m, log: log, ofPods: map[autoscaler.PodID]use{}, ofNodes: map[autoscaler.NodeID]use{}, answers: map[question]answer{},
		questions: map[question]bool{}, failures: map[string]string{}, sizes: map[autoscaler.WorkloadID]*size{},
	}
}

// run asks until ctx ends.
func (m *measures) run(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		m.ask(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *measures) ask(ctx context.Context) {
	m.askUse(ctx)
	m.mu.Lock()
	list := maps.Clone(m.questions)
	maps.DeleteFunc(m.answers, func(q question, _ answer) bool { return !list[q] })
	m.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(measuresAtOnce)
	n := 0
	for q := range list {
		if n++; n > measuresMost || ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			m.askOne(q)
			return nil
		})
	}
	_ = group.Wait() // its functions return nil: what failed is kept by question
}

func (m *measures) askOne(q question) {
	selector, err := labels.Parse(q.selector)
	var a answer
	if err == nil {
		a, err = m.metrics.metric(q, selector)
	}
	m.failed("metric "+q.metric+" in "+q.namespace, err)
	if err != nil {
		return // what was said before grows old
	}
	m.mu.Lock()
	m.answers[q] = a
	m.mu.Unlock()
}

// askUse reads what all pods and nodes use, page by page.
func (m *measures) askUse(ctx context.Context) {
	ofPods, ofNodes := map[autoscaler.PodID]use{}, map[autoscaler.NodeID]use{}
	err := pages(ctx, func(ctx context.Context, page string) (string, error) {
		list, err := m.use.pods(ctx, page)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			p := &list.Items[i]
			u := use{at: p.Timestamp.Time, window: p.Window.Duration}
			for _, c := range p.Containers {
				u.cpu += float64(c.Usage.Cpu().MilliValue())
				u.memory += float64(c.Usage.Memory().Value())
			}
			ofPods[autoscaler.PodID(p.Namespace+"/"+p.Name)] = u
		}
		return list.Continue, nil
	})
	if err == nil {
		err = pages(ctx, func(ctx context.Context, page string) (string, error) {
			list, err := m.use.nodes(ctx, page)
			if err != nil {
				return "", err
			}
			for i := range list.Items {
				n := &list.Items[i]
				ofNodes[autoscaler.NodeID(n.Name)] = use{
					cpu: float64(n.Usage.Cpu().MilliValue()), memory: float64(n.Usage.Memory().Value()), at: n.Timestamp.Time, window: n.Window.Duration,
				}
			}
			return list.Continue, nil
		})
	}
	m.failed("what pods and nodes use", err)
	m.mu.Lock()
	if err != nil {
		if time.Since(m.readAt) > sizeLeast {
			clear(m.sizes) // an average of long ago says nothing of now
		}
		m.mu.Unlock()
		return
	}
	m.ofPods, m.ofNodes, m.readAt = ofPods, ofNodes, time.Now()
	m.read++
	m.mu.Unlock()
}

func pages(ctx context.Context, ask func(ctx context.Context, page string) (next string, err error)) error {
	for page := ""; ; {
		ctx, cancel := context.WithTimeout(ctx, measureTimeout)
		next, err := ask(ctx, page)
		cancel()
		if err != nil || next == "" || next == page {
			return err
		}
		page = next
	}
}

// failed says once that a question has no answer, and once that it has one again. A cluster without resource metrics is
// no fault.
func (m *measures) failed(what string, err error) {
	words := ""
	if err != nil && !errors.Is(err, context.Canceled) {
		words = err.Error()
	}
	m.mu.Lock()
	before := m.failures[what]
	if words == "" {
		delete(m.failures, what)
	} else {
		m.failures[what] = words
	}
	m.mu.Unlock()
	switch {
	case words == before:
	case words == "":
		m.log.Info("the metrics API answers again", zap.String("asked", what))
	case apierrors.IsNotFound(err):
		m.log.Info("the metrics API does not know it; it is unknown", zap.String("asked", what), zap.Error(err))
	default:
		m.log.Warn("the metrics API did not answer; it is unknown", zap.String("asked", what), zap.Error(err))
	}
}

// fill gives each workload its signals and keeps nodes whose real use is high, from what is known at now.
func (m *measures) fill(pic *picture, now time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.questions)
	// The decision waits for this: what nobody asked for, and what was measured already, costs nothing.
	measured := m.read == m.sized
	asking := func(i int) bool {
		s := &pic.adopted[i].spec.Signals
		return s.CPUPercentage != nil || s.MemoryPercentage != nil || len(s.Custom)+len(s.External) > 0
	}
	needed := !measured
	for i := 0; i < len(pic.adopted) && !needed; i++ {
		needed = asking(i)
	}
	if needed {
		ready := map[autoscaler.WorkloadID][]*autoscaler.Pod{}
		for i := range pic.cluster.Pods {
			if p := &pic.cluster.Pods[i]; p.Workload != "" && p.Phase == autoscaler.Ready {
				ready[p.Workload] = append(ready[p.Workload], p)
			}
		}
		for i := range pic.adopted {
			w := &pic.cluster.Workloads[i]
			if asking(i) {
				w.Signals = m.signals(&pic.adopted[i], ready[w.ID], now)
			}
			if !measured {
				m.measureSize(w, ready[w.ID], now)
			}
		}
	}
	if !measured {
		m.sized = m.read
		maps.DeleteFunc(m.sizes, func(_ autoscaler.WorkloadID, s *size) bool { return s.at != now })
	}
	m.guardNodes(pic, now)
}

const (
	// hotCPU and hotMemory are the shares of a node in real use from which on it is not emptied: what its pods use would
	// not fit where what they request does.
	hotCPU    = 0.8
	hotMemory = 0.85
)

// guardNodes keeps nodes in use whose real use is high. A node that leaves already goes on, so that none goes to and fro.
func (m *measures) guardNodes(pic *picture, now time.Time) {
	hot := map[autoscaler.NodeID]string{}
	for i := range pic.cluster.Nodes {
		n := &pic.cluster.Nodes[i]
		u, known := m.ofNodes[n.ID]
		if n.Keep != "" || n.Draining || n.Phase != autoscaler.Ready || !known || !u.fresh(now) {
			continue
		}
		cpu, memory := u.cpu/float64(max(1, n.Allocatable.CPU)), u.memory/float64(max(1, n.Allocatable.Memory))
		switch {
		case cpu >= hotCPU:
			hot[n.ID] = fmt.Sprintf("its pods use %.0f %% of its CPU, whatever they request", 100*cpu)
		case memory >= hotMemory:
			hot[n.ID] = fmt.Sprintf("its pods use %.0f %% of its memory, whatever they request", 100*memory)
		}
	}
	if len(hot) == 0 {
		return
	}
	inUse := map[autoscaler.NodeID]bool{}
	for i := range pic.cluster.Pods {
		if p := &pic.cluster.Pods[i]; p.Node != "" && p.Daemon == "" && !p.Mirror && p.Phase != autoscaler.Leaving {
			inUse[p.Node] = true
		}
	}
	for i := range pic.cluster.Nodes {
		if n := &pic.cluster.Nodes[i]; hot[n.ID] != "" && inUse[n.ID] {
			n.Keep = hot[n.ID]
		}
	}
}

// kindOfPods is what custom metrics of pods are of.
var kindOfPods = schema.GroupKind{Kind: "Pod"}

func selectorText(s *metav1.LabelSelector) string {
	if s == nil {
		return ""
	}
	return metav1.FormatLabelSelector(s)
}
