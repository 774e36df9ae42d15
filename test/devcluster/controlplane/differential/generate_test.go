package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// generator makes one case. Its words are few, so that what one object asks for is often what another has.
type generator struct {
	*rand.Rand
	c     *testCase
	err   error
	focus focus
}

// focus is what a case is about: with everything at once, most pods would fit nowhere for three reasons.
type focus int

const (
	anything focus = iota
	otherPods
	roomAndPorts
	volumesOnly
)

// generate is the same for the same random numbers.
func generate(r *rand.Rand) (*testCase, error) {
	g := &generator{Rand: r, c: &testCase{}}
	g.focus = pick(g, anything, otherPods, otherPods, roomAndPorts, volumesOnly)
	g.namespaces()
	for i := range 1 + g.IntN(6) {
		g.c.Nodes = append(g.c.Nodes, g.node(i))
	}
	for i := range g.IntN(11) {
		if p := g.running(i); p != nil {
			g.c.Pods = append(g.c.Pods, p)
		}
	}
	g.waiting()
	return g.c, g.err
}

// in says yes once in n times.
func (g *generator) in(n int) bool { return g.IntN(n) == 0 }

// may says yes once in n times of a case that is about it, and rarely of another.
func (g *generator) may(n int, about ...focus) bool {
	if g.focus != anything && !slices.Contains(about, g.focus) {
		n *= 12
	}
	return g.in(n)
}

// lacks says yes once in n times that a node lacks a label, and rarely where pods are counted by it.
func (g *generator) lacks(n int) bool {
	if g.focus == otherPods {
		n *= 8
	}
	return g.in(n)
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func some[T any](g *generator, list ...T) []T {
	var out []T
	for _, item := range list {
		if g.in(2) {
			out = append(out, item)
		}
	}
	if len(out) == 0 {
		out = append(out, pick(g, list...))
	}
	return out
}

var (
	spaces = []string{"a", "b", "c"}
	apps   = []string{"web", "db", "cache"}
	tiers  = []string{"1", "2"}
	revs   = []string{"r1", "r2"}
	zones  = []string{"z1", "z2", "z3"}
	topos  = []string{corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, "disk"}
)

func (g *generator) namespaces() {
	for i, name := range spaces {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name}}}
		if i < 2 {
			n.Labels["team"] = pick(g, "x", "y")
		}
		g.c.Namespaces = append(g.c.Namespaces, n)
	}
}

func (g *generator) node(i int) *corev1.Node {
	name := fmt.Sprintf("n%d", i)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if !g.lacks(15) {
		n.Labels[corev1.LabelHostname] = name
	}
	zone := pick(g, zones...)
	if !g.lacks(7) {
		n.Labels[corev1.LabelTopologyZone] = zone
	}
	if g.in(6) {
		n.Labels[corev1.LabelFailureDomainBetaZone] = zone
	}
	if !g.lacks(2) {
		n.Labels[corev1.LabelTopologyRegion] = pick(g, "e", "w")
	}
	if !g.lacks(3) {
		n.Labels["disk"] = pick(g, "ssd", "hdd", "")
	}
	if g.in(2) {
		n.Labels["size"] = pick(g, "1", "5", "10", "-3", "large")
	}
	for g.may(3) && len(n.Spec.Taints) < 2 {
		taint := corev1.Taint{
			Key: pick(g, "dedicated", "spot"), Value: pick(g, "gpu", "db", "", "7"),
			Effect: pick(g, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule),
		}
		n.Spec.Taints = append(n.Spec.Taints, taint)
	}
	if g.may(9) {
		n.Spec.Unschedulable = true
		if g.in(2) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: quantity(pick(g, "2", "4", "4", "1500m")), corev1.ResourceMemory: quantity(pick(g, "2Gi", "4Gi", "8Gi")),
		corev1.ResourcePods: quantity(pick(g, "3", "10", "110", "110", "110")),
	}
	if g.focus != roomAndPorts && !g.in(5) {
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: quantity("64"), corev1.ResourceMemory: quantity("256Gi"), corev1.ResourcePods: quantity("110")}
	}
	if !g.in(4) {
		n.Status.Allocatable[corev1.ResourceEphemeralStorage] = quantity(pick(g, "10Gi", "50Gi"))
	}
	if g.in(2) {
		n.Status.Allocatable["example.com/gpu"] = quantity(pick(g, "0", "1", "2"))
	}
	if g.in(4) {
		n.Status.Allocatable["hugepages-2Mi"] = quantity(pick(g, "64Mi", "512Mi"))
	}
	return n
}

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// labels are those of a pod.
func (g *generator) labels() map[string]string {
	l := map[string]string{}
	for _, of := range []struct {
		key    string
		values []string
	}{{"app", apps}, {"tier", tiers}, {"rev", revs}} {
		if !g.in(4) {
			l[of.key] = pick(g, of.values...)
		}
	}
	if g.focus == otherPods && !g.in(3) {
		l["app"] = "web"
	}
	return l
}

// running is a pod on one of the nodes, whether or not the scheduler would have put it there; nil when it is not valid.
func (g *generator) running(i int) *corev1.Pod {
	p := g.pod(fmt.Sprintf("p%d", i), 5)
	p.Spec.NodeName = pick(g, g.c.Nodes...).Name
	admitted, err := admit(p, false)
	if err != nil {
		g.err = err
		return nil
	}
	if g.in(8) {
		now := metav1.Now()
		now.Time = now.Time.Truncate(1e9)
		admitted.DeletionTimestamp = &now
	}
	if g.in(12) {
		admitted.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: admitted.Spec.Containers[0].Name, AllocatedResources: corev1.ResourceList{corev1.ResourceCPU: quantity(pick(g, "100m", "1"))},
		}}
	}
	return admitted
}

// waiting is the pod that the case asks about.
func (g *generator) waiting() {
	p := g.pod("new", 3)
	g.volumes(p)
	if g.in(60) {
		g.foreign(p)
	}
	stored := &corev1.PodTemplate{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: *p.Spec.DeepCopy()}}
	legacyscheme.Scheme.Default(stored)
	g.c.Template = &stored.Template
	g.c.Pod, g.err = admit(p, true)
}

func (g *generator) foreign(p *corev1.Pod) {
	switch g.IntN(4) {
	case 0:
		p.Spec.SchedulerName = "other"
	case 1:
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
	case 2:
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "c", ResourceClaimName: ptr("claim")}}
	case 3:
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "disk", VolumeSource: corev1.VolumeSource{
			GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: "d"},
		}})
	}
}

func ptr[T any](v T) *T { return &v }

// pod has each feature once in rare times.
func (g *generator) pod(name string, rare int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: pick(g, "a", "a", "b", "c"), UID: types.UID(name), Labels: g.labels()}}
	if g.focus == otherPods && !g.in(4) {
		p.Namespace = "a"
	}
	g.containers(p, rare)
	if g.may(rare + 1) {
		p.Spec.NodeSelector = map[string]string{pick(g, "disk", corev1.LabelTopologyZone, "size"): pick(g, "ssd", "hdd", "z1", "z2", "5")}
	}
	p.Spec.Affinity = &corev1.Affinity{}
	if g.may(rare) {
		p.Spec.Affinity.NodeAffinity = g.nodeAffinity()
	}
	if g.may(rare, otherPods) {
		p.Spec.Affinity.PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: g.podTerms(p)}
		if g.in(5) {
			p.Spec.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.WeightedPodAffinityTerm{{Weight: 5, PodAffinityTerm: g.podTerm(p)}}
		}
	}
	if g.may(rare, otherPods) {
		p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: g.podTerms(p)}
	}
	if g.may(rare-1, otherPods) {
		g.spread(p)
	}
	for range g.IntN(3) {
		p.Spec.Tolerations = append(p.Spec.Tolerations, g.toleration())
	}
	if g.in(6) {
		p.Spec.Priority = ptr(int32(100))
	}
	return p
}

func (g *generator) containers(p *corev1.Pod, rare int) {
	for i := range 1 + g.IntN(2) {
		c := g.container(fmt.Sprintf("c%d", i))
		if g.may(rare, roomAndPorts) {
			c.Ports = append(c.Ports, g.port())
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
	}
	for i := range g.IntN(3) {
		c := g.container(fmt.Sprintf("i%d", i))
		if g.in(2) {
			c.RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
		}
		if g.may(rare, roomAndPorts) {
			c.Ports = append(c.Ports, g.port())
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
	if g.in(12) {
		p.Spec.HostNetwork = true
		for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
			for i := range list {
				for k := range list[i].Ports {
					list[i].Ports[k].HostPort, list[i].Ports[k].HostIP = 0, ""
				}
			}
		}
	}
	dropDoublePorts(p)
	if g.in(8) {
		p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: quantity("250m"), corev1.ResourceMemory: quantity("100Mi")}
	}
	if g.may(12, roomAndPorts) {
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: quantity("9")}}
		if g.in(2) {
			p.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: quantity("12Gi")}}
		}
	}
}

// dropDoublePorts drops ports of the node that another container of the pod has: no API server takes that.
func dropDoublePorts(p *corev1.Pod) {
	seen := map[string]bool{}
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range list {
			list[i].Ports = slices.DeleteFunc(list[i].Ports, func(port corev1.ContainerPort) bool {
				key := fmt.Sprint(port.Protocol, port.HostIP, port.HostPort)
				if p.Spec.HostNetwork {
					key = fmt.Sprint(port.Protocol, port.ContainerPort)
				}
				double := seen[key]
				seen[key] = p.Spec.HostNetwork || port.HostPort > 0
				return double
			})
		}
	}
}

func (g *generator) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "i", TerminationMessagePolicy: corev1.TerminationMessageReadFile}
	list := corev1.ResourceList{}
	if !g.in(4) {
		list[corev1.ResourceCPU] = quantity(pick(g, "100m", "300m", "500m", "1", "333.5m", "0"))
	}
	if !g.in(4) {
		list[corev1.ResourceMemory] = quantity(pick(g, "100Mi", "500Mi", "1Gi"))
	}
	if g.may(10, roomAndPorts) {
		list[corev1.ResourceEphemeralStorage] = quantity(pick(g, "1Gi", "8Gi", "30Gi"))
	}
	if g.may(14, roomAndPorts) {
		list["example.com/gpu"] = quantity(pick(g, "1", "2", "0"))
	}
	if g.may(30, roomAndPorts) {
		list["hugepages-2Mi"] = quantity("64Mi")
		list[corev1.ResourceMemory] = quantity("100Mi")
	}
	c.Resources.Requests = list
	for _, same := range []corev1.ResourceName{"example.com/gpu", "hugepages-2Mi"} {
		if q, ok := list[same]; ok {
			c.Resources.Limits = addTo(c.Resources.Limits, same, q)
		}
	}
	if g.in(8) {
		c.Resources.Limits = addTo(c.Resources.Limits, corev1.ResourceCPU, quantity("2"))
	}
	return c
}

func addTo(list corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	list[name] = q
	return list
}

func (g *generator) port() corev1.ContainerPort {
	p := corev1.ContainerPort{ContainerPort: pick(g, int32(80), 81), Protocol: pick(g, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP)}
	if !g.in(5) {
		p.HostPort, p.HostIP = p.ContainerPort, pick(g, "", "", "0.0.0.0", "10.0.0.1", "10.0.0.2")
	}
	return p
}

func (g *generator) toleration() corev1.Toleration {
	t := corev1.Toleration{
		Key: pick(g, "dedicated", "spot", corev1.TaintNodeUnschedulable), Operator: pick(g, corev1.TolerationOpEqual, corev1.TolerationOpExists, ""),
		Effect: pick(g, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule),
	}
	if t.Operator != corev1.TolerationOpExists {
		t.Value = pick(g, "gpu", "db", "")
	} else if g.in(3) {
		t.Key = ""
	}
	return t
}

func (g *generator) nodeAffinity() *corev1.NodeAffinity {
	a := &corev1.NodeAffinity{}
	if g.in(5) {
		a.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: corev1.NodeSelectorTerm{
			MatchExpressions: []corev1.NodeSelectorRequirement{g.nodeRequirement()},
		}}}
		if g.in(2) {
			return a
		}
	}
	s := &corev1.NodeSelector{}
	for range 1 + g.IntN(2) {
		var t corev1.NodeSelectorTerm
		for range g.IntN(3) {
			t.MatchExpressions = append(t.MatchExpressions, g.nodeRequirement())
		}
		for g.in(5) && len(t.MatchFields) < 2 {
			t.MatchFields = append(t.MatchFields, corev1.NodeSelectorRequirement{
				Key: "metadata.name", Operator: pick(g, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn), Values: []string{pick(g, "n0", "n1", "n9")},
			})
		}
		s.NodeSelectorTerms = append(s.NodeSelectorTerms, t)
	}
	a.RequiredDuringSchedulingIgnoredDuringExecution = s
	return a
}

func (g *generator) nodeRequirement() corev1.NodeSelectorRequirement {
	switch key := pick(g, corev1.LabelTopologyZone, "disk", "size", corev1.LabelHostname); g.IntN(6) {
	case 0:
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpExists}
	case 1:
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpDoesNotExist}
	case 2:
		return corev1.NodeSelectorRequirement{Key: "size", Operator: pick(g, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt), Values: []string{pick(g, "0", "2", "5")}}
	default:
		return corev1.NodeSelectorRequirement{
			Key: key, Operator: pick(g, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn),
			Values: some(g, "z1", "z2", "ssd", "hdd", "5", "n0", "n1", ""),
		}
	}
}

// selector is of pods; it asks for none of the keys that are left to matchLabelKeys.
func (g *generator) selector(without ...string) *metav1.LabelSelector {
	keys := slices.DeleteFunc([]string{"app", "app", "tier", "rev"}, func(k string) bool { return slices.Contains(without, k) })
	s := &metav1.LabelSelector{}
	if g.in(12) {
		return s
	}
	values := map[string][]string{"app": apps, "tier": tiers, "rev": revs}
	if !g.in(3) {
		key := pick(g, keys...)
		s.MatchLabels = map[string]string{key: pick(g, values[key]...)}
		if !g.in(4) {
			return s
		}
	}
	key := pick(g, keys...)
	e := metav1.LabelSelectorRequirement{Key: key, Operator: pick(g,
		metav1.LabelSelectorOpIn, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
	if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
		e.Values = some(g, values[key]...)
	}
	s.MatchExpressions = append(s.MatchExpressions, e)
	return s
}

func (g *generator) podTerms(p *corev1.Pod) []corev1.PodAffinityTerm {
	var list []corev1.PodAffinityTerm
	for range 1 + g.IntN(5)/3 {
		list = append(list, g.podTerm(p))
	}
	return list
}

func (g *generator) podTerm(p *corev1.Pod) corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{TopologyKey: pick(g, topos...)}
	switch g.IntN(8) {
	case 0:
		t.MatchLabelKeys, t.LabelSelector = []string{"rev"}, g.selector("rev")
	case 1:
		t.MismatchLabelKeys, t.LabelSelector = []string{"tier"}, g.selector("tier")
	case 2:
		if g.in(2) {
			break // no selector: it matches no pod
		}
		fallthrough
	default:
		t.LabelSelector = g.selector()
	}
	if len(t.MatchLabelKeys)+len(t.MismatchLabelKeys) == 0 && g.in(3) && len(p.Labels) > 0 {
		t.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{}} // itself
		for key, value := range p.Labels {
			if key == "app" {
				t.LabelSelector.MatchLabels[key] = value
			}
		}
	}
	if g.in(4) {
		t.Namespaces = some(g, spaces...)
	}
	if g.in(4) {
		t.NamespaceSelector = &metav1.LabelSelector{}
		if !g.in(3) {
			t.NamespaceSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "team", Operator: pick(g, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}}
			if g.in(2) {
				t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "x"}}
			}
		}
	}
	return t
}

func (g *generator) spread(p *corev1.Pod) {
	for range 1 + g.IntN(2) {
		c := corev1.TopologySpreadConstraint{
			MaxSkew: 1 + int32(g.IntN(2)), TopologyKey: pick(g, topos...), WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: g.selector("rev"),
		}
		if g.in(3) && p.Labels["app"] != "" {
			c.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}}
		}
		if g.in(20) {
			c.LabelSelector = nil
		} else if g.in(4) {
			c.MatchLabelKeys = []string{"rev"}
		}
		if g.in(7) {
			c.WhenUnsatisfiable = corev1.ScheduleAnyway
		} else if g.in(3) {
			c.MinDomains = ptr(1 + int32(g.IntN(4)))
		}
		if g.in(3) {
			if g.in(2) {
				p.Spec.NodeSelector = map[string]string{pick(g, "disk", corev1.LabelTopologyZone): pick(g, "ssd", "hdd", "z1", "z2")}
			}
			c.NodeAffinityPolicy = ptr(pick(g, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
		}
		if g.in(3) {
			if n := pick(g, g.c.Nodes...); g.in(2) && len(n.Spec.Taints) == 0 {
				n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "gpu", Effect: pick(g, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute)}}
			}
			c.NodeTaintsPolicy = ptr(pick(g, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
		}
		if !slices.ContainsFunc(p.Spec.TopologySpreadConstraints, func(o corev1.TopologySpreadConstraint) bool { return o.TopologyKey == c.TopologyKey }) {
			p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
		}
	}
}
