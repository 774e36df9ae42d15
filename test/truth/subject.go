package truth

import (
	"context"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/test/stack"
)

// Subject makes what the scenario is about: a Deployment at no replicas with the one annotation (and three that say what is
// not Wholescale's default), and a NodePool at no nodes.
func (c *Scenario) Subject(ctx context.Context, s *stack.Stack) error {
	machines := &unstructured.Unstructured{Object: stack.PoolObject(pool, c.Nodes, c.IdleAfter)}
	if _, err := s.Dynamic.Resource(v1alpha1.NodePools).Create(ctx, machines, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the NodePool: %w", err)
	}
	labels, none := map[string]string{"app": c.Workload}, int32(0)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.Workload, Annotations: map[string]string{
			v1alpha1.AnnotationAutoscale: "true", v1alpha1.AnnotationHost: c.Host,
			v1alpha1.AnnotationLimit: strconv.Itoa(c.Slots), v1alpha1.AnnotationWindow: c.Window.String(),
		}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: c.Workload, Image: "demo", Command: append(s.WorkloadCommand(), "--concurrency", strconv.Itoa(c.Slots), "--start-delay", c.StartDelay.String()),
					Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU: *resource.NewMilliQuantity(podCPU, resource.DecimalSI), corev1.ResourceMemory: *resource.NewQuantity(podMemory, resource.BinarySI),
					}},
					ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
						HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(8080)},
					}},
				}}},
			},
		},
	}
	if _, err := s.Client.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the Deployment: %w", err)
	}
	return nil
}
