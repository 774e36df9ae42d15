package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Text writes the figures of runs side by side, one column for each.
func Text(w io.Writer, runs ...Run) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(name string, figure func(Summary) string) {
		fmt.Fprintf(t, "%s\t", name)
		for _, r := range runs {
			fmt.Fprintf(t, "%s\t", figure(r.Summary))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "\t")
	for _, r := range runs {
		fmt.Fprintf(t, "%s\t", r.Name)
	}
	fmt.Fprintln(t)
	row("requests", func(s Summary) string { return fmt.Sprint(s.Requests) })
	row("answered", func(s Summary) string { return fmt.Sprint(s.Answered) })
	row("errors", func(s Summary) string { return fmt.Sprint(s.Errors) })
	row("held", func(s Summary) string { return fmt.Sprint(s.HeldRequests) })
	row("wait p50", func(s Summary) string { return millis(s.WaitMs.P50) })
	row("wait p99", func(s Summary) string { return millis(s.WaitMs.P99) })
	row("request -> scale p50", func(s Summary) string { return millis(s.RequestToScaleMs.P50) })
	row("request -> scale p99", func(s Summary) string { return millis(s.RequestToScaleMs.P99) })
	row("request -> bought p50", func(s Summary) string { return millis(s.RequestToBuyMs.P50) })
	row("request -> bought p99", func(s Summary) string { return millis(s.RequestToBuyMs.P99) })
	row("node joins in", func(s Summary) string { return millis(s.NodeJoinMs) })
	row("pod starts in", func(s Summary) string { return millis(s.PodStartMs) })
	row("first answer after", func(s Summary) string { return millis(s.FirstAnswerMs) })
	row("replicas, most", func(s Summary) string { return fmt.Sprint(s.ReplicasMax) })
	row("nodes, most", func(s Summary) string { return fmt.Sprint(s.NodesMax) })
	row("pod-seconds", func(s Summary) string { return fmt.Sprintf("%.0f", s.PodSeconds) })
	row("node-seconds", func(s Summary) string { return fmt.Sprintf("%.0f", s.NodeSeconds) })
	row("cost", func(s Summary) string { return fmt.Sprintf("%.5f", s.Cost) })
	row("pods at the end", func(s Summary) string { return fmt.Sprint(s.PodsAtEnd) })
	row("nodes at the end", func(s Summary) string { return fmt.Sprint(s.NodesAtEnd) })
	return t.Flush()
}

// millis shows milliseconds in the unit that people read.
func millis(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.2f s", ms/1000)
	}
	return fmt.Sprintf("%.1f ms", ms)
}
