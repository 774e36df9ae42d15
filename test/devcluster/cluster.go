package devcluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
)

const (
	defaultStartTimeout = 2 * time.Minute
	startTries          = 3 // a port can be taken between its choice and its use; three times in a row it is something else
	guardTimeout        = 30 * time.Second
	clusterFile         = "cluster.json"
	ownerLock           = "owner.lock"
)

// Config says what cluster to start. The zero value is a cluster of its own in a temporary folder.
type Config struct {
	// DataDir keeps everything of the cluster; a cluster that ran there before goes on. "" is a temporary folder, which
	// is removed when the cluster ends.
	DataDir string
	// Progress takes lines about slow steps; nil discards them.
	Progress io.Writer
	// Binary is the devcluster binary for guard and machines; "" builds it from the checkout.
	Binary string
	// Durable lets etcd wait for the disk. Off, a crash of the machine (not of a process) may lose data.
	Durable bool
	// StartTimeout bounds the start, without the build of the binaries; 0 is 2 minutes.
	StartTimeout time.Duration
	// APIServerArgs, ControllerManagerArgs and SchedulerArgs are appended to the flags of each, so the last word is theirs.
	APIServerArgs, ControllerManagerArgs, SchedulerArgs []string
}

// Validate names the field that makes no sense.
func (c Config) Validate() error {
	if c.StartTimeout < 0 {
		return fmt.Errorf("devcluster: StartTimeout %s is below 0", c.StartTimeout)
	}
	if c.Binary != "" && !filepath.IsAbs(c.Binary) {
		return fmt.Errorf("devcluster: Binary %q is not an absolute path", c.Binary)
	}
	return nil
}

// Cluster is a running control plane, owned by this process: it ends with Stop or when this process ends.
type Cluster struct {
	id         string
	dir        string
	config     Config
	components []*component
	guard      *exec.Cmd
	guardPipe  io.Closer
	guardDone  chan struct{}
	owner      *os.File
	machines   machines
	stop       sync.Once
	stopErr    error
}

// State is what DataDir/cluster.json tells of a cluster that runs.
type State struct {
	ID             string   `json:"id"`
	OwnerPID       int      `json:"ownerPID"`
	Server         string   `json:"server"`
	Kubeconfig     string   `json:"kubeconfig"`
	DataDir        string   `json:"dataDir"`
	MachineCommand []string `json:"machineCommand"`
}

// ReadState reads the state of the cluster in dataDir.
func ReadState(dataDir string) (State, error) {
	var state State
	content, err := os.ReadFile(filepath.Join(dataDir, clusterFile))
	if err != nil {
		return state, fmt.Errorf("no cluster runs in %s (start one with `devcluster up --data %s`): %w", dataDir, dataDir, err)
	}
	if err := json.Unmarshal(content, &state); err != nil {
		return state, fmt.Errorf("read %s in %s: %w", clusterFile, dataDir, err)
	}
	return state, nil
}

// Up starts a cluster and returns when it is ready for work. ctx bounds the start only.
func Up(ctx context.Context, config Config) (*Cluster, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Progress == nil {
		config.Progress = io.Discard
	}
	if config.StartTimeout == 0 {
		config.StartTimeout = defaultStartTimeout
	}
	binary, err := ControlPlane(ctx, config.Progress)
	if err != nil {
		return nil, err
	}
	if config.Binary == "" {
		if config.Binary, err = Binary(ctx, config.Progress); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		cluster, err := start(ctx, config, binary)
		if err == nil || !portTaken(err) || try == startTries {
			return cluster, err
		}
		fmt.Fprintln(config.Progress, "a port was taken; starting again with others")
	}
}

func start(ctx context.Context, config Config, binary string) (*Cluster, error) {
	c := &Cluster{id: newID(), config: config}
	if err := c.openDataDir(); err != nil {
		return nil, err
	}
	if err := c.startGuard(); err != nil {
		_ = c.owner.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, config.StartTimeout)
	defer cancel()
	err := writePKI(filepath.Join(c.dir, "pki"))
	if err == nil {
		err = c.startControlPlane(ctx, binary)
	}
	if err == nil {
		err = c.WaitReady(ctx)
	}
	if err == nil {
		err = c.allowMachines(ctx)
	}
	if err == nil {
		err = c.writeState()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster in %s: %w", c.dir, err), c.Stop())
	}
	return c, nil
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails on Linux
	return hex.EncodeToString(id[:])
}

// openDataDir makes the data folder and takes its lock, which says that a cluster runs in it.
func (c *Cluster) openDataDir() error {
	dir, err := c.config.DataDir, error(nil)
	if dir == "" {
		dir, err = os.MkdirTemp("", "devcluster-")
	} else if dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	c.dir = dir
	c.owner, err = os.OpenFile(filepath.Join(dir, ownerLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock of the data folder: %w", err)
	}
	if err := unix.Flock(int(c.owner.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = c.owner.Close()
		return fmt.Errorf("a cluster runs in %s already: use it, or end it with `devcluster down --data %s`: %w", dir, dir, err)
	}
	// Left over by a cluster that ended with the machine: its sockets would be in the way.
	for _, stale := range []string{clusterFile, "etcd.sock:0", "peer.sock:0"} {
		_ = os.Remove(filepath.Join(dir, stale))
	}
	return nil
}

func (c *Cluster) startGuard() error {
	args := []string{"guard", "--id", c.id, "--data", c.dir}
	if c.config.DataDir == "" {
		args = append(args, "--remove")
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "guard.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the guardian's log: %w", err)
	}
	defer log.Close()
	c.guard = exec.Command(c.config.Binary, args...)
	c.guard.Env = withoutMarker() // the guardian must not hunt itself
	c.guard.Stdout, c.guard.Stderr = log, log
	c.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := c.guard.StdinPipe()
	if err != nil {
		return fmt.Errorf("make the guardian's pipe: %w", err)
	}
	if err := c.guard.Start(); err != nil {
		return fmt.Errorf("start the guardian %s: %w", c.config.Binary, err)
	}
	c.guardPipe, c.guardDone = pipe, make(chan struct{})
	go func() {
		_ = c.guard.Wait()
		close(c.guardDone)
	}()
	return nil
}

func (c *Cluster) writeState() error {
	state := c.State()
	content, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", clusterFile, err)
	}
	path := filepath.Join(c.dir, clusterFile)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", clusterFile, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", clusterFile, err)
	}
	return nil
}

// State is what others need to use the cluster.
func (c *Cluster) State() State {
	return State{ID: c.id, OwnerPID: os.Getpid(), Server: c.RESTConfig().Host, Kubeconfig: c.Kubeconfig(), DataDir: c.dir, MachineCommand: c.MachineCommand()}
}

// ID names the cluster among all on this machine.
func (c *Cluster) ID() string { return c.id }

// DataDir holds the logs (kube-apiserver.log, ...), keys and machines of the cluster.
func (c *Cluster) DataDir() string { return c.dir }

// Kubeconfig is the path of the admin's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "admin.kubeconfig") }

// Env marks a process as part of the cluster ("NAME=value"): it is killed when the cluster ends.
func (c *Cluster) Env() []string { return []string{Marker + "=" + c.id} }

// Binary is the devcluster program. As the image of a container, with args "workload" and so on, it is the demo workload.
func (c *Cluster) Binary() string { return c.config.Binary }

// MachineCommand is the start of the command line that boots a machine of this cluster; append `--name N` and the
// other flags of `devcluster machine`. It needs no token: the machine finds its own identity in DataDir.
func (c *Cluster) MachineCommand() []string {
	return []string{c.config.Binary, "machine", "--cluster", c.dir}
}

// RESTConfig is the admin's, with client-side limits out of the way.
func (c *Cluster) RESTConfig() *rest.Config {
	config, err := restConfig(c.Kubeconfig())
	if err != nil {
		panic(err) // Up has read the same file
	}
	return config
}

// Signal sends a signal to a component by its name, such as "kube-apiserver", for tests of what happens when it is gone or
// stands still.
func (c *Cluster) Signal(name string, s os.Signal) error {
	for _, component := range c.components {
		if component.name == name {
			return component.cmd.Process.Signal(s)
		}
	}
	return fmt.Errorf("the cluster has no component %q", name)
}

// WaitReady waits until every component says that it is ready; a component that ended is an error that quotes its log.
func (c *Cluster) WaitReady(ctx context.Context) error { return c.awaitReady(ctx, c.components) }

// Failed yields the first component that ends by itself; it is for owners that wait, such as `devcluster up`.
func (c *Cluster) Failed(ctx context.Context) error {
	failed := make(chan error, len(c.components))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, component := range c.components {
		go func() {
			select {
			case <-component.done:
				failed <- component.ended()
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Stop ends every process of the cluster at once, as a power cut would, and removes a temporary data folder. It is safe
// to call again.
func (c *Cluster) Stop() error {
	c.stop.Do(func() { c.stopErr = c.end() })
	return c.stopErr
}

func (c *Cluster) end() error {
	_ = os.Remove(filepath.Join(c.dir, clusterFile))
	_ = c.guardPipe.Close()
	var err error
	select {
	case <-c.guardDone:
	case <-time.After(guardTimeout):
		err = fmt.Errorf("the guardian of cluster %s did not end in %s", c.id, guardTimeout)
	}
	// The guardian did it all, unless somebody killed it.
	err = errors.Join(err, killMarked(c.id))
	for _, component := range c.components {
		<-component.done
	}
	c.machines.wait()
	if c.config.DataDir == "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return errors.Join(err, c.owner.Close())
}
