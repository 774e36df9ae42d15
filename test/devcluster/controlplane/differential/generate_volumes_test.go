package differential

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// volumes gives the pod claims now and then; a pod that runs may have the same claim.
func (g *generator) volumes(p *corev1.Pod) {
	if !g.may(4) && g.focus != volumesOnly {
		return
	}
	g.c.Classes = []*storagev1.StorageClass{
		g.class("slow", "csi.example.com", storagev1.VolumeBindingImmediate), g.class("waits", "csi.example.com", storagev1.VolumeBindingWaitForFirstConsumer),
		g.class("local", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer),
	}
	for i := range g.IntN(4) {
		g.c.Volumes = append(g.c.Volumes, g.free(i))
	}
	if g.in(3) {
		g.limits()
	}
	for i := range 1 + g.IntN(5)/4 {
		name := fmt.Sprintf("v%d", i)
		if g.in(6) {
			g.ephemeral(p, name)
			continue
		}
		claim := g.claim(p.Namespace, fmt.Sprintf("claim%d", i))
		p.Spec.Volumes = append(p.Spec.Volumes, claimed(name, claim.Name))
		if g.in(30) {
			continue // there is no such claim
		}
		g.c.Claims = append(g.c.Claims, claim)
		if g.in(3) {
			g.share(claim)
		}
	}
}

// limits bounds the volumes of nodes, and gives pods that run some.
func (g *generator) limits() {
	for _, n := range g.c.Nodes {
		if g.in(4) {
			continue
		}
		l := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
		l.Spec.Drivers = []storagev1.CSINodeDriver{{Name: "csi.example.com", NodeID: n.Name}}
		if !g.in(5) {
			l.Spec.Drivers[0].Allocatable = &storagev1.VolumeNodeResources{Count: ptr(int32(g.IntN(4)))}
		}
		g.c.Limits = append(g.c.Limits, l)
	}
	for i, p := range g.c.Pods {
		for k := range g.IntN(3) {
			claim := g.claim(p.Namespace, fmt.Sprintf("of-p%d-%d", i, k))
			g.c.Claims = append(g.c.Claims, claim)
			p.Spec.Volumes = append(p.Spec.Volumes, claimed(fmt.Sprintf("v%d", k), claim.Name))
		}
	}
}

func claimed(name, claim string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}
}

// share gives a pod that runs the claim too.
func (g *generator) share(claim *corev1.PersistentVolumeClaim) {
	if len(g.c.Limits) > 0 {
		return // a volume that two pods of a node share is counted twice by us, and once by the scheduler
	}
	for _, p := range g.c.Pods {
		if p.Namespace == claim.Namespace && len(p.Spec.Volumes) == 0 {
			p.Spec.Volumes = append(p.Spec.Volumes, claimed("shared", claim.Name))
			return
		}
	}
}

func (g *generator) ephemeral(p *corev1.Pod, name string) {
	claim := g.claim(p.Namespace, p.Name+"-"+name)
	if !g.in(8) {
		claim.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID, Controller: ptr(true)}}
	}
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
		VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr("waits"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity("1Gi")}},
		}},
	}}})
	if !g.in(8) {
		g.c.Claims = append(g.c.Claims, claim)
	}
}

func (g *generator) class(name, provisioner string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
	for range g.IntN(3) {
		t := corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelTopologyZone, Values: some(g, zones...)}}}
		if g.in(4) {
			t.MatchLabelExpressions = append(t.MatchLabelExpressions, corev1.TopologySelectorLabelRequirement{Key: "disk", Values: some(g, "ssd", "hdd")})
		}
		c.AllowedTopologies = append(c.AllowedTopologies, t)
	}
	return c
}

func (g *generator) claim(namespace, name string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID(name)}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{pick(g, corev1.ReadWriteOnce, corev1.ReadWriteOnce, corev1.ReadWriteMany)}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: quantity(pick(g, "1Gi", "5Gi"))}
	c.Spec.StorageClassName = ptr(pick(g, "waits", "waits", "waits", "waits", "local", "local", "local", "slow", "none"))
	if g.in(5) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	}
	switch g.IntN(8) {
	case 0, 1, 2, 3:
		g.bind(c)
	case 4:
		if g.in(2) {
			c.Spec.VolumeName = "elsewhere" // asked for, but not bound yet
		}
	case 5:
		c.Annotations = map[string]string{"volume.kubernetes.io/selected-node": pick(g, "n0", "n1", "n2")}
	case 6:
		if g.in(3) {
			c.Status.Phase = corev1.ClaimLost
		} else if g.in(3) {
			c.DeletionTimestamp = ptr(metav1.Unix(1e9, 0))
		} else {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"kind": "fast"}}
		}
	}
	return c
}

// bind makes the volume that the claim is bound to: where it can be used is in its affinity, in its labels, or in neither.
func (g *generator) bind(c *corev1.PersistentVolumeClaim) {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "bound-" + c.Name, Labels: map[string]string{}}}
	v.Spec.StorageClassName = *c.Spec.StorageClassName
	v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: c.Name}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: c.Namespace, Name: c.Name, UID: c.UID}
	v.Status.Phase = corev1.VolumeBound
	if g.in(2) {
		v.Spec.NodeAffinity = g.reach()
	}
	if g.in(2) {
		key := pick(g, corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone, corev1.LabelTopologyRegion)
		v.Labels[key] = pick(g, "z1", "z2", "z1__z2", "z2__ z3", "e", "", "z1____z2")
	}
	c.Spec.VolumeName, c.Annotations = v.Name, map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
	if !g.in(25) {
		g.c.Volumes = append(g.c.Volumes, v)
	}
}

func (g *generator) reach() *corev1.VolumeNodeAffinity {
	s := &corev1.NodeSelector{}
	for range 1 + g.IntN(2) {
		t := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{g.nodeRequirement()}}
		if g.in(2) {
			t.MatchExpressions = []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: some(g, zones...)}}
		}
		if g.in(10) {
			t.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n0"}}}
		}
		s.NodeSelectorTerms = append(s.NodeSelectorTerms, t)
	}
	return &corev1.VolumeNodeAffinity{Required: s}
}

// free is a volume that no claim has yet, or that is set aside for one.
func (g *generator) free(i int) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("free%d", i), Labels: map[string]string{}}}
	v.Spec.StorageClassName = pick(g, "local", "local", "waits")
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: quantity(pick(g, "1Gi", "10Gi"))}
	v.Spec.AccessModes = slices.Compact([]corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, pick(g, corev1.ReadWriteOnce, corev1.ReadWriteMany, corev1.ReadWriteOncePod)})
	v.Spec.Local = &corev1.LocalVolumeSource{Path: "/d"}
	v.Status.Phase = pick(g, corev1.VolumeAvailable, corev1.VolumeAvailable, corev1.VolumeAvailable, corev1.VolumePending)
	if !g.in(6) {
		v.Spec.NodeAffinity = g.reach()
	}
	if g.in(4) {
		v.Labels["kind"] = "fast"
	}
	if g.in(6) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: pick(g, "a", "b"), Name: "claim0"}
	}
	if g.in(12) {
		v.Spec.VolumeMode = ptr(corev1.PersistentVolumeBlock)
	}
	return v
}
