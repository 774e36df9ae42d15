// Package e2e runs all of Wholescale on a real control plane, with pods that are real processes and machines that boot.
// It is slow, and skipped with -short: `make e2e` runs it.
package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/cloudprovider/local"
	"github.com/wholescale/wholescale/test/devcluster"
	"github.com/wholescale/wholescale/test/stack"
)

// bin holds the programs under test, built once.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("skipped: e2e needs a control plane; run make e2e")
		os.Exit(0)
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wholescale-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for _, name := range []string{"provider", "controller", "gateway"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../cmd/"+name).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n%s", name, err, out)
			return 1
		}
	}
	return m.Run()
}

// world is one cluster with Wholescale on it.
type world struct {
	*stack.Stack
	t       *testing.T
	ctx     context.Context
	cluster *devcluster.Cluster
	actions []done // of the controller, taken when a test has failed
}

// patience is the deadline of a whole test: far beyond what it takes, so that only a loop that hangs meets it.
const patience = 3 * time.Minute

func newWorld(t *testing.T, pools ...local.PoolConfig) *world {
	t.Helper()
	return newTracedWorld(t, "", pools...)
}

// newTracedWorld is a world whose traces go to a collector.
func newTracedWorld(t *testing.T, collector string, pools ...local.PoolConfig) *world {
	t.Helper()
	cluster := devcluster.Start(t, devcluster.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s, err := stack.Up(ctx, stack.Config{
		Kubeconfig: cluster.Kubeconfig(), Bin: bin, Dir: t.TempDir(), MachineCommand: cluster.MachineCommand(), Pools: pools,
		Env: cluster.Env(), DrainTimeout: 30 * time.Second, Collector: collector,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Stack: s, t: t, ctx: ctx, cluster: cluster}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range []*stack.Process{w.Controller, w.Standby} {
				if p != nil && p.Alive() {
					w.actions = append(w.actions, lines[done](t, p.Admin, "/actions")...)
				}
			}
		}
		s.Down()
		if t.Failed() {
			w.logs()
		}
	})
	for _, p := range pools {
		w.create(v1alpha1.NodePools, "", stack.PoolObject(p.ID, p.Max, 3*time.Second))
	}
	return w
}

func (w *world) logs() {
	for _, a := range w.actions {
		w.t.Logf("done: %+v", a)
	}
	for _, p := range []*stack.Process{w.Provider, w.Controller, w.Standby, w.Gateway} {
		if p == nil {
			continue
		}
		data, err := os.ReadFile(p.Log)
		if err != nil {
			continue
		}
		if len(data) > 20_000 {
			data = data[len(data)-20_000:]
		}
		w.t.Logf("log of %s:\n%s", p.Name, data)
	}
}

// pool is a kind of machine that boots in delay.
func pool(name string, most int, delay string) local.PoolConfig {
	return local.PoolConfig{ID: name, CPU: "4", Memory: "8Gi", Pods: 30, Max: most, BootDelay: delay, PricePerHour: stack.Price(0.12)}
}

// deploy makes a Deployment of the demo workload at no replicas, with the one annotation and more.
func (w *world) deploy(name string, annotations map[string]string, args ...string) {
	w.t.Helper()
	w.apply(w.deployment(name, annotations, args...))
}

func (w *world) apply(d *appsv1.Deployment) {
	w.t.Helper()
	if _, err := w.Client.AppsV1().Deployments(d.Namespace).Create(w.ctx, d, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deployment(name string, annotations map[string]string, args ...string) *appsv1.Deployment {
	all := map[string]string{v1alpha1.AnnotationAutoscale: "true"}
	for k, v := range annotations {
		all[v1alpha1.Group+"/"+k] = v
	}
	labels := map[string]string{"app": name}
	none := int32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Annotations: all},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "app", Image: "demo",
					Command: append([]string{w.cluster.Binary(), "workload", "--listen", "$(POD_IP):8080"}, args...),
					Ports:   []corev1.ContainerPort{{ContainerPort: 8080}},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("256Mi"),
					}},
					ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intPort(8080)}}},
				}}},
			},
		},
	}
}

func (w *world) create(what resourceName, namespace string, object map[string]any) {
	w.t.Helper()
	if _, err := w.Dynamic.Resource(what).Namespace(namespace).Create(w.ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// get asks the gateway for host's path and returns the status and the body. A route that the gateway has not been told of
// yet, as its Deployment was made this moment, is asked again.
func (w *world) get(host, path string) (int, string, error) {
	for tick := time.Tick(20 * time.Millisecond); ; {
		status, body, err := w.once(host, path)
		if status != http.StatusNotFound || err != nil {
			return status, body, err
		}
		select {
		case <-tick:
		case <-w.ctx.Done():
			return status, body, w.ctx.Err()
		}
	}
}

// awaitRoute waits until the gateway knows of host, and asks no workload anything: a path that leads nowhere is known too.
func (w *world) awaitRoute(host string) {
	w.t.Helper()
	for tick := time.Tick(20 * time.Millisecond); ; {
		for _, line := range w.metrics(w.Gateway.Admin) {
			if strings.HasPrefix(line, "wholescale_gateway_routes ") && !strings.HasSuffix(line, " 0") {
				return
			}
		}
		select {
		case <-tick:
		case <-w.ctx.Done():
			w.t.Fatalf("the gateway has no route for %s", host)
		}
	}
}

// awaitOrder waits until the provider was told to have n machines.
func (w *world) awaitOrder(n int) {
	w.t.Helper()
	for tick := time.Tick(20 * time.Millisecond); ; {
		for _, o := range lines[order](w.t, w.Provider.Admin, "/orders") {
			if o.Target >= n && o.Result == "ok" {
				return
			}
		}
		select {
		case <-tick:
		case <-w.ctx.Done():
			w.t.Fatalf("nobody ordered %d machines", n)
		}
	}
}

func (w *world) metrics(admin string) []string { return w.text(admin, "/metrics") }

// text is the lines of an admin endpoint.
func (w *world) text(admin, path string) []string {
	w.t.Helper()
	response, err := http.Get("http://" + admin + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Split(string(body), "\n")
}

func (w *world) once(host, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.URL+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(body), err
}

// lines reads an admin endpoint's JSON lines.
func lines[T any](t *testing.T, admin, path string) []T {
	t.Helper()
	response, err := http.Get("http://" + admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var list []T
	for d := json.NewDecoder(response.Body); ; {
		var v T
		if err := d.Decode(&v); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
}

// until watches objects of one kind until what is there is as wanted.
func until[T runtime.Object](w *world, list cache.ListerWatcher, kind T, wanted func(all []T) bool) {
	w.t.Helper()
	all := map[string]T{}
	check := func() bool {
		values := make([]T, 0, len(all))
		for _, v := range all {
			values = append(values, v)
		}
		return wanted(values)
	}
	_, err := watchtools.UntilWithSync(w.ctx, list, kind, func(store cache.Store) (bool, error) {
		for _, o := range store.List() {
			all[o.(metav1.Object).GetName()] = o.(T)
		}
		return check(), nil
	}, func(e watch.Event) (bool, error) {
		o, ok := e.Object.(T)
		if !ok {
			return false, nil
		}
		name := any(o).(metav1.Object).GetName()
		if e.Type == watch.Deleted {
			delete(all, name)
		} else {
			all[name] = o
		}
		return check(), nil
	})
	if err != nil {
		w.t.Fatalf("waiting for %T: %v (%d there)", kind, err, len(all))
	}
}

// untilPods and untilNodes wait until so many are there.
func (w *world) untilPods(wanted func([]*corev1.Pod) bool) {
	w.t.Helper()
	until(w, cache.NewListWatchFromClient(w.Client.CoreV1().RESTClient(), "pods", "default", fields.Everything()), &corev1.Pod{}, wanted)
}

func (w *world) untilNodes(wanted func([]*corev1.Node) bool) {
	w.t.Helper()
	until(w, cache.NewListWatchFromClient(w.Client.CoreV1().RESTClient(), "nodes", "", fields.Everything()), &corev1.Node{}, wanted)
}

func none[T any](list []T) bool { return len(list) == 0 }
