package v1alpha1

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// schemaOf is the generated schema.
func schemaOf(t *testing.T, plural string) apiextensions.JSONSchemaProps {
	t.Helper()
	data, err := os.ReadFile("../../deploy/crds/" + Group + "_" + plural + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		t.Fatal(err)
	}
	return *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// fillFrom applies the schema's defaults as the API server does: a nested default only where the parent is there.
func fillFrom(t *testing.T, s apiextensions.JSONSchemaProps, object map[string]any) {
	t.Helper()
	for name, p := range s.Properties {
		if _, there := object[name]; !there && p.Default != nil {
			var value any
			if err := json.Unmarshal(p.Default.Raw, &value); err != nil {
				t.Fatal(err)
			}
			object[name] = value
		}
		if child, ok := object[name].(map[string]any); ok {
			fillFrom(t, p, child)
		}
	}
}

func TestDefaultsInGoAreThoseOfTheSchema(t *testing.T) {
	var object map[string]any
	if err := json.Unmarshal([]byte(`{"spec":{"targetRef":{"name":"cart"}}}`), &object); err != nil {
		t.Fatal(err)
	}
	fillFrom(t, schemaOf(t, "podautoscalers"), object)
	var byServer PodAutoscaler
	decode(t, object, &byServer)
	byGo := PodAutoscalerSpec{TargetRef: TargetRef{Name: "cart"}}
	byGo.Default()
	if diff := cmp.Diff(byServer.Spec, byGo); diff != "" {
		t.Errorf("schema against Default():\n%s", diff)
	}
	if errs := byServer.Validate(); len(errs) > 0 {
		t.Errorf("the defaults themselves: %v", errs)
	}

	object = nil
	if err := json.Unmarshal([]byte(`{"spec":{"provider":{"pool":"a"},"nodes":{"max":3}}}`), &object); err != nil {
		t.Fatal(err)
	}
	fillFrom(t, schemaOf(t, "nodepools"), object)
	var pool NodePool
	decode(t, object, &pool)
	poolByGo := NodePoolSpec{Provider: ProviderRef{Pool: "a"}, Nodes: Bounds{Max: 3}}
	poolByGo.Default()
	if diff := cmp.Diff(pool.Spec, poolByGo); diff != "" {
		t.Errorf("schema against Default():\n%s", diff)
	}
	if errs := pool.Validate(); len(errs) > 0 {
		t.Errorf("the defaults themselves: %v", errs)
	}
}

func decode(t *testing.T, from map[string]any, to any) {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatal(err)
	}
}

func TestNothingUnknownIsPreserved(t *testing.T) {
	var walk func(path string, s apiextensions.JSONSchemaProps)
	walk = func(path string, s apiextensions.JSONSchemaProps) {
		if s.XPreserveUnknownFields != nil || s.XEmbeddedResource {
			t.Errorf("%s keeps unknown fields", path)
		}
		if s.Type == "" && !s.XIntOrString {
			t.Errorf("%s has no type, so the schema is not structural", path)
		}
		for name, p := range s.Properties {
			walk(path+"."+name, p)
		}
		if s.Items != nil {
			walk(path+"[]", *s.Items.Schema)
		}
	}
	for _, plural := range []string{"podautoscalers", "nodepools"} {
		walk(plural, schemaOf(t, plural))
	}
}

func TestValidateNamesFieldAndValue(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*PodAutoscalerSpec)
		want string
	}{
		{"no target", func(s *PodAutoscalerSpec) { s.TargetRef.Name = "" }, "spec.targetRef.name"},
		{"min above max", func(s *PodAutoscalerSpec) { s.Replicas.Min, s.Replicas.Max = 5, 3 }, "spec.replicas.min: Invalid value: 5"},
		{"initial above max", func(s *PodAutoscalerSpec) { s.Replicas.Initial, s.Replicas.Max = new(int32(5)), 3 }, "spec.replicas.initial: Invalid value: 5"},
		{"target 0", func(s *PodAutoscalerSpec) { s.Concurrency.Target = new(0.0) }, "spec.concurrency.target: Invalid value: \"0\": must be above 0"},
		{"target NaN", func(s *PodAutoscalerSpec) { s.Concurrency.Target = new(math.NaN()) }, "spec.concurrency.target: Invalid value: \"NaN\""},
		{"target infinite", func(s *PodAutoscalerSpec) { s.Concurrency.Target = new(math.Inf(1)) }, "spec.concurrency.target: Invalid value: \"+Inf\""},
		{"target negative", func(s *PodAutoscalerSpec) { s.Concurrency.Target = new(-1.0) }, "spec.concurrency.target: Invalid value: \"-1\""},
		{"target above limit", func(s *PodAutoscalerSpec) { s.Concurrency.Target, s.Concurrency.Limit = new(11.0), 10 }, "which is 10"},
		{"window", func(s *PodAutoscalerSpec) { s.Windows.Stable = every(time.Second) }, "spec.windows.stable: Invalid value: \"1s\": must be from 6s"},
		{"rate", func(s *PodAutoscalerSpec) { s.Rates.Down = new(1.0) }, "spec.rates.down: Invalid value: \"1\": must be above 1"},
		{"policy", func(s *PodAutoscalerSpec) { s.Policy = "magic" }, "spec.policy: Unsupported value: \"magic\""},
		{"host", func(s *PodAutoscalerSpec) { s.Hosts = []string{"a.example", "A.example:80"} }, "spec.hosts[1]"},
		{"path", func(s *PodAutoscalerSpec) { s.Paths = []string{"x"} }, "spec.paths[0]"},
		{"port", func(s *PodAutoscalerSpec) { s.Port = new(intstr.FromInt32(70000)) }, "spec.port"},
		{"port name", func(s *PodAutoscalerSpec) { s.Port = new(intstr.FromString("Not A Port")) }, "spec.port"},
		{"cpu", func(s *PodAutoscalerSpec) { s.Signals.CPUPercentage = new(int32(0)) }, "spec.signals.cpuPercentage: Invalid value: 0"},
		{"signal target", func(s *PodAutoscalerSpec) {
			s.Signals.External = []ExternalMetric{{Name: "q", Metric: "q", Target: "0"}}
		}, "spec.signals.external[0].target: Invalid value: \"0\""},
		{"signal named twice", func(s *PodAutoscalerSpec) {
			s.Signals.Custom, s.Signals.External = []CustomMetric{{Name: "q", Metric: "q", Target: "1"}}, []ExternalMetric{{Name: "q", Metric: "q", Target: "1"}}
		}, "spec.signals.external[0].name: Duplicate value: \"q\""},
		{"signal named cpu", func(s *PodAutoscalerSpec) { s.Signals.Custom = []CustomMetric{{Name: "cpu", Metric: "q", Target: "1"}} }, "spec.signals.custom[0].name: Duplicate value"},
		{"signal of no metric", func(s *PodAutoscalerSpec) { s.Signals.Custom = []CustomMetric{{Name: "q", Target: "1"}} }, "spec.signals.custom[0].metric: Required"},
		{"probe", func(s *PodAutoscalerSpec) { s.Probe.Path = "healthz" }, "spec.probe.path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &PodAutoscaler{Spec: PodAutoscalerSpec{TargetRef: TargetRef{Name: "cart"}}}
			p.Spec.Default()
			c.set(&p.Spec)
			if got := p.Validate().ToAggregate(); got == nil || !strings.Contains(got.Error(), c.want) {
				t.Errorf("%v; want %s", got, c.want)
			}
		})
	}
	pool := &NodePool{Spec: NodePoolSpec{Provider: ProviderRef{Pool: "a"}, Nodes: Bounds{Min: 4, Max: 3}, PricePerHour: new(-1.0)}}
	got := pool.Validate().ToAggregate()
	for _, want := range []string{"spec.nodes.min: Invalid value: 4", "spec.pricePerHour: Invalid value: \"-1\""} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%v; want %s", got, want)
		}
	}
}
