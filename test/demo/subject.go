package demo

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

const (
	namespace = "default"
	workload  = "chat"
	host      = "chat.demo.example"
)

// subject makes what the demo is about: a Deployment at no replicas with the one annotation (and three that say what is
// not Wholescale's default), and a NodePool at no nodes.
func subject(ctx context.Context, s *stack.Stack) error {
	pool := &unstructured.Unstructured{Object: stack.PoolObject("spot", mostNodes, idleAfter)}
	if _, err := s.Dynamic.Resource(v1alpha1.NodePools).Create(ctx, pool, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the NodePool: %w", err)
	}
	labels, none := map[string]string{"app": workload}, int32(0)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: workload, Annotations: map[string]string{
			v1alpha1.AnnotationAutoscale: "true", v1alpha1.AnnotationHost: host,
			v1alpha1.AnnotationLimit: strconv.Itoa(slots), v1alpha1.AnnotationWindow: window.String(),
		}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: workload, Image: "demo", Command: append(s.WorkloadCommand(), "--concurrency", strconv.Itoa(slots), "--start-delay", "500ms"),
					Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: *resource.NewQuantity(podMemory, resource.BinarySI),
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
