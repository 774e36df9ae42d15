package controller

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// TestTaintsOfOthersAreKept: ours comes and goes, theirs stay, and ours is never there twice.
func TestTaintsOfOthersAreKept(t *testing.T) {
	theirs := corev1.Taint{Key: "example.com/gpu", Effect: corev1.TaintEffectNoSchedule}
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{theirs}}})
	a := &actor{client: client}
	look := func() (ours int, note string) {
		n, err := client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(n.Spec.Taints, theirs) {
			t.Errorf("their taint is gone: %v", n.Spec.Taints)
		}
		for _, taint := range n.Spec.Taints {
			if taint.Key == v1alpha1.TaintDraining {
				ours++
			}
		}
		return ours, n.Annotations[v1alpha1.AnnotationDrain]
	}
	why := autoscaler.Reason{Rule: autoscaler.Empty}
	for range 2 {
		if err := a.taint(t.Context(), "n", why); err != nil {
			t.Fatal(err)
		}
		if n, note := look(); n != 1 || note != why.String() {
			t.Errorf("tainted: %d of ours, note %q", n, note)
		}
	}
	if err := a.untaint(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	if n, note := look(); n != 0 || note != "" {
		t.Errorf("untainted: %d of ours, note %q", n, note)
	}
	if err := a.taint(t.Context(), "gone", why); err != nil {
		t.Errorf("a node that left: %v", err)
	}
}

// TestTaintsAreWrittenOnTheVersionThatWasRead: somebody who edits the node meanwhile makes it a conflict, which is tried again.
func TestTaintsAreWrittenOnTheVersionThatWasRead(t *testing.T) {
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "7"}})
	conflicts := 1
	client.PrependReactor("patch", "nodes", func(action k8stesting.Action) (bool, runtime.Object, error) {
		patch := string(action.(k8stesting.PatchAction).GetPatch())
		if want := `"resourceVersion":"7"`; !strings.Contains(patch, want) {
			t.Errorf("patch %s lacks %s", patch, want)
		}
		if conflicts--; conflicts >= 0 {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, "n", nil)
		}
		return false, nil, nil
	})
	ts, done, _ := tasksFor(t)
	a := &actor{client: client}
	ts.do("node n", "cordon", func(ctx context.Context) error {
		return a.taint(ctx, "n", autoscaler.Reason{Rule: autoscaler.Empty})
	})
	if o := <-done; o.err != nil {
		t.Fatal(o.err)
	}
	if conflicts != -1 {
		t.Errorf("%d tries, want 2", 1-conflicts)
	}
}
