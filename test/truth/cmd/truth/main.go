// Command truth holds the simulator to real runs: see package truth.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/test/stack"
	"github.com/wholescale/wholescale/test/truth"
)

func main() {
	bin := flag.String("bin", "bin", "folder with the programs that make build makes")
	shapes := flag.String("shapes", "", "steady, burst, on-off, llm, with commas between them (default: all)")
	pages := flag.String("reports", "", "folder for an HTML report of each shape, and what the controller decided")
	asJSON := flag.Bool("json", false, "JSON on stdout instead of text")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r := runner{bin: *bin, pages: *pages, asJSON: *asJSON}
	err := r.all(ctx, *shapes)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
}

type runner struct {
	bin, pages string
	asJSON     bool
}

func (r *runner) all(ctx context.Context, names string) error {
	list, err := truth.Named(strings.FieldsFunc(names, func(c rune) bool { return c == ',' }))
	if err != nil {
		return err
	}
	for i := range list {
		if err := r.one(ctx, &list[i]); err != nil {
			return fmt.Errorf("%s: %w", list[i].Name, err)
		}
	}
	return nil
}

// one runs a shape on a cluster of its own, so that nothing is learned before it begins.
func (r *runner) one(ctx context.Context, c *truth.Scenario) error {
	say := func(s string) { fmt.Fprintf(os.Stderr, "%s: %s\n", c.Name, s) }
	s, down, err := up(ctx, r.bin, c, say)
	if err != nil {
		return err
	}
	defer down()
	if err := c.Subject(ctx, s); err != nil {
		return err
	}
	before := load()
	say(fmt.Sprintf("%d requests", len(c.Requests)))
	m, err := truth.Measure(ctx, s, c, nil)
	if err != nil {
		return err
	}
	if m.Summary.Answered != m.Summary.Requests || m.Summary.PodsAtEnd+m.Summary.NodesAtEnd > 0 {
		return fmt.Errorf("%d of %d requests were answered, %d pods and %d nodes are left: there is nothing to compare", m.Summary.Answered, m.Summary.Requests, m.Summary.PodsAtEnd, m.Summary.NodesAtEnd)
	}
	simulated, err := truth.Simulate(c, m)
	if err != nil {
		return err
	}
	if r.pages != "" {
		if err := save(ctx, filepath.Join(r.pages, c.Name+".decisions.jsonl"), "http://"+s.Controller.Admin+"/decisions"); err != nil {
			return err
		}
	}
	comparison := truth.Compare(c.Name, m, simulated)
	comparison.Load = [2]float64{before, load()}
	if r.pages != "" {
		if err := page(filepath.Join(r.pages, c.Name+".html"), c.Name, m.Run, simulated.Typical()); err != nil {
			return err
		}
	}
	if r.asJSON {
		return json.NewEncoder(os.Stdout).Encode(comparison)
	}
	return truth.Text(os.Stdout, comparison, m.Times)
}

// leaseDuration is long, so that a machine that is busy with something else does not end the controller.
const leaseDuration = 15 * time.Second

// up starts a cluster with Wholescale on it.
func up(ctx context.Context, bin string, c *truth.Scenario, say func(string)) (s *stack.Stack, down func(), err error) {
	folder, err := os.MkdirTemp("", "wholescale-truth-")
	if err != nil {
		return nil, nil, err
	}
	cluster, err := stack.StartCluster(ctx, bin, filepath.Join(folder, "cluster"), say)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(folder))
	}
	s, err = stack.Up(ctx, stack.Config{
		Kubeconfig: cluster.Kubeconfig, Bin: bin, Dir: folder, MachineCommand: cluster.MachineCommand, Pools: c.Pools(), Env: cluster.Env(),
		LeaseDuration: leaseDuration, Progress: say,
	})
	if err != nil {
		cluster.Stop()
		return nil, nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, func() {
		s.Down()
		cluster.Stop()
		_ = os.RemoveAll(folder) // logs and keys of a run that is over
	}, nil
}

// save keeps what an address answers.
func save(ctx context.Context, path, address string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() // read to its end
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func page(path, title string, runs ...report.Run) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return report.HTML(f, "Measured and simulated: "+title, runs...)
}

// load is the load average of the last minute; 0 where the system does not say.
func load() (one float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	_, _ = fmt.Sscan(string(text), &one)
	return one
}
