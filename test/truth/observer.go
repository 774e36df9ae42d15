package truth

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// observer watches the pods of a namespace and all nodes as the API server tells of them, which is finer than to ask it.
type observer struct {
	changed chan struct{}

	mu          sync.Mutex
	pods        map[string]*life
	nodes       map[string]bool
	accounted   time.Time
	podSeconds  float64 // of pods that were there, ready or not
	replicasMax int
	lives       []*life
	nodeReady   map[string]time.Time
}

// life is when what happened to a pod was told; zero when it was not.
type life struct {
	name, node                           string
	created, bound, ready, leaving, gone time.Time
}

func observe(ctx context.Context, client kubernetes.Interface, namespace string) (*observer, error) {
	o := &observer{
		changed: make(chan struct{}, 1), pods: map[string]*life{}, nodes: map[string]bool{},
		accounted: time.Now(), nodeReady: map[string]time.Time{},
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, nodes := factory.Core().V1().Pods().Informer(), factory.Core().V1().Nodes().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(v any) { o.pod(v.(*corev1.Pod), namespace) },
		UpdateFunc: func(_, v any) { o.pod(v.(*corev1.Pod), namespace) },
		DeleteFunc: func(v any) {
			o.forget(v, func(name string) {
				if l := o.pods[name]; l != nil {
					l.gone = time.Now()
				}
				delete(o.pods, name)
			})
		},
	})
	if err != nil {
		return nil, err
	}
	_, err = nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(v any) { o.node(v.(*corev1.Node)) },
		UpdateFunc: func(_, v any) { o.node(v.(*corev1.Node)) },
		DeleteFunc: func(v any) { o.forget(v, func(name string) { delete(o.nodes, name) }) },
	})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return o, ctx.Err()
}

func (o *observer) change(do func(now time.Time)) {
	o.mu.Lock()
	o.account()
	do(o.accounted)
	o.account()
	o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// account brings the bill up to now. The lock is held.
func (o *observer) account() {
	now := time.Now()
	o.podSeconds += float64(len(o.pods)) * now.Sub(o.accounted).Seconds()
	o.accounted = now
	o.replicasMax = max(o.replicasMax, len(o.pods))
}

func (o *observer) pod(p *corev1.Pod, namespace string) {
	if p.Namespace != namespace {
		return
	}
	o.change(func(now time.Time) {
		l := o.pods[p.Name]
		if l == nil {
			l = &life{name: p.Name, created: now}
			o.pods[p.Name] = l
			o.lives = append(o.lives, l)
		}
		if l.bound.IsZero() && p.Spec.NodeName != "" {
			l.bound, l.node = now, p.Spec.NodeName
		}
		for _, c := range p.Status.Conditions {
			if l.ready.IsZero() && c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				l.ready = now
			}
		}
		if l.leaving.IsZero() && p.DeletionTimestamp != nil {
			l.leaving = now
		}
	})
}

func (o *observer) node(n *corev1.Node) {
	o.change(func(now time.Time) {
		ready := false
		for _, c := range n.Status.Conditions {
			ready = ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}
		if ready && o.nodeReady[n.Name].IsZero() {
			o.nodeReady[n.Name] = now
		}
		o.nodes[n.Name] = true
	})
}

func (o *observer) forget(v any, do func(name string)) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(v)
	if err != nil {
		return
	}
	_, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return
	}
	o.change(func(time.Time) { do(name) })
}

// left is how many pods and nodes there are.
func (o *observer) left() (pods, nodes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pods), len(o.nodes)
}

// empty waits until there are neither pods nor nodes.
func (o *observer) empty(ctx context.Context) error {
	for {
		if pods, nodes := o.left(); pods+nodes == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.changed:
		}
	}
}
