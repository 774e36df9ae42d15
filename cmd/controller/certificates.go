package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"

	"github.com/wholescale/wholescale/deploy/certs"
)

// mostRun bounds one run; it is six calls to the API server.
const mostRun = 2 * time.Minute

func certificatesCommand() *cobra.Command {
	var kubeconfig, namespace string
	var config certs.Config
	c := &cobra.Command{
		Use:   "certificates",
		Short: "Issue or renew the certificates of all processes in their Secrets, and end",
		Long: "Does the one step of a renewal that is due, or nothing, and ends: run it every few hours. The steps are apart by\n" +
			"--overlap, so that at no moment two processes do not trust each other.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := zap.NewProduction()
			if err != nil {
				return fmt.Errorf("making the logger: %w", err)
			}
			defer func() { _ = log.Sync() }() // standard error has nothing to sync, and says so
			ctx, cancel := context.WithTimeout(c.Context(), mostRun)
			defer cancel()
			rest, err := connect(kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(rest)
			if err != nil {
				return fmt.Errorf("reading the Kubernetes configuration: %w", err)
			}
			config.Secrets = client.CoreV1().Secrets(namespace)
			step, err := certs.Run(ctx, config)
			if err != nil {
				return err
			}
			log.Info("certificates", zap.String("step", string(step)), zap.String("namespace", namespace))
			return nil
		},
	}
	p := c.Flags()
	p.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; empty is the service account of the pod that this runs in")
	p.StringVar(&namespace, "namespace", "wholescale-system", "namespace of the Secrets")
	p.BoolVar(&config.Create, "create", false, "make Secrets that are not there, too")
	p.DurationVar(&config.Valid, "valid", 0, "how long a certificate lasts; it is renewed when a third is left (default 2160h)")
	p.DurationVar(&config.Overlap, "overlap", 0, "how long each step is given to reach all processes (default 1h)")
	return c
}
