package controller

import (
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/resource"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// What a replica is planned with when its template does not say; status shows it. A pod without requests still uses
// something, and a node that is planned full of such pods would be too small.
const (
	defaultCPU    = 100       // millicores
	defaultMemory = 128 << 20 // bytes
)

func keyOf(o metav1.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// workloadID is "namespace/name" for a Deployment; other kinds carry theirs, as names may be the same.
func workloadID(kind, namespace, name string) autoscaler.WorkloadID {
	if kind == "" || kind == "Deployment" {
		return autoscaler.WorkloadID(namespace + "/" + name)
	}
	return autoscaler.WorkloadID(namespace + "/" + name + "." + strings.ToLower(kind))
}

// cutWorkload takes a WorkloadID apart.
func cutWorkload(id autoscaler.WorkloadID) (namespace, name, kind string) {
	namespace, name, _ = strings.Cut(string(id), "/")
	kind = "Deployment"
	if n, ok := strings.CutSuffix(name, ".statefulset"); ok {
		name, kind = n, "StatefulSet"
	}
	return namespace, name, kind
}

func cutKind(controller string) (kind, name string) {
	kind, name, _ = strings.Cut(controller, "/")
	return kind, name
}

func selectorOf(s *metav1.LabelSelector) (labels.Selector, bool) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return selector, err == nil
}

func translatePod(p *corev1.Pod) *podRecord {
	r := &podRecord{
		Pod: autoscaler.Pod{
			ID: autoscaler.PodID(p.Namespace + "/" + p.Name), Node: autoscaler.NodeID(p.Spec.NodeName),
			Shape: shapeOf(&p.Spec), Since: p.CreationTimestamp.Time,
		},
		namespace: p.Namespace, name: p.Name, labels: p.Labels, ip: p.Status.PodIP,
	}
	if owner := metav1.GetControllerOf(p); owner != nil {
		r.controller = owner.Kind + "/" + owner.Name
		if owner.Kind == "DaemonSet" {
			r.Daemon = p.Namespace + "/" + owner.Name
		}
	}
	_, r.Mirror = p.Annotations[corev1.MirrorPodAnnotationKey]
	r.DeletionCost, _ = strconv.Atoi(p.Annotations[v1alpha1.AnnotationDeletionCost])
	switch {
	case doNotDisrupt(p.Annotations):
		r.Keep = "annotation do-not-disrupt"
	case r.controller == "":
		r.Keep = "no controller would replace it"
	}
	for i := range p.Spec.Containers {
		for _, port := range p.Spec.Containers[i].Ports {
			r.ports = append(r.ports, port.ContainerPort)
		}
	}
	r.Phase, r.ready = podPhase(p)
	if r.Phase == autoscaler.Starting {
		r.Since = time.Now()
	}
	return r
}

// doNotDisrupt reads our mark and those that people already use for the other node autoscalers.
func doNotDisrupt(annotations map[string]string) bool {
	return annotations[v1alpha1.AnnotationDoNotDisrupt] == "true" || annotations["karpenter.sh/do-not-disrupt"] == "true" ||
		annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
}

func podPhase(p *corev1.Pod) (phase autoscaler.Phase, ready bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			ready = c.Status == corev1.ConditionTrue
		}
	}
	switch {
	case p.DeletionTimestamp != nil, p.Status.Phase == corev1.PodSucceeded, p.Status.Phase == corev1.PodFailed:
		return autoscaler.Leaving, false
	case p.Spec.NodeName == "":
		return autoscaler.Pending, false
	case ready:
		return autoscaler.Ready, true
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.RestartCount > 0 {
			return autoscaler.NotReady, false
		}
	}
	return autoscaler.Starting, false
}

// shapeOf is what the scheduler counts for a pod: the sum of its containers and sidecars, or its largest init container
// with the sidecars before it, and its overhead.
func shapeOf(spec *corev1.PodSpec) autoscaler.Shape {
	needs := amount(resource.PodRequests(&corev1.Pod{Spec: *spec}, resource.PodResourcesOptions{}))
	needs.Pods = 1
	return autoscaler.Shape{Needs: needs, Selector: labelList(spec.NodeSelector), Tolerations: tolerations(spec.Tolerations)}
}

func amount(r corev1.ResourceList) autoscaler.Resources {
	return autoscaler.Resources{CPU: r.Cpu().MilliValue(), Memory: r.Memory().Value()}
}

func labelList(m map[string]string) []autoscaler.Label {
	list := make([]autoscaler.Label, 0, len(m))
	for k, v := range m {
		list = append(list, autoscaler.Label{Key: k, Value: v})
	}
	slices.SortFunc(list, func(a, b autoscaler.Label) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func tolerations(list []corev1.Toleration) []autoscaler.Toleration {
	var all []autoscaler.Toleration
	for _, t := range list {
		all = append(all, autoscaler.Toleration{
			Key: t.Key, Value: t.Value, Effect: string(t.Effect), Exists: t.Operator == corev1.TolerationOpExists,
		})
	}
	return all
}

func translateNode(n *corev1.Node) *nodeRecord {
	r := &nodeRecord{
		Node: autoscaler.Node{
			ID: autoscaler.NodeID(n.Name), Labels: labelList(n.Labels), Cordoned: n.Spec.Unschedulable,
			Allocatable: autoscaler.Resources{
				CPU: n.Status.Allocatable.Cpu().MilliValue(), Memory: n.Status.Allocatable.Memory().Value(), Pods: n.Status.Allocatable.Pods().Value(),
			},
		},
		providerID: n.Spec.ProviderID, poolLabel: n.Labels[v1alpha1.LabelPool],
	}
	if doNotDisrupt(n.Annotations) || n.Annotations["cluster-autoscaler.kubernetes.io/scale-down-disabled"] == "true" {
		r.Keep = "annotation on the node says to keep it"
	}
	for _, t := range n.Spec.Taints {
		switch {
		case t.Key == v1alpha1.TaintDraining:
			r.Draining = true
		case t.Key == corev1.TaintNodeUnschedulable: // the cordon's own: Cordoned says it
		case passes(t.Key):
			r.settling = true
		default:
			r.Taints = append(r.Taints, autoscaler.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			r.ready = c.Status == corev1.ConditionTrue
		}
	}
	return r
}

func translateDeployment(d *appsv1.Deployment) *target {
	return newTarget("Deployment", &d.ObjectMeta, d.Spec.Replicas, &d.Spec.Template)
}

func translateStatefulSet(s *appsv1.StatefulSet) *target {
	return newTarget("StatefulSet", &s.ObjectMeta, s.Spec.Replicas, &s.Spec.Template)
}

func newTarget(kind string, meta *metav1.ObjectMeta, replicas *int32, template *corev1.PodTemplateSpec) *target {
	t := &target{
		id: workloadID(kind, meta.Namespace, meta.Name), namespace: meta.Namespace, name: meta.Name, kind: kind, uid: string(meta.UID),
		replicas: 1, shape: shapeOf(&template.Spec), annotations: meta.Annotations, podLabels: template.Labels, portsByName: map[string]int32{},
	}
	if replicas != nil {
		t.replicas = int(*replicas)
	}
	if t.shape.Needs.CPU == 0 {
		t.shape.Needs.CPU, t.defaulted = defaultCPU, true
	}
	if t.shape.Needs.Memory == 0 {
		t.shape.Needs.Memory, t.defaulted = defaultMemory, true
	}
	for i := range template.Spec.Containers {
		for _, p := range template.Spec.Containers[i].Ports {
			if t.port == 0 {
				t.port = p.ContainerPort
			}
			t.portsByName[p.Name] = p.ContainerPort
		}
	}
	return t
}

func translateDaemonSet(d *appsv1.DaemonSet) autoscaler.Daemon {
	shape := shapeOf(&d.Spec.Template.Spec)
	// The DaemonSet controller lets its pods bear the taints of a node's condition.
	for _, key := range []string{"not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"} {
		shape.Tolerations = append(shape.Tolerations, autoscaler.Toleration{Key: "node.kubernetes.io/" + key, Exists: true})
	}
	return autoscaler.Daemon{ID: keyOf(d), Shape: shape}
}
