package bench

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// sightings are the moments at which a watch showed that something happened: finer than the API's whole seconds, and by
// one clock.
type sightings struct {
	mu      sync.Mutex
	pods    map[string]*podSighting
	nodes   map[string]time.Time // ready
	changed chan struct{}
}

type podSighting struct{ created, bound, address, ready time.Time }

// watch begins to look at the pods of a namespace and at all nodes, until ctx ends.
func watch(ctx context.Context, client kubernetes.Interface, namespace string) (*sightings, error) {
	s := &sightings{pods: map[string]*podSighting{}, nodes: map[string]time.Time{}, changed: make(chan struct{}, 1)}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	pods, nodes := factory.Core().V1().Pods().Informer(), factory.Core().V1().Nodes().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.pod(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { s.pod(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) { s.gone(o, func(name string) { delete(s.pods, name) }) },
	})
	if err != nil {
		return nil, err
	}
	_, err = nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.node(o.(*corev1.Node)) },
		UpdateFunc: func(_, o any) { s.node(o.(*corev1.Node)) },
		DeleteFunc: func(o any) { s.gone(o, func(name string) { delete(s.nodes, name) }) },
	})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return s, ctx.Err()
}

func (s *sightings) nudge() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *sightings) pod(p *corev1.Pod) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.nudge()
	v := s.pods[p.Name]
	if v == nil {
		v = &podSighting{created: now}
		s.pods[p.Name] = v
	}
	first := func(t *time.Time, happened bool) {
		if happened && t.IsZero() {
			*t = now
		}
	}
	first(&v.bound, p.Spec.NodeName != "")
	first(&v.address, p.Status.PodIP != "")
	for _, c := range p.Status.Conditions {
		first(&v.ready, c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue)
	}
}

func (s *sightings) node(n *corev1.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.nudge()
	if _, known := s.nodes[n.Name]; known {
		return
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			s.nodes[n.Name] = time.Now()
		}
	}
}

func (s *sightings) gone(o any, forget func(name string)) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o)
	if err != nil {
		return
	}
	_, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return
	}
	s.mu.Lock()
	forget(name)
	s.mu.Unlock()
	s.nudge()
}

// until waits until what is seen is as wanted.
func (s *sightings) until(ctx context.Context, wanted func(pods, nodes int) bool) error {
	for {
		s.mu.Lock()
		ok := wanted(len(s.pods), len(s.nodes))
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.changed:
		}
	}
}

// of is what was seen of a pod.
func (s *sightings) of(pod string) podSighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.pods[pod]; v != nil {
		return *v
	}
	return podSighting{}
}

// firstNode is when the first node since a moment was ready.
func (s *sightings) firstNode(since time.Time) (first time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.nodes {
		if at.After(since) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
