package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
)

// batch is several policies on the same traffic. Each run reads the trace for itself, so that memory does not grow with it.
type batch struct {
	flags    *simulateFlags
	model    model
	command  *cobra.Command
	args     []string
	policies []simulator.Policy
	bar      *bar
	said     sync.Once
	quiet    bool            // no bar
	context  context.Context // nil for the command's
}

func (b *batch) run() ([]simulator.Result, error) {
	ctx := b.context
	if ctx == nil {
		ctx = b.command.Context()
	}
	if ctx == nil {
		ctx = context.Background()
	}
	b.bar = newBar(b.command.ErrOrStderr(), len(b.policies))
	if b.quiet {
		b.bar.to = nil
	}
	b.bar.total = b.length(ctx)
	defer b.bar.end()
	var peaks map[autoscaler.WorkloadID]int
	for _, p := range b.policies {
		if p.NeedsPeaks() && peaks == nil {
			c, done, err := b.config(ctx, p, -1)
			if err != nil {
				return nil, err
			}
			peaks, err = simulator.Floor(c)
			if err = errors.Join(err, done()); err != nil {
				return nil, b.bad(err)
			}
		}
	}
	results := make([]simulator.Result, len(b.policies))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range b.policies {
		g.Go(func() error {
			c, done, err := b.config(ctx, p, i)
			if err != nil {
				return err
			}
			c.Peaks = peaks
			r, err := simulator.Run(c)
			if err = errors.Join(err, done()); err != nil {
				return b.bad(err)
			}
			if r.Figures.Requests == 0 {
				return fmt.Errorf("%w: no request arrived in the chosen part of the trace", errUsage)
			}
			b.bar.ended(i)
			r.Name = string(p)
			results[i] = r
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return results, nil
}

// length is how long the traffic is, for the bar alone; 0 when it would take a pass over all requests to know.
func (b *batch) length(ctx context.Context) time.Duration {
	f := b.flags
	switch {
	case f.length > 0:
		return f.length
	case b.bar.to == nil || len(b.args) == 0:
		return 0
	}
	t, err := f.read.open(ctx, b.args[0])
	if err != nil {
		return 0 // the runs will say so
	}
	defer t.Close() // read only: nothing to lose
	if t.Kind() != trace.Counts {
		return 0
	}
	end := time.Duration(0)
	if t.Each(func(r *trace.Row) error {
		end = max(end, r.At+time.Duration(len(r.Counts))*t.Period())
		return nil
	}) != nil {
		return 0
	}
	return max(0, end-f.from)
}

// bad is an error of a run: of the trace, most often.
func (b *batch) bad(err error) error {
	if len(b.args) == 0 || errors.Is(err, context.Canceled) {
		return err
	}
	return badTrace(b.args[0], err)
}

// config is one policy's run, with the trace opened for it; done closes that.
func (b *batch) config(ctx context.Context, p simulator.Policy, at int) (c simulator.Config, done func() error, err error) {
	f := b.flags
	c = b.model.base
	c.Policy = p
	c.Progress = func(now time.Duration, requests int) error {
		b.bar.show(at, now)
		return ctx.Err()
	}
	if len(b.args) == 0 {
		all, err := trace.AzureLLMSample(trace.DefaultServiceModel)
		if err != nil {
			return c, nil, err
		}
		length := f.length
		if length == 0 {
			length = 24 * time.Hour
		}
		c.Requests = trace.Slice(all, f.from, length)
		c.Workloads = []simulator.Workload{f.workload(&b.model, trace.Function{})}
		return c, func() error { return nil }, nil
	}
	t, err := f.read.open(ctx, b.args[0])
	if err != nil {
		return c, nil, err
	}
	if f.aggregated {
		if t.Kind() != trace.Counts || p == simulator.Oracle || p.NeedsPeaks() {
			return c, nil, errors.Join(fmt.Errorf("%w: --aggregated: it is for traces of counts (this one has %s) and for policies that decide, not %s and static", errUsage, t.Kind(), simulator.Oracle), t.Close())
		}
		c.Counts, c.Period = &countsPart{from: f.from, length: f.length, of: t.Periods()}, t.Period()
		c.ServiceOf = func(function int) time.Duration {
			if d := t.Functions()[function].Durations; d.Known {
				return d.Mean
			}
			return f.service
		}
		c.New = func(function int, _ string) simulator.Workload { return f.workload(&b.model, t.Functions()[function]) }
		return c, func() error {
			b.said.Do(func() { remarks(b.command, t) })
			return t.Close()
		}, nil
	}
	arrivals, err := t.Arrivals(trace.ArrivalOptions{Placement: trace.Placement(f.placement), Seed: f.seed, Service: f.service})
	if err != nil {
		return c, nil, errors.Join(fmt.Errorf("%w: %w", errUsage, err), t.Close())
	}
	c.Traffic = &part{from: f.from, length: f.length, of: arrivals}
	c.New = func(function int, _ string) simulator.Workload { return f.workload(&b.model, t.Functions()[function]) }
	return c, func() error {
		b.said.Do(func() { remarks(b.command, t) })
		return t.Close()
	}, nil
}

// part is the requests that arrived within length of from, with times counted from from.
type part struct {
	from, length time.Duration
	of           simulator.Traffic
}

func (p *part) Next(r *trace.Request) error {
	for {
		if err := p.of.Next(r); err != nil {
			return err
		}
		if r.At -= p.from; r.At < 0 {
			continue
		}
		if p.length > 0 && r.At >= p.length {
			return io.EOF
		}
		return nil
	}
}

// countsPart is the same for counts.
type countsPart struct {
	from, length time.Duration
	of           simulator.Counts
}

func (p *countsPart) Next() (time.Duration, []trace.Cell, error) {
	for {
		begin, cells, err := p.of.Next()
		if err != nil {
			return 0, nil, err
		}
		if begin -= p.from; begin < 0 {
			continue
		}
		if p.length > 0 && begin >= p.length {
			return 0, nil, io.EOF
		}
		return begin, cells, nil
	}
}

// compareMost is how much of a trace the aggregated mode is compared on.
const compareMost = 2 * time.Hour

// compare runs the first part of the traffic in both modes and says how far apart they are.
func (b *batch) compare() error {
	f := *b.flags
	if f.length == 0 || f.length > compareMost {
		f.length = compareMost
	}
	f.report, f.decisions = "", false
	other := f
	other.aggregated = false
	fluid, single := b.with(&f), b.with(&other)
	a, err := fluid.run()
	if err != nil {
		return err
	}
	e, err := single.run()
	if err != nil {
		return err
	}
	for i := range a {
		x, y := a[i].Figures, e[i].Figures
		off := func(v, w float64) string {
			if w == 0 {
				return fmt.Sprintf("%g, not %g", digits(v, 4), digits(w, 4))
			}
			return fmt.Sprintf("%+.1f %%", 100*(v-w)/w)
		}
		fmt.Fprintf(b.command.ErrOrStderr(), "aggregated against single requests, first %s, %s: requests %s, pod-hours %s, node-hours %s, money %s; waited more than 1 s: %d, not %d; p99.9 %g ms, not %g ms\n",
			f.length, b.policies[i], off(float64(x.Requests), float64(y.Requests)), off(x.PodHours, y.PodHours), off(x.NodeHours, y.NodeHours), off(x.Money, y.Money),
			x.WaitedOver1s, y.WaitedOver1s, x.WaitP999Ms, y.WaitP999Ms)
	}
	return nil
}

// with is the batch with other flags, which says nothing about the trace again.
func (b *batch) with(f *simulateFlags) *batch {
	o := &batch{flags: f, model: b.model, command: b.command, args: b.args, policies: b.policies}
	o.model.base.Moments, o.model.base.Log = 0, false
	o.said.Do(func() {})
	return o
}

func writeReport(path, title string, runs []report.Run) error {
	var page bytes.Buffer
	if err := report.HTML(&page, title, runs...); err != nil {
		return err
	}
	return replaceFile(path, page.Bytes())
}

// bar is how far the runs are, on a terminal. How long the trace is is known when --for says so, when a run before has read
// it to its end, or from a first pass over counts.
type bar struct {
	mu    sync.Mutex
	to    io.Writer // nil when there is no terminal
	began time.Time
	shown time.Time
	at    []time.Duration
	total time.Duration // of the trace; 0 when not known
}

func newBar(to io.Writer, runs int) *bar {
	b := &bar{began: time.Now(), at: make([]time.Duration, runs)}
	if f, ok := to.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" {
		b.to = to
	}
	return b
}

const barEvery = 200 * time.Millisecond

func (b *bar) show(run int, at time.Duration) {
	if b.to == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if run >= 0 {
		b.at[run] = at
	}
	if time.Since(b.shown) < barEvery {
		return
	}
	b.shown = time.Now()
	fmt.Fprint(b.to, "\r\x1b[K", b.line())
}

// ended notes that a run has come to its end.
func (b *bar) ended(run int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = max(b.total, b.at[run])
	b.at[run] = b.total
}

func (b *bar) line() string {
	sum := time.Duration(0)
	for _, at := range b.at {
		sum += min(at, max(b.total, at))
	}
	if b.total == 0 {
		return fmt.Sprintf("simulating: %s of the trace", (sum / time.Duration(len(b.at))).Round(time.Second))
	}
	part := min(float64(sum)/float64(b.total)/float64(len(b.at)), 1)
	const width = 30
	full := int(part * width)
	line := fmt.Sprintf("simulating [%s%s] %3.0f %%", strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*part)
	if took := time.Since(b.began); part > 0.02 && took > time.Second {
		line += fmt.Sprintf(", %s left", time.Duration(float64(took)*(1-part)/part).Round(time.Second))
	}
	return line
}

func (b *bar) end() {
	if b.to != nil {
		fmt.Fprint(b.to, "\r\x1b[K")
	}
}
