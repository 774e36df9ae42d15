package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/simulator/trace"
)

func traceCommand() *cobra.Command {
	var names []string
	for _, f := range trace.Formats() {
		names = append(names, string(f))
	}
	c := &cobra.Command{
		Use: "trace", Short: "Look at recorded traffic, convert it, sample it, make it up",
		Long: `TRACE is a file or a folder of files of one format, plain, gzip or zstd. The format is recognised; --format overrides:
  ` + strings.Join(names, ", ") + `

What cannot be read is said with file, line, column and what was expected, and the exit code is 2; then nothing is written.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: trace %s: it is info, convert, sample, synthesize or fit", errUsage, args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(traceInfoCommand(), traceConvertCommand(), traceSampleCommand(), traceSynthesizeCommand(), traceFitCommand())
	return c
}

func traceInfoCommand() *cobra.Command {
	var read readFlags
	var output string
	c := &cobra.Command{
		Use: "info TRACE", Short: "Format, functions, requests, span, peak, and what was left out and why",
		Example: "  wholescale trace info access.log.gz\n  wholescale trace info azurefunctions-dataset2019/ -o json",
		Args:    oneTrace,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := read.open(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer t.Close() // read only: nothing to lose
			info, err := trace.Describe(t)
			if err != nil {
				return badTrace(args[0], err)
			}
			if output == "json" || output == "yaml" {
				return writeObject(c.OutOrStdout(), output, info)
			}
			return infoRecords(info).write(c.OutOrStdout(), output)
		},
	}
	recordFlag(c, &output)
	read.add(c)
	return c
}

// infoRecords is one line for each thing known.
func infoRecords(i trace.Info) records {
	out := records{key: "what"}
	add := func(name string, value any) { out.rows = append(out.rows, record{name, []field{{"value", value}}}) }
	add("format", string(i.Format))
	add("kind", string(i.Kind))
	if i.Start != "" {
		add("start", i.Start)
	}
	add("span_s", i.SpanSeconds)
	if i.PeriodSeconds > 0 {
		add("period_s", i.PeriodSeconds)
	}
	add("rows", i.Rows)
	add("functions", i.Functions)
	add("functions_with_durations", i.WithDurations)
	add("functions_with_memory", i.WithMemory)
	add("requests", i.Requests)
	add("mean_per_s", i.MeanPerSecond)
	add("peak_per_s", i.PeakPerSecond)
	add("peak_at_s", i.PeakAtSeconds)
	add("top_1pct_functions_load_pct", i.TopPercent)
	for _, d := range i.Dropped {
		add("dropped", fmt.Sprintf("%d rows: %s (first in line %d)", d.Count, d.Reason, d.Line))
	}
	for _, n := range i.Notes {
		add("note", n)
	}
	return out
}

// writeObject prints one object.
func writeObject(w io.Writer, format string, v any) error {
	if format == "json" {
		return writeJSON(w, v)
	}
	b, err := yaml.Marshal(v)
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// toFlag is where a trace is written.
func toFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "to", "", "write to this file, gzipped when it ends in .gz (default: stdout); it is there whole or not at all")
}

func traceConvertCommand() *cobra.Command {
	var read readFlags
	var to string
	c := &cobra.Command{
		Use: "convert TRACE", Short: "Write a trace of any format in the project's own (wholescale trace v1: CSV), counts and times unchanged",
		Example: "  wholescale trace convert access.log --to traffic.csv.gz",
		Args:    oneTrace,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := read.open(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer t.Close() // read only: nothing to lose
			return writeTrace(c, t, args[0], to)
		},
	}
	read.add(c)
	toFlag(c, &to)
	return c
}

func traceSampleCommand() *cobra.Command {
	var read readFlags
	var to string
	var functions int
	var seed uint64
	c := &cobra.Command{
		Use: "sample TRACE", Short: "Write the trace of some functions, picked by chance",
		Example: "  wholescale trace sample azurefunctions-dataset2019/ --functions 100 --seed 7 --to small.csv.gz",
		Args:    oneTrace,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := read.open(c.Context(), args[0])
			if err != nil {
				return err
			}
			err = t.Each(func(*trace.Row) error { return nil })
			_ = t.Close() // read only: nothing to lose
			if err != nil {
				return badTrace(args[0], err)
			}
			picked, err := trace.Sample(t.Functions(), functions, seed)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			again, err := read.open(c.Context(), args[0])
			if err != nil {
				return err
			}
			some := trace.Select(again, picked)
			defer some.Close() // read only: nothing to lose
			return writeTrace(c, some, args[0], to)
		},
	}
	read.add(c)
	toFlag(c, &to)
	c.Flags().IntVar(&functions, "functions", 100, "how many; all where there are less")
	c.Flags().Uint64Var(&seed, "seed", 1, "of the choice; the same seed picks the same functions")
	return c
}

func traceSynthesizeCommand() *cobra.Command {
	var to, from string
	var seed uint64
	var s trace.Shape
	var length, period, season, peak, spike time.Duration
	c := &cobra.Command{
		Use: "synthesize", Short: "Make up a trace of counts from a few numbers",
		Example: "  wholescale trace synthesize --rate 50 --for 48h --season 24h --amplitude 0.6 --spikes-per-day 2 --spike-for 10m --spike-factor 8\n" +
			"  wholescale trace fit access.log -o json > shape.json && wholescale trace synthesize --shape shape.json --seed 2",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.NoArgs(c, args); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if from != "" {
				given, err := readShape(from)
				if err != nil {
					return fmt.Errorf("%w: %w", errUsage, err)
				}
				s = given
			} else {
				s.Length, s.Period, s.Season = length.Seconds(), period.Seconds(), season.Seconds()
				s.Peak, s.SpikeLength = peak.Seconds(), spike.Seconds()
			}
			t, err := trace.Synthesize(s, seed)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return writeTrace(c, t, "the shape", to)
		},
	}
	toFlag(c, &to)
	f := c.Flags()
	f.StringVar(&from, "shape", "", "take all of it from this file, as fit writes it with -o json or yaml")
	f.Uint64Var(&seed, "seed", 1, "of all chance; the same seed gives the same bytes")
	f.Float64Var(&s.Rate, "rate", 10, "requests a second of all functions, in the mean")
	f.DurationVar(&length, "for", 24*time.Hour, "how long")
	f.DurationVar(&period, "period", time.Minute, "of one count")
	f.DurationVar(&season, "season", 0, "length of one wave; 0 is none")
	f.Float64Var(&s.Amplitude, "amplitude", 0.5, "of the wave, as a share of the rate")
	f.DurationVar(&peak, "peak", 0, "when the wave is highest, from the start")
	f.Float64Var(&s.SpikesPerDay, "spikes-per-day", 0, "in the mean, at any time")
	f.DurationVar(&spike, "spike-for", 5*time.Minute, "how long a spike lasts")
	f.Float64Var(&s.SpikeFactor, "spike-factor", 5, "what a spike multiplies the rate by")
	f.IntVar(&s.Functions, "functions", 1, "how many")
	f.Float64Var(&s.Skew, "skew", 1, "the k-th function gets a share of k^-skew")
	return c
}

// readShape reads JSON or YAML, and refuses fields that it does not know.
func readShape(path string) (trace.Shape, error) {
	f, err := os.Open(path)
	if err != nil {
		return trace.Shape{}, fmt.Errorf("opening the shape: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return trace.Shape{}, fmt.Errorf("reading the shape: %w", err)
	}
	var s trace.Shape
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		return s, fmt.Errorf("%s: expected what wholescale trace fit -o json writes: %w", path, err)
	}
	return s, nil
}

func traceFitCommand() *cobra.Command {
	var read readFlags
	var output string
	c := &cobra.Command{
		Use: "fit TRACE", Short: "The few numbers of synthesize that a trace is nearest to",
		Args: oneTrace,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := read.open(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer t.Close() // read only: nothing to lose
			s, err := trace.Fit(t)
			if err != nil {
				return badTrace(args[0], err)
			}
			remarks(c, t)
			if output == "json" || output == "yaml" {
				return writeObject(c.OutOrStdout(), output, s)
			}
			out := records{key: "what"}
			for _, f := range []field{
				{"rate", s.Rate}, {"length_s", s.Length}, {"period_s", s.Period}, {"season_s", s.Season}, {"amplitude", s.Amplitude}, {"peak_s", s.Peak},
				{"spikes_per_day", s.SpikesPerDay}, {"spike_length_s", s.SpikeLength}, {"spike_factor", s.SpikeFactor}, {"functions", s.Functions}, {"skew", s.Skew},
			} {
				out.rows = append(out.rows, record{f.name, []field{{"value", f.value}}})
			}
			return out.write(c.OutOrStdout(), output)
		},
	}
	recordFlag(c, &output)
	read.add(c)
	return c
}

// writeTrace writes a trace to a file or stdout. It writes to a temporary file first: after an error there is nothing.
func writeTrace(c *cobra.Command, t *trace.Trace, name, to string) (err error) {
	folder := ""
	if to != "" {
		folder = filepath.Dir(to)
	}
	f, err := os.CreateTemp(folder, ".wholescale-trace-*")
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if rest := os.Remove(f.Name()); rest != nil && !errors.Is(rest, os.ErrNotExist) {
			err = errors.Join(err, rest)
		}
	}()
	if err := packTrace(c.Context(), f, t, strings.HasSuffix(to, ".gz")); err != nil {
		return badTrace(name, err)
	}
	remarks(c, t)
	if to != "" {
		const readable = 0o644
		if err := errors.Join(f.Chmod(readable), f.Sync()); err != nil {
			return fmt.Errorf("writing %s: %w", to, err)
		}
		if err := os.Rename(f.Name(), to); err != nil {
			return fmt.Errorf("writing %s: %w", to, err)
		}
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the temporary file: %w", err)
	}
	if _, err := io.Copy(c.OutOrStdout(), f); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

// packTrace converts, gzipped or not, until ctx ends.
func packTrace(ctx context.Context, w io.Writer, t *trace.Trace, packed bool) error {
	w = &until{ctx, w}
	if !packed {
		_, err := trace.Convert(w, t)
		return err
	}
	z := gzip.NewWriter(w) // its header has no time and no name: the same trace gives the same bytes
	if _, err := trace.Convert(z, t); err != nil {
		return err
	}
	return z.Close()
}

// until writes until ctx ends.
type until struct {
	ctx context.Context
	to  io.Writer
}

func (u *until) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.to.Write(p)
}
