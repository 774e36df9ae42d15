package controller

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

func asks(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: requests(cpu, memory)}
}

func requests(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func TestAPodsShapeIsWhatTheSchedulerCounts(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	main := []corev1.Container{{Resources: asks("500m", "1Gi")}, {Resources: asks("100m", "1Gi")}}
	for _, c := range []struct {
		name        string
		spec        corev1.PodSpec
		cpu, memory int64
	}{
		{"the sum of its containers", corev1.PodSpec{Containers: main}, 600, 2 << 30},
		{"or its largest init container, size by size", corev1.PodSpec{
			Containers: main, InitContainers: []corev1.Container{{Resources: asks("2", "1Gi")}, {Resources: asks("1", "3Gi")}},
		}, 2000, 3 << 30},
		{"sidecars stay", corev1.PodSpec{
			Containers: main, InitContainers: []corev1.Container{{Resources: asks("50m", "1Gi"), RestartPolicy: &always}},
		}, 650, 3 << 30},
		{"an init container runs beside the sidecars before it", corev1.PodSpec{
			Containers: main,
			InitContainers: []corev1.Container{
				{Resources: asks("50m", "1Gi"), RestartPolicy: &always}, {Resources: asks("1", "1Gi")}, {Resources: asks("50m", "0"), RestartPolicy: &always},
			},
		}, 1050, 3 << 30},
		{"overhead comes on top", corev1.PodSpec{Containers: main, Overhead: requests("10m", "1Gi")}, 610, 3 << 30},
	} {
		want := autoscaler.Resources{CPU: c.cpu, Memory: c.memory, Pods: 1}
		if got := shapeOf(FitPod(&corev1.Pod{Spec: c.spec}, Lookup{})).Needs; got != want {
			t.Errorf("%s: %+v, not %+v", c.name, got, want)
		}
	}
}

func TestMarksThatKeepAPod(t *testing.T) {
	yes := true
	owned := []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-1", Controller: &yes}}
	for _, c := range []struct {
		key, value string
		owners     []metav1.OwnerReference
		keep       string
		storage    bool
	}{
		{"", "", owned, "", false},
		{"", "", nil, "no controller would replace it", false},
		{v1alpha1.AnnotationDoNotDisrupt, "true", owned, "annotation do-not-disrupt", false},
		{v1alpha1.AnnotationDoNotDisrupt, "false", owned, "", false},
		{"karpenter.sh/do-not-disrupt", "true", owned, "annotation do-not-disrupt", false},
		{"cluster-autoscaler.kubernetes.io/safe-to-evict", "false", owned, "annotation do-not-disrupt", false},
		{"cluster-autoscaler.kubernetes.io/safe-to-evict", "true", owned, "", false},
		{"", "", owned, "volume scratch would be lost", true},
		{"cluster-autoscaler.kubernetes.io/safe-to-evict", "true", owned, "", true},
		{"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes", "a,scratch", owned, "", true},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: c.owners, Annotations: map[string]string{c.key: c.value}}}
		if c.storage {
			pod.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}
		r := translatePod(pod)
		if r.Keep != c.keep {
			t.Errorf("%s=%s: %q, not %q", c.key, c.value, r.Keep, c.keep)
		}
	}
}

func TestANodesTaints(t *testing.T) {
	n := &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{
		{Key: "dedicated", Value: "gpu", Effect: "NoSchedule"}, {Key: v1alpha1.TaintDraining, Effect: "NoSchedule"}, {Key: "node.kubernetes.io/not-ready", Effect: "NoSchedule"},
	}}}
	r := translateNode(n)
	if !r.Draining || !r.settling || len(r.Taints) != 1 || r.Taints[0].Key != "dedicated" {
		t.Errorf("%+v: ours is draining, Kubernetes' own goes away by itself, the rest keeps pods off", r)
	}
	n.Spec.Unschedulable, n.Spec.Taints = true, []corev1.Taint{{Key: "node.kubernetes.io/unschedulable", Effect: "NoSchedule"}}
	if r := translateNode(n); !r.Cordoned || r.settling {
		t.Errorf("%+v: a cordoned node is not one that settles", r)
	}
}

func TestANodeThatIsCordonedAndNotReadySettles(t *testing.T) {
	r := translateNode(&corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{
		{Key: "node.kubernetes.io/unschedulable", Effect: "NoSchedule"}, {Key: "node.kubernetes.io/network-unavailable", Effect: "NoSchedule"},
	}}})
	if !r.Cordoned || !r.settling {
		t.Errorf("%+v: the cordon does not make its network ready", r)
	}
}

// Limits of volumes are told by an object of their own, before or after the node.
func TestANodesVolumesAreBounded(t *testing.T) {
	w := newWorld()
	node := func() *nodeRecord {
		return translateNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{"example.com/gpu": resource.MustParse("2")}}})
	}
	csi := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
		{Name: "disk", Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(25))}}, {Name: "files"},
	}}}
	has := func(volumes int64) {
		t.Helper()
		want := fit.Amounts{{Name: "example.com/gpu", Value: 2}}
		if volumes > 0 {
			want = append(fit.Amounts{{Name: fit.Attached("disk"), Value: volumes}}, want...)
		}
		if got := w.nodes["n"].Extended; !slices.Equal(got, want) {
			t.Errorf("has %v, not %v", got, want)
		}
	}
	w.putNode("n", node())
	has(0)
	w.putLimits(csi)
	has(25)
	w.putNode("n", node())
	has(25)
	w.putLimits(&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	has(0)
	w.putLimits(csi)
	drop(w, w.nodes, "n")
	w.putNode("n", node())
	has(25)
}
