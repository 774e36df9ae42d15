// Package demo shows the whole loop on one machine: a cluster without a node, a workload without a pod, and real traffic
// that brings both about, and sends both away again; then the same traffic through the simulator, beside it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/stack"
	"github.com/wholescale/wholescale/test/truth"
)

// Config of a demo.
type Config struct {
	// Bin is the folder with all programs.
	Bin string
	// From and For choose the part of the trace.
	From, For time.Duration
	// Report is the HTML file to write; empty writes none.
	Report string
	// Progress takes the live table and what is being done; Terminal says that it can be written over.
	Progress io.Writer
	Terminal bool
}

// Result is the demo's outcome: the measured figures, and the same run simulated.
type Result struct {
	report.Summary
	Simulated report.Summary `json:"simulated"`
	runs      []report.Run
}

// Runs are the two runs with their series.
func (r *Result) Runs() []report.Run { return r.runs }

// scenario has the demo's own settings. A machine takes about three seconds to boot here and costs what a small one costs.
func scenario(requests []trace.Request) *truth.Scenario {
	return &truth.Scenario{
		Name: "demo", Requests: requests, Workload: "chat", Host: "chat.demo.example", Slots: 4, Window: 10 * time.Second, StartDelay: 500 * time.Millisecond,
		IdleAfter: 5 * time.Second, Nodes: 8, PricePerHour: 0.12, Boot: "normal:3s,500ms",
	}
}

// serviceModel is of a fast model on an accelerator, so that two minutes of trace fit two cores.
var serviceModel = trace.ServiceModel{Base: 20 * time.Millisecond, PerContext: 20 * time.Microsecond, PerGenerated: 8 * time.Millisecond}

// Run runs the demo. Its error says what did not come to a good end: a request without an answer, a pod or node left.
func Run(ctx context.Context, c Config) (r Result, err error) {
	say := func(s string) { fmt.Fprintln(c.Progress, s) }
	all, err := trace.AzureLLMSample(serviceModel)
	if err != nil {
		return r, err
	}
	requests := trace.Slice(all, c.From, c.For)
	if len(requests) == 0 {
		return r, errors.New("no request arrived in the chosen part of the trace")
	}
	what := scenario(requests)
	s, err := stack.OnDevcluster(ctx, c.Bin, what.Pools(), say)
	if err != nil {
		return r, err
	}
	defer s.Down()
	if err := what.Subject(ctx, s); err != nil {
		return r, err
	}
	say("to see the loop at work while it runs: " + s.Live)
	say(fmt.Sprintf("a Deployment at 0 replicas with one annotation, a NodePool at 0 nodes; now %d requests of the Azure LLM trace in %s", len(requests), c.For))
	live := &table{w: c.Progress, terminal: c.Terminal}
	measured, err := truth.Measure(ctx, s, what, live.show)
	live.end()
	if err != nil {
		return r, err
	}
	say("the same traffic through the simulator, with the times measured here")
	model, err := truth.Simulate(what, measured)
	if err != nil {
		return r, err
	}
	simulated := model.Typical()
	r = Result{Summary: measured.Summary, Simulated: simulated.Summary, runs: []report.Run{measured.Run, simulated}}
	if err := writeReport(c.Report, r.runs); err != nil {
		return r, err
	}
	return r, verdict(&measured.Summary)
}

// verdict is what makes the demo fail.
func verdict(s *report.Summary) error {
	var errs []error
	if s.Answered != s.Requests {
		errs = append(errs, fmt.Errorf("%d of %d requests were not answered", s.Requests-s.Answered, s.Requests))
	}
	if s.PodsAtEnd != 0 || s.NodesAtEnd != 0 {
		errs = append(errs, fmt.Errorf("%d pods and %d nodes are left", s.PodsAtEnd, s.NodesAtEnd))
	}
	return errors.Join(errs...)
}

func writeReport(path string, runs []report.Run) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the folder of the report: %w", err)
	}
	// Written beside and renamed, so that an interrupted demo leaves no half a report.
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	err = errors.Join(report.HTML(f, "Wholescale demo: the Azure LLM trace from zero to zero", runs...), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
