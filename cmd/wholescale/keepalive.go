package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/simulator/keepalive"
	"github.com/wholescale/wholescale/simulator/trace"
)

// oneTrace is Args of commands that read one trace.
func oneTrace(c *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(c, args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// readFlags are how to read a trace, the same for all commands that do.
type readFlags struct {
	format, values string
	scale          float64
}

func (f *readFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "", "read the trace as this format (default: recognised); see wholescale trace --help")
	c.Flags().StringVar(&f.values, "values", "", "what the numbers of a Prometheus export are: counter, rate or count (default: by the metric's name)")
	c.Flags().Float64Var(&f.scale, "scale", 1, "multiply all counts")
}

func (f *readFlags) options(ctx context.Context) (trace.Options, error) {
	if f.scale <= 0 {
		return trace.Options{}, fmt.Errorf("%w: --scale %g: it is above 0", errUsage, f.scale)
	}
	return trace.Options{Format: trace.Format(f.format), Values: trace.Values(f.values), Scale: f.scale, Interrupted: ctx.Err}, nil
}

// open opens a trace; what is wrong with it is the caller's to mend, as is a wrong flag.
func (f *readFlags) open(ctx context.Context, path string) (*trace.Trace, error) {
	o, err := f.options(ctx)
	if err != nil {
		return nil, err
	}
	t, err := trace.Open(path, o)
	if err != nil {
		return nil, badTrace(path, err)
	}
	return t, nil
}

// remarks says on stderr what the reader assumed and left out.
func remarks(c *cobra.Command, t *trace.Trace) {
	for _, n := range t.Notes() {
		fmt.Fprintln(c.ErrOrStderr(), "note:", n)
	}
	for _, d := range t.Drops() {
		fmt.Fprintf(c.ErrOrStderr(), "left out: %d rows: %s (first at %s:%d)\n", d.Count, d.Reason, d.File, d.Line)
	}
}

func keepaliveCommand() *cobra.Command {
	var read readFlags
	var output string
	var floor bool
	c := &cobra.Command{
		Use: "keepalive TRACE", Short: "How many starts would be cold, and how many minutes idle, by rules for keeping functions loaded",
		Long: `Reads invocations per minute (or requests) and prints what rules for keeping an idle function loaded would have done.

p50, p75, mean          the share of a function's invocations that was cold, in percent, over functions with any
always_cold_pct         functions of which every invocation was cold
idle_min                minutes loaded without work, of all functions
norm_waste_vs_fixed10   idle_min over that of fixed10m
floor_idle_min          the memoryless bound: if each minute has the same chance of an invocation whatever came before, a warm
                        start takes the function's mean gap of idle minutes, whatever rule chooses them (Wald's identity);
                        summed over functions. A rule below it makes use of gaps that can be told beforehand.
oracle_idle_min         an oracle that knows each next gap, only keeps or drops, and has as many cold starts of each function as the rule

The last two are in the table, and with --floor in all formats. The model is that of "Serverless in the Wild" (USENIX ATC 2020) at the
grain of a minute, as simulator/keepalive says; hybrid4h_noARIMA is its histogram.`,
		Example: "  wholescale simulate keepalive invocations.csv.gz\n  wholescale simulate keepalive azurefunctions-dataset2019/ -o json",
		Args:    oneTrace,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := read.open(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer t.Close() // read only: nothing to lose
			bounds := floor || output == "table"
			list, err := keepalive.Evaluate(t, bounds)
			if err != nil {
				return badTrace(args[0], err)
			}
			remarks(c, t)
			return keepaliveRecords(list, bounds).write(c.OutOrStdout(), output)
		},
	}
	recordFlag(c, &output)
	read.add(c)
	c.Flags().BoolVar(&floor, "floor", false, "print the memoryless bound and the oracle in all formats")
	return c
}

// badTrace is an error of reading a trace, which is the caller's to mend, unless they ended it. It names the trace when
// nothing in it has a place.
func badTrace(path string, err error) error {
	var place *trace.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &place) || strings.Contains(err.Error(), path):
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return fmt.Errorf("%w: %s: %w", errUsage, path, err)
}

func keepaliveRecords(list []keepalive.Result, bounds bool) records {
	out := records{key: "policy", align: tabwriter.AlignRight}
	for _, r := range list {
		r = r.Rounded()
		row := record{name: r.Policy, fields: []field{
			{"p50", r.P50}, {"p75", r.P75}, {"mean", r.Mean}, {"always_cold_pct", r.AlwaysColdPct}, {"idle_min", r.IdleMin}, {"norm_waste_vs_fixed10", r.NormWaste},
		}}
		if bounds {
			row.fields = append(row.fields, field{"floor_idle_min", r.FloorIdleMin}, field{"oracle_idle_min", r.OracleIdleMin})
		}
		out.rows = append(out.rows, row)
	}
	return out
}
