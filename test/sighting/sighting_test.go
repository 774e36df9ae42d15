package sighting

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestALife: what is told of a pod and its node is in the book in that order, others are not, and the bill is of what was there.
func TestALife(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := fake.NewClientset()
	b, err := Watch(ctx, client, Scope{Namespace: "ours"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	pods, nodes := client.CoreV1().Pods("ours"), client.CoreV1().Nodes()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, yes func() bool) {
		t.Helper()
		if err := b.Until(ctx, func(int, int) bool { return yes() }); err != nil {
			t.Fatalf("%s was not seen: %v", what, err)
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	_, err = client.CoreV1().Pods("theirs").Create(ctx, pod.DeepCopy(), metav1.CreateOptions{})
	must(err)
	_, err = pods.Create(ctx, pod, metav1.CreateOptions{})
	must(err)
	until("created", func() bool { return !b.Of("a").Created.IsZero() })
	_, err = nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}}, metav1.CreateOptions{})
	must(err)
	until("joined", func() bool { return !b.FirstReady(began).IsZero() })
	pod.Spec.NodeName, pod.Status.PodIP = "n", "127.1.2.3"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	_, err = pods.Update(ctx, pod, metav1.UpdateOptions{})
	must(err)
	until("ready", func() bool { return !b.Of("a").Ready.IsZero() })
	if pods, nodes := b.Left(); pods != 1 || nodes != 1 {
		t.Errorf("%d pods and %d nodes", pods, nodes)
	}
	must(pods.Delete(ctx, "a", metav1.DeleteOptions{}))
	must(nodes.Delete(ctx, "n", metav1.DeleteOptions{}))
	must(b.Until(ctx, func(pods, nodes int) bool { return pods+nodes == 0 }))
	lives := b.Lives()
	if len(lives) != 1 {
		t.Fatalf("%d lives", len(lives))
	}
	l := lives[0]
	if l.Name != "a" || l.Node != "n" || l.Created.Before(began) || l.Bound.Before(l.Created) || l.Address.IsZero() || l.Gone.Before(l.Ready) {
		t.Errorf("%+v", l)
	}
	if bill := b.Bill(); bill.ReplicasMax != 1 || bill.PodSeconds <= 0 || bill.PodSeconds > time.Since(began).Seconds() {
		t.Errorf("%+v", bill)
	}
}
