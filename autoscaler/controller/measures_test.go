package controller

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// meter is metrics APIs that say what its fields say.
type meter struct {
	podList  metricsv1beta1.PodMetricsList
	nodeList metricsv1beta1.NodeMetricsList
	answers  map[string]answer // by metric
	err      error
	asked    []question
}

func (m *meter) pods(context.Context, string) (*metricsv1beta1.PodMetricsList, error) {
	return &m.podList, m.err
}
func (m *meter) nodes(context.Context, string) (*metricsv1beta1.NodeMetricsList, error) {
	return &m.nodeList, m.err
}

func (m *meter) metric(q question, _ labels.Selector) (answer, error) {
	m.asked = append(m.asked, q)
	return m.answers[q.metric], m.err
}

func (m *meter) pod(name, cpu string, at time.Time) {
	m.podList.Items = append(m.podList.Items, metricsv1beta1.PodMetrics{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Timestamp: metav1.NewTime(at), Window: metav1.Duration{Duration: 15 * time.Second},
		Containers: []metricsv1beta1.ContainerMetrics{{Usage: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("64Mi")}}},
	})
}

func (m *meter) node(name, cpu, memory string, at time.Time) {
	m.nodeList.Items = append(m.nodeList.Items, metricsv1beta1.NodeMetrics{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Timestamp: metav1.NewTime(at), Window: metav1.Duration{Duration: 15 * time.Second},
		Usage: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)},
	})
}

// measuring is a workload a/w that asks for 1 CPU and 100 MiB, with these pods ready.
func measuring(s v1alpha1.Signals, pods ...string) *picture {
	pic := &picture{adopted: []adopted{{target: &target{id: "a/w", namespace: "a", name: "w", shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 1000, Memory: 100 << 20}}}}}}
	pic.adopted[0].spec.Signals = s
	pic.cluster.Workloads = []autoscaler.Workload{{ID: "a/w", Shape: pic.adopted[0].shape}}
	for _, name := range pods {
		pic.cluster.Pods = append(pic.cluster.Pods, autoscaler.Pod{ID: autoscaler.PodID("a/" + name), Workload: "a/w", Phase: autoscaler.Ready, Node: "n"})
	}
	return pic
}

func TestSignalsTellWhatIsKnownAndMissingIsUnknown(t *testing.T) {
	now := time.Unix(1000, 0)
	old := now.Add(-2 * time.Minute)
	percent := int32(50)
	cpu := v1alpha1.Signals{CPUPercentage: &percent}
	queue := v1alpha1.Signals{External: []v1alpha1.ExternalMetric{{Name: "queue", Metric: "length", Target: "10"}}}
	own := v1alpha1.Signals{Custom: []v1alpha1.CustomMetric{{Name: "jobs", Metric: "jobs", Target: "500m"}}}
	object := v1alpha1.Signals{Custom: []v1alpha1.CustomMetric{{Name: "hits", Metric: "hits", Target: "4", Object: &v1alpha1.MetricObject{Kind: "Service", Name: "s"}}}}
	for _, c := range []struct {
		name string
		ask  v1alpha1.Signals
		set  func(*meter)
		pods []string
		want autoscaler.Signal
	}{
		{"all pods", cpu, func(m *meter) { m.pod("1", "900m", now); m.pod("2", "600m", now) }, []string{"1", "2"}, autoscaler.Signal{Name: "cpu", Value: 1.5, Target: 0.5}},
		{"what one can bear", cpu, func(m *meter) { m.pod("1", "20m", now); m.pod("2", "10m", now) }, []string{"1", "2"}, autoscaler.Signal{Name: "cpu", Target: 0.5}},
		{"one pod unmeasured", cpu, func(m *meter) { m.pod("1", "900m", now) }, []string{"1", "2"}, autoscaler.Signal{Name: "cpu", Value: 0.9, Target: 0.5, Stale: true}},
		{"all old", cpu, func(m *meter) { m.pod("1", "900m", old) }, []string{"1"}, autoscaler.Signal{Name: "cpu", Target: 0.5, Stale: true}},
		{"no API", cpu, func(m *meter) { m.err = errors.New("none") }, []string{"1"}, autoscaler.Signal{Name: "cpu", Target: 0.5, Stale: true}},
		{"no pod uses nothing", cpu, func(*meter) {}, nil, autoscaler.Signal{Name: "cpu", Target: 0.5}},
		{"external", queue, func(m *meter) { m.answers = map[string]answer{"length": {"": {value: 70, at: now}}} }, nil, autoscaler.Signal{Name: "queue", Value: 70, Target: 10}},
		{"external, old", queue, func(m *meter) { m.answers = map[string]answer{"length": {"": {value: 70, at: old}}} }, nil, autoscaler.Signal{Name: "queue", Value: 70, Target: 10, Stale: true}},
		{"external, old, of a long window", queue, func(m *meter) {
			m.answers = map[string]answer{"length": {"": {value: 70, at: old, window: time.Minute}}}
		}, nil, autoscaler.Signal{Name: "queue", Value: 70, Target: 10}},
		{"external, no series", queue, func(m *meter) { m.answers = map[string]answer{"length": {}} }, nil, autoscaler.Signal{Name: "queue", Target: 10, Stale: true}},
		{"of each pod", own, func(m *meter) {
			m.answers = map[string]answer{"jobs": {"a/1": {value: 2, at: now}, "a/2": {value: 1, at: now}, "a/gone": {value: 9, at: now}}}
		}, []string{"1", "2"}, autoscaler.Signal{Name: "jobs", Value: 3, Target: 0.5}},
		{"of some pods", own, func(m *meter) { m.answers = map[string]answer{"jobs": {"a/1": {value: 2, at: now}}} }, []string{"1", "2"}, autoscaler.Signal{Name: "jobs", Value: 2, Target: 0.5, Stale: true}},
		{"of an object", object, func(m *meter) { m.answers = map[string]answer{"hits": {"": {value: 8, at: now}}} }, nil, autoscaler.Signal{Name: "hits", Value: 8, Target: 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := &meter{}
			c.set(source)
			m := newMeasures(source, source, zap.NewNop())
			pic := measuring(c.ask, c.pods...)
			m.fill(pic, now) // says what is wanted
			m.ask(t.Context())
			m.fill(pic, now)
			if diff := cmp.Diff([]autoscaler.Signal{c.want}, pic.cluster.Workloads[0].Signals); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsNotAskedForAnyMoreIsForgotten(t *testing.T) {
	source := &meter{answers: map[string]answer{"length": {"": {value: 1}}}}
	m := newMeasures(source, source, zap.NewNop())
	for range 3 {
		m.fill(measuring(v1alpha1.Signals{External: []v1alpha1.ExternalMetric{{Name: "queue", Metric: "length", Target: "10"}}}, "1"), time.Unix(1, 0))
		if m.read < 2 {
			m.ask(t.Context())
		}
	}
	if len(source.asked) != 2 || len(m.answers) != 1 || len(m.sizes) != 1 {
		t.Errorf("asked %d times, %d answers, %d sizes", len(source.asked), len(m.answers), len(m.sizes))
	}
	m.fill(&picture{}, time.Unix(2, 0))
	m.ask(t.Context())
	m.fill(&picture{}, time.Unix(3, 0))
	if len(source.asked) != 2 || len(m.answers) != 0 || len(m.sizes) != 0 {
		t.Errorf("asked %d times, %d answers, %d sizes when nobody asks", len(source.asked), len(m.answers), len(m.sizes))
	}
}

func TestAFailureIsSaidOnce(t *testing.T) {
	core, seen := observer.New(zap.InfoLevel)
	source := &meter{err: errors.New("no such API")}
	m := newMeasures(source, source, zap.New(core))
	m.ask(t.Context())
	m.ask(t.Context())
	if seen.Len() != 1 {
		t.Errorf("said %d times", seen.Len())
	}
	source.err = nil
	m.ask(t.Context())
	m.ask(t.Context())
	if seen.Len() != 2 || seen.All()[1].Message != "the metrics API answers again" {
		t.Errorf("%v", seen.All())
	}
}

func TestANodeWhoseRealUseIsHighIsNotEmptied(t *testing.T) {
	now := time.Unix(1000, 0)
	node := autoscaler.Node{ID: "n", Phase: autoscaler.Ready, Allocatable: autoscaler.Resources{CPU: 1000, Memory: 1 << 30}}
	for _, c := range []struct {
		name        string
		cpu, memory string
		at          time.Time
		change      func(*autoscaler.Node)
		kept        bool
	}{
		{"hot", "850m", "100Mi", now, nil, true},
		{"memory", "100m", "1000Mi", now, nil, true},
		{"cool", "700m", "700Mi", now, nil, false},
		{"not known now", "900m", "1Gi", now.Add(-2 * time.Minute), nil, false},
		{"leaves already", "900m", "1Gi", now, func(n *autoscaler.Node) { n.Draining = true }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := &meter{}
			source.node("n", c.cpu, c.memory, c.at)
			m := newMeasures(source, source, zap.NewNop())
			m.ask(t.Context())
			pic := measuring(v1alpha1.Signals{}, "1")
			pic.cluster.Nodes = []autoscaler.Node{node}
			if c.change != nil {
				c.change(&pic.cluster.Nodes[0])
			}
			m.fill(pic, now)
			if got := pic.cluster.Nodes[0].Keep; (got != "") != c.kept {
				t.Errorf("keep %q", got)
			}
			pic.cluster.Pods, pic.cluster.Nodes[0].Keep = nil, ""
			m.fill(pic, now)
			if got := pic.cluster.Nodes[0].Keep; got != "" {
				t.Errorf("an empty node is kept: %q", got)
			}
		})
	}
}

func TestRequestsFarFromUseAreSaid(t *testing.T) {
	for _, c := range []struct{ name, cpu, want string }{
		{"far too low", "1800m", "RequestsTooLow"}, {"near", "900m", ""}, {"memory alone is used", "10m", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := &meter{}
			m := newMeasures(source, source, zap.NewNop())
			said := ""
			for minute := range 12 {
				now := time.Unix(1000, 0).Add(time.Duration(minute) * time.Minute)
				source.podList.Items = nil
				source.pod("1", c.cpu, now)
				m.ask(t.Context())
				m.fill(measuring(v1alpha1.Signals{}, "1"), now)
				reason, words := m.drift("a/w")
				if minute < 10 && reason != "" {
					t.Fatalf("said after %d minutes: %s", minute, words)
				}
				said = reason
			}
			if said != c.want {
				t.Errorf("%q, want %q", said, c.want)
			}
		})
	}
}

func TestWhatIsSaidOfASizeChangesWithMoreThanItsNoise(t *testing.T) {
	s := &size{cpu: 1900, memory: 50 << 20}
	requested := autoscaler.Resources{CPU: 1000, Memory: 100 << 20}
	s.judge(requested)
	first := s.drift
	s.cpu = 2000
	if s.judge(requested); s.drift != first || first == "" {
		t.Errorf("%q after %q", s.drift, first)
	}
	s.cpu = 2600
	if s.judge(requested); s.drift == first {
		t.Errorf("%q still", s.drift)
	}
	s.cpu = 1300 // below the limit, and not clearly so
	if s.judge(requested); s.reason != "RequestsTooLow" {
		t.Errorf("%q at once", s.reason)
	}
	s.cpu = 1000
	if s.judge(requested); s.reason != "" || s.drift != "" {
		t.Errorf("%q %q still", s.reason, s.drift)
	}
}

// The clients read what the APIs of Kubernetes answer.
func TestTheMetricsAPIsAreRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/apis/external.metrics.k8s.io/v1beta1/namespaces/a/length"):
			_, _ = w.Write([]byte(`{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[
				{"metricName":"length","timestamp":"2026-01-01T10:00:00Z","value":"30"},{"metricName":"length","timestamp":"2026-01-01T09:59:00Z","window":120,"value":"1500m"}]}`))
		case path == "/apis/metrics.k8s.io/v1beta1/pods":
			_, _ = w.Write([]byte(`{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1beta1","items":[{"metadata":{"namespace":"a","name":"p"},"timestamp":"2026-01-01T10:00:00Z","window":"15s",
				"containers":[{"name":"c","usage":{"cpu":"250m","memory":"64Mi"}},{"name":"d","usage":{"cpu":"50m","memory":"1Mi"}}]}]}`))
		case path == "/apis/metrics.k8s.io/v1beta1/nodes":
			_, _ = w.Write([]byte(`{"kind":"NodeMetricsList","apiVersion":"metrics.k8s.io/v1beta1","items":[]}`))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	useFrom, metric, err := newMeasuring(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	m := newMeasures(useFrom, metric, zap.NewNop())
	m.askUse(t.Context())
	at := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	want := use{cpu: 300, memory: 65 << 20, at: at, window: 15 * time.Second}
	if got := m.ofPods["a/p"]; got.cpu != want.cpu || got.memory != want.memory || !got.at.Equal(at) || got.window != want.window {
		t.Errorf("%+v, want %+v", got, want)
	}
	a, err := metric.metric(question{namespace: "a", metric: "length"}, labels.Everything())
	if err != nil {
		t.Fatal(err)
	}
	if got := a[""]; got.value != 31.5 || !got.at.Equal(at.Add(-time.Minute)) || got.window != 2*time.Minute {
		t.Errorf("%+v", got)
	}
	if a, err := metric.metric(question{namespace: "a", metric: "none"}, labels.Everything()); err == nil {
		t.Errorf("%v of a metric that is not there", a)
	}
}
