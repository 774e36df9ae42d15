package controller

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
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
			Shape: shapeOf(FitPod(p, Lookup{})), Since: p.CreationTimestamp.Time,
		},
		namespace: p.Namespace, name: p.Name, labels: p.Labels, ip: p.Status.PodIP,
	}
	if owner := metav1.GetControllerOf(p); owner != nil {
		r.controller = owner.Kind + "/" + owner.Name
		if owner.Kind == "DaemonSet" {
			r.Daemon = p.Namespace + "/" + owner.Name
		}
	}
	if claims(&p.Spec) {
		r.claimed = p
	}
	_, r.Mirror = p.Annotations[corev1.MirrorPodAnnotationKey]
	r.DeletionCost, _ = strconv.Atoi(p.Annotations[v1alpha1.AnnotationDeletionCost])
	switch {
	case doNotDisrupt(p.Annotations):
		r.Keep = "annotation do-not-disrupt"
	case r.controller == "":
		r.Keep = "no controller would replace it"
	case localStorage(p) != "":
		r.Keep = "volume " + localStorage(p) + " would be lost"
	}
	for i := range p.Spec.Containers {
		for _, port := range p.Spec.Containers[i].Ports {
			r.ports = append(r.ports, port.ContainerPort)
		}
	}
	r.Phase, r.ready = podPhase(p)
	r.running = len(p.Status.ContainerStatuses) > 0 && !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Running == nil })
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

// shapeOf is what a pod asks of a node, with the two amounts that the core reckons with by themselves.
func shapeOf(f fit.Pod) autoscaler.Shape {
	return autoscaler.Shape{Needs: autoscaler.Resources{CPU: f.Needs.Get(fit.CPU), Memory: f.Needs.Get(fit.Memory), Pods: 1}, Rules: &f}
}

// claims says that a pod has volumes whose place is said by other objects.
func claims(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil })
}

// localStorage is the name of a volume that would be lost with the pod; Cluster Autoscaler's annotations say that it may.
func localStorage(p *corev1.Pod) string {
	const prefix = "cluster-autoscaler.kubernetes.io/"
	if p.Annotations[prefix+"safe-to-evict"] == "true" {
		return ""
	}
	safe := strings.Split(p.Annotations[prefix+"safe-to-evict-local-volumes"], ",")
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		lost := v.HostPath != nil || v.EmptyDir != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory
		if lost && !slices.Contains(safe, v.Name) {
			return v.Name
		}
	}
	return ""
}

func translateNode(n *corev1.Node) *nodeRecord {
	f, settling := FitSettledNode(n, nil)
	r := &nodeRecord{
		Node: autoscaler.Node{
			ID: autoscaler.NodeID(n.Name), Labels: f.Labels, Taints: f.Taints, Cordoned: n.Spec.Unschedulable,
			Allocatable: autoscaler.Resources{CPU: f.Allocatable.Get(fit.CPU), Memory: f.Allocatable.Get(fit.Memory), Pods: f.Allocatable.Get(fit.Pods)},
		},
		own:        furtherAmounts(f.Allocatable),
		providerID: n.Spec.ProviderID, poolLabel: n.Labels[v1alpha1.LabelPool], settling: settling,
	}
	r.Extended = r.own
	if doNotDisrupt(n.Annotations) || n.Annotations["cluster-autoscaler.kubernetes.io/scale-down-disabled"] == "true" {
		r.Keep = "annotation on the node says to keep it"
	}
	for _, t := range n.Spec.Taints {
		r.Draining = r.Draining || t.Key == v1alpha1.TaintDraining
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			r.ready = c.Status == corev1.ConditionTrue
		}
	}
	return r
}

// furtherOf are further resources as a provider tells them.
func furtherOf(m map[string]int64) fit.Amounts {
	list := make(fit.Amounts, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fit.Amount{Name: name, Value: m[name]})
	}
	return list
}

// lacks says that a node does not have yet what machines like it will have: a device plugin tells of its devices after the node is
// Ready. Until then it is still coming, or another would be bought for the same pods.
func lacks(has, wanted fit.Amounts) bool {
	return slices.ContainsFunc(wanted, func(a fit.Amount) bool {
		return a.Value > 0 && strings.Contains(a.Name, "/") && !strings.HasPrefix(a.Name, fit.Attached("")) && has.Get(a.Name) == 0
	})
}

// furtherAmounts are those that the core has no field for.
func furtherAmounts(a fit.Amounts) fit.Amounts {
	return slices.DeleteFunc(slices.Clone(a), func(a fit.Amount) bool { return a.Name == fit.CPU || a.Name == fit.Memory || a.Name == fit.Pods })
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
		replicas: 1, annotations: meta.Annotations, podLabels: template.Labels, portsByName: map[string]int32{}, template: template,
	}
	t.look(Lookup{})
	if replicas != nil {
		t.replicas = int(*replicas)
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

// look finds out what one pod of the target asks for, and assumes something where its template does not say.
func (t *target) look(l Lookup) {
	f := FitTemplate(t.namespace, t.template, l)
	for _, least := range []fit.Amount{{Name: fit.CPU, Value: defaultCPU}, {Name: fit.Memory, Value: defaultMemory}} {
		if f.Needs.Get(least.Name) == 0 {
			f.Needs, t.defaulted = append(f.Needs, least), true
		}
	}
	slices.SortFunc(f.Needs, func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
	t.shape = shapeOf(f)
}

func translateDaemonSet(d *appsv1.DaemonSet) autoscaler.Daemon {
	return autoscaler.Daemon{ID: keyOf(d), Shape: shapeOf(FitDaemon(d, Lookup{}))}
}
