package controller

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/live"
)

// crowd is a world of 20 nodes with 2,000 pods of nobody's, and of ns/web with the one annotation.
func crowd() *world {
	w := newWorld()
	for n := range 20 {
		w.nodes[fmt.Sprintf("n-%02d", n)] = &nodeRecord{ready: true, Node: autoscaler.Node{
			ID: autoscaler.NodeID(fmt.Sprintf("n-%02d", n)), Allocatable: autoscaler.Resources{CPU: 32_000, Memory: 128 << 30, Pods: 200},
		}}
	}
	for k := range 2000 {
		w.putPod(podOn(fmt.Sprintf("other-%04d", k), "", fmt.Sprintf("n-%02d", k%20), true))
	}
	w.putOwner(&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-1", OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web"}}}})
	w.putTarget(translateDeployment(deployment("limit 10", "target 10")))
	return w
}

// podOn is a pod of a ReplicaSet, or of none, on a node, or on none yet.
func podOn(name, set, node string, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.Now()}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Resources: asks("100m", "128Mi")}}
	if set != "" {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: set, Controller: &yes}}
	}
	if p.Status.Phase = corev1.PodPending; ready {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

// loopOver is a loop over a world, and the bodies of the scales that it writes.
func loopOver(t *testing.T, w *world) (*loop, <-chan string) {
	written := make(chan string, 16)
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		written <- r.Method + " " + r.URL.Path + " " + string(body)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"kind":"Scale","apiVersion":"autoscaling/v1"}`))
	}))
	t.Cleanup(api.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	work := newTasks(ctx, func() error { return nil }, func(string, error) {})
	t.Cleanup(func() { cancel(); work.wait() })
	link := newLink(zap.NewNop(), nil, ctx.Done())
	m := newMetrics(prometheus.NewRegistry(), link.gateways)
	tell := &teller{events: events.NewFakeRecorder(16), tasks: work, sent: map[string]sentStatus{}, said: map[string]string{}, waits: &link.waits}
	pools := newPools(nil, zap.NewNop(), w.stir)
	return &loop{
		world: w, pools: pools, link: link, tell: tell, metrics: m, log: zap.NewNop(), memory: autoscaler.NewMemory(), decisions: newDecisions(zap.NewNop()), history: &live.History{},
		queued: map[string]map[autoscaler.WorkloadID]int{}, forming: map[autoscaler.WorkloadID]bool{}, starting: map[autoscaler.PodID]time.Time{}, glanceFrom: glanceFrom,
		actor: &actor{client: client, pools: pools, written: newWrittenScales(), tasks: work, tell: tell, metrics: m, journal: &journal{}, log: zap.NewNop()},
	}, written
}

// TestAQueueIsAnsweredAtAGlance: from a book of the last plan about all; pods come and go; whatever else changes makes a plan
// about all again.
func TestAQueueIsAnsweredAtAGlance(t *testing.T) {
	w := crowd()
	l, written := loopOver(t, w)
	report := func(queued int) {
		load := autoscaler.Load{ID: "ns/web", Queued: queued, Concurrency: float64(queued)}
		l.observe(autoscaler.Observation{At: time.Now(), Gateway: "g", Interval: time.Second, Workloads: []autoscaler.Load{load}})
	}
	report(0)
	l.plan("tick", time.Now())
	book := l.kept.book
	if book == nil {
		t.Fatal("no book is kept")
	}
	glanced := func(what string) {
		t.Helper()
		if l.kept.book != book {
			t.Fatalf("%s made a plan about all", what)
		}
	}

	report(25)
	l.plan("queue", time.Now())
	if got, want := <-written, `PATCH /apis/apps/v1/namespaces/ns/deployments/web/scale {"spec":{"replicas":3}}`; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	glanced("a queue")
	l.actor.tasks.wait()

	// The pods come: what was written is not written again, and what they bring is told.
	scaled := deployment("limit 10", "target 10")
	three := int32(3)
	scaled.Spec.Replicas = &three
	w.putTarget(translateDeployment(scaled))
	for k := range 3 {
		w.putPod(podOn(fmt.Sprintf("web-%d", k), "web-1", "", false))
	}
	l.plan("change", time.Now())
	glanced("new pods")
	for k := range 3 {
		w.putPod(podOn(fmt.Sprintf("web-%d", k), "web-1", "n-03", false))
	}
	l.plan("change", time.Now())
	glanced("pods that start")
	if len(l.starting) != 3 {
		t.Errorf("%d pods are known to start", len(l.starting))
	}
	if h := l.link.holds["ns/web"]; h == nil || h.GetReason() == "" || len(h.GetArrivals()) == 0 {
		t.Errorf("the gateways are told %v", h)
	}
	for k := range 3 {
		w.putPod(podOn(fmt.Sprintf("web-%d", k), "web-1", "n-03", true))
	}
	report(0)
	l.plan("change", time.Now())
	glanced("pods that are ready")
	if len(l.starting) != 0 {
		t.Errorf("%d pods are still known to start", len(l.starting))
	}
	l.actor.tasks.wait()
	if len(written) > 0 {
		t.Errorf("written again: %s", <-written)
	}

	// A budget and a status change nothing that a glance would have to know; a node does.
	w.putTarget(translateDeployment(scaled))
	l.plan("change", time.Now())
	glanced("the same Deployment again")
	put(w, w.nodes, "n-00", &nodeRecord{ready: true, Node: autoscaler.Node{ID: "n-00", Cordoned: true, Allocatable: w.nodes["n-01"].Allocatable}})
	l.plan("change", time.Now())
	if l.kept.book == book {
		t.Error("a node that changed was not looked at")
	}
}

// TestASmallClusterKeepsNoBook: a plan about all takes as long there.
func TestASmallClusterKeepsNoBook(t *testing.T) {
	w := newWorld()
	w.putTarget(translateDeployment(deployment()))
	l, _ := loopOver(t, w)
	l.plan("tick", time.Now())
	if l.kept != nil {
		t.Error("a book is kept")
	}
}
