package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/test/devcluster/workload"
)

func workloadCommand() *cobra.Command {
	var config workload.Config
	command := &cobra.Command{
		Use:   "workload",
		Short: "Serve demo requests: ?ms= ?status= ?abort=before|during ?size= ?trailer=, /stream, /echo, /ws, /count, /healthz, /readyz",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return workload.Run(ctx, config)
		},
	}
	flags := command.Flags()
	flags.StringVar(&config.Listen, "listen", "127.0.0.1:8080", "host:port to serve on")
	flags.StringVar(&config.Pod, "pod", os.Getenv("POD_NAME"), "name that /count tells")
	flags.IntVar(&config.Concurrency, "concurrency", 0, "requests served at once (0: no limit)")
	flags.BoolVar(&config.Queue, "queue", false, "let requests over --concurrency wait instead of answering 503")
	flags.DurationVar(&config.ServiceTime, "service-time", 0, "time of a request that names none")
	flags.DurationVar(&config.StartDelay, "start-delay", 0, "time before it listens")
	flags.DurationVar(&config.ReadyDelay, "ready-delay", 0, "time between listening and /readyz being 200")
	flags.DurationVar(&config.DrainDelay, "drain-delay", 0, "time it goes on taking requests after SIGTERM")
	flags.DurationVar(&config.DrainTimeout, "drain-timeout", 0, "most time for requests in flight at the end (default 25s)")
	return command
}
