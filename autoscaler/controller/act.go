package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/cloudprovider"
)

// actor carries out decisions. All that it does is absolute, so that doing it twice is doing it once.
type actor struct {
	client   kubernetes.Interface
	provider cloudprovider.Provider
	pools    *pools
	written  *writtenScales
	tasks    *tasks
	tell     *teller
	metrics  *metrics
	traces   *traces
	journal  *journal
	log      *zap.Logger
	// epoch is of this leadership; tokens are numbered within it.
	epoch  uint64
	orders atomic.Uint64
	// deposed is called when the provider says that another leader has spoken since.
	deposed func()
}

// origin is what made us plan, and when that was seen.
type origin struct {
	cause string
	at    time.Time
}

// carryOut starts all that a decision wants. What is under way already is not started again.
func (a *actor) carryOut(pic *picture, d autoscaler.Decision, from origin) {
	costs := map[autoscaler.WorkloadID][]autoscaler.Cost{}
	if len(d.Costs) > 0 {
		for i := range pic.cluster.Pods {
			p := &pic.cluster.Pods[i]
			k, ok := slices.BinarySearchFunc(d.Costs, p.ID, func(c autoscaler.Cost, id autoscaler.PodID) int { return strings.Compare(string(c.Pod), string(id)) })
			if ok {
				costs[p.Workload] = append(costs[p.Workload], d.Costs[k])
			}
		}
	}
	for _, s := range d.Scales {
		if s.Changes() || len(costs[s.Workload]) > 0 {
			a.scale(s, costs[s.Workload], from)
		}
	}
	for _, o := range d.Orders {
		if o.Changes() {
			a.order(pic, o, from)
		}
	}
	for _, n := range d.Drains {
		a.drain(pic, n)
	}
	for _, name := range pic.orphans {
		a.tasks.do("node "+name, "orphan", func(ctx context.Context) error { return a.deleteNode(ctx, name) })
	}
}

// scale writes a workload's replicas, after the marks on the pods that should leave first.
func (a *actor) scale(s autoscaler.Scale, costs []autoscaler.Cost, from origin) {
	want := strconv.Itoa(s.To)
	for _, c := range costs {
		want += fmt.Sprintf(" %s=%d", c.Pod, c.Cost)
	}
	planned := time.Now()
	a.tasks.do("scale "+string(s.Workload), want, func(ctx context.Context) error {
		for _, c := range costs {
			// A pod that is gone, or a mark that fails, must not keep the scale from being written: the ReplicaSet then chooses.
			if err := a.markPod(ctx, c); err != nil && !apierrors.IsNotFound(err) {
				a.log.Warn("a pod could not be marked to leave first", zap.String("pod", string(c.Pod)), zap.Error(err))
			}
		}
		if !s.Changes() {
			return nil
		}
		a.written.writing(s.Workload, s.To, time.Now())
		if err := a.patchScale(ctx, s.Workload, s.To); err != nil {
			return permanentIf(err, apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err))
		}
		now := time.Now()
		a.written.wrote(s.Workload, s.To, now)
		a.metrics.scaled(s, from.at, now)
		a.journal.add(action{Kind: "scale", Subject: string(s.Workload), From: s.From, To: s.To, Rule: s.Why[0].Rule.String(), Cause: from.cause, Observed: from.at, Planned: planned, Done: now})
		a.tell.scaled(s)
		return nil
	})
}

func (a *actor) patchScale(ctx context.Context, id autoscaler.WorkloadID, replicas int) error {
	namespace, name, kind := cutWorkload(id)
	resource := map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets"}[kind]
	body := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	return a.client.AppsV1().RESTClient().Patch(types.MergePatchType).Namespace(namespace).Resource(resource).Name(name).
		SubResource("scale").Param("fieldManager", fieldManager).Body(body).Do(ctx).Error()
}

// fieldManager is the name under which our writes stand in managedFields.
const fieldManager = "wholescale"

func (a *actor) markPod(ctx context.Context, c autoscaler.Cost) error {
	namespace, name, _ := strings.Cut(string(c.Pod), "/")
	value := any(strconv.Itoa(c.Cost))
	if c.Cost == 0 {
		value = nil // takes the annotation away
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationDeletionCost: value}}})
	if err != nil {
		return err
	}
	_, err = a.client.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	return err
}

// order tells the provider a pool's absolute target, with the instances that end. The token stays the same over all tries
// of this order.
func (a *actor) order(pic *picture, o autoscaler.Order, from origin) {
	object := pic.pools[o.Pool]
	change := cloudprovider.Change{
		Pool: object.Spec.Provider.Pool, Target: o.To, Epoch: a.epoch, Token: fmt.Sprintf("%d-%d", a.epoch, a.orders.Add(1)),
	}
	want := strconv.Itoa(o.To)
	for _, id := range o.Delete {
		change.Instances = append(change.Instances, pic.instance[id])
		want += " -" + string(id)
	}
	planned := time.Now()
	a.tasks.do("order "+string(o.Pool), want, func(ctx context.Context) error {
		call := a.provider.SetTarget
		if len(change.Instances) > 0 {
			call = a.provider.Delete
		}
		stands, err := call(ctx, change)
		now := time.Now()
		a.metrics.ordered(o, planned, now, err)
		a.traces.ordered(o, planned, now, err)
		if err != nil {
			return a.refused(change, err)
		}
		a.pools.acknowledged(change.Pool, stands, change.Instances)
		a.journal.add(action{Kind: "order", Subject: string(o.Pool), From: o.From, To: o.To, Ended: len(o.Delete), Rule: o.Why[0].Rule.String(), Cause: from.cause, Observed: from.at, Planned: planned, Done: now})
		a.tell.ordered(object, o)
		for _, id := range o.Delete {
			if name, ok := pic.nodeName[id]; ok {
				if err := a.deleteNode(ctx, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// refused sorts out what a provider's error means for the order.
func (a *actor) refused(c cloudprovider.Change, err error) error {
	switch {
	case errors.Is(err, cloudprovider.ErrOldEpoch):
		a.deposed()
	case errors.Is(err, cloudprovider.ErrNoStock), errors.Is(err, cloudprovider.ErrOverLimit):
		a.pools.refused(c.Pool, err.Error())
	case errors.Is(err, cloudprovider.ErrNoPool), errors.Is(err, cloudprovider.ErrInvalid):
	default:
		return err
	}
	return backoff.Permanent(err)
}

func (a *actor) drain(pic *picture, d autoscaler.Drain) {
	name, ok := pic.nodeName[d.Node]
	if !ok {
		return
	}
	switch d.Step {
	case autoscaler.Cordon:
		a.tasks.do("node "+name, "cordon", func(ctx context.Context) error { return a.taint(ctx, name, d.Why) })
		a.tell.node(name, "Draining", d.Why)
	case autoscaler.Uncordon:
		a.tasks.do("node "+name, "uncordon", func(ctx context.Context) error { return a.untaint(ctx, name) })
		a.tell.node(name, "DrainCancelled", d.Why)
	case autoscaler.Evict:
		for _, pod := range d.Evict {
			a.tasks.do("evict "+string(pod), "evict", func(ctx context.Context) error { return a.evict(ctx, pod) })
		}
	case autoscaler.Stay:
		a.tell.nodeOnce(name, d.Why)
	}
}

// taint puts our own taint on a node; untaint takes it away.
func (a *actor) taint(ctx context.Context, name string, why autoscaler.Reason) error {
	return a.editTaints(ctx, name, why.String(), corev1.Taint{Key: v1alpha1.TaintDraining, Effect: corev1.TaintEffectNoSchedule})
}

func (a *actor) untaint(ctx context.Context, name string) error {
	return a.editTaints(ctx, name, nil)
}

// editTaints makes ours the only draining taint, or none. A node's taints are one atomic list, so it is read, edited and
// written back whole, on the condition that nobody changed it meanwhile; a conflict is tried again.
func (a *actor) editTaints(ctx context.Context, name string, note any, ours ...corev1.Taint) error {
	node, err := a.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // it left by itself meanwhile
	}
	if err != nil {
		return permanentIf(err, apierrors.IsForbidden(err))
	}
	others := slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.TaintDraining })
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": node.ResourceVersion, "annotations": map[string]any{v1alpha1.AnnotationDrain: note}},
		"spec":     map[string]any{"taints": append(others, ours...)},
	})
	if err != nil {
		return err
	}
	_, err = a.client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	return permanentIf(err, apierrors.IsNotFound(err) || apierrors.IsForbidden(err))
}

// evict asks the Eviction API, which holds PodDisruptionBudgets; a budget that says no is asked again with a later plan.
func (a *actor) evict(ctx context.Context, pod autoscaler.PodID) error {
	namespace, name, _ := strings.Cut(string(pod), "/")
	err := a.client.CoreV1().Pods(namespace).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return permanentIf(err, apierrors.IsTooManyRequests(err) || apierrors.IsForbidden(err))
}

func (a *actor) deleteNode(ctx context.Context, name string) error {
	err := a.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return permanentIf(err, apierrors.IsForbidden(err))
}

func permanentIf(err error, permanent bool) error {
	if err != nil && permanent {
		return backoff.Permanent(err)
	}
	return err
}
