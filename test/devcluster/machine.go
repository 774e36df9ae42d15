package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// NodeConfig says what machine to boot. Name is needed; the rest has the defaults of `devcluster machine`.
type NodeConfig struct {
	Name       string
	ProviderID string
	Labels     map[string]string
	Taints     []corev1.Taint
	// CPU and Memory are quantities ("4", "8Gi"); "" is 4 and 8Gi.
	CPU, Memory string
	// Pods is the most pods it takes; 0 is 110.
	Pods int
	// BootDelay, PodStartDelay and PullDelay are delays: "2s", "normal:2s,300ms", "lognormal:2s,1.5", "uniform:1s..3s".
	// "" is none. See node.ParseDelay.
	BootDelay, PodStartDelay, PullDelay string
	// Seed makes the delays repeat; 0 derives one from the name.
	Seed uint64
}

// Args are the flags that follow MachineCommand.
func (n NodeConfig) Args() []string {
	args := []string{"--name", n.Name}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	add("--provider-id", n.ProviderID)
	var labels, taints []string
	for key, value := range n.Labels {
		labels = append(labels, key+"="+value)
	}
	sort.Strings(labels)
	for _, taint := range n.Taints {
		taints = append(taints, fmt.Sprintf("%s=%s:%s", taint.Key, taint.Value, taint.Effect))
	}
	add("--labels", strings.Join(labels, ","))
	add("--taints", strings.Join(taints, ","))
	add("--cpu", n.CPU)
	add("--memory", n.Memory)
	if n.Pods != 0 {
		add("--pods", strconv.Itoa(n.Pods))
	}
	add("--boot-delay", n.BootDelay)
	add("--pod-start-delay", n.PodStartDelay)
	add("--pull-delay", n.PullDelay)
	if n.Seed != 0 {
		add("--seed", strconv.FormatUint(n.Seed, 10))
	}
	return args
}

// Machine is one node's process, started by AddNode.
type Machine struct {
	Name string
	// Log is the file of the node agent's output.
	Log  string
	cmd  *exec.Cmd
	done chan struct{}
}

// Terminate asks the machine to end as a cloud ends an instance: pods get their grace period, the Node goes.
func (m *Machine) Terminate() error { return m.cmd.Process.Signal(syscall.SIGTERM) }

// Kill ends the machine at once; its Node stays and becomes NotReady.
func (m *Machine) Kill() error { return m.cmd.Process.Kill() }

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// machines are those of AddNode; they are reaped as they end.
type machines struct{ running sync.WaitGroup }

func (m *machines) wait() { m.running.Wait() }

// AddNode boots a machine and waits until its Node is Ready.
func (c *Cluster) AddNode(ctx context.Context, config NodeConfig) (*Machine, error) {
	machine, err := c.Boot(config)
	if err != nil {
		return nil, err
	}
	if err := c.awaitNode(ctx, machine); err != nil {
		_ = machine.Kill()
		<-machine.done
		return nil, err
	}
	return machine, nil
}

// Boot starts a machine and returns at once.
func (c *Cluster) Boot(config NodeConfig) (*Machine, error) {
	if config.Name == "" {
		return nil, errors.New("devcluster: NodeConfig.Name is empty")
	}
	dir := filepath.Join(c.dir, "machines")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of machines: %w", err)
	}
	machine := &Machine{Name: config.Name, Log: filepath.Join(dir, config.Name+".log"), done: make(chan struct{})}
	output, err := os.OpenFile(machine.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of machine %s: %w", config.Name, err)
	}
	defer output.Close()
	command := append(c.MachineCommand(), config.Args()...)
	machine.cmd = exec.Command(command[0], command[1:]...)
	machine.cmd.Env = withMarker(c.id)
	machine.cmd.Stdout, machine.cmd.Stderr = output, output
	machine.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := machine.cmd.Start(); err != nil {
		return nil, fmt.Errorf("boot machine %s: %w", config.Name, err)
	}
	c.machines.running.Go(func() {
		_ = machine.cmd.Wait()
		close(machine.done)
	})
	return machine, nil
}

func (c *Cluster) awaitNode(ctx context.Context, machine *Machine) error {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-machine.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	list := cache.NewFilteredListWatchFromClient(client.CoreV1().RESTClient(), "nodes", "", func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", machine.Name).String()
	})
	_, err = watchtools.UntilWithSync(ctx, list, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		node, ok := event.Object.(*corev1.Node)
		return ok && event.Type != watch.Deleted && usable(node), nil
	})
	if err == nil {
		return nil
	}
	log, _ := readTail(machine.Log) // an unreadable log only makes the error shorter
	return fmt.Errorf("wait for node %s to be ready (its log %s ends: %s): %w", machine.Name, machine.Log, lastLines(log, logTail), err)
}

// usable: Ready, and the taints that keep pods away until then are gone.
func usable(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
