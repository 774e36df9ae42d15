package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// syncTimeout is how long the first lists may take before we say that something is wrong.
const syncTimeout = 2 * time.Minute

// watch starts the informers that keep the world, and returns when each has its first list. They end with ctx.
func watch(ctx context.Context, wg *sync.WaitGroup, client kubernetes.Interface, dyn dynamic.Interface, w *world, log *zap.Logger) error {
	typed := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	ours := dynamicinformer.NewDynamicSharedInformerFactory(dyn, 0)
	all := kinds(client, typed, ours, w, log)
	for _, i := range all {
		if _, err := i.of.AddEventHandler(i.to); err != nil {
			return fmt.Errorf("watching %s: %w", i.name, err)
		}
	}
	typed.Start(ctx.Done())
	ours.Start(ctx.Done())
	wg.Go(func() {
		<-ctx.Done()
		typed.Shutdown()
		ours.Shutdown()
	})
	first, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	for _, i := range all {
		if !cache.WaitForCacheSync(first.Done(), i.of.HasSynced) {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("listing %s took more than %s: are our CRDs installed, and may this account list %s?", i.name, syncTimeout, i.name)
		}
	}
	return nil
}

// watched is one kind of object and what is done with it.
type watched struct {
	name string
	of   cache.SharedIndexInformer
	to   cache.ResourceEventHandler
}

// kinds are all that the world is made of.
func kinds(client kubernetes.Interface, typed informers.SharedInformerFactory, ours dynamicinformer.DynamicSharedInformerFactory, w *world, log *zap.Logger) []watched {
	core, apps := typed.Core().V1(), typed.Apps().V1()
	all := []watched{
		{"replicasets", apps.ReplicaSets().Informer(), handler(w.putOwner, func(key string) { drop(w, w.owners, key) })},
		{"deployments", apps.Deployments().Informer(), handler(
			func(d *appsv1.Deployment) { w.putTarget(translateDeployment(d)) },
			func(key string) { w.dropTarget(autoscaler.WorkloadID(key)) })},
		{"statefulsets", apps.StatefulSets().Informer(), handler(
			func(s *appsv1.StatefulSet) { w.putTarget(translateStatefulSet(s)) },
			func(key string) { w.dropTarget(autoscaler.WorkloadID(key + ".statefulset")) })},
		{"daemonsets", apps.DaemonSets().Informer(), handler(
			func(d *appsv1.DaemonSet) { put(w, w.daemons, keyOf(d), translateDaemonSet(d)) },
			func(key string) { drop(w, w.daemons, key) })},
		{"pods", core.Pods().Informer(), handler(w.putPod, w.dropPod)},
		{"nodes", core.Nodes().Informer(), handler(
			func(n *corev1.Node) { w.putNode(n.Name, translateNode(n)) },
			func(key string) { drop(w, w.nodes, key) })},
		{"csinodes", typed.Storage().V1().CSINodes().Informer(), handler(w.putLimits, func(key string) {
			w.putLimits(&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: key}}) // none any more
			drop(w, w.limits, key)
		})},
		{"namespaces", core.Namespaces().Informer(), handler(
			func(n *corev1.Namespace) { put(w, w.namespaces, n.Name, fit.NewLabels(n.Labels)) },
			func(key string) { drop(w, w.namespaces, key) })},
		{"persistentvolumeclaims", core.PersistentVolumeClaims().Informer(), handler(
			func(c *corev1.PersistentVolumeClaim) { put(w, w.named.claims, keyOf(c), c) }, func(key string) { drop(w, w.named.claims, key) })},
		{"persistentvolumes", core.PersistentVolumes().Informer(), handler(
			func(v *corev1.PersistentVolume) { put(w, w.named.volumes, v.Name, v) }, func(key string) { drop(w, w.named.volumes, key) })},
		{"storageclasses", typed.Storage().V1().StorageClasses().Informer(), handler(
			func(c *storagev1.StorageClass) { put(w, w.named.classes, c.Name, c) }, func(key string) { drop(w, w.named.classes, key) })},
		{"priorityclasses", typed.Scheduling().V1().PriorityClasses().Informer(), handler(
			func(c *schedulingv1.PriorityClass) { put(w, w.named.priorities, c.Name, c) }, func(key string) { drop(w, w.named.priorities, key) })},
		{"services", core.Services().Informer(), handler(w.putService, func(key string) { drop(w, w.services, key) })},
		{"poddisruptionbudgets", typed.Policy().V1().PodDisruptionBudgets().Informer(), handler(w.putBudget, func(key string) { drop(w, w.budgets, key) })},
		{"horizontalpodautoscalers", typed.Autoscaling().V2().HorizontalPodAutoscalers().Informer(), handler(w.putRival, func(key string) { drop(w, w.rivals, key) })},
		{"podautoscalers", ours.ForResource(v1alpha1.PodAutoscalers).Informer(), handler(
			func(u *unstructured.Unstructured) { putObject(w, w.autoscalers, u, log) },
			func(key string) { drop(w, w.autoscalers, key) })},
		{"nodepools", ours.ForResource(v1alpha1.NodePools).Informer(), handler(
			func(u *unstructured.Unstructured) { putObject(w, w.pools, u, log) },
			func(key string) { drop(w, w.pools, key) })},
	}
	if servesBuffers(client.Discovery()) {
		all = append(all, watched{"capacitybuffers", ours.ForResource(capacityBuffers).Informer(), handler(w.putBuffer, func(key string) { drop(w, w.buffers, key) })},
			watched{"podtemplates", core.PodTemplates().Informer(), handler(
				func(t *corev1.PodTemplate) { put(w, w.templates, keyOf(t), t) }, func(key string) { drop(w, w.templates, key) })})
	}
	return all
}

// slim drops what we never read, so that a cluster's managedFields do not stand in our memory.
func slim(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// handler makes an informer's three calls two: the object as it is now, and the key of one that is gone.
func handler[T metav1.Object](put func(T), gone func(key string)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if v, ok := o.(T); ok {
				put(v)
			}
		},
		UpdateFunc: func(_, o any) {
			if v, ok := o.(T); ok {
				put(v)
			}
		},
		DeleteFunc: func(o any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
				gone(key)
			}
		},
	}
}

// putObject takes in one of our own objects; one that cannot be read stops for itself, and the last good one stands.
func putObject[V v1alpha1.PodAutoscaler | v1alpha1.NodePool](w *world, m map[string]*V, u *unstructured.Unstructured, log *zap.Logger) {
	v := new(V)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, v); err != nil {
		log.Error("an object cannot be read and is passed over", zap.String("kind", u.GetKind()), zap.String("namespace", u.GetNamespace()), zap.String("name", u.GetName()), zap.Error(err))
		return
	}
	key := u.GetName()
	if u.GetNamespace() != "" {
		key = u.GetNamespace() + "/" + key
	}
	put(w, m, key, v)
}
