package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/test/devcluster"
)

// TestRealServer asks a real API server what our CRDs, rights and policies do. It skips under -short.
func TestRealServer(t *testing.T) {
	cluster := devcluster.Start(t, devcluster.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	admin := cluster.RESTConfig()
	install(ctx, t, admin)
	t.Run("bad objects", func(t *testing.T) { badObjects(ctx, t, dynamic.NewForConfigOrDie(admin)) })
	t.Run("narrowed rights", func(t *testing.T) { narrowedRights(ctx, t, admin) })
}

func install(ctx context.Context, t *testing.T, config *rest.Config) {
	t.Helper()
	client := dynamic.NewForConfigOrDie(config)
	for _, o := range objects(t) {
		// Each kind of ours has the plain plural.
		plural := strings.ToLower(o.GetKind()) + "s"
		if strings.HasSuffix(o.GetKind(), "Policy") {
			plural = strings.TrimSuffix(strings.ToLower(o.GetKind()), "y") + "ies"
		}
		gv, err := schema.ParseGroupVersion(o.GetAPIVersion())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Resource(gv.WithResource(plural)).Namespace(o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{FieldValidation: "Strict"}); err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// until asks again until the answer is good or ctx ends.
func until(ctx context.Context, t *testing.T, what string, ask func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func badObjects(ctx context.Context, t *testing.T, client dynamic.Interface) {
	create := func(resource schema.GroupVersionResource, kind, namespace, spec string) (*unstructured.Unstructured, error) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(spec), &o.Object); err != nil {
			t.Fatal(err)
		}
		o.Object = map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind, "metadata": map[string]any{"generateName": "x-"}, "spec": o.Object}
		return client.Resource(resource).Namespace(namespace).Create(ctx, o, metav1.CreateOptions{FieldValidation: "Strict", DryRun: []string{"All"}})
	}
	until(ctx, t, "PodAutoscaler is served", func() error {
		_, err := create(v1alpha1.PodAutoscalers, "PodAutoscaler", "default", "targetRef: {name: a}")
		return err
	})
	until(ctx, t, "NodePool is served", func() error {
		_, err := create(v1alpha1.NodePools, "NodePool", "", "{provider: {pool: a}, nodes: {max: 3}}")
		return err
	})
	for _, c := range []struct{ spec, want string }{ // want is empty where the object is good
		{"{targetRef: {name: a}, port: 8080, hosts: [a.example, '*.b.example'], paths: [/x], windows: {stable: 1m30s}}", ""},
		{"{targetRef: {name: a}, port: http, concurrency: {target: 0.5, limit: 1}, replicas: {min: 1, max: 1}, burstCapacity: -1}", ""},
		{"{replicas: {min: 1}}", "spec.targetRef: Required"},
		{"{targetRef: {name: a}, replicas: {min: 5, max: 3}}", "spec.replicas.min: Invalid value"},
		{"{targetRef: {name: a}, replicas: {initial: 5, max: 3}}", "spec.replicas.initial: Invalid value"},
		{"{targetRef: {name: a}, replicas: {min: -1}}", "spec.replicas.min: Invalid value"},
		{"{targetRef: {name: a}, replicas: {max: 1000000000000}}", "spec.replicas.max"},
		{"{targetRef: {name: a}, concurrency: {target: 0}}", "spec.concurrency.target: Invalid value"},
		{"{targetRef: {name: a}, concurrency: {target: -1}}", "spec.concurrency.target: Invalid value"},
		{"{targetRef: {name: a}, concurrency: {target: 'NaN'}}", "spec.concurrency.target: Invalid value"},
		{"{targetRef: {name: a}, concurrency: {target: 1.0e+300}}", "spec.concurrency.target: Invalid value"},
		{"{targetRef: {name: a}, concurrency: {target: 11, limit: 10}}", "spec.concurrency.target: Invalid value"},
		{"{targetRef: {name: a}, concurrency: {utilization: 101}}", "spec.concurrency.utilization: Invalid value"},
		{"{targetRef: {name: a}, colour: red}", "unknown field \"spec.colour\""},
		{"{targetRef: {name: a}, policy: magic}", "spec.policy: Unsupported value"},
		{"{targetRef: {name: a}, windows: {stable: 1s}}", "spec.windows.stable: Invalid value"},
		{"{targetRef: {name: a}, windows: {stable: soon}}", "spec.windows.stable: Invalid value"},
		{"{targetRef: {name: a}, windows: {stable: 9999999999999h}}", "spec.windows.stable: Invalid value"},
		{"{targetRef: {name: a}, rates: {up: 1}}", "spec.rates.up: Invalid value"},
		{"{targetRef: {name: a}, port: 70000}", "spec.port: Invalid value"},
		{"{targetRef: {name: a}, port: Not-A-Port}", "spec.port: Invalid value"},
		{"{targetRef: {name: a}, hosts: ['A.example:80']}", "spec.hosts[0]: Invalid value"},
		{"{targetRef: {name: a}, paths: [x]}", "spec.paths[0]: Invalid value"},
		{"{targetRef: {name: a}, signals: {cpuPercentage: 80, custom: [{name: jobs, metric: jobs, target: 500m}, {name: hits, metric: hits, target: '2', object: {kind: Service, name: s}}], external: [{name: q, metric: q, target: 1k, selector: {matchLabels: {a: b}}}]}}", ""},
		{"{targetRef: {name: a}, signals: {cpuPercentage: 0}}", "spec.signals.cpuPercentage: Invalid value"},
		{"{targetRef: {name: a}, signals: {external: [{name: q, metric: q, target: '0'}]}}", "must be a quantity above 0"},
		{"{targetRef: {name: a}, signals: {external: [{name: q, metric: q, target: '-1'}]}}", "must be a quantity above 0"},
		{"{targetRef: {name: a}, signals: {custom: [{name: q, metric: q, target: many}]}}", "must be a quantity above 0"},
		{"{targetRef: {name: a}, signals: {custom: [{name: q, target: '1'}]}}", "spec.signals.custom[0].metric: Required"},
		{"{targetRef: {name: a}, signals: {custom: [{name: cpu, metric: q, target: '1'}]}}", "must not be cpu or memory"},
		{"{targetRef: {name: a}, signals: {custom: [{name: q, metric: q, target: '1'}, {name: q, metric: r, target: '1'}]}}", "Duplicate value"},
		{"{targetRef: {name: a}, signals: {custom: [{name: q, metric: q, target: '1'}], external: [{name: q, metric: q, target: '1'}]}}", "must not have a name in common"},
	} {
		_, err := create(v1alpha1.PodAutoscalers, "PodAutoscaler", "default", c.spec)
		judge(t, c.spec, err, c.want)
	}
	for _, c := range []struct{ spec, want string }{
		{"{provider: {pool: a}, nodes: {min: 3, max: 3}, pricePerHour: 0.25, idleAfter: 0s, taints: [{key: a, effect: NoSchedule}]}", ""},
		{"{provider: {pool: a}, nodes: {min: 4, max: 3}}", "spec.nodes.min: Invalid value"},
		{"{provider: {pool: a}, nodes: {}}", "spec.nodes.max: Required"},
		{"{provider: {pool: a}, nodes: {max: 3}, pricePerHour: -1}", "spec.pricePerHour: Invalid value"},
		{"{provider: {pool: a}, nodes: {max: 3}, taints: [{key: a, effect: Never}]}", "spec.taints[0].effect: Unsupported value"},
	} {
		_, err := create(v1alpha1.NodePools, "NodePool", "", c.spec)
		judge(t, c.spec, err, c.want)
	}
	o, err := create(v1alpha1.PodAutoscalers, "PodAutoscaler", "default", "targetRef: {name: a}")
	if err != nil {
		t.Fatal(err)
	}
	if window, _, _ := unstructured.NestedString(o.Object, "spec", "windows", "stable"); window != "60s" {
		t.Errorf("the default window is %q", window)
	}
}

func judge(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s\n is refused: %v", what, err)
	case want != "" && err == nil:
		t.Errorf("%s\n is accepted; want %s", what, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s\n %v\n want %s", what, err, want)
	}
}

func narrowedRights(ctx context.Context, t *testing.T, config *rest.Config) {
	admin := kubernetes.NewForConfigOrDie(config)
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:wholescale-system:wholescale-controller"}
	ours := kubernetes.NewForConfigOrDie(as)

	for name, labels := range map[string]map[string]string{"ours": {v1alpha1.LabelPool: "a"}, "theirs": nil} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"theirs": "1"}},
			Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "theirs", Effect: "NoSchedule"}}}}
		if _, err := admin.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	until(ctx, t, "the namespace has its account", func() error {
		_, err := admin.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{"theirs": "1"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	if _, err := admin.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	node := func(name, patch string) error {
		_, err := ours.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	onPod := func(patch string) error {
		_, err := ours.CoreV1().Pods("default").Patch(ctx, "a", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	// A policy begins to hold a moment after it was created.
	until(ctx, t, "the policies hold", func() error {
		for _, err := range []error{node("theirs", `{"metadata":{"annotations":{"x":"y"}}}`), onPod(`{"metadata":{"annotations":{"x":"y"}}}`)} {
			if !apierrors.IsForbidden(err) {
				return fmt.Errorf("not refused: %w", err)
			}
		}
		return nil
	})
	// Taints are one atomic list, so whoever changes one writes all and says of which version.
	taints := func(name string, spec, annotation string, edit func([]corev1.Taint) []corev1.Taint) (err error) {
		until(ctx, t, "write the taints", func() error {
			n, getErr := ours.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if getErr != nil {
				return getErr
			}
			list, marshalErr := json.Marshal(edit(n.Spec.Taints))
			if marshalErr != nil {
				return marshalErr
			}
			err = node(name, fmt.Sprintf(`{"metadata":{"resourceVersion":%q,"annotations":{%q:%s}},"spec":{"unschedulable":%s,"taints":%s}}`,
				n.ResourceVersion, v1alpha1.AnnotationDrain, annotation, spec, list))
			if apierrors.IsConflict(err) {
				return err
			}
			return nil
		})
		return err
	}
	with := func(key string) func([]corev1.Taint) []corev1.Taint {
		return func(old []corev1.Taint) []corev1.Taint {
			return append(old, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	without := func(key string) func([]corev1.Taint) []corev1.Taint {
		return func(old []corev1.Taint) []corev1.Taint {
			return slices.DeleteFunc(old, func(t corev1.Taint) bool { return t.Key == key })
		}
	}
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"drain our node", taints("ours", "true", `"x"`, with(v1alpha1.TaintDraining)), ""},
		{"take the mark away again", taints("ours", "false", "null", without(v1alpha1.TaintDraining)), ""},
		{"drain another's node", taints("theirs", "true", `"x"`, with(v1alpha1.TaintDraining)), "is not Wholescale's"},
		{"make another's node ours", node("theirs", `{"metadata":{"labels":{"autoscaling.wholescale.dev/pool":"a"}}}`), "is not Wholescale's"},
		{"a label", node("ours", `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`), "metadata.labels"},
		{"another's annotation", node("ours", `{"metadata":{"annotations":{"theirs":"2"}}}`), "only annotations"},
		{"remove another's annotation", node("ours", `{"metadata":{"annotations":{"theirs":null}}}`), "only annotations"},
		{"another's taint", taints("ours", "false", "null", with("x")), "only the taint"},
		{"remove another's taint", taints("ours", "false", "null", without("theirs")), "only the taint"},
		{"the provider's id", node("ours", `{"spec":{"providerID":"aws://x"}}`), "of spec only"},
		{"a finalizer", node("ours", `{"metadata":{"finalizers":["a.example/b"]}}`), "finalizers"},
		{"the deletion cost", onPod(`{"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"5"}}}`), ""},
		{"a pod's annotation", onPod(`{"metadata":{"annotations":{"theirs":"2"}}}`), "only the annotation"},
		{"a pod's label", onPod(`{"metadata":{"labels":{"app":"x"}}}`), "metadata.labels"},
		{"a pod's image", onPod(`{"spec":{"containers":[{"name":"a","image":"evil"}]}}`), "spec must not be changed"},
		{"delete another's node", ours.CoreV1().Nodes().Delete(ctx, "theirs", metav1.DeleteOptions{}), "is not Wholescale's"},
		{"delete our node", ours.CoreV1().Nodes().Delete(ctx, "ours", metav1.DeleteOptions{}), ""},
		{"delete a pod", ours.CoreV1().Pods("default").Delete(ctx, "a", metav1.DeleteOptions{}), "cannot delete resource \"pods\""},
	} {
		judge(t, c.what, c.err, c.want)
	}
	_, err := ours.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
	judge(t, "read secrets", err, "cannot list resource \"secrets\"")
	if err := node("theirs", `{"metadata":{"labels":{"a":"b"}}}`); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	if _, err := admin.CoreV1().Nodes().Patch(ctx, "theirs", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("the policy holds for others too: %v", err)
	}
}
