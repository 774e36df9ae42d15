package controller

import (
	"maps"
	"reflect"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// world is what the API server says, by "namespace/name", translated once for each change and not once for each look.
// Informers write it; the loop and the links read it.
type world struct {
	mu          sync.Mutex
	pods        map[string]*podRecord
	nodes       map[string]*nodeRecord
	targets     map[autoscaler.WorkloadID]*target
	owners      map[string]string // ReplicaSet -> Deployment, both "namespace/name"
	daemons     map[string]autoscaler.Daemon
	budgets     map[string]budget
	rivals      map[string]rival
	services    map[string]service
	autoscalers map[string]*v1alpha1.PodAutoscaler
	pools       map[string]*v1alpha1.NodePool
	// named are what pods name; namespaces have their labels.
	named      volumes
	limits     map[string]fit.Amounts // of volumes, by node
	namespaces map[string]fit.Labels
	shapes     shapes
	buffers    map[string]buffer
	templates  map[string]*corev1.PodTemplate

	// changes are what the loop has not looked at, changed has a token while something has changed that the loop has not looked at.
	changed chan struct{}
	changes changes
	// podChanged is told of each pod whose address or readiness changed, and of each that is gone.
	podChanged func(id autoscaler.WorkloadID, p *podRecord, gone bool)
	// stage is told how long the stages of a pod's start took.
	stage func(name string, took time.Duration)
}

// podRecord is a pod with what the links need beside the core's view.
type podRecord struct {
	autoscaler.Pod
	namespace, name string
	labels          labels.Set
	controller      string // "ReplicaSet/name"; empty for a pod that nobody would replace
	ip              string
	ports           []int32
	ready           bool
	// running: all containers run. bound and ran are when we saw that it had a node and that it ran; zero when it was so
	// before we looked.
	running    bool
	bound, ran time.Time
	claimed    *corev1.Pod // the pod itself when it has volumes that are claimed
}

// nodeRecord is a Node without what only the provider knows (pool and instance).
type nodeRecord struct {
	autoscaler.Node
	providerID string
	poolLabel  string
	own        fit.Amounts // Extended without the limits of volumes, which another object tells
	ready      bool
	// settling: it carries a taint of Kubernetes' own that goes away by itself (not ready, network, uninitialized).
	settling bool
}

// target is a Deployment or StatefulSet, whether it is ours to scale or not.
type target struct {
	id              autoscaler.WorkloadID
	namespace, name string
	kind            string // Deployment or StatefulSet
	uid             string
	replicas        int
	shape           autoscaler.Shape
	defaulted       bool // the shape has a request that the pod template does not state
	annotations     map[string]string
	podLabels       labels.Set
	port            int32 // the first container port; 0 when there is none
	portsByName     map[string]int32
	template        *corev1.PodTemplateSpec
}

// differsInReplicas says that a target is as it was, but perhaps for its replicas.
func (t *target) differsInReplicas(now *target) bool {
	was := *t
	was.replicas = now.replicas
	return reflect.DeepEqual(&was, now)
}

type budget struct {
	namespace, name string
	selector        labels.Selector
	allowed         int32
}

// rival is an HPA, by the target that it scales.
type rival struct{ namespace, name, kind, target string }

type service struct {
	namespace, name string
	selector        labels.Selector
	port            string // its first target port: a number or a name
}

func newWorld() *world {
	return &world{
		pods: map[string]*podRecord{}, nodes: map[string]*nodeRecord{}, targets: map[autoscaler.WorkloadID]*target{},
		owners: map[string]string{}, daemons: map[string]autoscaler.Daemon{}, budgets: map[string]budget{},
		rivals: map[string]rival{}, services: map[string]service{}, autoscalers: map[string]*v1alpha1.PodAutoscaler{},
		named: volumes{
			claims: map[string]*corev1.PersistentVolumeClaim{}, volumes: map[string]*corev1.PersistentVolume{},
			classes: map[string]*storagev1.StorageClass{}, priorities: map[string]*schedulingv1.PriorityClass{},
		},
		limits: map[string]fit.Amounts{}, namespaces: map[string]fit.Labels{}, buffers: map[string]buffer{}, templates: map[string]*corev1.PodTemplate{},
		pools: map[string]*v1alpha1.NodePool{}, changed: make(chan struct{}, 1), podChanged: func(autoscaler.WorkloadID, *podRecord, bool) {},
		stage: func(string, time.Duration) {},
	}
}

// setPodChanged names who is told of pods from now on.
func (w *world) setPodChanged(f func(id autoscaler.WorkloadID, p *podRecord, gone bool)) {
	w.mu.Lock()
	w.podChanged = f
	w.mu.Unlock()
}

// setStages names who is told of the stages of pods' starts from now on.
func (w *world) setStages(f func(name string, took time.Duration)) {
	w.mu.Lock()
	w.stage = f
	w.mu.Unlock()
}

// stages carries on when a pod was bound and ran, and tells of a pod of ours that has become ready. Only what we saw happen
// counts: a pod's own times are in whole seconds. The lock is held.
func (w *world) stages(old, r *podRecord, now time.Time) {
	if old == nil {
		return
	}
	r.bound, r.ran = old.bound, old.ran
	if old.Phase == autoscaler.Pending && r.Node != "" {
		r.bound = now
	}
	if !old.running && r.running && !r.bound.IsZero() {
		r.ran = now
	}
	if r.Phase == autoscaler.Ready && old.Phase != autoscaler.Ready && !r.ran.IsZero() && w.workloadOf(r) != "" {
		w.stage(stagePull, r.ran.Sub(r.bound))
		w.stage(stageStart, now.Sub(r.ran))
		r.bound, r.ran = time.Time{}, time.Time{} // ready once is enough: a pod that comes back is no cold start
	}
}

func (w *world) nudge() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// stir asks for a look at all.
func (w *world) stir() {
	w.mu.Lock()
	w.changes.stirred = true
	w.mu.Unlock()
	w.nudge()
}

// put and drop are what an informer's handlers do, under the lock, for one kind of object.
func put[V any](w *world, m map[string]V, key string, v V) {
	w.mu.Lock()
	set(w, m, key, v)
	w.mu.Unlock()
	w.nudge()
}

// set is put under the lock.
func set[V any](w *world, m map[string]V, key string, v V) {
	old, there := m[key]
	w.changes.stirred = w.changes.stirred || !there || !same(old, v)
	m[key] = v
}

// putNode takes a node in, with the limits of its volumes as they were told last.
func (w *world) putNode(name string, r *nodeRecord) {
	w.mu.Lock()
	r.Extended = withLimits(r.own, w.limits[name])
	set(w, w.nodes, name, r)
	w.mu.Unlock()
	w.nudge()
}

// putLimits takes in what a node's CSI drivers say of it.
func (w *world) putLimits(csi *storagev1.CSINode) {
	w.mu.Lock()
	set(w, w.limits, csi.Name, volumeLimits(csi))
	if old := w.nodes[csi.Name]; old != nil {
		r := *old
		r.Extended = withLimits(r.own, w.limits[csi.Name])
		set(w, w.nodes, csi.Name, &r)
	}
	w.mu.Unlock()
	w.nudge()
}

// same says that an object's change is none that a plan about a few workloads would have to know.
func same(old, v any) bool {
	if a, ok := old.(metav1.Object); ok {
		// Much of what is written to an object is its status, and most of that by us.
		b := v.(metav1.Object)
		if generation := b.GetGeneration(); generation > 0 {
			return generation == a.GetGeneration() && maps.Equal(a.GetLabels(), b.GetLabels()) && maps.Equal(a.GetAnnotations(), b.GetAnnotations()) &&
				a.GetDeletionTimestamp().Equal(b.GetDeletionTimestamp())
		}
	}
	if _, ok := old.(budget); ok {
		return true // it bounds evictions, which are not done at a glance
	}
	return reflect.DeepEqual(old, v)
}

func drop[V any](w *world, m map[string]V, key string) {
	w.mu.Lock()
	_, there := m[key]
	w.changes.stirred = w.changes.stirred || there
	delete(m, key)
	w.mu.Unlock()
	w.nudge()
}

func (w *world) putPod(p *corev1.Pod) {
	r := translatePod(p)
	w.mu.Lock()
	r.Shape = w.shapes.share(r.Shape)
	old := w.pods[string(r.ID)]
	if old != nil && old.Phase == r.Phase {
		// The moment that we saw it bound is finer than the API's whole seconds.
		r.Since = old.Since
	}
	w.stages(old, r, time.Now())
	w.pods[string(r.ID)] = r
	id, tell := w.workloadOf(r), w.podChanged
	w.changes.pod(string(r.ID), id)
	w.changes.stirred = w.changes.stirred || r.claimed != nil
	w.mu.Unlock()
	if id != "" && (old == nil || old.ip != r.ip || old.ready != r.ready || old.Phase != r.Phase) {
		tell(id, r, false)
	}
	w.nudge()
}

func (w *world) dropPod(key string) {
	w.mu.Lock()
	old := w.pods[key]
	delete(w.pods, key)
	id := autoscaler.WorkloadID("")
	if old != nil {
		id = w.workloadOf(old)
	}
	w.changes.pod(key, id)
	tell := w.podChanged
	w.mu.Unlock()
	if id != "" {
		tell(id, old, true)
	}
	w.nudge()
}

func (w *world) putTarget(t *target) {
	w.mu.Lock()
	t.shape = w.shapes.share(t.shape)
	if old := w.targets[t.id]; old != nil && old.differsInReplicas(t) {
		w.changes.target(t.id)
	} else {
		w.changes.stirred = true
	}
	w.targets[t.id] = t
	w.mu.Unlock()
	w.nudge()
}

func (w *world) dropTarget(id autoscaler.WorkloadID) {
	w.mu.Lock()
	delete(w.targets, id)
	w.changes.stirred = true
	w.mu.Unlock()
	w.nudge()
}

func (w *world) putBudget(b *policyv1.PodDisruptionBudget) {
	selector, ok := selectorOf(b.Spec.Selector)
	if !ok {
		return
	}
	put(w, w.budgets, keyOf(b), budget{namespace: b.Namespace, name: b.Name, selector: selector, allowed: b.Status.DisruptionsAllowed})
}

func (w *world) putRival(h *autoscalingv2.HorizontalPodAutoscaler) {
	put(w, w.rivals, keyOf(h), rival{namespace: h.Namespace, name: h.Name, kind: h.Spec.ScaleTargetRef.Kind, target: h.Spec.ScaleTargetRef.Name})
}

func (w *world) putService(s *corev1.Service) {
	if len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName {
		drop(w, w.services, keyOf(s))
		return
	}
	v := service{namespace: s.Namespace, name: s.Name, selector: labels.SelectorFromSet(s.Spec.Selector)}
	if len(s.Spec.Ports) > 0 {
		v.port = s.Spec.Ports[0].TargetPort.String()
	}
	put(w, w.services, keyOf(s), v)
}

func (w *world) putOwner(rs *appsv1.ReplicaSet) {
	for _, o := range rs.OwnerReferences {
		if o.Kind != "Deployment" {
			continue
		}
		w.mu.Lock()
		_, known := w.owners[keyOf(rs)]
		w.mu.Unlock()
		put(w, w.owners, keyOf(rs), rs.Namespace+"/"+o.Name)
		if !known {
			w.adoptPods(rs.Namespace, "ReplicaSet/"+rs.Name)
		}
	}
}

// adoptPods tells of pods that came before the ReplicaSet that says whose they are.
func (w *world) adoptPods(namespace, controller string) {
	w.mu.Lock()
	var list []*podRecord
	for _, p := range w.pods {
		if p.namespace == namespace && p.controller == controller {
			list = append(list, p)
		}
	}
	id := autoscaler.WorkloadID("")
	if len(list) > 0 {
		id = w.workloadOf(list[0])
	}
	tell := w.podChanged
	w.mu.Unlock()
	for _, p := range list {
		tell(id, p, false)
	}
}

// podsOf lists a workload's pods.
func (w *world) podsOf(id autoscaler.WorkloadID) []*podRecord {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*podRecord
	for _, p := range w.pods {
		if w.workloadOf(p) == id {
			list = append(list, p)
		}
	}
	return list
}

// workloadOf is the workload that a pod belongs to, whether it is ours to scale or not; empty for none. The lock is held.
func (w *world) workloadOf(p *podRecord) autoscaler.WorkloadID {
	kind, name := cutKind(p.controller)
	switch kind {
	case "ReplicaSet":
		return autoscaler.WorkloadID(w.owners[p.namespace+"/"+name])
	case "StatefulSet":
		return workloadID("StatefulSet", p.namespace, name)
	}
	return ""
}
