package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wholescale/wholescale/api/v1alpha1"
)

// Two machines are there where one would do. The pods of one get replacements on the other before it leaves, and of the requests that
// go to both workloads all the while none is lost.
func TestANodeInUseIsSaved(t *testing.T) {
	w := newWorld(t, pool("spot", 3, "500ms"))
	w.patchPool("spot", `{"spec":{"disruption":{"consolidateAfter":"1s"}}}`)
	// Four pods of one CPU fill the first machine, the fifth gets one of its own.
	w.deploy("many", map[string]string{"limit": "10", "window": "6s", "host": "many.example", "min": "4"})
	w.untilPods(ready(4))
	w.deploy("one", map[string]string{"limit": "10", "window": "6s", "host": "one.example", "min": "1"})
	w.untilPods(ready(5))
	w.untilNodes(func(nodes []*corev1.Node) bool { return len(nodes) == 2 })

	stop := make(chan struct{})
	var visits sync.WaitGroup
	lost := make(chan string, 100)
	for _, host := range []string{"many.example", "one.example"} {
		visits.Go(func() { w.visit(host, stop, lost) })
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"2"}}}`, v1alpha1.AnnotationMin)
	if _, err := w.Client.AppsV1().Deployments("default").Patch(w.ctx, "many", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.untilNodes(func(nodes []*corev1.Node) bool { return len(nodes) == 1 })
	close(stop)
	visits.Wait()
	close(lost)
	for words := range lost {
		t.Error(words)
	}
	if actions := lines[done](t, w.Controller.Admin, "/actions"); !slices.ContainsFunc(actions, func(a done) bool { return a.Kind == "scale" && a.Rule == "MoveFirst" }) {
		t.Errorf("no replacement was started before a pod left: %+v", actions)
	}
	for _, o := range lines[order](t, w.Provider.Admin, "/orders") {
		if o.Target > 2 {
			t.Errorf("more than two machines were ordered: %+v", o)
		}
	}
}

// visit sends one request after the other until it is stopped, and says which were not answered.
func (w *world) visit(host string, stop <-chan struct{}, lost chan<- string) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-w.ctx.Done(): // the test has failed
			return
		default:
		}
		if status, body, err := w.get(host, "/?ms=100"); err != nil || status != http.StatusOK {
			select {
			case lost <- fmt.Sprintf("request %d to %s: %d %q %v", n, host, status, body, err):
			default:
			}
		}
	}
}

func (w *world) patchPool(name, patch string) {
	w.t.Helper()
	if _, err := w.Dynamic.Resource(v1alpha1.NodePools).Patch(w.ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// ready says that so many pods are.
func ready(n int) func([]*corev1.Pod) bool {
	return func(pods []*corev1.Pod) bool {
		count := 0
		for _, p := range pods {
			if slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }) {
				count++
			}
		}
		return count == n
	}
}
