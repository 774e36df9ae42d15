package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/wholescale/wholescale/api/v1alpha1"
)

func autoscaler(name, target string) map[string]any {
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "PodAutoscaler", "metadata": map[string]any{"name": name, "namespace": "default"},
		"spec": map[string]any{"targetRef": map[string]any{"name": target}, "hosts": []any{name + ".example"}},
	}
}

// untilAutoscaler waits until a PodAutoscaler's status is as wanted.
func (w *world) untilAutoscaler(name string, wanted func(v1alpha1.PodAutoscalerStatus) bool) {
	w.t.Helper()
	client := w.Dynamic.Resource(v1alpha1.PodAutoscalers).Namespace("default")
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, o)
		},
	}
	until(w, list, &unstructured.Unstructured{}, func(all []*unstructured.Unstructured) bool {
		for _, u := range all {
			var pa v1alpha1.PodAutoscaler
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &pa); err != nil {
				w.t.Fatal(err)
			}
			if pa.Name == name && wanted(pa.Status) {
				return true
			}
		}
		return false
	})
}

func conflicted(s v1alpha1.PodAutoscalerStatus) bool {
	return meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionConflicted)
}

// An HPA on the same target, and two PodAutoscalers on one: the condition says Conflicted, and nobody acts.
func TestConflictsAreSaidAndNotFought(t *testing.T) {
	w := newWorld(t, pool("spot", 2, "0s"))
	w.deploy("chat", map[string]string{"autoscale": "false"})
	w.create(v1alpha1.PodAutoscalers, "default", autoscaler("one", "chat"))
	w.untilAutoscaler("one", func(s v1alpha1.PodAutoscalerStatus) bool { return s.ObservedGeneration > 0 && !conflicted(s) })
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "rival"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "chat"}, MaxReplicas: 3,
		},
	}
	if _, err := w.Client.AutoscalingV2().HorizontalPodAutoscalers("default").Create(w.ctx, hpa, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.untilAutoscaler("one", conflicted)
	status, body, err := w.get("one.example", "/")
	if err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a request for it was answered %d %q (%v), not refused with the reason", status, body, err)
	}
	if err := w.Client.AutoscalingV2().HorizontalPodAutoscalers("default").Delete(w.ctx, "rival", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.untilAutoscaler("one", func(s v1alpha1.PodAutoscalerStatus) bool { return !conflicted(s) })
	w.create(v1alpha1.PodAutoscalers, "default", autoscaler("two", "chat"))
	w.untilAutoscaler("one", conflicted)
}

// A Deployment without a CPU request is planned with a default, and the status shows it.
func TestMissingRequestsAreDefaultedAndShown(t *testing.T) {
	w := newWorld(t, pool("spot", 2, "0s"))
	w.deploy("chat", map[string]string{"autoscale": "false"})
	patch := []byte(`[{"op":"remove","path":"/spec/template/spec/containers/0/resources/requests"}]`)
	if _, err := w.Client.AppsV1().Deployments("default").Patch(w.ctx, "chat", "application/json-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.create(v1alpha1.PodAutoscalers, "default", autoscaler("one", "chat"))
	w.untilAutoscaler("one", func(s v1alpha1.PodAutoscalerStatus) bool {
		return s.Requests != nil && s.Requests.Defaulted && s.Requests.CPU.MilliValue() == 100
	})
	if status, body, err := w.get("one.example", "/?ms=0"); err != nil || status != http.StatusOK {
		t.Errorf("a request for it was answered %d %q (%v)", status, body, err)
	}
	// It waited for a machine and a pod, which the status tells.
	w.untilAutoscaler("one", func(s v1alpha1.PodAutoscalerStatus) bool {
		return s.WaitP99 != nil && s.WaitP99.Duration > 100*time.Millisecond
	})
}

// The gateway is killed, so that its reports stop: what runs stays, as nobody knows whether it is needed.
func TestStaleReportsNeverScaleDown(t *testing.T) {
	w := newWorld(t, pool("spot", 2, "0s"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "host": "chat.example"})
	if status, _, err := w.get("chat.example", "/?ms=0"); err != nil || status != http.StatusOK {
		t.Fatalf("the first request: %d %v", status, err)
	}
	w.Gateway.Kill()
	// Three windows go by; a scale-down would be seen as a change of the pods.
	ctx, cancel := context.WithTimeout(w.ctx, 18*time.Second)
	defer cancel()
	watcher, err := w.Client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	for e := range watcher.ResultChan() {
		if pod, ok := e.Object.(*corev1.Pod); ok && (e.Type == watch.Deleted || pod.DeletionTimestamp != nil) {
			t.Fatalf("pod %s leaves although the reports are stale", pod.Name)
		}
	}
}
