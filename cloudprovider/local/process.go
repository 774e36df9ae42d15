package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process names one process for good: a pid is used again, a pid with its start time and the machine's boot is not.
type process struct {
	PID int `json:"pid"`
	// Start is "boot id/clock ticks since boot".
	Start string `json:"start"`
}

// start runs the command in a session of its own, so that it survives the provider, and writes its output to the log.
func start(command []string, log string) (process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return process{}, err
	}
	defer out.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	p, _, err := look(cmd.Process.Pid)
	// Reaps it; ends when the machine ends.
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return process{}, errors.Join(fmt.Errorf("find the process that was just started: %w", err), cmd.Process.Kill())
	}
	return p, nil
}

// alive says whether this very process runs; a zombie does not.
func (p process) alive() bool {
	now, state, err := look(p.PID)
	return err == nil && now == p && state != "Z" && state != "X"
}

// signal reaches this very process or none: the handle is taken before its identity is checked.
func (p process) signal(s syscall.Signal) error {
	handle, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(handle)
	if !p.alive() {
		return nil
	}
	return ignoreGone(unix.PidfdSendSignal(handle, s, nil, 0))
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// killSession ends the machine and what it started in its session.
func (p process) killSession() error {
	if !p.alive() {
		return nil
	}
	session := strconv.Itoa(p.PID)
	err := eachProcess(func(pid int) {
		if f := fields(pid); len(f) > 3 && f[3] == session && pid != p.PID {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return errors.Join(err, p.signal(syscall.SIGKILL))
}

// find looks for a machine that was started just before the provider died and could note its pid.
func find(providerID string) (process, bool) {
	var found process
	ok := false
	_ = eachProcess(func(pid int) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !bytes.Contains(line, []byte("--provider-id\x00"+providerID+"\x00")) {
			return
		}
		// The machine leads its session; what it starts itself does not.
		if f := fields(pid); len(f) > 3 && f[3] == strconv.Itoa(pid) {
			if p, _, err := look(pid); err == nil {
				found, ok = p, true
			}
		}
	})
	return found, ok
}

func eachProcess(visit func(pid int)) error {
	entries, err := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, notNumber := strconv.Atoi(e.Name()); notNumber == nil {
			visit(pid)
		}
	}
	return err
}

// fields are those of /proc/PID/stat from the third (state) on: the second, the name, may hold spaces.
func fields(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

// look tells who has the pid now, and its state.
func look(pid int) (process, string, error) {
	f := fields(pid)
	if len(f) < 20 {
		return process{}, "", fmt.Errorf("no process %d", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, "", err
	}
	return process{pid, strings.TrimSpace(string(boot)) + "/" + f[19]}, f[0], nil
}
