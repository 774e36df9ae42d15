package controller

import (
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

func podOf(spec corev1.PodSpec) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", Labels: map[string]string{"app": "web", "rev": "1"}}, Spec: spec}
}

func TestPodsThatAreNotUnderstood(t *testing.T) {
	never := corev1.ContainerRestartPolicyNever
	for _, c := range []struct {
		spec corev1.PodSpec
		want string
	}{
		{corev1.PodSpec{}, ""},
		{corev1.PodSpec{SchedulerName: "default-scheduler"}, ""},
		{corev1.PodSpec{SchedulerName: "other"}, "its scheduler is other"},
		{corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: "g"}}}, "scheduling gate g"},
		{corev1.PodSpec{ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu"}}}, "resource claim gpu (dynamic resource allocation)"},
		{corev1.PodSpec{SchedulingGroup: &corev1.PodSchedulingGroup{}}, "it is scheduled as one of a group"},
		{corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpGt, Value: "5"}}}, "toleration operator Gt (off in Kubernetes 1.37)"},
		{corev1.PodSpec{Volumes: []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{}}}}}, "volume d is a disk named in the pod"},
		{corev1.PodSpec{Volumes: []corev1.Volume{claimedAs("data")}}, "its volume v is claimed, and claims are not known here"},
		{corev1.PodSpec{Containers: []corev1.Container{{RestartPolicy: &never, RestartPolicyRules: []corev1.ContainerRestartRule{
			{Action: corev1.ContainerRestartRuleActionRestartAllContainers},
		}}}}, "it needs a feature that nodes declare"},
	} {
		f := FitPod(podOf(c.spec), Lookup{})
		if f.Foreign != c.want {
			t.Errorf("%q, not %q", f.Foreign, c.want)
		}
		if got := fit.Runs(&f, &fit.Node{}); (got == fit.NotUnderstood) != (c.want != "") {
			t.Errorf("%q: %q", c.want, got)
		}
	}
}

func claimedAs(claim string) corev1.Volume {
	return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}
}

func TestATemplateBecomesWhatTheAPIServerWouldMake(t *testing.T) {
	never := corev1.PreemptNever
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "rev": "1"}},
		Spec: corev1.PodSpec{
			HostNetwork: true, PriorityClassName: "high",
			Containers: []corev1.Container{{
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}},
				Ports:     []corev1.ContainerPort{{ContainerPort: 80}},
			}},
			Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, MatchLabelKeys: []string{"rev", "none"},
			}}}},
		},
	}
	before := template.DeepCopy()
	f := FitTemplate("a", template, Lookup{Priority: func(name string) *schedulingv1.PriorityClass {
		return map[string]*schedulingv1.PriorityClass{"high": {Value: 7, PreemptionPolicy: &never}}[name]
	}})
	if !reflect.DeepEqual(before, template) {
		t.Error("the template was changed")
	}
	want := fit.Pod{
		Namespace: "a", Labels: fit.Labels{{Key: "app", Value: "web"}, {Key: "rev", Value: "1"}}, Needs: fit.Amounts{{Name: "cpu", Value: 2000}},
		Ports: []fit.Port{{Protocol: "TCP", Number: 80}}, Priority: 7, Meek: true,
		Away: []fit.Term{{Topology: "zone", Namespaces: []string{"a"}, NamespaceSelector: fit.Selector{Nothing: true}, Selector: fit.Selector{Requirements: []fit.Requirement{
			{Key: "app", Operator: fit.In, Values: []string{"web"}}, {Key: "rev", Operator: fit.In, Values: []string{"1"}},
		}}}},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("%+v\nnot\n%+v", f, want)
	}
}

func TestADaemonBearsWhatTheDaemonSetControllerSays(t *testing.T) {
	d := &appsv1.DaemonSet{}
	d.Spec.Template.Spec.HostNetwork = true
	f := FitDaemon(d, Lookup{})
	for _, c := range []struct {
		key    string
		effect fit.Effect
		want   fit.Refusal
	}{
		{corev1.TaintNodeNotReady, fit.NoExecute, fit.None},
		{corev1.TaintNodeNotReady, fit.NoSchedule, fit.Tainted},
		{corev1.TaintNodeUnreachable, fit.NoExecute, fit.None},
		{corev1.TaintNodeDiskPressure, fit.NoSchedule, fit.None},
		{corev1.TaintNodeUnschedulable, fit.NoSchedule, fit.None},
		{corev1.TaintNodeNetworkUnavailable, fit.NoSchedule, fit.None},
		{"dedicated", fit.NoSchedule, fit.Tainted},
	} {
		if got := fit.Runs(&f, &fit.Node{Taints: []fit.Taint{{Key: c.key, Effect: c.effect}}}); got != c.want {
			t.Errorf("%s: %q, not %q", c.key, got, c.want)
		}
	}
	if got := fit.Runs(&f, &fit.Node{Unschedulable: true}); got != fit.None {
		t.Errorf("on a cordoned node: %q", got)
	}
}

func TestANodeAsItWillBeOnceItHasStarted(t *testing.T) {
	n := &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{
		{Key: "dedicated", Value: "gpu", Effect: "NoSchedule"}, {Key: "soft", Effect: "PreferNoSchedule"}, {Key: v1alpha1.TaintDraining, Effect: "NoSchedule"},
		{Key: "node.kubernetes.io/not-ready", Effect: "NoExecute"}, {Key: "cni.example.com/waits", Effect: "NoSchedule"},
	}}}
	if now := FitNode(n, nil); len(now.Taints) != 4 {
		t.Errorf("now: %+v", now.Taints)
	}
	settled, settling := FitSettledNode(n, nil, "cni.example.com/waits")
	if want := []fit.Taint{{Key: "dedicated", Value: "gpu", Effect: fit.NoSchedule}}; !settling || !reflect.DeepEqual(settled.Taints, want) {
		t.Errorf("settling=%v %+v", settling, settled.Taints)
	}
	n.Spec.Taints = n.Spec.Taints[:3]
	if _, settling := FitSettledNode(n, nil); settling {
		t.Error("a node that is drained is not one that starts")
	}
}

// store is a few claims, volumes and classes.
type store struct {
	claims  []*corev1.PersistentVolumeClaim
	volumes []*corev1.PersistentVolume
	classes []*storagev1.StorageClass
}

func (s store) lookup() Lookup {
	return Lookup{
		Claim: func(_, name string) *corev1.PersistentVolumeClaim {
			return named(s.claims, name, func(o *corev1.PersistentVolumeClaim) string { return o.Name })
		},
		Volume: func(name string) *corev1.PersistentVolume {
			return named(s.volumes, name, func(o *corev1.PersistentVolume) string { return o.Name })
		},
		Class: func(name string) *storagev1.StorageClass {
			return named(s.classes, name, func(o *storagev1.StorageClass) string { return o.Name })
		},
		Volumes: func(string) []*corev1.PersistentVolume { return s.volumes },
	}
}

func named[T any](list []*T, name string, of func(*T) string) *T {
	for _, o := range list {
		if of(o) == name {
			return o
		}
	}
	return nil
}

func TestWhereVolumesLetAPodRun(t *testing.T) {
	waits, now := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	zone := func(zones ...string) *corev1.VolumeNodeAffinity {
		return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: zones}},
		}}}}
	}
	class := func(name, provisioner string, mode storagev1.VolumeBindingMode, zones ...string) *storagev1.StorageClass {
		c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
		if len(zones) > 0 {
			c.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelTopologyZone, Values: zones}}}}
		}
		return c
	}
	claim := func(class, volume string) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "a"}}
		c.Spec.StorageClassName, c.Spec.VolumeName = &class, volume
		if volume != "" {
			c.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
		}
		return c
	}
	volume := func(name string, where *corev1.VolumeNodeAffinity, l map[string]string) *corev1.PersistentVolume {
		v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: l}}
		v.Spec.NodeAffinity, v.Status.Phase = where, corev1.VolumeAvailable
		return v
	}
	one := func(c *corev1.PersistentVolumeClaim) []*corev1.PersistentVolumeClaim {
		return []*corev1.PersistentVolumeClaim{c}
	}
	for _, c := range []struct {
		name  string
		store store
		want  string // the zones of z1, z2, z3 in which it runs, or why in none
	}{
		{"no claim", store{}, "there is no volume claim data"},
		{"bound, with affinity", store{claims: one(claim("c", "v")), volumes: []*corev1.PersistentVolume{volume("v", zone("z1", "z3"), nil)}}, "z1 z3"},
		{"bound, with labels", store{claims: one(claim("c", "v")), volumes: []*corev1.PersistentVolume{volume("v", nil, map[string]string{corev1.LabelFailureDomainBetaZone: "z1__z2"})}}, "z1 z2"},
		{"bound to what is not there", store{claims: one(claim("c", "v"))}, "there is no volume v, to which claim data is bound"},
		{"not bound", store{claims: one(claim("c", "")), classes: []*storagev1.StorageClass{class("c", "csi", now)}}, "volume claim data is not bound"},
		{"waits", store{claims: one(claim("c", "")), classes: []*storagev1.StorageClass{class("c", "csi", waits)}}, "z1 z2 z3"},
		{"waits, in some zones", store{claims: one(claim("c", "")), classes: []*storagev1.StorageClass{class("c", "csi", waits, "z2", "z3")}}, "z2 z3"},
		{"waits for a volume that is there", store{claims: one(claim("c", "")), classes: []*storagev1.StorageClass{class("c", "kubernetes.io/no-provisioner", waits)},
			volumes: []*corev1.PersistentVolume{{}, volume("v", zone("z3"), nil)}}, "z3"},
	} {
		for _, v := range c.store.volumes {
			v.Spec.StorageClassName = "c"
		}
		f := FitPod(podOf(corev1.PodSpec{Volumes: []corev1.Volume{claimedAs("data")}}), c.store.lookup())
		got := f.Stuck
		if got == "" {
			var zones []string
			for _, z := range []string{"z1", "z2", "z3"} {
				if fit.Runs(&f, &fit.Node{Labels: fit.Labels{{Key: corev1.LabelTopologyZone, Value: z}}}) == fit.None {
					zones = append(zones, z)
				}
			}
			got = strings.Join(zones, " ")
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestClaimsThatATemplateMakes(t *testing.T) {
	waits, now := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	for _, c := range []struct {
		mode          storagev1.VolumeBindingMode
		foreign, from string
	}{
		{waits, "", ""},
		{now, "a volume of it is made before it is placed, so its zone is not known", ""},
	} {
		s := store{classes: []*storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Provisioner: "csi", VolumeBindingMode: &c.mode}}}
		name := "c"
		f := FitTemplate("a", &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &name}}},
		}}}}}, s.lookup())
		if f.Foreign != c.foreign || f.Stuck != "" {
			t.Errorf("%s: not understood %q, stuck %q", c.mode, f.Foreign, f.Stuck)
		}
	}
}

func TestAPodOfAStatefulSetHasTheClaimsOfItsNumber(t *testing.T) {
	waits, name := storagev1.VolumeBindingWaitForFirstConsumer, "c"
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "a"}}
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &name}}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-db-0", Namespace: "a", Annotations: map[string]string{"pv.kubernetes.io/bind-completed": "yes"}}}
	claim.Spec.VolumeName = "v"
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v", Labels: map[string]string{corev1.LabelTopologyZone: "z1"}}}
	s := store{
		claims: []*corev1.PersistentVolumeClaim{claim}, volumes: []*corev1.PersistentVolume{volume},
		classes: []*storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Provisioner: "csi", VolumeBindingMode: &waits}},
	}
	for ordinal, want := range []fit.Refusal{fit.VolumeElsewhere, fit.None} {
		f := FitOrdinal(set, ordinal, s.lookup())
		if got := fit.Runs(&f, &fit.Node{Labels: fit.Labels{{Key: corev1.LabelTopologyZone, Value: "z2"}}}); got != want {
			t.Errorf("db-%d in z2: %q, not %q (%s%s)", ordinal, got, want, f.Stuck, f.Foreign)
		}
	}
}

// TestSelectorsSayWhatThoseOfKubernetesSay is a property and no fuzz target: to instrument this package's modules for
// fuzzing takes ten minutes.
func TestSelectorsSayWhatThoseOfKubernetesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := func(label string) string {
			return rapid.SampledFrom([]string{"", "app", "web", "10", "-9", "9", "0x1", "a.b/c"}).Draw(t, label)
		}
		l := map[string]string{word("key"): word("value"), word("key2"): word("value2")}
		e := corev1.NodeSelectorRequirement{
			Key: word("of"), Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}).Draw(t, "operator"),
		}
		for range rapid.IntRange(0, 2).Draw(t, "values") {
			e.Values = append(e.Values, word("is"))
		}
		theirs, err := labels.NewRequirement(e.Key, nodeOperators[e.Operator], e.Values)
		terms := nodeTerms(&corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{e}}}})
		want := err == nil && theirs.Matches(labels.Set(l))
		if got := terms.Match(&fit.Node{Labels: fit.NewLabels(l)}); got != want {
			t.Fatalf("%+v on %v: %v, not %v", e, l, got, want)
		}
	})
}
