// Command devcluster runs a real Kubernetes control plane and its machines as plain processes on this machine.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "devcluster",
		Short:         "A real Kubernetes control plane on this machine, without containers and without root",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand(), kubeconfigCommand(), machineCommand(), workloadCommand(), guardCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}
