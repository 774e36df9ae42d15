package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestBuffersAreHeadroom(t *testing.T) {
	w := newWorld()
	d := deployment()
	replicas := int32(7)
	d.Spec.Replicas = &replicas
	d.Spec.Template.Spec.Containers[0].Resources = asks("500m", "1Gi")
	w.putTarget(translateDeployment(d))
	put(w, w.templates, "ns/spare", &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "spare"},
		Template:   corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: asks("2", "4Gi")}}}},
	})
	web := map[string]any{"apiGroup": "apps", "kind": "Deployment", "name": "web"}
	for _, c := range []struct {
		name  string
		spec  map[string]any
		count int
		cpu   int64
	}{
		{"replicas of a template", map[string]any{"podTemplateRef": map[string]any{"name": "spare"}, "replicas": int64(3)}, 3, 2000},
		{"a percentage of a workload, rounded up", map[string]any{"scalableRef": web, "percentage": int64(20)}, 2, 500},
		{"the larger of both", map[string]any{"scalableRef": web, "percentage": int64(20), "replicas": int64(5)}, 5, 500},
		{"within limits", map[string]any{"scalableRef": web, "replicas": int64(5), "limits": map[string]any{"cpu": "1800m"}}, 3, 500},
		{"limits alone", map[string]any{"podTemplateRef": map[string]any{"name": "spare"}, "limits": map[string]any{"memory": "10Gi"}}, 2, 2000},
		{"nothing said", map[string]any{"podTemplateRef": map[string]any{"name": "spare"}}, 0, 0},
		{"a template that is not there", map[string]any{"podTemplateRef": map[string]any{"name": "gone"}, "replicas": int64(3)}, 0, 0},
		{"another strategy", map[string]any{"podTemplateRef": map[string]any{"name": "spare"}, "replicas": int64(3), "provisioningStrategy": "buffer.gke.io/standby-capacity"}, 0, 0},
		{"a slip of the pen", map[string]any{"podTemplateRef": map[string]any{"name": "spare"}, "replicas": int64(2_000_000)}, mostBuffer, 2000},
	} {
		w.putBuffer(&unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"namespace": "ns", "name": "b"}, "spec": c.spec}})
		list := w.headroom()
		switch {
		case c.count == 0 && len(list) != 0, c.count > 0 && len(list) != 1:
			t.Errorf("%s: %+v", c.name, list)
		case c.count > 0 && (list[0].Count != c.count || list[0].Shape.Needs.CPU != c.cpu || list[0].ID != "ns/b"):
			t.Errorf("%s: %+v", c.name, list[0])
		}
	}
}
