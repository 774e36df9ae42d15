package stack

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Cluster is a devcluster that a program of ours owns: it ends with Stop, and with the owner however that dies.
type Cluster struct {
	ID             string   `json:"id"`
	Kubeconfig     string   `json:"kubeconfig"`
	DataDir        string   `json:"dataDir"`
	MachineCommand []string `json:"machineCommand"`

	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
}

// StartCluster runs the devcluster program of bin and returns when the control plane is ready. What it says of its
// progress goes to progress, line by line; the first time on a machine it builds the control plane for some minutes.
func StartCluster(ctx context.Context, bin, dir string, progress func(string)) (*Cluster, error) {
	program, err := executable(bin, "devcluster")
	if err != nil {
		return nil, err
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	c := &Cluster{cmd: exec.Command(program, "up", "--until-stdin-closes", "--data", dir), done: make(chan struct{})}
	// Ctrl-C is for its owner alone, who ends it in order.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting devcluster: %w", err)
	}
	last, ready := make(chan string, 1), make(chan error, 1)
	go func() { last <- relay(stderr, progress) }() // ends with the process's output
	go func() {                                     // ends with the process
		out := bufio.NewReader(stdout)
		line, err := out.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, c)
		}
		ready <- err
		_, _ = io.Copy(io.Discard, out)
		_ = c.cmd.Wait() // how it ended shows in its last words
		close(c.done)
	}()
	select {
	case <-ctx.Done():
		c.Stop()
		return nil, ctx.Err()
	case err := <-ready:
		if err != nil {
			c.Stop()
			return nil, fmt.Errorf("the cluster did not come up: %s", <-last)
		}
		return c, nil
	}
}

// relay passes lines on and returns the last.
func relay(r io.Reader, to func(string)) (last string) {
	for s := bufio.NewScanner(r); s.Scan(); {
		if last = strings.TrimSpace(s.Text()); last != "" {
			to(last)
		}
	}
	return last
}

// Env marks processes as the cluster's, so that its guard ends them with it.
func (c *Cluster) Env() []string { return []string{"WHOLESCALE_DEVCLUSTER=" + c.ID} }

// Stop ends the cluster and all that runs in it, and returns when it is gone.
func (c *Cluster) Stop() {
	_ = c.stdin.Close() // asks it to end
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill() // its guard then ends the rest
		<-c.done
	}
	_ = os.RemoveAll(c.DataDir) // what is left is logs
}
