package devcluster

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
)

// demo is the workload as a container.
func demo(args ...string) corev1.Container {
	return corev1.Container{
		Image: shared.Binary(),
		Args:  append([]string{"workload", "--listen", "$(POD_IP):8080"}, args...),
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("http")},
		}, PeriodSeconds: 1},
	}
}

func shell(script string) corev1.Container {
	return corev1.Container{Command: []string{"/bin/sh", "-c", script}}
}

func TestDeployment(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	labels := map[string]string{"app": "demo"}
	replicas := int32(2)
	_, err := b.client.AppsV1().Deployments(b.namespace).Create(b.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "demo"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: b.spec(demo())},
		},
	}, metav1.CreateOptions{})
	b.must(err)
	_, err = b.client.CoreV1().Services(b.namespace).Create(b.ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "demo"},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}},
	}, metav1.CreateOptions{})
	b.must(err)
	b.untilIn(b.client.AppsV1().RESTClient(), "deployments", "demo", &appsv1.Deployment{}, func(event watch.Event) bool {
		return event.Object.(*appsv1.Deployment).Status.ReadyReplicas == 2
	})
	pods, err := b.client.CoreV1().Pods(b.namespace).List(b.ctx, metav1.ListOptions{})
	b.must(err)
	seen := map[string]bool{}
	for _, pod := range pods.Items {
		code, body, err := get(b.ctx, "http://"+pod.Status.PodIP+":8080/")
		if err != nil || code != 200 || !strings.Contains(body, pod.Name) {
			t.Errorf("pod %s at %s answered %d %q (%v)", pod.Name, pod.Status.PodIP, code, body, err)
		}
		seen[pod.Status.PodIP] = true
	}
	if len(seen) != 2 {
		t.Errorf("two pods have addresses %v", seen)
	}
	watcher, err := b.client.DiscoveryV1().EndpointSlices(b.namespace).Watch(b.ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=demo"})
	b.must(err)
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		slice, ok := event.Object.(*discoveryv1.EndpointSlice)
		if ok && len(slice.Endpoints) == 2 {
			return
		}
	}
	t.Fatal("no EndpointSlice names both pods")
}

func TestEnvironmentAndInit(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	main := corev1.Container{
		Command: []string{"/bin/echo", "$(GREETING), $$(NAME) $(UNKNOWN)"},
		Args:    []string{"$(POD_IP)"},
		Env: []corev1.EnvVar{
			{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
			{Name: "GREETING", Value: "hello $(NAME)"},
		},
	}
	spec := b.spec(main)
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.InitContainers = []corev1.Container{
		{Name: "first", Image: "none", Command: []string{"/bin/sh", "-c", "echo 1 > ../order-$POD_NAME"}},
		{Name: "second", Image: "none", Command: []string{"/bin/sh", "-c", "test -f ../order-$POD_NAME"}},
	}
	b.pod("talk", spec)
	pod := b.untilPod("talk", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
	if log, want := b.log("talk"), "hello talk, $(NAME) $(UNKNOWN) "+pod.Status.PodIP+"\n"; log != want {
		t.Errorf("log %q, want %q", log, want)
	}
}

func (b *bench) log(name string) string {
	b.Helper()
	stream, err := b.client.CoreV1().Pods(b.namespace).GetLogs(name, &corev1.PodLogOptions{}).Stream(b.ctx)
	b.must(err)
	defer stream.Close()
	content, err := io.ReadAll(stream)
	b.must(err)
	return string(content)
}

func TestCrashRestarts(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	b.pod("crash", b.spec(shell("exit 3")))
	pod := b.untilPod("crash", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].RestartCount == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 3 {
		t.Errorf("last state %+v, want exit code 3", last)
	}
	if ready(pod) {
		t.Error("a pod that crashed is Ready")
	}
}

func TestImageWithoutCommandSaysWhy(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	b.pod("nginx", b.spec(corev1.Container{Image: "nginx:1.29"}))
	b.untilPod("nginx", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && strings.Contains(s[0].State.Waiting.Message, "give the container a command")
	})
}

func TestLivenessRestarts(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	container := shell("exec sleep 1000")
	container.LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/false"}}},
		PeriodSeconds: 1, FailureThreshold: 1,
	}
	b.pod("sick", b.spec(container))
	pod := b.untilPod("sick", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount > 0
	})
	if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.Signal != 15 {
		t.Errorf("last state %+v, want signal 15", last)
	}
}

// TestReadiness: the pod gets Ready and loses it again, while it runs on.
func TestReadiness(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	container := shell("touch ok; exec sleep 1000")
	container.ReadinessProbe = &corev1.Probe{
		// Succeeds once, and takes away what it needs.
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/rm", "ok"}}},
		PeriodSeconds: 1, FailureThreshold: 1,
	}
	b.pod("moody", b.spec(container))
	b.untilPod("moody", ready)
	pod := b.untilPod("moody", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning && !ready(p) })
	if n := pod.Status.ContainerStatuses[0].RestartCount; n != 0 {
		t.Errorf("a pod that is not ready was restarted %d times", n)
	}
}

// TestGrace: a pod that ignores SIGTERM is killed when its time is over, one that drains finishes its request.
func TestGrace(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	b.pod("deaf", b.spec(shell(`trap "" TERM; echo up; while true; do sleep 1; done`)))
	b.pod("polite", b.spec(demo()))
	b.untilPod("deaf", ready)
	polite := b.untilPod("polite", ready)
	answer := make(chan string, 1)
	go func() {
		code, body, err := get(b.ctx, "http://"+polite.Status.PodIP+":8080/slow?ms=700")
		answer <- fmt.Sprint(code, " ", strings.Contains(body, "polite"), " ", err)
	}()
	for { // the request has arrived when it shows as running
		_, body, err := get(b.ctx, "http://"+polite.Status.PodIP+":8080/count")
		b.must(err)
		if strings.Contains(body, `"maxConcurrent":1`) {
			break
		}
	}
	one := int64(1)
	b.must(b.client.CoreV1().Pods(b.namespace).Delete(b.ctx, "polite", metav1.DeleteOptions{}))
	b.must(b.client.CoreV1().Pods(b.namespace).Delete(b.ctx, "deaf", metav1.DeleteOptions{GracePeriodSeconds: &one}))
	ended := func(name string) int32 {
		code := int32(-1)
		b.until("pods", name, &corev1.Pod{}, func(event watch.Event) bool {
			pod := event.Object.(*corev1.Pod)
			if s := pod.Status.ContainerStatuses; len(s) == 1 && s[0].State.Terminated != nil {
				code = s[0].State.Terminated.ExitCode
			}
			return event.Type == watch.Deleted
		})
		return code
	}
	if code := ended("deaf"); code != 137 {
		t.Errorf("the pod that ignores SIGTERM ended with %d, want 137 (SIGKILL)", code)
	}
	if got := <-answer; got != "200 true <nil>" {
		t.Errorf("the request in flight got %s", got)
	}
}

func TestLeaseIsRenewed(t *testing.T) {
	b := newBench(t)
	machine := b.node(NodeConfig{})
	var first *metav1.MicroTime
	watcher, err := b.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Watch(b.ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + machine.Name})
	b.must(err)
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		lease := event.Object.(*coordinationv1.Lease)
		if first != nil && lease.Spec.RenewTime.After(first.Time) {
			return
		}
		first = lease.Spec.RenewTime
	}
	t.Fatal("the lease was not renewed")
}

func TestTaintIsHonoured(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{ProviderID: "test://7", CPU: "2", Taints: []corev1.Taint{{Key: "spot", Value: "yes", Effect: corev1.TaintEffectNoSchedule}}})
	b.pod("plain", b.spec(shell("exec sleep 1000")))
	spec := b.spec(shell("exec sleep 1000"))
	spec.Tolerations = []corev1.Toleration{{Key: "spot", Operator: corev1.TolerationOpExists}}
	b.pod("tolerant", spec)
	b.untilPod("tolerant", ready)
	b.untilPod("plain", func(p *corev1.Pod) bool {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
				return true
			}
		}
		return false
	})
	node, err := b.client.CoreV1().Nodes().Get(b.ctx, "node-"+b.namespace, metav1.GetOptions{})
	b.must(err)
	if node.Spec.ProviderID != "test://7" || node.Status.Allocatable.Cpu().String() != "2" {
		t.Errorf("provider id %q, cpu %s", node.Spec.ProviderID, node.Status.Allocatable.Cpu())
	}
}

func TestDisruptionBudgetBlocksEviction(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	b.pod("precious", b.spec(shell("exec sleep 1000")))
	b.untilPod("precious", ready)
	one := intstr.FromInt32(1)
	_, err := b.client.PolicyV1().PodDisruptionBudgets(b.namespace).Create(b.ctx, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "precious"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "precious"}}},
	}, metav1.CreateOptions{})
	b.must(err)
	b.untilIn(b.client.PolicyV1().RESTClient(), "poddisruptionbudgets", "precious", &policyv1.PodDisruptionBudget{}, func(event watch.Event) bool {
		return event.Object.(*policyv1.PodDisruptionBudget).Status.CurrentHealthy == 1
	})
	err = b.client.CoreV1().Pods(b.namespace).EvictV1(b.ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "precious", Namespace: b.namespace}})
	if !apierrors.IsTooManyRequests(err) {
		t.Fatalf("the eviction was answered %v, want 429", err)
	}
}

func TestResourceMetrics(t *testing.T) {
	b := newBench(t)
	b.node(NodeConfig{})
	b.pod("busy", b.spec(shell("exec sleep 1000")))
	pod := b.untilPod("busy", ready)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := client.Get("https://" + pod.Status.HostIP + ":10250/metrics/resource")
	b.must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	b.must(err)
	for _, want := range []string{
		`container_memory_working_set_bytes{container="main",namespace="` + b.namespace + `",pod="busy"} `,
		`pod_cpu_usage_seconds_total{namespace="` + b.namespace + `",pod="busy"} `,
		"node_memory_working_set_bytes ", "scrape_error 0",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the metrics lack %s:\n%s", want, body)
		}
	}
	logs, err := client.Get("https://" + pod.Status.HostIP + ":10250/containerLogs/" + b.namespace + "/busy/main")
	b.must(err)
	defer logs.Body.Close()
	if logs.StatusCode != http.StatusUnauthorized {
		t.Errorf("logs without a certificate: %d, want 401", logs.StatusCode)
	}
}

// TestMachineEnds: a terminated machine ends its pods and removes its Node; so does one whose Node was deleted.
func TestMachineEnds(t *testing.T) {
	for name, end := range map[string]func(*bench, *Machine) error{
		"terminated": func(_ *bench, m *Machine) error { return m.Terminate() },
		"node deleted": func(b *bench, m *Machine) error {
			return b.client.CoreV1().Nodes().Delete(b.ctx, m.Name, metav1.DeleteOptions{})
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			if shared == nil {
				t.Skip("needs a real control plane")
			}
			b := newBenchNamed(t, "ends")
			machine := b.node(NodeConfig{})
			b.pod("pod", b.spec(demo()))
			pod := b.untilPod("pod", ready)
			b.must(end(b, machine))
			select {
			case <-machine.Done():
			case <-b.ctx.Done():
				t.Fatal("the machine did not end")
			}
			if _, err := b.client.CoreV1().Nodes().Get(b.ctx, machine.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the Node: %v, want not found", err)
			}
			if _, err := b.client.CoreV1().Pods(b.namespace).Get(b.ctx, "pod", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the pod: %v, want not found", err)
			}
			if _, _, err := get(b.ctx, "http://"+pod.Status.PodIP+":8080/"); err == nil {
				t.Error("the pod's process answers though its machine has ended")
			}
		})
	}
}

// TestMachineFails: with kill -9 the pods die with their machine, and the control plane notices.
func TestMachineFails(t *testing.T) {
	b := newBench(t)
	machine := b.node(NodeConfig{})
	b.pod("pod", b.spec(demo()))
	pod := b.untilPod("pod", ready)
	b.must(machine.Kill())
	<-machine.Done()
	client := b.client.CoreV1().RESTClient()
	cluster := *b
	cluster.namespace = metav1.NamespaceAll
	cluster.untilIn(client, "nodes", machine.Name, &corev1.Node{}, func(event watch.Event) bool {
		return !usable(event.Object.(*corev1.Node))
	})
	if _, _, err := get(b.ctx, "http://"+pod.Status.PodIP+":8080/"); err == nil {
		t.Error("the pod's process answers though its machine was killed")
	}
	b.must(b.client.CoreV1().Nodes().Delete(b.ctx, machine.Name, metav1.DeleteOptions{}))
}
