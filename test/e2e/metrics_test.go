package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/test/devcluster"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// serveMetrics runs the real metrics-server as a pod on a node that is nobody's, and has the API server ask it.
func (w *world) serveMetrics(binary string) {
	w.t.Helper()
	if _, err := w.cluster.AddNode(w.ctx, devcluster.NodeConfig{Name: "system", CPU: "2", Memory: "2Gi"}); err != nil {
		w.t.Fatal(err)
	}
	config, certs := w.cluster.Kubeconfig(), w.t.TempDir()
	labels := map[string]string{"app": "metrics-server"}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "metrics-server"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{NodeSelector: map[string]string{"kubernetes.io/hostname": "system"}, Containers: []corev1.Container{{
				Name: "server", Image: "metrics-server",
				Command: []string{binary, "--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
					"--bind-address=$(POD_IP)", "--secure-port=4443", "--cert-dir=" + certs, "--metric-resolution=10s", "--kubelet-request-timeout=5s",
					"--kubelet-preferred-address-types=InternalIP", "--kubelet-use-node-status-port", "--kubelet-certificate-authority=" + filepath.Join(w.cluster.DataDir(), "pki", "ca.crt")},
				Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: 4443}},
			}}},
		}},
	}
	if _, err := w.Client.AppsV1().Deployments("kube-system").Create(w.ctx, d, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "metrics-server"}, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "https", Port: 443, TargetPort: intPort(4443)}}}}
	if _, err := w.Client.CoreV1().Services("kube-system").Create(w.ctx, s, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Dynamic.Resource(apiServices).Create(w.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1beta1.metrics.k8s.io"},
		"spec": map[string]any{
			"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100), "insecureSkipTLSVerify": true,
			"service": map[string]any{"namespace": "kube-system", "name": "metrics-server", "port": int64(443)},
		},
	}}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// awaitEvery asks again and again until ask says that it is so; it says what it saw last.
func (w *world) awaitEvery(pause time.Duration, what string, ask func() (bool, string)) {
	w.t.Helper()
	last := ""
	for tick := time.Tick(pause); ; {
		ok, seen := ask()
		if ok {
			return
		}
		last = seen
		select {
		case <-tick:
		case <-w.ctx.Done():
			w.t.Fatalf("%s; last: %s", what, last)
		}
	}
}

// The real metrics-server reads what the pods' processes really use; a workload that asks for CPU grows by it without a
// request that says so, under the controller's own rights.
func TestCPUThatPodsReallyUseRaisesReplicas(t *testing.T) {
	binary, err := devcluster.MetricsServer(t.Context(), os.Stderr) // takes longer than the test, the first time
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, pool("m", 3, "300ms"))
	w.serveMetrics(binary)
	w.deploy("burn", nil)
	// In the place of the annotation: an object that names a signal. A pod requests 1 CPU; 2 % of it is soon used.
	w.create(v1alpha1.PodAutoscalers, "default", map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "PodAutoscaler", "metadata": map[string]any{"name": "burn"},
		"spec": map[string]any{
			"targetRef": map[string]any{"name": "burn"}, "replicas": map[string]any{"min": int64(1), "max": int64(3)},
			"signals": map[string]any{"cpuPercentage": int64(2)}, "concurrency": map[string]any{"target": float64(1000)},
		},
	})
	metrics, err := metricsclient.NewForConfig(w.REST)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := w.get("burn.default", "/"); err != nil || status != 200 {
		t.Fatalf("%d %v", status, err)
	}
	// Four requests at a time without a pause between them keep a pod's CPU busy: by their number alone one replica is enough.
	stop := make(chan struct{})
	var burning sync.WaitGroup
	for range 4 {
		burning.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _, _ = w.once("burn.default", "/") // the CPU it takes is what matters
				}
			}
		})
	}
	defer func() { close(stop); burning.Wait() }()
	w.awaitEvery(time.Second, "metrics-server tells of no CPU", func() (bool, string) {
		list, err := metrics.MetricsV1beta1().PodMetricses("default").List(w.ctx, metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		seen := ""
		for _, p := range list.Items {
			for _, c := range p.Containers {
				seen += fmt.Sprintf("%s %s %s; ", p.Name, c.Usage.Cpu(), c.Usage.Memory())
				if c.Usage.Cpu().MilliValue() > 20 && c.Usage.Memory().Value() > 1<<20 {
					t.Logf("metrics-server: %s", seen)
					return true, seen
				}
			}
		}
		return false, seen
	})
	w.awaitEvery(200*time.Millisecond, "the CPU raised nothing", func() (bool, string) {
		d, err := w.Client.AppsV1().Deployments("default").Get(w.ctx, "burn", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return d.Spec.Replicas != nil && *d.Spec.Replicas > 1, fmt.Sprint(*d.Spec.Replicas)
	})
	if page := strings.Join(w.text(strings.TrimPrefix(w.Live, "http://"), "/now"), ""); !strings.Contains(page, `"id":"default/burn"`) || !strings.Contains(page, "SignalDemand: cpu") {
		t.Errorf("the live page does not tell of it: %s", page)
	}
	state := strings.Join(w.text(w.Controller.Admin, "/state"), "\n")
	if !strings.Contains(state, "signal cpu") {
		t.Errorf("the State has no signal cpu:\n%s", state)
	}
}
