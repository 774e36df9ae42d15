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

// Row is one figure of a real run and of the model's.
type Row struct {
	Figure   string  `json:"figure"`
	Measured float64 `json:"measured"`
	// Simulated is the median of the model's runs, Low and High are their first and last decile.
	Simulated float64 `json:"simulated"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	// ErrorPercent is of the median, in shares of the measured one; 0 when both are 0.
	ErrorPercent float64 `json:"errorPercent"`
}

// Within says that the real run could have been one of the model's.
func (r *Row) Within() bool { return r.Low <= r.Measured && r.Measured <= r.High }

// Comparison is a scenario's real run beside those of the model.
type Comparison struct {
	Name string `json:"name"`
	// Load is the machine's load average (1 min) when the real run began and ended: what ran beside it slows it down.
	Load [2]float64 `json:"load"`
	Rows []Row      `json:"rows"`
}

// Compare puts the figures side by side. Waits are sums and quantiles over all requests, in milliseconds.
func Compare(name string, m Measured, simulated Simulated) Comparison {
	c := Comparison{Name: name}
	add := func(figure string, measured float64, of func(*report.Run) float64) {
		values := make([]float64, len(simulated.Runs))
		for i := range simulated.Runs {
			values[i] = of(&simulated.Runs[i])
		}
		slices.Sort(values)
		last := len(values) - 1
		row := Row{Figure: figure, Measured: measured, Simulated: values[last/2], Low: values[last/10], High: values[last-last/10]}
		if row.Simulated != measured {
			row.ErrorPercent = 100 * (row.Simulated - measured) / math.Max(math.Abs(measured), 1e-9)
		}
		c.Rows = append(c.Rows, row)
	}
	a := m.Summary
	add("requests held", float64(a.HeldRequests), func(r *report.Run) float64 { return float64(r.Summary.HeldRequests) })
	add("waits, sum, s", m.Waited, func(r *report.Run) float64 { return r.Figures.WaitSeconds })
	add("wait p99, ms", a.WaitMs.P99, func(r *report.Run) float64 { return r.Summary.WaitMs.P99 })
	add("pod-seconds", a.PodSeconds, func(r *report.Run) float64 { return r.Summary.PodSeconds })
	add("node-seconds", a.NodeSeconds, func(r *report.Run) float64 { return r.Summary.NodeSeconds })
	add("replicas, most", float64(a.ReplicasMax), func(r *report.Run) float64 { return float64(r.Summary.ReplicasMax) })
	add("nodes, most", float64(a.NodesMax), func(r *report.Run) float64 { return float64(r.Summary.NodesMax) })
	return c
}

// Text writes comparisons for people, with the times that the model was given.
func Text(w io.Writer, c Comparison, t Times) error {
	fmt.Fprintf(w, "%s (load %.1f to %.1f)\n", c.Name, c.Load[0], c.Load[1])
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "figure\tmeasured\tsimulated\teight of ten runs\terror\t\t")
	for _, r := range c.Rows {
		within := "beside it"
		if r.Within() {
			within = "within"
		}
		fmt.Fprintf(table, "%s\t%.5g\t%.5g\t%.5g to %.5g\t%+.1f %%\t%s\t\n", r.Figure, r.Measured, r.Simulated, r.Low, r.High, r.ErrorPercent, within)
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
