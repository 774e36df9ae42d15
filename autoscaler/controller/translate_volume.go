package controller

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	volumehelper "k8s.io/component-helpers/storage/volume"

	"github.com/wholescale/wholescale/autoscaler/fit"
)

// Lookup is what a pod refers to by name. Each may be nil: then it is not known, and a pod that needs it is left alone.
// A function's nil answer says that there is no such thing.
type Lookup struct {
	Claim  func(namespace, name string) *corev1.PersistentVolumeClaim
	Volume func(name string) *corev1.PersistentVolume
	Class  func(name string) *storagev1.StorageClass
	// Volumes are those of a storage class.
	Volumes func(class string) []*corev1.PersistentVolume
	// Priority is the priority class of that name; of the name "" it is the cluster's default. It may be nil: then a pod
	// that is not there yet has priority 0.
	Priority func(name string) *schedulingv1.PriorityClass
	// template: the pod is not there yet, and neither are the claims that are made for it.
	template bool
}

func (l Lookup) known() bool {
	return l.Claim != nil && l.Volume != nil && l.Class != nil && l.Volumes != nil
}

// volumeReader reads what the volumes of one pod ask of a node.
type volumeReader struct {
	*fit.Pod
	look Lookup
	// runs: the pod has a node, so that its claims are in use whatever becomes of them.
	runs bool
	// attached are the names of claims whose volumes have been counted.
	attached map[string]bool
	// taken are volumes that a claim of the pod could be bound to: with two such claims the scheduler tries both together,
	// which no list of terms says.
	taken map[string]bool
}

func fitVolumes(f *fit.Pod, p *corev1.Pod, look Lookup) {
	r := volumeReader{Pod: f, look: look, runs: p.Spec.NodeName != "", attached: map[string]bool{}, taken: map[string]bool{}}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.PersistentVolumeClaim == nil && v.Ephemeral == nil {
			continue
		}
		if !look.known() {
			f.Foreign = firstOf(f.Foreign, "its volume "+v.Name+" is claimed, and claims are not known here")
			return
		}
		if claim := r.claim(p, v); claim != nil {
			r.attach(claim, v.Name)
			r.read(claim, v.PersistentVolumeClaim != nil)
		}
	}
	slices.Sort(f.Claims)
	slices.SortFunc(f.Needs, func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
}

// claim is the claim behind a volume; nil when there is none, and then the pod is stuck.
func (r *volumeReader) claim(p *corev1.Pod, v *corev1.Volume) *corev1.PersistentVolumeClaim {
	name := ""
	switch {
	case v.PersistentVolumeClaim != nil:
		name = v.PersistentVolumeClaim.ClaimName
	case r.look.template:
		if v.Ephemeral.VolumeClaimTemplate == nil {
			return nil
		}
		return &corev1.PersistentVolumeClaim{ObjectMeta: v.Ephemeral.VolumeClaimTemplate.ObjectMeta, Spec: v.Ephemeral.VolumeClaimTemplate.Spec}
	default:
		name = p.Name + "-" + v.Name
	}
	claim := r.look.Claim(p.Namespace, name)
	switch {
	case claim == nil:
		r.stuck("there is no volume claim %s", name)
	case r.runs:
		return claim
	case claim.Status.Phase == corev1.ClaimLost:
		r.stuck("volume claim %s has lost its volume", name)
	case claim.DeletionTimestamp != nil:
		r.stuck("volume claim %s is being deleted", name)
	case v.Ephemeral != nil && !metav1.IsControlledBy(claim, p):
		r.stuck("volume claim %s belongs to something else", name)
	default:
		return claim
	}
	return nil
}

func (r *volumeReader) stuck(format string, args ...any) {
	r.Stuck = firstOf(r.Stuck, fmt.Sprintf(format, args...))
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// attach counts the volume against what its CSI driver can attach to a node. Disks of the kinds that were once built into
// Kubernetes are counted only if their volume names the driver.
func (r *volumeReader) attach(claim *corev1.PersistentVolumeClaim, name string) {
	if claim.Name != "" {
		name = claim.Name
	}
	if r.attached[name] {
		return
	}
	r.attached[name] = true
	driver := ""
	if class := r.look.Class(volumehelper.GetPersistentVolumeClaimClass(claim)); class != nil && !strings.HasPrefix(class.Provisioner, "kubernetes.io/") {
		driver = class.Provisioner
	}
	if volume := r.look.Volume(claim.Spec.VolumeName); claim.Spec.VolumeName != "" && volume != nil {
		if driver = ""; volume.Spec.CSI != nil {
			driver = volume.Spec.CSI.Driver
		}
	}
	if driver == "" {
		return
	}
	for i := range r.Needs {
		if r.Needs[i].Name == fit.Attached(driver) {
			r.Needs[i].Value++
			return
		}
	}
	r.Needs = append(r.Needs, fit.Amount{Name: fit.Attached(driver), Value: 1})
}

func (r *volumeReader) read(claim *corev1.PersistentVolumeClaim, shared bool) {
	if shared && slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteOncePod) {
		r.Claims = append(r.Claims, claim.Namespace+"/"+claim.Name)
	}
	if claim.Spec.VolumeName != "" && metav1.HasAnnotation(claim.ObjectMeta, volumehelper.AnnBindCompleted) {
		r.bound(claim, shared)
		return
	}
	class := r.look.Class(volumehelper.GetPersistentVolumeClaimClass(claim))
	waits := class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	switch {
	case waits && claim.Spec.VolumeName == "":
		r.unbound(claim, class)
	case r.look.template && claim.UID == "":
		r.Foreign = firstOf(r.Foreign, "a volume of it is made before it is placed, so its zone is not known")
	default:
		r.stuck("volume claim %s is not bound", claim.Name)
	}
}

// bound: the volume's own affinity, and the labels for zones that older volumes have in its place.
func (r *volumeReader) bound(claim *corev1.PersistentVolumeClaim, shared bool) {
	volume := r.look.Volume(claim.Spec.VolumeName)
	if volume == nil {
		r.stuck("there is no volume %s, to which claim %s is bound", claim.Spec.VolumeName, claim.Name)
		return
	}
	if place := reach(volume); place != nil {
		r.Places = append(r.Places, place)
	}
	if shared {
		r.Places = append(r.Places, zonesOf(volume.Labels)...)
	}
}

// reach is where a volume can be used; nil is everywhere. The scheduler looks at labels alone, never at a node's name.
func reach(v *corev1.PersistentVolume) fit.NodeTerms {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return nil
	}
	terms := nodeTerms(v.Spec.NodeAffinity.Required)
	for i := range terms {
		terms[i].Names, terms[i].NotNames = nil, nil
	}
	return terms
}

var zoneLabels = []string{
	corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
}

var newZoneLabels = map[string]string{
	corev1.LabelFailureDomainBetaZone: corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
}

// zonesOf is a condition for each label of a volume that names zones or regions, "__" between them: a node has one of them,
// under the old key or, lacking that, under the new one; or it has no such label at all.
func zonesOf(l map[string]string) []fit.NodeTerms {
	var unlabelled fit.NodeTerm
	for _, key := range zoneLabels {
		unlabelled.Labels = append(unlabelled.Labels, fit.Requirement{Key: key, Operator: fit.Absent})
	}
	var places []fit.NodeTerms
	for _, key := range zoneLabels {
		zones, ok := splitZones(l[key])
		if !ok {
			continue
		}
		place := fit.NodeTerms{unlabelled, {Labels: []fit.Requirement{{Key: key, Operator: fit.In, Values: zones}}}}
		if renamed, ok := newZoneLabels[key]; ok {
			place = append(place, fit.NodeTerm{Labels: []fit.Requirement{
				{Key: key, Operator: fit.Absent}, {Key: renamed, Operator: fit.In, Values: zones},
			}})
		}
		places = append(places, place)
	}
	return places
}

func splitZones(value string) ([]string, bool) {
	zones := strings.Split(value, "__")
	for i := range zones {
		if zones[i] = strings.TrimSpace(zones[i]); zones[i] == "" {
			return nil, false
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones), true
}

// unbound: the node must reach a volume that could be bound to the claim, or one that can be made for it.
func (r *volumeReader) unbound(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) {
	if node, ok := claim.Annotations[volumehelper.AnnSelectedNode]; ok {
		r.Places = append(r.Places, fit.NodeTerms{{Names: []string{node}}}, provision(class))
		return
	}
	place := provision(class)
	volumes, setAside := candidates(claim, r.look.Volumes(class.Name))
	if setAside > 1 {
		r.Foreign = firstOf(r.Foreign, "two volumes are set aside for claim "+claim.Name)
	}
	for _, volume := range volumes {
		if r.taken[volume.Name] {
			r.Foreign = firstOf(r.Foreign, "two volume claims of it could be bound to the same volume")
		}
		r.taken[volume.Name] = true
		if where := reach(volume); where != nil {
			place = append(place, where...)
		} else {
			place = append(place, fit.NodeTerm{})
		}
	}
	r.Places = append(r.Places, place)
}

// provision is where the class can make a volume; nowhere when it makes none.
func provision(class *storagev1.StorageClass) fit.NodeTerms {
	switch {
	case class.Provisioner == "" || class.Provisioner == volumehelper.NotSupportedProvisioner:
		return fit.NodeTerms{}
	case len(class.AllowedTopologies) == 0:
		return fit.NodeTerms{{}}
	}
	terms := fit.NodeTerms{}
	for _, t := range class.AllowedTopologies {
		var term fit.NodeTerm
		for _, e := range t.MatchLabelExpressions {
			term.Labels = append(term.Labels, fit.Requirement{Key: e.Key, Operator: fit.In, Values: slices.Sorted(slices.Values(e.Values))})
		}
		if term.Labels = canonical(term.Labels); len(term.Labels) > 0 {
			terms = append(terms, term)
		}
	}
	return terms
}

// candidates are the volumes that the scheduler could bind to the claim on some node: the one that is set aside for it, or
// all that are free and like it. Of several that are set aside for it, the scheduler takes whichever it comes upon first.
func candidates(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume) (list []*corev1.PersistentVolume, setAside int) {
	var open []*corev1.PersistentVolume
	for _, v := range volumes {
		switch {
		case !couldHold(v, claim):
		case volumehelper.IsVolumeBoundToClaim(v, claim):
			list = append(list, v)
		case free(v, claim):
			open = append(open, v)
		}
	}
	if len(list) > 0 {
		return list, len(list)
	}
	return open, 0
}

func couldHold(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	size, asked := v.Spec.Capacity[corev1.ResourceStorage], claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return (v.Spec.ClaimRef == nil || volumehelper.IsVolumeBoundToClaim(v, claim)) && size.Cmp(asked) >= 0 && v.DeletionTimestamp == nil &&
		!volumehelper.CheckVolumeModeMismatches(&claim.Spec, &v.Spec) &&
		valueOf(claim.Spec.VolumeAttributesClassName) == valueOf(v.Spec.VolumeAttributesClassName)
}

func free(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	selector := labels.Everything()
	if claim.Spec.Selector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(claim.Spec.Selector); err != nil {
			return false
		}
	}
	return v.Status.Phase == corev1.VolumeAvailable && selector.Matches(labels.Set(v.Labels)) && volumehelper.CheckAccessModes(claim, v)
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
