package node

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	defaultGrace = 30 * time.Second
	writeRetry   = 200 * time.Millisecond
)

// pod is one pod on this machine, from its binding to the removal of its object.
type pod struct {
	agent *agent
	uid   types.UID
	ip    netip.Addr
	dir   string
	start metav1.Time
	inits []*container
	mains []*container

	// ending ends when the pod is told to end; now when there is no grace (left).
	ending context.Context
	end    context.CancelFunc
	now    chan struct{}
	once   sync.Once
	// dirty holds one token when the status may have changed.
	dirty chan struct{}

	mu          sync.Mutex
	latest      *corev1.Pod
	graceGiven  *time.Duration // nil until the pod is told to end
	evicted     bool           // the machine ends, so the object goes, too
	initialized bool
	worked      bool   // no container will start any more
	failure     string // why the pod failed as a whole
	written     *corev1.PodStatus
}

func newPod(a *agent, object *corev1.Pod) *pod {
	p := &pod{
		agent: a, uid: object.UID, latest: object, start: metav1.Now(),
		dir: filepath.Join(a.Dir, "pods", object.Namespace+"_"+object.Name+"_"+string(object.UID)),
		now: make(chan struct{}), dirty: make(chan struct{}, 1),
	}
	p.ending, p.end = context.WithCancel(context.Background())
	for i := range object.Spec.InitContainers {
		p.inits = append(p.inits, p.container(&object.Spec.InitContainers[i], true))
	}
	for i := range object.Spec.Containers {
		p.mains = append(p.mains, p.container(&object.Spec.Containers[i], false))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteDeletion(object)
	return p
}

func (p *pod) container(spec *corev1.Container, init bool) *container {
	reason := "ContainerCreating"
	if !init && len(p.inits) > 0 {
		reason = "PodInitializing"
	}
	return &container{pod: p, spec: spec, init: init, state: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
}

func (p *pod) object() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest
}

// update takes a newer version of the object.
func (p *pod) update(object *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest = object
	p.noteDeletion(object)
	p.changed()
}

func (p *pod) noteDeletion(object *corev1.Pod) {
	if object.DeletionTimestamp == nil {
		return
	}
	grace := defaultGrace
	if seconds := object.DeletionGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	p.endWithin(grace)
}

// terminate ends the pod within grace.
func (p *pod) terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endWithin(grace)
}

// evictFromMachine ends the pod as its machine ends, with its own grace period up to the machine's.
func (p *pod) evictFromMachine(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.evicted = true
	grace := defaultGrace
	if seconds := p.latest.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	p.endWithin(min(grace, limit))
}

// endWithin needs mu. A second call can only make the time shorter.
func (p *pod) endWithin(grace time.Duration) {
	if p.graceGiven != nil && *p.graceGiven <= grace {
		return
	}
	again := p.graceGiven != nil
	p.graceGiven = &grace
	if grace <= 0 {
		p.once.Do(func() { close(p.now) })
	} else if again {
		time.AfterFunc(grace, func() { p.once.Do(func() { close(p.now) }) })
	}
	p.end()
}

// grace is the time that a container of this pod has to end.
func (p *pod) grace() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.graceGiven != nil {
		return *p.graceGiven
	}
	if seconds := p.latest.Spec.TerminationGracePeriodSeconds; seconds != nil {
		return time.Duration(*seconds) * time.Second
	}
	return defaultGrace
}

// run is the life of the pod; it returns when its processes and, if it was deleted, its object are gone.
func (p *pod) run() {
	defer p.end()
	if !p.admit() {
		return
	}
	over, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { p.writeStatus(over) })
	p.changed()
	p.work()
	p.mu.Lock()
	p.worked = true
	p.mu.Unlock()
	p.changed()
	// A pod that completed keeps its object until somebody deletes it.
	<-p.ending.Done()
	stop()
	writer.Wait()
	p.finalStatus()
	p.remove()
	if !p.object().Spec.HostNetwork {
		p.agent.subnet.release(p.ip)
	}
}

// admit gives the pod an address and a folder; false means the pod could not be taken and its object is gone or failed.
func (p *pod) admit() bool {
	ok := true
	if p.ip = p.agent.subnet.host(); !p.object().Spec.HostNetwork {
		p.ip, ok = p.agent.subnet.pod()
	}
	err := os.MkdirAll(p.dir, 0o700)
	if ok && err == nil {
		return true
	}
	p.mu.Lock()
	p.failure = "OutOfpods"
	p.mu.Unlock()
	p.agent.Log.Warn("the pod cannot be taken", zap.String("pod", p.object().Name), zap.Bool("address", ok), zap.Error(err))
	p.finalStatus()
	return false
}

// work runs the containers to their end.
func (p *pod) work() {
	delay := p.agent.draw(p.agent.PodStartDelay)
	for _, c := range append(append([]*container{}, p.inits...), p.mains...) {
		delay += p.agent.pull(c.spec.Image)
	}
	if !sleep(p.ending, delay) {
		return
	}
	// Sidecars outlive the main containers, so they have an end of their own.
	sidecars, endSidecars := context.WithCancel(context.Background())
	defer endSidecars()
	var beside sync.WaitGroup
	for _, c := range p.inits {
		if c.sidecar() {
			beside.Go(func() { c.run(sidecars) })
			if !p.awaitStarted(c) {
				break
			}
			continue
		}
		c.run(p.ending)
		if p.ending.Err() != nil || c.state.Terminated == nil || c.state.Terminated.ExitCode != 0 {
			break
		}
	}
	if p.initsDone() && p.ending.Err() == nil {
		p.mu.Lock()
		p.initialized = true
		p.mu.Unlock()
		p.changed()
		var running sync.WaitGroup
		for _, c := range p.mains {
			running.Go(func() { c.run(p.ending) })
		}
		running.Wait()
	}
	endSidecars()
	beside.Wait()
}

func (p *pod) awaitStarted(c *container) bool {
	for {
		p.mu.Lock()
		started := c.started
		p.mu.Unlock()
		if started || !sleep(p.ending, 20*time.Millisecond) {
			return started
		}
	}
}

func (p *pod) initsDone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.inits {
		if c.sidecar() {
			if !c.started {
				return false
			}
		} else if c.state.Terminated == nil || c.state.Terminated.ExitCode != 0 {
			return false
		}
	}
	return true
}

// changed has the status looked at again.
func (p *pod) changed() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// writeStatus writes each change of the status until ctx ends.
func (p *pod) writeStatus(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.dirty:
		}
		if err := p.writeOnce(ctx); err != nil && ctx.Err() == nil {
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				continue // the object is gone, and the watch says so
			}
			p.agent.Log.Warn("the status of a pod could not be written", zap.String("pod", p.object().Name), zap.Error(err))
			sleep(ctx, writeRetry)
			p.changed()
		}
	}
}

func (p *pod) writeOnce(ctx context.Context) error {
	object := p.object()
	status := p.status()
	if p.written != nil && sameStatus(p.written, status) {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := p.agent.Client.CoreV1().Pods(object.Namespace).Patch(call, object.Name, types.StrategicMergePatchType,
		statusPatch(p.uid, status), metav1.PatchOptions{}, "status")
	if err == nil {
		p.written = status
	}
	return err
}

// finalStatus tells how the processes ended, before the object may go.
func (p *pod) finalStatus() {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := p.writeOnce(ctx); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		p.agent.Log.Warn("the last status of a pod could not be written", zap.String("pod", p.object().Name), zap.Error(err))
	}
}

// remove deletes the object of a pod that was told to end; its processes are gone.
func (p *pod) remove() {
	object := p.object()
	zero := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &p.uid}}
	deadline, cancel := context.WithTimeout(context.Background(), lostAfter)
	defer cancel()
	for {
		ctx, done := context.WithTimeout(deadline, callTimeout)
		err := p.agent.Client.CoreV1().Pods(object.Namespace).Delete(ctx, object.Name, options)
		done()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		if errors.Is(deadline.Err(), context.DeadlineExceeded) || !sleep(deadline, writeRetry) {
			p.agent.Log.Warn("an ended pod stays behind", zap.String("pod", object.Name), zap.Error(err))
			return
		}
	}
}
