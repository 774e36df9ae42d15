package truth

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
)

// Row is one figure of both runs.
type Row struct {
	Figure    string  `json:"figure"`
	Measured  float64 `json:"measured"`
	Simulated float64 `json:"simulated"`
	// ErrorPercent is of the measured one; 0 when both are 0.
	ErrorPercent float64 `json:"errorPercent"`
}

// Comparison is a scenario's two runs.
type Comparison struct {
	Name string `json:"name"`
	// Load is the machine's load average (1 min) when the real run began and ended: what ran beside it slows it down.
	Load [2]float64 `json:"load"`
	Rows []Row      `json:"rows"`
}

// Compare puts the figures side by side. Waits are sums and quantiles over all requests, in milliseconds.
func Compare(name string, m Measured, simulated report.Run) Comparison {
	c := Comparison{Name: name}
	add := func(figure string, a, b float64) {
		e := 0.0
		if a != b {
			e = 100 * (b - a) / math.Max(math.Abs(a), 1e-9)
		}
		c.Rows = append(c.Rows, Row{figure, a, b, e})
	}
	a, b := m.Summary, simulated.Summary
	add("requests held", float64(a.HeldRequests), float64(b.HeldRequests))
	add("waits, sum, s", m.Waited, simulated.Figures.WaitSeconds)
	add("wait p99, ms", a.WaitMs.P99, b.WaitMs.P99)
	add("pod-seconds", a.PodSeconds, b.PodSeconds)
	add("node-seconds", a.NodeSeconds, b.NodeSeconds)
	add("replicas, most", float64(a.ReplicasMax), float64(b.ReplicasMax))
	add("nodes, most", float64(a.NodesMax), float64(b.NodesMax))
	return c
}

// Text writes comparisons for people, with the times that the model was given.
func Text(w io.Writer, c Comparison, t Times) error {
	fmt.Fprintf(w, "%s (load %.1f to %.1f)\n", c.Name, c.Load[0], c.Load[1])
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "figure\tmeasured\tsimulated\terror\t")
	for _, r := range c.Rows {
		fmt.Fprintf(table, "%s\t%.6g\t%.6g\t%+.1f %%\t\n", r.Figure, r.Measured, r.Simulated, r.ErrorPercent)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		list []time.Duration
	}{
		{"request -> scale", t.Scale}, {"request -> bought", t.Buy}, {"scale -> bound", t.Create}, {"node ready -> bound", t.Bind}, {"bound -> serving", t.Serve},
		{"bound -> Ready", t.Ready}, {"deleted -> gone", t.Stop}, {"ordered -> joined", t.Join}, {"ended -> not paid", t.Delete},
	} {
		if len(v.list) == 0 {
			continue
		}
		d := slices.Sorted(slices.Values(v.list))
		fmt.Fprintf(w, "  %-20s %3d: %8.0f to %8.0f ms, median %8.0f ms\n", v.name, len(d), report.Milliseconds(d[0]), report.Milliseconds(d[len(d)-1]), report.Milliseconds(report.Rank(d, 0.5)))
	}
	return nil
}
