package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/test/devcluster"
)

// downTimeout bounds the end of a cluster; it takes well under a second.
const downTimeout = 40 * time.Second

func downCommand() *cobra.Command {
	var data string
	command := &cobra.Command{
		Use:   "down",
		Short: "End the cluster of --data; its data stays",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			state, err := devcluster.ReadState(data)
			if errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintf(os.Stderr, "no cluster runs in %s\n", data)
				return nil
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), downTimeout)
			defer cancel()
			return devcluster.Down(ctx, state)
		},
	}
	dataFlag(command, &data)
	return command
}

func statusCommand() *cobra.Command {
	var data string
	command := &cobra.Command{
		Use:   "status",
		Short: "Tell whether the cluster of --data runs (JSON); exit code 1 when it does not",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			state, err := devcluster.ReadState(data)
			if err != nil {
				return err
			}
			pids, err := devcluster.Processes(state.ID)
			if err != nil {
				return err
			}
			if len(pids) == 0 {
				return fmt.Errorf("the cluster of %s has ended without `devcluster down`; its logs are there", data)
			}
			return json.NewEncoder(command.OutOrStdout()).Encode(struct {
				devcluster.State
				Processes int `json:"processes"`
			}{state, len(pids)})
		},
	}
	dataFlag(command, &data)
	return command
}

func kubeconfigCommand() *cobra.Command {
	var data string
	command := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the admin's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			state, err := devcluster.ReadState(data)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), state.Kubeconfig)
			return err
		},
	}
	dataFlag(command, &data)
	return command
}

func guardCommand() *cobra.Command {
	var id, data string
	var remove bool
	command := &cobra.Command{
		Use:    "guard",
		Short:  "Wait for standard input to end, then end every process of a cluster",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			if id == "" || !filepath.IsAbs(data) {
				return errors.New("guard: give --id and an absolute --data")
			}
			ignoreSignals()
			return devcluster.Guard(os.Stdin, id, data, remove)
		},
	}
	command.Flags().StringVar(&id, "id", "", "id of the cluster")
	command.Flags().StringVar(&data, "data", "", "folder of the cluster's data")
	command.Flags().BoolVar(&remove, "remove", false, "remove the folder at the end")
	return command
}

// ignoreSignals: the guardian ends when its owner does, never before.
func ignoreSignals() { signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) }
