package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/events"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// quietFor is how often a status is written when nothing in it changed but figures.
const quietFor = 5 * time.Second

// teller tells people: Events as things happen, and the status of our objects after each plan.
type teller struct {
	events events.EventRecorder
	client dynamic.Interface
	tasks  *tasks
	sent   map[string]sentStatus // by object; the loop's own
	said   map[string]string     // last Event by subject, so that each is said once
	// measures know how far requests are from use.
	measures *measures
	waits    *waits
}

type sentStatus struct {
	words string // without figures
	all   string
	at    time.Time
}

// happened records an Event on an object.
func (t *teller) happened(about *corev1.ObjectReference, kind, reason, action, note string) {
	t.events.Eventf(about, nil, kind, reason, action, "%s", note)
}

func workloadReference(id autoscaler.WorkloadID) *corev1.ObjectReference {
	namespace, name, kind := cutWorkload(id)
	return &corev1.ObjectReference{APIVersion: "apps/v1", Kind: kind, Namespace: namespace, Name: name}
}

func poolReference(pool *v1alpha1.NodePool) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "NodePool", Name: pool.Name, UID: pool.UID}
}

func nodeReference(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: types.UID(name)}
}

func (t *teller) scaled(s autoscaler.Scale) {
	t.happened(workloadReference(s.Workload), corev1.EventTypeNormal, "Scaled", "Scale", fmt.Sprintf("%d -> %d: %s", s.From, s.To, s.Why[0]))
}

func (t *teller) ordered(pool *v1alpha1.NodePool, o autoscaler.Order) {
	t.happened(poolReference(pool), corev1.EventTypeNormal, "Ordered", "SetTarget", fmt.Sprintf("%d -> %d: %s", o.From, o.To, o.Why[0]))
}

func (t *teller) node(name, reason string, why autoscaler.Reason) {
	t.happened(nodeReference(name), corev1.EventTypeNormal, reason, "Drain", why.String())
}

// report writes the status of each of our objects where it changed, and an Event for each workload that is refused or
// blocked, once for each reason.
func (t *teller) report(pic *picture, s autoscaler.State, d autoscaler.Decision) {
	holds := map[autoscaler.WorkloadID]autoscaler.Hold{}
	for _, h := range d.Holds {
		holds[h.Workload] = h
	}
	short := map[autoscaler.WorkloadID]*autoscaler.Placement{}
	for i := range d.Placements {
		if p := &d.Placements[i]; p.Unplaced > 0 && p.Workload != "" {
			short[p.Workload] = p
		}
	}
	ready := map[autoscaler.WorkloadID]int{}
	for i := range s.Pods {
		if s.Pods[i].Phase == autoscaler.Ready {
			ready[s.Pods[i].Workload]++
		}
	}
	for i := range pic.adopted {
		a, w, scale := &pic.adopted[i], &s.Workloads[i], &d.Scales[i]
		hold := holds[a.id]
		t.once(a, w, hold, short[a.id])
		if a.object == nil {
			continue
		}
		status := a.object.Status.DeepCopy()
		status.ObservedGeneration = a.object.Generation
		status.DesiredReplicas, status.ReadyReplicas, status.Queued = ptr(scale.To), ptr(ready[a.id]), ptr(w.Demand.Queued)
		status.WaitP99 = nil
		if p99, known := t.waits.p99(s.Now, a.id); known {
			status.WaitP99 = &metav1.Duration{Duration: p99}
		}
		status.Reason = scale.Why[0].Rule.String()
		status.Requests = &v1alpha1.Requests{
			CPU:    *resource.NewMilliQuantity(a.shape.Needs.CPU, resource.DecimalSI),
			Memory: *resource.NewQuantity(a.shape.Needs.Memory, resource.BinarySI), Defaulted: a.defaulted,
		}
		workloadConditions(&status.Conditions, a.object.Generation, w, scale, ready[a.id], hold, a.conflict)
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionRequestsDrifted)
		if drifted, drift := t.measures.drift(a.id); drifted != "" {
			meta.SetStatusCondition(&status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionRequestsDrifted, Status: metav1.ConditionTrue, Reason: drifted, Message: drift, ObservedGeneration: a.object.Generation,
			})
		}
		t.write(v1alpha1.PodAutoscalers, a.object.Namespace, a.object.Name, status, status.Reason, status.Conditions)
	}
	t.forget(len(pic.adopted) + len(d.Orders) + len(s.Nodes))
	for i := range d.Orders {
		t.poolOnce(pic.pools[d.Orders[i].Pool], &d.Orders[i])
	}
	t.reportPools(pic, &s, &d)
}

// remark is an Event that says why nothing happens. It is made when its mark changes; an empty one says that all is well.
type remark struct {
	key   string
	about *corev1.ObjectReference
	// kind is Normal or Warning, reason one word, and words have figures in them that are no news by themselves.
	kind, reason, action, words string
	mark                        string
}

// sayOnce makes the Event of a remark unless it was the last one under its key. It is for the loop's goroutine.
func (t *teller) sayOnce(r remark) {
	if t.said[r.key] == r.mark {
		return
	}
	t.said[r.key] = r.mark
	if r.mark != "" {
		t.happened(r.about, r.kind, r.reason, r.action, r.words)
	}
}

// once says in Events why a workload is not scaled, why its requests are refused, that its replicas have room nowhere, and
// that its requests are far from what its pods use.
func (t *teller) once(a *adopted, w *autoscaler.Workload, hold autoscaler.Hold, short *autoscaler.Placement) {
	about := workloadReference(a.id)
	warn := func(topic string, why autoscaler.Reason, is bool) {
		r := remark{key: topic + " " + string(a.id), about: about, kind: corev1.EventTypeWarning, action: "Scale"}
		if is {
			r.reason, r.words, r.mark = why.Rule.String(), why.Sentence(), why.Rule.String()+why.Subject
		}
		t.sayOnce(r)
	}
	warn("blocked", autoscaler.Reason{Rule: autoscaler.Blocked, Subject: w.Blocked}, w.Blocked != "")
	warn("hold", hold.Why, hold.Refuse && w.Blocked == "")
	room := autoscaler.Reason{}
	if short != nil {
		room = short.Why
	}
	warn("room", room, short != nil && short.Unplaced > 0)
	reason, words := t.measures.drift(a.id)
	t.sayOnce(remark{key: "size " + string(a.id), about: about, kind: corev1.EventTypeNormal, reason: reason, action: "Measure", words: words, mark: reason})
}

func workloadConditions(list *[]metav1.Condition, generation int64, w *autoscaler.Workload, s *autoscaler.Scale, ready int, h autoscaler.Hold, conflict bool) {
	set := func(kind string, on bool, reason, message string) {
		status := metav1.ConditionFalse
		if on {
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(list, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation})
	}
	why := s.Why[0]
	stalled := w.Blocked != "" || h.Refuse
	set(v1alpha1.ConditionReady, !stalled && ready >= s.To, why.Rule.String(), why.Sentence())
	// kstatus reads the absence of these two as fine.
	meta.RemoveStatusCondition(list, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(list, v1alpha1.ConditionStalled)
	meta.RemoveStatusCondition(list, v1alpha1.ConditionConflicted)
	switch {
	case conflict:
		set(v1alpha1.ConditionConflicted, true, "AnotherAutoscaler", w.Blocked)
		set(v1alpha1.ConditionStalled, true, "AnotherAutoscaler", w.Blocked)
	case w.Blocked != "":
		set(v1alpha1.ConditionStalled, true, "Blocked", w.Blocked)
	case h.Refuse:
		set(v1alpha1.ConditionStalled, true, h.Why.Rule.String(), h.Why.Sentence())
	case ready < s.To:
		set(v1alpha1.ConditionReconciling, true, h.Why.Rule.String(), h.Why.Sentence())
	}
}

// poolOnce says in an Event why a pool is left as it is though something is the matter.
func (t *teller) poolOnce(object *v1alpha1.NodePool, o *autoscaler.Order) {
	r := remark{key: "pool " + string(o.Pool), about: poolReference(object), kind: corev1.EventTypeWarning, action: "SetTarget"}
	if why := o.Why[0]; why.Rule == autoscaler.ProviderUnknown && !o.Changes() {
		r.reason, r.words, r.mark = why.Rule.String(), why.Sentence(), why.Rule.String()
	}
	t.sayOnce(r)
}

// nodeOnce says in an Event why a node does not leave that otherwise would.
func (t *teller) nodeOnce(name string, why autoscaler.Reason) {
	r := remark{key: "node " + name, about: nodeReference(name), kind: corev1.EventTypeNormal, action: "Drain"}
	if why.Rule == autoscaler.EvictionHeld || why.Rule == autoscaler.NotOurs {
		// The subject of a node that is kept has figures in it; that it is kept is the news.
		r.reason, r.words, r.mark = why.Rule.String(), why.Sentence(), why.Rule.String()
	}
	t.sayOnce(r)
}

func (t *teller) reportPool(object *v1alpha1.NodePool, s *autoscaler.State, p *autoscaler.Pool, o *autoscaler.Order) {
	status := object.Status.DeepCopy()
	status.ObservedGeneration = object.Generation
	nodes, ready, coming := 0, 0, 0
	for i := range s.Nodes {
		if s.Nodes[i].Pool != p.ID {
			continue
		}
		nodes++
		switch s.Nodes[i].Phase {
		case autoscaler.Ready:
			ready++
		case autoscaler.Coming:
			coming++
		}
	}
	status.Target, status.Nodes, status.Ready, status.Coming = ptr(o.To), ptr(nodes), ptr(ready), ptr(coming)
	if p.PricePerHour > 0 {
		price := p.PricePerHour * float64(nodes)
		status.PricePerHour = &price
	}
	status.Reason = o.Why[0].Rule.String()
	poolConditions(&status.Conditions, object.Generation, p, o, coming)
	t.write(v1alpha1.NodePools, "", object.Name, status, status.Reason, status.Conditions)
}

func poolConditions(list *[]metav1.Condition, generation int64, p *autoscaler.Pool, o *autoscaler.Order, coming int) {
	set := func(kind string, on bool) {
		state := metav1.ConditionFalse
		if on {
			state = metav1.ConditionTrue
		}
		meta.SetStatusCondition(list, metav1.Condition{Type: kind, Status: state, Reason: o.Why[0].Rule.String(), Message: o.Why[0].Sentence(), ObservedGeneration: generation})
	}
	set(v1alpha1.ConditionReady, p.Unknown == "" && coming == 0)
	meta.RemoveStatusCondition(list, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(list, v1alpha1.ConditionStalled)
	switch {
	case p.Unknown != "":
		set(v1alpha1.ConditionStalled, true)
	case coming > 0 || o.Changes():
		set(v1alpha1.ConditionReconciling, true)
	}
}

// forget drops what was sent about objects that are gone, so that memory is bounded by what there is.
func (t *teller) forget(objects int) {
	if len(t.sent) > 2*objects+64 {
		clear(t.sent)
	}
	if len(t.said) > 8*objects+64 { // four topics of a workload

		clear(t.said)
	}
}

// write patches a status when its words changed, or its figures and it was not written for a while.
func (t *teller) write(what schema.GroupVersionResource, namespace, name string, status any, reason string, conditions []metav1.Condition) {
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return // of our own types: cannot be
	}
	words := reason
	for _, c := range conditions {
		words += "\n" + c.Type + string(c.Status) + c.Reason
	}
	key, now := what.Resource+" "+namespace+"/"+name, time.Now()
	last := t.sent[key]
	if string(body) == last.all || words == last.words && now.Sub(last.at) < quietFor {
		return
	}
	t.sent[key] = sentStatus{words: words, all: string(body), at: now}
	t.tasks.do("status "+key, string(body), func(ctx context.Context) error {
		_, err := t.client.Resource(what).Namespace(namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		return permanentIf(err, apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err))
	})
}

func ptr(n int) *int32 {
	v := int32(min(n, 1<<31-1))
	return &v
}
