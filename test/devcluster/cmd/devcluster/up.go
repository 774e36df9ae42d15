package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/test/devcluster"
)

type upOptions struct {
	data        string
	detach      bool
	untilStdin  bool
	parentPID   int
	durable     bool
	nodes       int
	nodeOptions devcluster.NodeConfig
}

func upCommand() *cobra.Command {
	var o upOptions
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster; it ends with Ctrl-C, or with `devcluster down` after --detach",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if o.detach && (o.untilStdin || o.parentPID != 0) {
				return errors.New("--detach leaves the cluster without an owner; take it or --until-stdin-closes or --parent-pid")
			}
			if o.detach {
				return detach(command.OutOrStdout(), o)
			}
			return up(command.Context(), command.OutOrStdout(), o)
		},
	}
	flags := command.Flags()
	dataFlag(command, &o.data)
	flags.BoolVar(&o.detach, "detach", false, "leave the cluster running and return when it is ready")
	flags.BoolVar(&o.untilStdin, "until-stdin-closes", false, "end the cluster when standard input ends")
	flags.IntVar(&o.parentPID, "parent-pid", 0, "end the cluster when this process is gone")
	flags.BoolVar(&o.durable, "durable", false, "let etcd wait for the disk")
	flags.IntVar(&o.nodes, "nodes", 0, "machines to boot with it, named node-1, node-2, ...")
	flags.StringVar(&o.nodeOptions.CPU, "node-cpu", "", "CPU of each of --nodes (default 4)")
	flags.StringVar(&o.nodeOptions.Memory, "node-memory", "", "memory of each of --nodes (default 8Gi)")
	return command
}

func dataFlag(command *cobra.Command, data *string) {
	command.Flags().StringVar(data, "data", defaultData(), "folder of the cluster's data")
}

// defaultData is one well-known place per user, so that down and status find what up started.
func defaultData() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "wholescale", "cluster")
}

func up(ctx context.Context, stdout io.Writer, o upOptions) error {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if o.parentPID != 0 {
		ctx = devcluster.AwaitOwner(ctx, o.parentPID)
	}
	if o.untilStdin {
		ctx = untilEOF(ctx, os.Stdin)
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own binary: %w", err)
	}
	cluster, err := devcluster.Up(ctx, devcluster.Config{DataDir: o.data, Progress: os.Stderr, Binary: binary, Durable: o.durable})
	if err != nil {
		return err
	}
	err = serve(ctx, stdout, cluster, o)
	return errors.Join(err, cluster.Stop())
}

// serve boots the machines asked for, says that the cluster is ready, and waits for the end.
func serve(ctx context.Context, stdout io.Writer, cluster *devcluster.Cluster, o upOptions) error {
	for n := 1; n <= o.nodes; n++ {
		config := o.nodeOptions
		config.Name = fmt.Sprintf("node-%d", n)
		if _, err := cluster.AddNode(ctx, config); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(stdout).Encode(cluster.State()); err != nil {
		return fmt.Errorf("say that the cluster is ready: %w", err)
	}
	fmt.Fprintf(os.Stderr, "the cluster is ready: export KUBECONFIG=%s\n", cluster.Kubeconfig())
	return cluster.Failed(ctx)
}

func untilEOF(ctx context.Context, input io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, input) // any end is the end
	}()
	return ctx
}

// detach runs `up` again as a process of its own session and passes on its one line.
func detach(stdout io.Writer, o upOptions) error {
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	path := filepath.Join(o.data, "up.log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool { return arg == "--detach" || arg == "--detach=true" })
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own binary: %w", err)
	}
	child := exec.Command(binary, args...)
	child.Stderr = log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err := child.StdoutPipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	fmt.Fprintf(os.Stderr, "starting the cluster; the first start builds the control plane, about 5 minutes (see %s)\n", path)
	if err := child.Start(); err != nil {
		return fmt.Errorf("start %s: %w", binary, err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		_ = child.Wait()
		content, _ := os.ReadFile(path) // the error below names the file in any case
		return fmt.Errorf("the cluster did not start; %s says:\n%s", path, content)
	}
	_, err = io.WriteString(stdout, line)
	return err
}
