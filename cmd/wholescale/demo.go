package main

import (
	"fmt"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/test/demo"
)

func demoCommand() *cobra.Command {
	var config demo.Config
	var output string
	c := &cobra.Command{
		Use: "demo", Short: "The whole loop on this machine, from zero to zero, measured and simulated",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config.Progress = c.ErrOrStderr()
			if f, ok := config.Progress.(*os.File); ok {
				config.Terminal = isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
			}
			result, err := demo.Run(c.Context(), config)
			if len(result.Runs()) == 0 {
				return err
			}
			if config.Report != "" {
				fmt.Fprintln(config.Progress, "the report is in", config.Report)
			}
			if output != "text" {
				if werr := writeObject(c.OutOrStdout(), output, result); werr != nil {
					return werr
				}
			} else if terr := report.Text(c.OutOrStdout(), result.Runs()...); terr != nil {
				return terr
			}
			return err
		},
	}
	formatFlag(c, &output, "text", "json", "yaml")
	flags := c.Flags()
	flags.StringVar(&config.Bin, "bin", programFolder(), "folder with the programs that make build makes")
	flags.StringVar(&config.Report, "report", "", "HTML file to write, self-contained")
	flags.DurationVar(&config.From, "from", 10*time.Minute, "where in the trace to begin")
	flags.DurationVar(&config.For, "for", 80*time.Second, "how much of the trace to replay")
	return c
}
