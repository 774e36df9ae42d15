package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wholescale/wholescale/test/devcluster"
	"github.com/wholescale/wholescale/test/devcluster/node"
)

// clusterCheck is how often a machine looks whether its cluster is still there.
const clusterCheck = time.Second

type machineOptions struct {
	cluster                       string
	labels                        map[string]string
	taints                        []string
	cpu, memory                   string
	bootDelay, podDelay, pullWait string
	config                        node.Config
}

func machineCommand() *cobra.Command {
	var o machineOptions
	command := &cobra.Command{
		Use:   "machine",
		Short: "Be a machine of a cluster: a Node whose pods are processes; SIGTERM terminates it",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return machine(o) },
	}
	flags := command.Flags()
	flags.StringVar(&o.cluster, "cluster", "", "data folder of the cluster (needed)")
	flags.StringVar(&o.config.Name, "name", "", "name of the Node (needed)")
	flags.StringVar(&o.config.ProviderID, "provider-id", "", "provider id of the Node (default devcluster://NAME)")
	flags.StringToStringVar(&o.labels, "labels", nil, "labels of the Node: k=v,k=v")
	flags.StringSliceVar(&o.taints, "taints", nil, "taints of the Node: key=value:Effect,...")
	flags.StringVar(&o.cpu, "cpu", "4", "CPU of the Node")
	flags.StringVar(&o.memory, "memory", "8Gi", "memory of the Node")
	flags.IntVar(&o.config.Pods, "pods", 110, "most pods, up to 240")
	flags.StringToInt64Var(&o.config.Further, "further", nil, "further resources of the Node, as a device plugin adds them: example.com/gpu=2,...")
	flags.StringVar(&o.bootDelay, "boot-delay", "", "time before the Node registers: 2s, uniform:1s..3s, normal:2s,300ms, lognormal:2s,0.5")
	flags.StringVar(&o.podDelay, "pod-start-delay", "", "time before a pod's first process")
	flags.StringVar(&o.pullWait, "pull-delay", "", "time before the first container of an image on this machine")
	flags.Uint64Var(&o.config.Seed, "seed", 0, "seed of the delays (default: from the name)")
	flags.DurationVar(&o.config.FirstProbe, "first-probe", 0, "pause between probes until the first success (default 100ms; below 0: the probe's period)")
	flags.DurationVar(&o.config.CrashBackoff, "crash-backoff", 0, "wait before the second restart, doubling up to 5m (default 10s)")
	flags.DurationVar(&o.config.ShutdownGrace, "shutdown-grace", 0, "most grace that pods get when the machine is terminated (default 30s)")
	flags.BoolVar(&o.config.KeepNode, "keep-node", false, "leave the Node object when the machine is terminated")
	return command
}

func machine(o machineOptions) error {
	if o.cluster == "" || o.config.Name == "" {
		return errors.New("machine: give --cluster and --name")
	}
	state, err := devcluster.ReadState(o.cluster)
	if err != nil {
		return err
	}
	if os.Getenv(devcluster.Marker) != state.ID {
		return reexec(state.ID)
	}
	if err := o.fill(state); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go endWithCluster(state)
	return node.Run(ctx, o.config)
}

// reexec starts over with the mark of the cluster, so that the guardian finds this machine whoever started it.
func reexec(id string) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own binary: %w", err)
	}
	env := []string{devcluster.Marker + "=" + id}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, devcluster.Marker+"=") {
			env = append(env, variable)
		}
	}
	return fmt.Errorf("start %s again: %w", binary, syscall.Exec(binary, os.Args, env))
}

// endWithCluster ends this process when the cluster is gone; the kernel ends its pods with it.
func endWithCluster(state devcluster.State) {
	for range time.Tick(clusterCheck) {
		now, err := devcluster.ReadState(state.DataDir)
		if err != nil && errors.Is(err, os.ErrNotExist) || err == nil && now.ID != state.ID {
			fmt.Fprintln(os.Stderr, "devcluster: the cluster has ended, and this machine with it")
			os.Exit(0)
		}
	}
}

// fill turns the flags into the machine's configuration.
func (o *machineOptions) fill(state devcluster.State) error {
	c := &o.config
	var err error
	for _, delay := range []struct {
		flag, text string
		to         *node.Delay
	}{{"boot-delay", o.bootDelay, &c.BootDelay}, {"pod-start-delay", o.podDelay, &c.PodStartDelay}, {"pull-delay", o.pullWait, &c.PullDelay}} {
		if *delay.to, err = node.ParseDelay(delay.text); err != nil {
			return fmt.Errorf("--%s: %w", delay.flag, err)
		}
	}
	if c.CPU, err = resource.ParseQuantity(o.cpu); err != nil {
		return fmt.Errorf("--cpu %q: %w", o.cpu, err)
	}
	if c.Memory, err = resource.ParseQuantity(o.memory); err != nil {
		return fmt.Errorf("--memory %q: %w", o.memory, err)
	}
	if c.Taints, err = parseTaints(o.taints); err != nil {
		return err
	}
	if c.Seed == 0 {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(c.Name))
		c.Seed = hash.Sum64()
	}
	rest, err := clientcmd.BuildConfigFromFlags("", filepath.Join(state.DataDir, "machine.kubeconfig"))
	if err != nil {
		return fmt.Errorf("read the machine's kubeconfig: %w", err)
	}
	rest.QPS, rest.Burst, rest.UserAgent = -1, -1, "devcluster-machine"
	rest.ContentType = "application/vnd.kubernetes.protobuf"
	rest.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if c.Client, err = kubernetes.NewForConfig(rest); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if c.Log, err = zap.NewProduction(); err != nil {
		return fmt.Errorf("make a logger: %w", err)
	}
	c.Labels, c.Server = o.labels, state.Server
	c.Dir, c.PKI = filepath.Join(state.DataDir, "machines", c.Name), filepath.Join(state.DataDir, "pki")
	c.Env = []string{devcluster.Marker + "=" + state.ID}
	return nil
}

// parseTaints reads key=value:Effect or key:Effect.
func parseTaints(list []string) ([]corev1.Taint, error) {
	var taints []corev1.Taint
	for _, text := range list {
		left, effect, ok := strings.Cut(text, ":")
		key, value, _ := strings.Cut(left, "=")
		switch corev1.TaintEffect(effect) {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		default:
			ok = false
		}
		if !ok || key == "" {
			return nil, fmt.Errorf("--taints %q: want key=value:NoSchedule|PreferNoSchedule|NoExecute", text)
		}
		taints = append(taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	return taints, nil
}
