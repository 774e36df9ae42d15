// Package sighting watches pods and nodes as the API server tells of them, by one clock: finer than the whole seconds of the
// objects themselves, and without asking again and again.
package sighting

import (
	"context"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Book is what was seen since its watch began. Its methods may be called at any time.
type Book struct {
	changed chan struct{}

	mu    sync.Mutex
	pods  map[string]*Life // that are there
	nodes map[string]bool  // that are there
	ready map[string]time.Time
	lives []*Life
	bill  Bill
	asOf  time.Time // of the bill
}

// Life is when what happened to a pod was told; zero when it was not.
type Life struct {
	Name, Node                                    string
	Created, Bound, Address, Ready, Leaving, Gone time.Time
}

// Bill is what was there, ready or not.
type Bill struct {
	PodSeconds  float64
	ReplicasMax int
}

// Scope is what is looked at: the pods of a namespace, and the nodes that a label selector finds; empty finds all.
type Scope struct{ Namespace, Nodes string }

// Watch begins to look, until ctx ends.
func Watch(ctx context.Context, client kubernetes.Interface, scope Scope) (*Book, error) {
	b := &Book{
		changed: make(chan struct{}, 1), pods: map[string]*Life{}, nodes: map[string]bool{}, ready: map[string]time.Time{}, asOf: time.Now(),
	}
	chosen := func(o *metav1.ListOptions) { o.LabelSelector = scope.Nodes }
	podFactory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(scope.Namespace))
	nodeFactory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(chosen))
	pods, nodes := podFactory.Core().V1().Pods().Informer(), nodeFactory.Core().V1().Nodes().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(v any) { b.pod(v.(*corev1.Pod)) },
		UpdateFunc: func(_, v any) { b.pod(v.(*corev1.Pod)) },
		DeleteFunc: func(v any) { b.forget(v, b.podGone) },
	})
	if err != nil {
		return nil, err
	}
	_, err = nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(v any) { b.node(v.(*corev1.Node)) },
		UpdateFunc: func(_, v any) { b.node(v.(*corev1.Node)) },
		DeleteFunc: func(v any) { b.forget(v, func(name string, _ time.Time) { delete(b.nodes, name) }) },
	})
	if err != nil {
		return nil, err
	}
	for _, f := range []informers.SharedInformerFactory{podFactory, nodeFactory} {
		f.Start(ctx.Done())
		f.WaitForCacheSync(ctx.Done())
	}
	return b, ctx.Err()
}

func (b *Book) change(do func(now time.Time)) {
	b.mu.Lock()
	b.account()
	do(b.asOf)
	b.account()
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// account brings the bill up to now. The lock is held.
func (b *Book) account() {
	now := time.Now()
	b.bill.PodSeconds += float64(len(b.pods)) * now.Sub(b.asOf).Seconds()
	b.bill.ReplicasMax = max(b.bill.ReplicasMax, len(b.pods))
	b.asOf = now
}

func (b *Book) pod(p *corev1.Pod) {
	b.change(func(now time.Time) {
		l := b.pods[p.Name]
		if l == nil {
			l = &Life{Name: p.Name, Created: now}
			b.pods[p.Name] = l
			b.lives = append(b.lives, l)
		}
		first := func(t *time.Time, happened bool) {
			if happened && t.IsZero() {
				*t = now
			}
		}
		first(&l.Bound, p.Spec.NodeName != "")
		first(&l.Address, p.Status.PodIP != "")
		first(&l.Leaving, p.DeletionTimestamp != nil)
		for _, c := range p.Status.Conditions {
			first(&l.Ready, c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue)
		}
		l.Node = p.Spec.NodeName
	})
}

func (b *Book) podGone(name string, now time.Time) {
	if l := b.pods[name]; l != nil {
		l.Gone = now
	}
	delete(b.pods, name)
}

func (b *Book) node(n *corev1.Node) {
	b.change(func(now time.Time) {
		b.nodes[n.Name] = true
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && b.ready[n.Name].IsZero() {
				b.ready[n.Name] = now
			}
		}
	})
}

func (b *Book) forget(v any, do func(name string, now time.Time)) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(v)
	if err != nil {
		return
	}
	_, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return
	}
	b.change(func(now time.Time) { do(name, now) })
}

// Left is how many pods and nodes there are.
func (b *Book) Left() (pods, nodes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pods), len(b.nodes)
}

// Until waits until as many are there as wanted, or ctx ends. One at a time may wait.
func (b *Book) Until(ctx context.Context, wanted func(pods, nodes int) bool) error {
	for !wanted(b.Left()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.changed:
		}
	}
	return nil
}

// Of is what was seen of a pod, the last of its name.
func (b *Book) Of(pod string) Life {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.lives) - 1; i >= 0; i-- {
		if b.lives[i].Name == pod {
			return *b.lives[i]
		}
	}
	return Life{}
}

// Lives are those of all pods, in the order in which they were first seen.
func (b *Book) Lives() []Life {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Life, len(b.lives))
	for i, l := range b.lives {
		list[i] = *l
	}
	return list
}

// Ready is when each node that was ever ready first was so.
func (b *Book) Ready() map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.ready)
}

// FirstReady is when the first node since a moment was ready; zero when none was.
func (b *Book) FirstReady(since time.Time) (first time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, at := range b.ready {
		if at.After(since) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// Bill is what has been there up to now.
func (b *Book) Bill() Bill {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.account()
	return b.bill
}
