package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What the chart brings for watching is what deploy/monitoring made, whole.
func TestMonitoringIsBroughtWhole(t *testing.T) {
	objects, err := Chart("wholescale", namespace, variants["monitoring"])
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*unstructured.Unstructured{}
	for _, o := range objects {
		found[o.GetKind()+" "+o.GetName()] = o
	}
	if m := found["PodMonitor wholescale"]; m == nil || m.GetLabels()["release"] != "prometheus" {
		t.Errorf("the PodMonitor: %v", m)
	}
	text, err := os.ReadFile(filepath.Join(deploy, "helm/wholescale/files/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want object
	if err := yaml.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if rule := found["PrometheusRule wholescale"]; rule == nil || !reflect.DeepEqual(rule.Object["spec"], any(want)) {
		t.Errorf("the PrometheusRule is not alerts.yaml: %v", rule)
	}
	files, err := filepath.Glob(filepath.Join(deploy, "helm/wholescale/files/dashboards/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	var config corev1.ConfigMap
	into(t, found["ConfigMap wholescale-dashboards"], &config)
	if len(config.Data) != len(files) || config.Labels["grafana_dashboard"] != "1" {
		t.Errorf("%d dashboards of %d, labels %v", len(config.Data), len(files), config.Labels)
	}
	for name, data := range config.Data {
		var got, want object
		file, err := os.ReadFile(filepath.Join(deploy, "helm/wholescale/files/dashboards", strings.TrimPrefix(name, "wholescale-")))
		if err != nil || json.Unmarshal(file, &want) != nil || json.Unmarshal([]byte(data), &got) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is not its file (%v)", name, err)
		}
	}
}

// The decision log has a place to be written to, as the root is read-only.
func TestTheDecisionLogHasItsVolume(t *testing.T) {
	for name, on := range map[string]bool{"default": true, "monitoring": false} {
		objects, err := Chart("wholescale", namespace, variants[name])
		if err != nil {
			t.Fatal(err)
		}
		c := pods(t, objects)["Deployment wholescale-controller"].Spec.Containers[0]
		flag, mounted := false, false
		for _, a := range c.Args {
			flag = flag || a == "--decision-log=/decisions"
		}
		for _, m := range c.VolumeMounts {
			mounted = mounted || m.MountPath == "/decisions" && !m.ReadOnly
		}
		if flag != on || mounted != on {
			t.Errorf("%s: flag %v, volume %v, want %v", name, flag, mounted, on)
		}
	}
}

// Gateway and controller send their traces to one collector, and to none unless it is named.
func TestTracesGoWhereTheyShould(t *testing.T) {
	for name, want := range map[string]int{"default": 0, "monitoring": 2} {
		objects, err := Chart("wholescale", namespace, variants[name])
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range pods(t, objects) {
			for _, a := range p.Spec.Containers[0].Args {
				if strings.HasPrefix(a, "--otlp-endpoint") {
					n++
				}
			}
		}
		if n != want {
			t.Errorf("%s: %d processes trace, want %d", name, n, want)
		}
	}
}
