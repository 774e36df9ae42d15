package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Marker is the environment variable that every process of a cluster carries; its value is the cluster's id. Whoever
// carries it is killed when the cluster ends, wherever it was started from.
const Marker = "WHOLESCALE_DEVCLUSTER"

const (
	// killRounds bounds the hunt; a round kills all it sees, and two quiet rounds end it.
	killRounds = 500
	killPause  = 10 * time.Millisecond
	killQuiet  = 2
)

// Guard waits until owner ends (its writer closed the pipe or died), then kills every process marked with the
// cluster's id and, when remove is set, deletes the data folder. It is the body of `devcluster guard`.
func Guard(owner io.Reader, id, dataDir string, remove bool) error {
	_, _ = io.Copy(io.Discard, owner) // any end of the pipe is the end of the owner
	// First, so that a machine that is just starting, without its mark yet, finds no cluster to join.
	_ = os.Remove(filepath.Join(dataDir, clusterFile))
	err := killMarked(id)
	if remove {
		if failed := os.RemoveAll(dataDir); failed != nil && err == nil {
			err = fmt.Errorf("remove the data of the cluster: %w", failed)
		}
	}
	return err
}

// killMarked ends every process that carries the marker with this id, until none is left.
func killMarked(id string) error {
	quiet := 0
	for range killRounds {
		pids, err := marked(id)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			quiet++
			if quiet == killQuiet {
				return nil
			}
		} else {
			quiet = 0
		}
		for _, pid := range pids {
			killIfMarked(pid, id)
		}
		time.Sleep(killPause)
	}
	return fmt.Errorf("processes of cluster %s are still there after %d rounds of kill -9", id, killRounds)
}

// marked lists the live processes that carry the id, except this one. A zombie has no environment, so it is not listed.
func marked(id string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != os.Getpid() && carries(pid, id) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func carries(pid int, id string) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false // gone, or another user's
	}
	want := []byte(Marker + "=" + id)
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(variable, want) {
			return true
		}
	}
	return false
}

// killIfMarked takes a handle on the process before it looks again, so that a reused pid is never hit.
func killIfMarked(pid int, id string) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = process.Release() }()
	if carries(pid, id) {
		_ = process.Kill() // it may have ended by itself
	}
}

// Processes lists the live processes that belong to the cluster with this id.
func Processes(id string) ([]int, error) { return marked(id) }

// AwaitOwner returns a context that ends when the process with that pid is gone, or with ctx.
func AwaitOwner(ctx context.Context, pid int) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		start, ok := processStart(pid)
		for ok && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
			now, alive := processStart(pid)
			ok = alive && now == start
		}
	}()
	return ctx
}

// processStart tells when the kernel started the process (in ticks since boot), which with the pid is an identity.
func processStart(pid int) (string, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The command may hold spaces and brackets; the last bracket ends it.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	fields := strings.Fields(string(rest))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}

// withMarker is the environment of this process with the marker of this cluster alone.
func withMarker(id string) []string { return append(withoutMarker(), Marker+"="+id) }

func withoutMarker() []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, Marker+"=") {
			env = append(env, variable)
		}
	}
	return env
}

// Down ends a cluster that another process owns: it asks the owner, and when the owner is gone or does not answer
// before ctx ends, it kills what is left itself.
func Down(ctx context.Context, state State) error {
	if _, alive := processStart(state.OwnerPID); alive && ownsDataDir(state.DataDir) {
		if owner, err := os.FindProcess(state.OwnerPID); err == nil {
			_ = owner.Signal(syscall.SIGTERM) // gone meanwhile: the wait below sees it
			wait := AwaitOwner(ctx, state.OwnerPID)
			<-wait.Done()
		}
	}
	err := killMarked(state.ID)
	_ = os.Remove(filepath.Join(state.DataDir, clusterFile))
	return err
}

// ownsDataDir tells whether somebody holds the lock of the folder; if not, the recorded pid may be anybody's by now.
func ownsDataDir(dataDir string) bool {
	file, err := os.Open(filepath.Join(dataDir, ownerLock))
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}
