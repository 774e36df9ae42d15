// Command provider sells machines to Wholescale's controller, within limits of its own. It is the only process that
// holds a cloud's credential.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wholescale/wholescale/cloudprovider/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var config serve.Config
	var file, state string
	c := &cobra.Command{
		Use:   "provider --config FILE --ca FILE --cert FILE --key FILE",
		Short: "Sell machines to Wholescale's controller, within limits of its own",
		Args:  cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if config.File, err = serve.Load(file, state); err != nil {
				return err
			}
			log, err := zap.NewProduction()
			if err != nil {
				return fmt.Errorf("make the logger: %w", err)
			}
			defer func() { _ = log.Sync() }() // standard error has nothing to sync, and says so
			return serve.Run(cmd.Context(), config, log)
		},
	}
	f := c.Flags()
	f.StringVar(&file, "config", "", "YAML file: machineCommand, pools, limits")
	f.StringVar(&state, "state", "", "folder for targets, tokens and logs; goes before the file's state")
	f.StringVar(&config.Listen, "listen", "127.0.0.1:7443", "address for the controller's calls")
	f.StringVar(&config.Keys.CA, "ca", "", "PEM file with the authorities to trust")
	f.StringVar(&config.Keys.Cert, "cert", "", "PEM file with the provider's certificate")
	f.StringVar(&config.Keys.Key, "key", "", "PEM file with the provider's private key")
	f.StringVar(&config.Admin, "admin", "", "address for /metrics, /healthz and /orders; empty serves none")
	for _, name := range []string{"config", "ca", "cert", "key"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // a flag that is not defined above
		}
	}
	return c
}
