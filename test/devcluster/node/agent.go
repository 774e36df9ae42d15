package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

const (
	callTimeout = 10 * time.Second
	// lostAfter without an answer from the API server the machine ends itself: its cluster is gone.
	lostAfter = 60 * time.Second
)

// errNodeDeleted and errLost are why a machine ends by itself.
var (
	errNodeDeleted = errors.New("the Node was deleted")
	errLost        = errors.New("the API server did not answer for a minute")
)

// agent is one running machine.
type agent struct {
	Config
	subnet  *subnet
	spawner *spawner
	// stop ends the machine and names why.
	stop context.CancelCauseFunc

	mu     sync.Mutex
	random *rand.Rand
	pulled map[string]bool // images pulled
	pods   map[types.UID]*pod
	ending bool // no new pods
	uid    types.UID
	work   sync.WaitGroup // one for each pod
}

// Run boots the machine and is it until ctx ends (the instance is terminated: pods get their grace period and the Node
// is removed), its Node is deleted, or the API server is gone. Only a machine that could not do its work is an error.
func Run(ctx context.Context, config Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	a := &agent{
		Config: config,
		random: rand.New(rand.NewPCG(config.Seed, 0x6e6f6465)),
		pulled: map[string]bool{},
		pods:   map[types.UID]*pod{},
	}
	if !sleep(ctx, a.draw(config.BootDelay)) {
		return nil
	}
	subnet, listener, err := allocate(config.Dir)
	if err != nil {
		return err
	}
	defer subnet.close()
	a.subnet, a.spawner = subnet, newSpawner()
	defer a.spawner.close()
	return a.live(ctx, listener)
}

// live is everything between boot and end.
func (a *agent) live(outer context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancelCause(outer)
	defer stop(nil)
	a.stop = stop
	server, err := a.serve(listener)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := a.register(ctx); err != nil {
		return fmt.Errorf("register node %s: %w", a.Name, err)
	}
	a.Log.Info("the node is registered", zap.String("node", a.Name), zap.Stringer("address", a.subnet.host()))
	var watchers sync.WaitGroup
	// The lease and the pods' status go on while pods end; only then is it over.
	late, over := context.WithCancel(context.WithoutCancel(outer))
	watchers.Go(func() { a.heartbeat(late) })
	watchers.Go(func() { a.watchPods(late) })
	watchers.Go(func() { a.watchNode(late) })
	<-ctx.Done()
	a.Log.Info("the machine ends", zap.NamedError("why", context.Cause(ctx)))
	lost := errors.Is(context.Cause(ctx), errLost)
	a.endPods(lost)
	if !lost && !a.KeepNode {
		a.removeNode()
	}
	over()
	watchers.Wait()
	if lost {
		return errLost
	}
	return nil
}

// watchPods follows the pods bound to this node.
func (a *agent) watchPods(ctx context.Context) {
	a.watch(ctx, watched{"pods", fields.OneTermEqualSelector("spec.nodeName", a.Name), &corev1.Pod{}}, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.assigned(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { a.assigned(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			if gone, ok := o.(*corev1.Pod); ok {
				a.gone(gone)
			}
		},
	})
}

// watchNode ends the machine when its Node is deleted.
func (a *agent) watchNode(ctx context.Context) {
	a.watch(ctx, watched{"nodes", fields.OneTermEqualSelector("metadata.name", a.Name), &corev1.Node{}}, cache.ResourceEventHandlerFuncs{
		DeleteFunc: func(any) { a.stop(errNodeDeleted) },
	})
}

// watched is a kind and which of it.
type watched struct {
	resource string
	selector fields.Selector
	object   runtime.Object
}

func (a *agent) watch(ctx context.Context, which watched, handler cache.ResourceEventHandlerFuncs) {
	list := cache.NewFilteredListWatchFromClient(a.Client.CoreV1().RESTClient(), which.resource, metav1.NamespaceAll,
		func(o *metav1.ListOptions) { o.FieldSelector = which.selector.String() })
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: list, ObjectType: which.object, Handler: handler,
		Transform: stripManagedFields,
	})
	informer.RunWithContext(ctx)
}

// stripManagedFields drops the largest part of an object that nobody here reads.
func stripManagedFields(object any) (any, error) {
	if meta, err := apimeta.Accessor(object); err == nil {
		meta.SetManagedFields(nil)
	}
	return object, nil
}

// assigned starts a new pod or tells a running one of its change.
func (a *agent) assigned(object *corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.pods[object.UID]; ok {
		known.update(object)
		return
	}
	finished := object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed
	if a.ending || finished && object.DeletionTimestamp == nil {
		return
	}
	p := newPod(a, object)
	a.pods[object.UID] = p
	a.work.Go(func() {
		p.run()
		a.mu.Lock()
		delete(a.pods, object.UID)
		a.mu.Unlock()
	})
}

// gone: the object was removed without grace, so the processes go without grace.
func (a *agent) gone(object *corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.pods[object.UID]; ok {
		known.terminate(0)
	}
}

// endPods ends all pods and waits for them; now leaves no grace.
func (a *agent) endPods(now bool) {
	grace := a.ShutdownGrace
	if now {
		grace = 0
	}
	a.mu.Lock()
	a.ending = true
	for _, p := range a.pods {
		p.evictFromMachine(grace)
	}
	a.mu.Unlock()
	a.work.Wait()
}

func (a *agent) removeNode() {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	err := a.Client.CoreV1().Nodes().Delete(ctx, a.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &a.uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		a.Log.Warn("the Node stays behind", zap.Error(err))
	}
}

func (a *agent) draw(d Delay) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return d.Draw(a.random)
}

// pull is how long the image takes, once per image and machine.
func (a *agent) pull(image string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pulled[image] {
		return 0
	}
	a.pulled[image] = true
	return a.PullDelay.Draw(a.random)
}

// sleep tells whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
