package devcluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// shared is one cluster for all tests that do not need one of their own; nil under -short.
var shared *Cluster

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if flagShort() {
		return m.Run()
	}
	begin := time.Now()
	var err error
	if shared, err = Up(context.Background(), Config{Progress: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintf(os.Stderr, "the shared cluster was ready after %s\n", time.Since(begin).Round(time.Millisecond))
	code := m.Run()
	if err := shared.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// flagShort reads -short before the testing package has parsed flags.
func flagShort() bool {
	for _, arg := range os.Args {
		if arg == "-test.short" || arg == "-test.short=true" {
			return true
		}
	}
	return false
}

// bench is a namespace on the shared cluster with what tests do there.
type bench struct {
	*testing.T
	ctx       context.Context
	client    kubernetes.Interface
	namespace string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchNamed(t, strings.ToLower(t.Name()))
}

func newBenchNamed(t *testing.T, name string) *bench {
	t.Helper()
	if shared == nil {
		t.Skip("needs a real control plane")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	b := &bench{T: t, ctx: ctx, client: kubernetes.NewForConfigOrDie(shared.RESTConfig())}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"}}
	made, err := b.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	b.must(err)
	b.namespace = made.Name
	account := &corev1.ServiceAccount{}
	b.until("serviceaccounts", "default", account, func(watch.Event) bool { return true })
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// node boots a machine with the label test=NAMESPACE, so that only this test's pods come to it.
func (b *bench) node(config NodeConfig) *Machine {
	b.Helper()
	if config.Name == "" {
		config.Name = "node-" + b.namespace
	}
	config.Labels = map[string]string{"test": b.namespace}
	machine, err := shared.AddNode(b.ctx, config)
	b.must(err)
	b.Cleanup(func() { _ = machine.Kill() })
	return machine
}

func (b *bench) spec(container corev1.Container) corev1.PodSpec {
	container.Name = "main"
	if container.Image == "" {
		container.Image = "none"
	}
	return corev1.PodSpec{NodeSelector: map[string]string{"test": b.namespace}, Containers: []corev1.Container{container}}
}

func (b *bench) pod(name string, spec corev1.PodSpec) *corev1.Pod {
	b.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: spec}
	made, err := b.client.CoreV1().Pods(b.namespace).Create(b.ctx, pod, metav1.CreateOptions{})
	b.must(err)
	return made
}

// until watches one object until condition holds, and fails the test when it never does.
func (b *bench) until(resource, name string, object runtime.Object, condition func(watch.Event) bool) {
	b.Helper()
	b.untilIn(b.client.CoreV1().RESTClient(), resource, name, object, condition)
}

func (b *bench) untilIn(client cache.Getter, resource, name string, object runtime.Object, condition func(watch.Event) bool) {
	b.Helper()
	list := cache.NewFilteredListWatchFromClient(client, resource, b.namespace, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	})
	var last any
	_, err := watchtools.UntilWithSync(b.ctx, list, object, nil, func(event watch.Event) (bool, error) {
		last = event.Object
		return condition(event), nil
	})
	if err != nil {
		text, _ := json.MarshalIndent(last, "", " ")
		b.Fatalf("%s %s: %v; last seen: %s", resource, name, err, text)
	}
}

// untilPod waits for a condition of a pod and returns the pod as it was then.
func (b *bench) untilPod(name string, condition func(*corev1.Pod) bool) *corev1.Pod {
	b.Helper()
	var found *corev1.Pod
	b.until("pods", name, &corev1.Pod{}, func(event watch.Event) bool {
		pod, ok := event.Object.(*corev1.Pod)
		if ok && event.Type != watch.Deleted && condition(pod) {
			found = pod
		}
		return found != nil
	})
	return found
}

func ready(pod *corev1.Pod) bool { return condition(pod, corev1.PodReady) }

func condition(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func get(ctx context.Context, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func TestTwoClustersAtOnce(t *testing.T) {
	if shared == nil {
		t.Skip("needs a real control plane")
	}
	begin := time.Now()
	other := Start(t, Config{})
	t.Logf("a second cluster was ready after %s", time.Since(begin).Round(time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := other.AddNode(ctx, NodeConfig{Name: "only-there"}); err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(shared.RESTConfig())
	if _, err := client.CoreV1().Nodes().Get(ctx, "only-there", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("the node of one cluster shows in the other: %v", err)
	}
	version, err := kubernetes.NewForConfigOrDie(other.RESTConfig()).Discovery().ServerVersion()
	if err != nil || version.GitVersion != kubernetesVersion {
		t.Fatalf("version %v, %v; want %s", version, err, kubernetesVersion)
	}
	if err := other.Stop(); err != nil {
		t.Fatal(err)
	}
	if pids, err := Processes(other.ID()); err != nil || len(pids) > 0 {
		t.Fatalf("after Stop there are still processes %v (%v)", pids, err)
	}
	if _, err := os.Stat(other.DataDir()); !os.IsNotExist(err) {
		t.Fatalf("the temporary folder is still there: %v", err)
	}
}

// TestNothingLeftAfterKill kills the owner of a cluster with signal 9 while a machine runs a pod.
func TestNothingLeftAfterKill(t *testing.T) {
	if shared == nil {
		t.Skip("needs a real control plane")
	}
	dir := t.TempDir()
	owner := exec.Command(shared.Binary(), "up", "--data", dir, "--nodes", "1")
	owner.Stderr = os.Stderr
	output, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	var state State
	if err != nil || json.Unmarshal([]byte(line), &state) != nil {
		t.Fatalf("up said %q: %v", line, err)
	}
	// A machine started by somebody else, without the mark in its environment.
	stray := exec.Command(state.MachineCommand[0], append(state.MachineCommand[1:], "--name", "stray")...)
	stray.Env = withoutMarker()
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	before, err := Processes(state.ID)
	if err != nil || len(before) < 5 {
		t.Fatalf("a running cluster has processes %v (%v); want four components and a machine at least", before, err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	_ = stray.Wait() // returns because the stray was killed, too
	deadline := time.Now().Add(30 * time.Second)
	for {
		left, err := Processes(state.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("30 s after kill -9 there are still processes %v", left)
		}
		time.Sleep(10 * time.Millisecond) // the end of a stranger's process is no event to wait for
	}
}

func TestComponentThatCannotStartSaysWhy(t *testing.T) {
	if shared == nil {
		t.Skip("needs a real control plane")
	}
	cluster, err := Up(context.Background(), Config{Binary: shared.Binary(), APIServerArgs: []string{"--no-such-flag"}})
	if err == nil {
		_ = cluster.Stop()
		t.Fatal("the API server started with a flag it does not know")
	}
	if !strings.Contains(err.Error(), "kube-apiserver ended") || !strings.Contains(err.Error(), "no-such-flag") {
		t.Fatalf("the error does not quote the log: %v", err)
	}
}
