package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/test/sighting"
)

// The names of what a benchmark makes.
const (
	namespace    = "wholescale-bench"
	workloadName = "subject"
	workloadID   = namespace + "/" + workloadName
	host         = "subject.bench.wholescale.example"
	floorName    = "floor"
	poolName     = "wholescale-bench"
	podSlots     = 4
	removeWithin = 2 * time.Minute
)

// prepare makes the namespace, the pool and the workload, at no replicas. remove takes all of it away again; it works
// with a context of its own, so that an interrupted benchmark leaves nothing behind.
func (t *Target) prepare(ctx context.Context, o Options) (remove func() error, err error) {
	remove = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
		defer cancel()
		return t.remove(ctx)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	if _, err := t.Client.CoreV1().Namespaces().Create(ctx, itsNamespace(), metav1.CreateOptions{}); err != nil {
		return remove, fmt.Errorf("making namespace %s (left over from a run that died? delete it): %w", namespace, err)
	}
	pool := &unstructured.Unstructured{Object: t.pool(o.nodes())}
	if _, err := t.Dynamic.Resource(v1alpha1.NodePools).Create(ctx, pool, metav1.CreateOptions{}); err != nil {
		return remove, fmt.Errorf("making NodePool %s: %w", poolName, err)
	}
	for _, d := range []*appsv1.Deployment{t.deployment(), t.floor()} {
		if _, err := t.Client.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
			return remove, fmt.Errorf("making the workload %s: %w", d.Name, err)
		}
	}
	return remove, nil
}

// Objects are what a benchmark makes, and removes again, in the order in which it makes them.
func (t *Target) Objects(o Options) []any {
	least, most := o.nodes()
	return []any{itsNamespace(), t.pool(least, most), t.deployment(), t.floor()}
}

func itsNamespace() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: namespace}}
}

func (t *Target) pool(least, most int) map[string]any {
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "NodePool", "metadata": map[string]any{"name": poolName},
		"spec": map[string]any{
			"provider": map[string]any{"pool": t.Pool}, "nodes": map[string]any{"min": int64(least), "max": int64(most)}, "idleAfter": "1s",
		},
	}
}

func (t *Target) deployment() *appsv1.Deployment {
	labels, none := map[string]string{"app": workloadName}, int32(0)
	grace := int64(5)
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: workloadName, Annotations: map[string]string{
			v1alpha1.AnnotationAutoscale: "true", v1alpha1.AnnotationHost: host, v1alpha1.AnnotationLimit: fmt.Sprint(podSlots),
			v1alpha1.AnnotationWindow: "6s",
		}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{
					Name: "subject", Image: t.Image, Command: t.Command, Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("128Mi"),
					}},
					ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
						HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(8080)},
					}},
				}}},
			},
		},
	}
}

// floor is a workload that nobody autoscales, with pods that nobody schedules: what writing its scale takes is what the API
// server takes for any.
func (t *Target) floor() *appsv1.Deployment {
	d := t.deployment()
	labels := map[string]string{"app": floorName}
	d.Name, d.Annotations = floorName, nil
	d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = labels, labels
	d.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.GroupVersion.Group + "/never"}}
	return d
}

// scaleAlone writes the floor's scale from 0 to 1, with the same call as the controller's, and back, and returns when the
// cluster is as before. The first write's time is what no autoscaler can be faster than here and now.
func (t *Target) scaleAlone(ctx context.Context, seen *sighting.Book) (took time.Duration, err error) {
	write := func(replicas int) error {
		return t.Client.AppsV1().RESTClient().Patch(types.MergePatchType).Namespace(namespace).Resource("deployments").Name(floorName).
			SubResource("scale").Body(fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)).Do(ctx).Error()
	}
	began := time.Now()
	if err := write(1); err != nil {
		return 0, fmt.Errorf("writing the scale of %s/%s: %w", namespace, floorName, err)
	}
	took = time.Since(began)
	if err := seen.Until(ctx, func(pods, _ int) bool { return pods == 1 }); err != nil {
		return 0, fmt.Errorf("waiting for the pod of %s/%s: %w", namespace, floorName, err)
	}
	if err := write(0); err != nil {
		return 0, fmt.Errorf("writing the scale of %s/%s: %w", namespace, floorName, err)
	}
	if err := seen.Until(ctx, func(pods, _ int) bool { return pods == 0 }); err != nil {
		return 0, fmt.Errorf("waiting for the pod of %s/%s to go: %w", namespace, floorName, err)
	}
	return took, nil
}

func (t *Target) remove(ctx context.Context) error {
	t.Progress("removing what the benchmark made")
	var errs []error
	// The pool goes last: its nodes leave while it is there to say so.
	if err := t.Client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		errs = append(errs, err)
	}
	body := []byte(`{"spec":{"nodes":{"min":0}}}`)
	pools := t.Dynamic.Resource(v1alpha1.NodePools)
	if _, err := pools.Patch(ctx, poolName, "application/merge-patch+json", body, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
		errs = append(errs, err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		nodes, err := t.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: t.nodes()})
		if err == nil && len(nodes.Items) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("nodes of pool %s are still there: %w", t.Pool, ctx.Err()))...)
		case <-tick.C:
		}
	}
	if err := pools.Delete(ctx, poolName, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// nodes selects those of the pool that is measured; providers name it by either.
func (t *Target) nodes() string {
	return fmt.Sprintf("%s in (%s,%s)", v1alpha1.LabelPool, t.Pool, poolName)
}

// watch begins to look at the benchmark's own pods and nodes: on a user's cluster there are others.
func (t *Target) watch(ctx context.Context) (*sighting.Book, error) {
	return sighting.Watch(ctx, t.Client, sighting.Scope{Namespace: namespace, Nodes: t.nodes()})
}

// routed waits until the gateway knows the workload: it answers with something else than 404.
func (t *Target) routed(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL+"/?ms=0", nil)
		if err != nil {
			return err
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("asking the gateway at %s: %w", t.URL, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway never learned of the workload: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
