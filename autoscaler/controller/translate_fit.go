package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-helpers/nodedeclaredfeatures"
	"k8s.io/component-helpers/resource"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// schedulerVersion is the scheduler whose rules package fit has.
var schedulerVersion = version.MustParseGeneric("1.37")

// FitPod is what the scheduler looks at of a pod that is there. Whoever counts pods leaves out those that have ended.
func FitPod(p *corev1.Pod, look Lookup) fit.Pod {
	bound := p.Spec.NodeName != ""
	f := fit.Pod{
		Namespace: p.Namespace, Labels: fit.NewLabels(p.Labels), Leaving: p.DeletionTimestamp != nil,
		// A pod that runs may have been resized in place: what it holds is in its status.
		Needs: amountsOf(resource.PodRequests(p, resource.PodResourcesOptions{
			UseStatusResources: bound, InPlacePodLevelResourcesVerticalScalingEnabled: bound,
		})),
		Meek: p.Spec.PreemptionPolicy != nil && *p.Spec.PreemptionPolicy == corev1.PreemptNever,
	}
	if p.Spec.Priority != nil {
		f.Priority = *p.Spec.Priority
	}
	fitSpec(&f, &p.Spec)
	fitVolumes(&f, p, look)
	return f
}

// FitTemplate is what a pod of the template will look like when it is made: what the API server does to a pod on its way
// in (requests for which there are only limits, keys of labels that its terms should match, ports of the host's network,
// priority) is done here. What admission plugins add (a namespace's default requests, a runtime class' overhead) is not.
func FitTemplate(namespace string, t *corev1.PodTemplateSpec, look Lookup) fit.Pod {
	p := corev1.Pod{Spec: *t.Spec.DeepCopy()}
	p.Namespace, p.Labels, p.Spec.NodeName = namespace, t.Labels, ""
	if a := p.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			mergeLabelKeys(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, t.Labels)
		}
		if a.PodAntiAffinity != nil {
			mergeLabelKeys(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, t.Labels)
		}
	}
	if p.Spec.HostNetwork {
		hostPorts(p.Spec.InitContainers)
		hostPorts(p.Spec.Containers)
	}
	defaultRequests(&p)
	if class := look.priority(p.Spec.PriorityClassName); class != nil && p.Spec.Priority == nil {
		p.Spec.Priority = &class.Value
		if p.Spec.PreemptionPolicy == nil {
			p.Spec.PreemptionPolicy = class.PreemptionPolicy
		}
	}
	look.template = true
	return FitPod(&p, look)
}

// FitOrdinal is the pod of that number of a StatefulSet: its claims may be there already from an earlier life, and then
// their volumes say where it runs.
func FitOrdinal(s *appsv1.StatefulSet, ordinal int, look Lookup) fit.Pod {
	t := s.Spec.Template.DeepCopy()
	name := fmt.Sprintf("%s-%d", s.Name, ordinal)
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	t.Labels[appsv1.StatefulSetPodNameLabel], t.Labels[appsv1.PodIndexLabel] = name, strconv.Itoa(ordinal)
	for i := range s.Spec.VolumeClaimTemplates {
		claim := &s.Spec.VolumeClaimTemplates[i]
		v := corev1.Volume{Name: claim.Name}
		if look.Claim != nil && look.Claim(s.Namespace, claim.Name+"-"+name) != nil {
			v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + name}
		} else {
			v.Ephemeral = &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{ObjectMeta: claim.ObjectMeta, Spec: claim.Spec}}
		}
		t.Spec.Volumes = slices.DeleteFunc(t.Spec.Volumes, func(o corev1.Volume) bool { return o.Name == v.Name })
		t.Spec.Volumes = append(t.Spec.Volumes, v)
	}
	return FitTemplate(s.Namespace, t, look)
}

// FitDaemon is a pod of the DaemonSet: it runs, or will, on each node on which fit.Runs has nothing against it.
func FitDaemon(d *appsv1.DaemonSet, look Lookup) fit.Pod {
	f := FitTemplate(d.Namespace, &d.Spec.Template, look)
	bear := func(key string, effect fit.Effect) {
		f.Tolerations = append(f.Tolerations, fit.Toleration{Key: key, Effect: effect, Exists: true})
	}
	bear(corev1.TaintNodeNotReady, fit.NoExecute)
	bear(corev1.TaintNodeUnreachable, fit.NoExecute)
	for _, key := range []string{corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeUnschedulable} {
		bear(key, fit.NoSchedule)
	}
	if d.Spec.Template.Spec.HostNetwork {
		bear(corev1.TaintNodeNetworkUnavailable, fit.NoSchedule)
	}
	return f
}

// FitNode is a node as the scheduler sees it now. csi, which may be nil, says how many volumes it can have.
func FitNode(n *corev1.Node, csi *storagev1.CSINode) fit.Node {
	f := fit.Node{
		Name: n.Name, Labels: fit.NewLabels(n.Labels), Unschedulable: n.Spec.Unschedulable, Allocatable: amountsOf(n.Status.Allocatable),
	}
	for _, t := range n.Spec.Taints {
		if effect, ok := effectOf(t.Effect); ok {
			f.Taints = append(f.Taints, fit.Taint{Key: t.Key, Value: t.Value, Effect: effect})
		}
	}
	f.Allocatable = withLimits(f.Allocatable, volumeLimits(csi))
	return f
}

// volumeLimits are how many volumes of each CSI driver can be attached to a node; a driver that says nothing has no bound.
func volumeLimits(csi *storagev1.CSINode) (list fit.Amounts) {
	if csi == nil {
		return nil
	}
	for _, d := range csi.Spec.Drivers {
		if d.Allocatable != nil && d.Allocatable.Count != nil {
			list = append(list, fit.Amount{Name: fit.Attached(d.Name), Value: int64(*d.Allocatable.Count)})
		}
	}
	return list
}

func withLimits(has, limits fit.Amounts) fit.Amounts {
	return slices.SortedFunc(slices.Values(slices.Concat(has, limits)), func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
}

// FitSettledNode is the node as it will be once it has started: without our own draining taint, without the taints that
// Kubernetes, the cloud's controller or one of the startup keys put on it until it is ready; settling says that it has one.
func FitSettledNode(n *corev1.Node, csi *storagev1.CSINode, startup ...string) (f fit.Node, settling bool) {
	f = FitNode(n, csi)
	f.Taints = slices.DeleteFunc(f.Taints, func(t fit.Taint) bool {
		switch {
		case t.Key == v1alpha1.TaintDraining, t.Key == corev1.TaintNodeUnschedulable:
			return true
		case passes(t.Key), slices.Contains(startup, t.Key):
			settling = true
			return true
		}
		return false
	})
	return f, settling
}

// passes says that a taint goes away by itself when the node is well.
func passes(key string) bool {
	return strings.HasPrefix(key, "node.kubernetes.io/") || key == "node.cloudprovider.kubernetes.io/uninitialized"
}

// fitSpec fills in what the pod's spec alone says.
func fitSpec(f *fit.Pod, spec *corev1.PodSpec) {
	f.Foreign = foreign(spec)
	f.Ports = portsOf(spec)
	f.Selector = fit.NewLabels(spec.NodeSelector)
	for _, t := range spec.Tolerations {
		if effect, ok := effectOf(t.Effect); ok {
			f.Tolerations = append(f.Tolerations, fit.Toleration{
				Key: t.Key, Value: t.Value, Effect: effect, Exists: t.Operator == corev1.TolerationOpExists,
			})
		}
	}
	if a := spec.Affinity; a != nil {
		if a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			f.Affinity = nodeTerms(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if a.PodAffinity != nil {
			f.Near = termsOf(f, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if a.PodAntiAffinity != nil {
			f.Away = termsOf(f, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
	}
	for i := range spec.TopologySpreadConstraints {
		if c := &spec.TopologySpreadConstraints[i]; c.WhenUnsatisfiable == corev1.DoNotSchedule {
			f.Spread = append(f.Spread, spreadOf(f, c))
		}
	}
}

// foreign is what of a pod only another program, or a scheduler with other features, could judge.
func foreign(spec *corev1.PodSpec) string {
	switch {
	case spec.SchedulerName != "" && spec.SchedulerName != corev1.DefaultSchedulerName:
		return "its scheduler is " + spec.SchedulerName
	case len(spec.SchedulingGates) > 0:
		return "scheduling gate " + spec.SchedulingGates[0].Name
	case len(spec.ResourceClaims) > 0:
		return "resource claim " + spec.ResourceClaims[0].Name + " (dynamic resource allocation)"
	case spec.SchedulingGroup != nil:
		return "it is scheduled as one of a group"
	}
	for _, t := range spec.Tolerations {
		if t.Operator == corev1.TolerationOpLt || t.Operator == corev1.TolerationOpGt {
			return fmt.Sprintf("toleration operator %s (off in Kubernetes 1.37)", t.Operator)
		}
	}
	for i := range spec.Volumes {
		if v := &spec.Volumes[i]; v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil || v.ISCSI != nil || v.RBD != nil {
			return "volume " + v.Name + " is a disk named in the pod"
		}
	}
	features, err := nodedeclaredfeatures.DefaultFramework.InferForPodScheduling(&nodedeclaredfeatures.PodInfo{Spec: spec}, schedulerVersion)
	if err != nil || !features.IsEmpty() {
		return "it needs a feature that nodes declare"
	}
	return ""
}

// portsOf are the ports of the node that the pod takes for as long as it runs.
func portsOf(spec *corev1.PodSpec) []fit.Port {
	var list []fit.Port
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort <= 0 {
				continue
			}
			port := fit.Port{IP: p.HostIP, Protocol: string(cmp.Or(p.Protocol, corev1.ProtocolTCP)), Number: p.HostPort}
			if port.IP == "0.0.0.0" {
				port.IP = ""
			}
			list = append(list, port)
		}
	}
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	slices.SortFunc(list, func(a, b fit.Port) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Protocol, b.Protocol), strings.Compare(a.IP, b.IP))
	})
	return slices.Compact(list)
}

// defaultRequests takes limits for requests that are not given, first of containers and then of the pod.
func defaultRequests(p *corev1.Pod) {
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range containers {
			r := &containers[i].Resources
			for name, limit := range r.Limits {
				r.Requests = addMissing(r.Requests, name, limit)
			}
		}
	}
	r := p.Spec.Resources
	if r == nil || len(r.Limits) == 0 {
		return
	}
	for name, sum := range resource.AggregateContainerRequests(p, resource.PodResourcesOptions{}) {
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory {
			r.Requests = addMissing(r.Requests, name, sum)
		}
	}
	for name, limit := range r.Limits {
		r.Requests = addMissing(r.Requests, name, limit)
	}
}

func addMissing(list corev1.ResourceList, name corev1.ResourceName, q apiresource.Quantity) corev1.ResourceList {
	if _, there := list[name]; there {
		return list
	}
	if list == nil {
		list = corev1.ResourceList{}
	}
	list[name] = q
	return list
}

func hostPorts(containers []corev1.Container) {
	for i := range containers {
		for k := range containers[i].Ports {
			if p := &containers[i].Ports[k]; p.HostPort == 0 {
				p.HostPort = p.ContainerPort
			}
		}
	}
}

// effectOf leaves PreferNoSchedule out: a preference keeps no pod off.
func effectOf(e corev1.TaintEffect) (fit.Effect, bool) {
	switch e {
	case "":
		return fit.AnyEffect, true
	case corev1.TaintEffectNoSchedule:
		return fit.NoSchedule, true
	case corev1.TaintEffectNoExecute:
		return fit.NoExecute, true
	}
	return 0, false
}

// amountsOf is each resource in the scheduler's unit, in order of name; what is 0 is left out.
func amountsOf(list corev1.ResourceList) fit.Amounts {
	var amounts fit.Amounts
	for name, quantity := range list {
		value := quantity.Value()
		if name == corev1.ResourceCPU {
			value = quantity.MilliValue()
		}
		if value > 0 {
			amounts = append(amounts, fit.Amount{Name: string(name), Value: value})
		}
	}
	slices.SortFunc(amounts, func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
	return amounts
}

func termsOf(f *fit.Pod, terms []corev1.PodAffinityTerm) []fit.Term {
	var list []fit.Term
	for i := range terms {
		t := &terms[i]
		term := fit.Term{
			Topology: t.TopologyKey, Namespaces: slices.Clone(t.Namespaces),
			Selector: labelSelector(f, t.LabelSelector), NamespaceSelector: labelSelector(f, t.NamespaceSelector),
		}
		if len(t.Namespaces) == 0 && t.NamespaceSelector == nil {
			term.Namespaces = []string{f.Namespace}
		}
		slices.Sort(term.Namespaces)
		term.Namespaces = slices.Compact(term.Namespaces)
		list = append(list, term)
	}
	return list
}

func spreadOf(f *fit.Pod, c *corev1.TopologySpreadConstraint) fit.Spread {
	s := fit.Spread{
		Topology: c.TopologyKey, MaxSkew: int(c.MaxSkew), MinDomains: 1, Selector: labelSelector(f, c.LabelSelector),
		AnyNode:   c.NodeAffinityPolicy != nil && *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyIgnore,
		Untainted: c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor,
	}
	if c.MinDomains != nil {
		s.MinDomains = int(*c.MinDomains)
	}
	if !s.Selector.Nothing {
		for _, key := range c.MatchLabelKeys {
			if value, ok := f.Labels.Get(key); ok {
				s.Selector.Requirements = append(s.Selector.Requirements, fit.Requirement{Key: key, Operator: fit.In, Values: []string{value}})
			}
		}
		s.Selector.Requirements = canonical(s.Selector.Requirements)
	}
	return s
}

// mergeLabelKeys does what the API server does when a pod is made: the keys of labels that the pod has become part of the
// selector, which alone the scheduler looks at.
func mergeLabelKeys(terms []corev1.PodAffinityTerm, l map[string]string) {
	for i := range terms {
		s := terms[i].LabelSelector
		if s == nil {
			continue
		}
		merge := func(keys []string, operator metav1.LabelSelectorOperator) {
			for _, key := range keys {
				if value, ok := l[key]; ok {
					s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
				}
			}
		}
		merge(terms[i].MatchLabelKeys, metav1.LabelSelectorOpIn)
		merge(terms[i].MismatchLabelKeys, metav1.LabelSelectorOpNotIn)
	}
}

// labelSelector marks the pod as stuck when the selector is not valid: the scheduler refuses such a pod.
func labelSelector(f *fit.Pod, s *metav1.LabelSelector) fit.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		f.Stuck = "a label selector of it is not valid: " + err.Error()
		return fit.Selector{Nothing: true}
	}
	requirements, selectable := selector.Requirements()
	if !selectable {
		return fit.Selector{Nothing: true}
	}
	var list []fit.Requirement
	for i := range requirements {
		list = append(list, requirementOf(&requirements[i]))
	}
	return fit.Selector{Requirements: canonical(list)}
}

// operators are those of labels; what is missing there makes a requirement that nothing meets.
var operators = map[selection.Operator]fit.Operator{
	selection.In: fit.In, selection.Equals: fit.In, selection.DoubleEquals: fit.In, selection.NotIn: fit.NotIn, selection.NotEquals: fit.NotIn,
	selection.Exists: fit.Exists, selection.DoesNotExist: fit.Absent, selection.GreaterThan: fit.Greater, selection.LessThan: fit.Less,
}

func requirementOf(r *labels.Requirement) fit.Requirement {
	return fit.Requirement{Key: r.Key(), Operator: operators[r.Operator()], Values: slices.Sorted(slices.Values(r.ValuesUnsorted()))}
}

func canonical(list []fit.Requirement) []fit.Requirement {
	slices.SortFunc(list, func(a, b fit.Requirement) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values))
	})
	return slices.CompactFunc(list, func(a, b fit.Requirement) bool {
		return a.Key == b.Key && a.Operator == b.Operator && slices.Equal(a.Values, b.Values)
	})
}

var nodeOperators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn, corev1.NodeSelectorOpExists: selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist, corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
}

// nodeTerms leaves out terms that are empty or not valid, as the scheduler does: they match no node. It is never nil.
func nodeTerms(s *corev1.NodeSelector) fit.NodeTerms {
	terms := fit.NodeTerms{}
	for i := range s.NodeSelectorTerms {
		t := &s.NodeSelectorTerms[i]
		if len(t.MatchExpressions)+len(t.MatchFields) == 0 {
			continue
		}
		if term, ok := nodeTerm(t); ok {
			terms = append(terms, term)
		}
	}
	return terms
}

func nodeTerm(t *corev1.NodeSelectorTerm) (term fit.NodeTerm, ok bool) {
	for _, e := range t.MatchExpressions {
		r, err := labels.NewRequirement(e.Key, nodeOperators[e.Operator], e.Values)
		if err != nil {
			return term, false
		}
		term.Labels = append(term.Labels, requirementOf(r))
	}
	term.Labels = canonical(term.Labels)
	for _, e := range t.MatchFields {
		switch {
		case e.Key != metav1.ObjectNameField || len(e.Values) != 1:
			return term, false
		case e.Operator == corev1.NodeSelectorOpIn:
			term.Names = append(term.Names, e.Values[0])
		case e.Operator == corev1.NodeSelectorOpNotIn:
			term.NotNames = append(term.NotNames, e.Values[0])
		default:
			return term, false
		}
	}
	return term, true
}

// priority is the class of that name, or the cluster's default for none.
func (l Lookup) priority(name string) *schedulingv1.PriorityClass {
	if l.Priority == nil {
		return nil
	}
	return l.Priority(name)
}
