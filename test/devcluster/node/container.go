package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	maxBackoff = 5 * time.Minute
	// backoffReset: a container that ran this long starts again as if it never failed.
	backoffReset = 10 * time.Minute
)

// container is one container of a pod. The fields below mu of its pod are guarded by it.
type container struct {
	pod  *pod
	spec *corev1.Container
	init bool

	state, last corev1.ContainerState
	restarts    int32
	started     bool // passed its startup probe
	ready       bool
	process     *process // the running one, or nil
	env         []string // of the running one
	over        bool     // ended, and will not start again
}

// sidecar is an init container that keeps running.
func (c *container) sidecar() bool {
	return c.init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// run keeps the container running as its restart policy says, until it is over or ctx ends; then it ends the process
// with the pod's grace period.
func (c *container) run(ctx context.Context) {
	for failures := 0; ; {
		process, err := c.start(ctx)
		if err == nil {
			c.attend(ctx, process)
			again := ctx.Err() == nil && c.restarted(process.code)
			c.set(func() { c.exited(process); c.over = !again })
			if !again {
				return
			}
			if process.ended.Sub(process.started) > backoffReset {
				failures = 0
			}
		}
		failures++
		pause := c.pod.agent.crashPause(failures)
		switch {
		case err != nil:
			pause = max(pause, c.pod.agent.crashPause(2))
			c.waiting(reasonOf(err), err.Error())
		case pause > 0:
			c.waiting("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s", pause, c.spec.Name))
		}
		if !sleep(ctx, pause) {
			c.set(func() { c.over = true })
			return
		}
	}
}

// crashPause is the wait after the nth failure: none after the first, then CrashBackoff, doubling up to maxBackoff.
func (c Config) crashPause(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	pause := c.CrashBackoff
	for range min(n-2, 32) {
		pause = min(2*pause, maxBackoff)
	}
	return pause
}

func (c *container) restarted(code int32) bool {
	if c.init {
		return c.sidecar() || code != 0 && c.pod.object().Spec.RestartPolicy != corev1.RestartPolicyNever
	}
	switch c.pod.object().Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

// configError is a container that cannot start as it is written; its reason is the one kubectl users know.
type configError struct {
	reason string
	err    error
}

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func reasonOf(err error) string {
	var config *configError
	if errors.As(err, &config) {
		return config.reason
	}
	return "RunContainerError"
}

// start runs the command and marks the container as running.
func (c *container) start(ctx context.Context) (*process, error) {
	env, err := c.pod.environment(ctx, c.spec)
	if err != nil {
		return nil, &configError{"CreateContainerConfigError", err}
	}
	command, err := c.command(env.values)
	if err != nil {
		return nil, &configError{"ErrImageNeverPull", err}
	}
	dir := c.spec.WorkingDir
	if info, err := os.Stat(dir); dir == "" || err != nil || !info.IsDir() {
		dir = c.pod.dir // folders of an image do not exist here
	}
	restarts := c.nextRestart()
	output, err := os.OpenFile(c.logFile(restarts), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	defer output.Close()
	process, err := c.pod.agent.spawner.run(processSpec{command: command, dir: dir, env: env.list(), output: output})
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", command[0], err)
	}
	c.set(func() {
		c.process, c.env, c.restarts = process, env.list(), restarts
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(process.started)}}
		c.started = c.spec.StartupProbe == nil
		c.ready = c.started && c.spec.ReadinessProbe == nil
	})
	return process, nil
}

func (c *container) command(env map[string]string) ([]string, error) {
	command := append(append([]string{}, c.spec.Command...), c.spec.Args...)
	if len(c.spec.Command) == 0 {
		info, err := os.Stat(c.spec.Image)
		if !filepath.IsAbs(c.spec.Image) || err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return nil, fmt.Errorf("devcluster runs processes, not images: give the container a command, or the absolute path of a program as its image (not %q)", c.spec.Image)
		}
		command = append([]string{c.spec.Image}, c.spec.Args...)
	}
	for i := range command {
		command[i] = expand(command[i], env)
	}
	return command, nil
}

// attend probes the process until it ends by itself, fails its startup or liveness probe, or ctx ends; it returns when
// the process has ended.
func (c *container) attend(ctx context.Context, p *process) {
	// Readiness is asked while the pod ends, too: endpoints tell who still serves.
	alive, ended := context.WithCancel(context.Background())
	defer ended()
	sick := make(chan error, 2)
	fail := func(ok bool, why error) {
		if !ok {
			select {
			case sick <- why:
			default:
			}
		}
	}
	go func() {
		c.awaitStarted(alive, p, fail)
		if alive.Err() != nil {
			return
		}
		if probe := c.spec.ReadinessProbe; probe != nil {
			go c.watchProbe(alive, probe, true, func(ok bool, _ error) { c.setIfRunning(p, func() { c.ready = ok }) })
		} else {
			c.setIfRunning(p, func() { c.ready = true })
		}
		if probe := c.spec.LivenessProbe; probe != nil {
			c.watchProbe(alive, probe, false, fail)
		}
	}()
	select {
	case <-p.done:
	case <-sick:
		p.end(c.grace(), ctx.Done())
	case <-ctx.Done():
		c.finish(p)
	}
	<-p.done
}

// awaitStarted returns when the startup probe has succeeded, or at once without one.
func (c *container) awaitStarted(ctx context.Context, p *process, fail func(bool, error)) {
	probe := c.spec.StartupProbe
	if probe == nil {
		return
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	passed := false
	c.watchProbe(ctx, probe, true, func(ok bool, why error) {
		if passed = ok; ok {
			done()
		}
		fail(ok, why)
	})
	if passed {
		c.setIfRunning(p, func() { c.started = true })
	}
}

func (c *container) grace() time.Duration {
	if probe := c.spec.LivenessProbe; probe != nil && probe.TerminationGracePeriodSeconds != nil {
		return time.Duration(*probe.TerminationGracePeriodSeconds) * time.Second
	}
	return c.pod.grace()
}

// finish ends the process as the pod ends: the hook, SIGTERM, and SIGKILL when the time of all of it is over.
func (c *container) finish(p *process) {
	begin := time.Now()
	grace := c.pod.grace()
	if hook := c.spec.Lifecycle; hook != nil && hook.PreStop != nil && grace > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		go func() {
			defer cancel()
			select {
			case <-p.done:
			case <-c.pod.now:
			case <-ctx.Done():
			}
		}()
		c.hook(ctx, hook.PreStop)
		cancel()
		// As a kubelet: after a hook that took it all, two seconds are left.
		grace = max(grace-time.Since(begin), 2*time.Second)
	}
	p.end(grace, c.pod.now)
}

func (c *container) hook(ctx context.Context, hook *corev1.LifecycleHandler) {
	switch {
	case hook.Sleep != nil:
		sleep(ctx, time.Duration(hook.Sleep.Seconds)*time.Second)
	case hook.Exec != nil:
		_ = c.exec(ctx, hook.Exec.Command) // a failed hook does not stop the end
	case hook.HTTPGet != nil:
		_ = c.httpGet(ctx, hook.HTTPGet)
	}
}

// exec runs a command beside the container's process, with its environment.
func (c *container) exec(ctx context.Context, command []string) error {
	if len(command) == 0 {
		return errors.New("the command is empty")
	}
	c.pod.mu.Lock()
	env := c.env
	c.pod.mu.Unlock()
	code, err := c.pod.agent.spawner.runOnce(ctx, processSpec{command: command, dir: c.pod.dir, env: env})
	if err == nil && code != 0 {
		err = fmt.Errorf("%s ended with exit code %d", command[0], code)
	}
	return err
}

func (c *container) exited(p *process) {
	reason := "Completed"
	if p.code != 0 {
		reason = "Error"
	}
	c.process, c.ready, c.started = nil, false, false
	c.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: p.code, Signal: p.signal, Reason: reason,
		StartedAt: metav1.NewTime(p.started), FinishedAt: metav1.NewTime(p.ended),
		ContainerID: c.id(),
	}}
	c.last = c.state
}

func (c *container) waiting(reason, message string) {
	c.set(func() {
		c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	})
}

func (c *container) id() string { return fmt.Sprintf("devcluster://%s/%s", c.pod.uid, c.spec.Name) }

func (c *container) restartCount() int32 {
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	return c.restarts
}

// nextRestart is the restart count of the process to come.
func (c *container) nextRestart() int32 {
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	if c.last.Terminated == nil {
		return 0
	}
	return c.restarts + 1
}

func (c *container) logFile(restart int32) string {
	return filepath.Join(c.pod.dir, fmt.Sprintf("%s.%d.log", c.spec.Name, restart))
}

// set changes the container's state and has the pod's status written.
func (c *container) set(change func()) {
	c.pod.mu.Lock()
	change()
	c.pod.mu.Unlock()
	c.pod.changed()
}

func (c *container) setIfRunning(p *process, change func()) {
	c.set(func() {
		if c.process == p {
			change()
		}
	})
}
