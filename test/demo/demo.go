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
	"sync/atomic"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/cloudprovider/local"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/bench"
	"github.com/wholescale/wholescale/test/load"
	"github.com/wholescale/wholescale/test/stack"
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

// The demo's own settings. A machine takes about three seconds to boot here and costs what a small one costs.
const (
	pricePerHour = 0.12
	slots        = 4
	mostNodes    = 8
	window       = 10 * time.Second
	idleAfter    = 5 * time.Second
	bootDelay    = "normal:3s,500ms"
	podMemory    = 256 << 20
	settle       = 3 * time.Minute // how long pods and nodes may take to be gone
)

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
	price := pricePerHour
	s, err := stack.OnDevcluster(ctx, c.Bin, []local.PoolConfig{
		{ID: "spot", CPU: "4", Memory: "8Gi", Pods: 30, Max: mostNodes, PricePerHour: &price, BootDelay: bootDelay},
	}, say)
	if err != nil {
		return r, err
	}
	defer s.Down()
	if err := subject(ctx, s); err != nil {
		return r, err
	}
	say(fmt.Sprintf("a Deployment at 0 replicas with one annotation, a NodePool at 0 nodes; now %d requests of the Azure LLM trace in %s", len(requests), c.For))
	measured, err := measure(ctx, c, s, requests)
	if err != nil {
		return r, err
	}
	say("the same traffic through the simulator, with the times measured here")
	simulated, err := simulate(measured.Summary, requests)
	if err != nil {
		return r, err
	}
	r = Result{Summary: measured.Summary, Simulated: simulated.Summary, runs: []report.Run{measured, simulated.Run}}
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

// measure sends the traffic and watches what comes of it.
func measure(ctx context.Context, c Config, s *stack.Stack, requests []trace.Request) (report.Run, error) {
	target := bench.Target{Client: s.Client, Dynamic: s.Dynamic, URL: s.URL, Gateway: s.Gateway.Admin, Controller: s.Controller.Admin, Provider: s.Provider.Admin}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	o, err := observe(watching, s.Client, namespace)
	if err != nil {
		return report.Run{}, err
	}
	var sent atomic.Int64
	began := time.Now()
	live := &table{w: c.Progress, terminal: c.Terminal}
	sam := &sampler{url: "http://" + s.Controller.Admin + "/metrics", began: began, price: pricePerHour, sent: &sent, show: live.show}
	sampled := make(chan struct{})
	go func() { // ends with watching
		defer close(sampled)
		sam.run(watching)
	}()
	outcomes := load.Run(ctx, load.Config{URL: s.URL, Host: host, Requests: requests, Sent: &sent})
	settling, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	_ = o.empty(settling) // what is left is counted below, and fails the demo there
	stop()
	<-sampled
	live.end()
	if ctx.Err() != nil {
		return report.Run{}, errors.New("interrupted; everything that was started has been ended")
	}
	run := report.Run{Name: "measured", Series: sam.series}
	run.Summary, err = summarize(ctx, &target, o, sam, outcomes, began)
	return run, err
}

func summarize(ctx context.Context, t *bench.Target, o *observer, sam *sampler, outcomes []load.Outcome, began time.Time) (report.Summary, error) {
	sum := report.Summary{Requests: len(outcomes)}
	waits := make([]time.Duration, len(outcomes))
	for i, x := range outcomes {
		waits[i] = x.Held
		switch {
		case x.OK():
			sum.Answered++
		default:
			sum.Errors++
		}
		if x.Held > 0 {
			sum.HeldRequests++
		}
	}
	sum.FirstAnswerMs = report.Milliseconds(outcomes[0].Took)
	sum.WaitMs = report.QuantilesOf(waits)
	scales, buys, err := t.Latencies(ctx, began)
	if err != nil {
		return sum, err
	}
	sum.RequestToScaleMs, sum.RequestToBuyMs = report.QuantilesOf(scales), report.QuantilesOf(buys)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.account()
	ready := make([]time.Time, 0, len(o.nodeReady))
	for _, at := range o.nodeReady {
		ready = append(ready, at)
	}
	joins, err := t.Joins(ctx, began, ready)
	if err != nil {
		return sum, err
	}
	sum.NodeJoinMs, sum.PodStartMs = report.QuantilesOf(joins).P50, report.QuantilesOf(o.podStarts).P50
	sum.ReplicasMax, sum.PodSeconds, sum.PodsAtEnd, sum.NodesAtEnd = o.replicasMax, o.podSeconds, len(o.pods), len(o.nodes)
	sum.NodesMax, sum.NodeSeconds = sam.nodesMax, sam.nodeSeconds
	sum.Cost = sum.NodeSeconds * pricePerHour / 3600
	return sum, nil
}

// simulate replays the same requests with the delays that were measured.
func simulate(measured report.Summary, requests []trace.Request) (simulator.Result, error) {
	ms := func(f float64) time.Duration { return time.Duration(f * float64(time.Millisecond)) }
	start, join := ms(measured.PodStartMs), ms(measured.NodeJoinMs)
	return simulator.Run(simulator.Config{
		Workloads: []simulator.Workload{{
			Workload: autoscaler.Workload{
				ID: namespace + "/" + workload, Start: start,
				Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 1000, Memory: podMemory, Pods: 1}},
				Policy: autoscaler.Policy{
					Name: autoscaler.Wholescale, Target: 0.7 * slots, Total: slots, Slots: slots, StableWindow: window, PanicWindow: window / 10,
					PanicThreshold: 2, UpRate: 1000, DownRate: 2, BurstCapacity: 211, Activation: 1,
					Objective: autoscaler.Objective{Wait: 300 * time.Millisecond}, // the default of a PodAutoscaler
				},
			},
			PodStart: simulator.Delay{Mean: start, Deviation: start / 10},
		}},
		Pools: []simulator.Pool{{
			Pool: autoscaler.Pool{
				ID: "spot", Allocatable: autoscaler.Resources{CPU: 4000, Memory: 8 << 30, Pods: 30}, Max: mostNodes,
				PricePerHour: pricePerHour, IdleAfter: idleAfter, Join: join,
				Disruption: autoscaler.Disruption{ConsolidateAfter: 5 * time.Minute, RepairAfter: 10 * time.Minute},
			},
			Join: simulator.Delay{Mean: join, Deviation: 500 * time.Millisecond},
		}},
		Requests: requests,
	})
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
