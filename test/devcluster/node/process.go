package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// spawner starts processes from one thread that lives as long as the machine: the kernel kills a child when the thread
// that made it ends, so pods die with their machine, even with kill -9.
type spawner struct{ calls chan func() }

func newSpawner() *spawner {
	s := &spawner{calls: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for call := range s.calls {
			call()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.calls <- func() { result <- cmd.Start() }
	return <-result
}

func (s *spawner) close() { close(s.calls) }

// process is a running command and the group it leads.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	// done is closed at the end; then ended, code and signal are set.
	done   chan struct{}
	ended  time.Time
	code   int32
	signal int32
}

type processSpec struct {
	command []string
	dir     string
	env     []string
	output  *os.File
}

func (s *spawner) run(spec processSpec) (*process, error) {
	cmd := exec.Command(spec.command[0], spec.command[1:]...)
	cmd.Dir, cmd.Env = spec.dir, spec.env
	cmd.Stdout, cmd.Stderr = spec.output, spec.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, started: time.Now(), done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	err := p.cmd.Wait()
	p.ended = time.Now()
	p.code = int32(p.cmd.ProcessState.ExitCode())
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			p.signal = int32(status.Signal())
			p.code = 128 + p.signal
		}
	}
	// A container ends with its first process.
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	close(p.done)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// end asks the first process to end, and kills the group when grace has passed or now is closed.
func (p *process) end(grace time.Duration, now <-chan struct{}) {
	if grace > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // ended already: done tells
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
			return
		case <-timer.C:
		case <-now:
		}
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.done
}

// runOnce runs a command to its end, for exec probes and hooks; ctx bounds it.
func (s *spawner) runOnce(ctx context.Context, spec processSpec) (int32, error) {
	p, err := s.run(spec)
	if err != nil {
		return 0, err
	}
	select {
	case <-p.done:
		return p.code, nil
	case <-ctx.Done():
		p.end(0, nil)
		return p.code, ctx.Err()
	}
}
