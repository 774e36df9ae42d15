package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one of ours, with its output in a file.
type Process struct {
	Name  string
	Log   string // path
	Admin string // host:port of its admin endpoint

	args []string
	env  []string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// start starts it; it ends with Stop or Kill.
func (p *Process) start() error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.Name, err)
	}
	defer log.Close() // the process has its own handle
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// A process of ours must not outlive whoever started it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	p.done = make(chan struct{})
	go func() { // ends with the process
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// Done is closed when the process has ended; Err says how.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive says that it has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err is how the process ended; meaningful after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends it at once and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Stop asks it to end, and after the grace ends it.
func (p *Process) Stop(grace time.Duration) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		p.Kill()
	}
}

// Restart starts it again with the same arguments, after it has ended.
func (p *Process) Restart(ctx context.Context) error {
	<-p.done
	if err := p.start(); err != nil {
		return err
	}
	return p.Ready(ctx)
}

// RestartHealthy is Restart for a process that has no /readyz of its own.
func (p *Process) RestartHealthy(ctx context.Context) error {
	<-p.done
	if err := p.start(); err != nil {
		return err
	}
	return p.answers(ctx, "/healthz")
}

// ProcFile is the path of a file of the process under /proc.
func (p *Process) ProcFile(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), name)
}

// Ready waits until the process says that it is, or has ended, or ctx has.
func (p *Process) Ready(ctx context.Context) error { return p.answers(ctx, "/readyz") }

func (p *Process) answers(ctx context.Context, path string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Admin+path, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%w); its last words in %s: %s", p.Name, errors.Join(p.err, errEnded), p.Log, lastLine(p.Log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w); its last words in %s: %s", p.Name, ctx.Err(), p.Log, lastLine(p.Log))
		case <-tick.C:
		}
	}
}

var errEnded = errors.New("before it was ready")

func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	return lines[len(lines)-1]
}

// freeAddress is a loopback address that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close() // it was only to learn the number
	return l.Addr().String(), nil
}

func executable(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("there is no program %s in %s: build it with `make build`", name, dir)
	}
	return path, nil
}
