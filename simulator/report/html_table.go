package report

import (
	"fmt"
	"slices"
	"time"
)

// group is rows of the table that answer one question.
type group struct {
	Name string
	Rows []row
}

// row is one figure of each run. The names are those that Text prints.
type row struct {
	Name  string
	Cells []string
}

// groups is the table of the page.
func groups(runs []Run) []group {
	r := func(name string, figure func(Summary) string) row {
		out := row{Name: name}
		for _, run := range runs {
			out.Cells = append(out.Cells, figure(run.Summary))
		}
		return out
	}
	return append(compared(runs), []group{
		{"Requests", []row{
			r("requests", func(s Summary) string { return fmt.Sprint(s.Requests) }),
			r("answered", func(s Summary) string { return fmt.Sprint(s.Answered) }),
			r("errors", func(s Summary) string { return fmt.Sprint(s.Errors) }),
			r("held", func(s Summary) string { return fmt.Sprint(s.HeldRequests) }),
			r("wait p50", func(s Summary) string { return millis(s.WaitMs.P50) }),
			r("wait p99", func(s Summary) string { return millis(s.WaitMs.P99) }),
		}},
		{"From a request to room for it", []row{
			r("request -> scale p50", func(s Summary) string { return millis(s.RequestToScaleMs.P50) }),
			r("request -> scale p99", func(s Summary) string { return millis(s.RequestToScaleMs.P99) }),
			r("request -> bought p50", func(s Summary) string { return millis(s.RequestToBuyMs.P50) }),
			r("request -> bought p99", func(s Summary) string { return millis(s.RequestToBuyMs.P99) }),
			r("node joins in", func(s Summary) string { return millis(s.NodeJoinMs) }),
			r("pod starts in", func(s Summary) string { return millis(s.PodStartMs) }),
			r("first answer after", func(s Summary) string { return millis(s.FirstAnswerMs) }),
		}},
		{"What it took", []row{
			r("replicas, most", func(s Summary) string { return fmt.Sprint(s.ReplicasMax) }),
			r("nodes, most", func(s Summary) string { return fmt.Sprint(s.NodesMax) }),
			r("pod-seconds", func(s Summary) string { return fmt.Sprintf("%.0f", s.PodSeconds) }),
			r("node-seconds", func(s Summary) string { return fmt.Sprintf("%.0f", s.NodeSeconds) }),
			r("cost", func(s Summary) string { return fmt.Sprintf("%.5f", s.Cost) }),
			r("pods at the end", func(s Summary) string { return fmt.Sprint(s.PodsAtEnd) }),
			r("nodes at the end", func(s Summary) string { return fmt.Sprint(s.NodesAtEnd) }),
		}},
	}...)
}

// compared is what policies are compared by, when that is what the runs are.
func compared(runs []Run) []group {
	if slices.ContainsFunc(runs, func(r Run) bool { return r.Figures == nil }) {
		return nil
	}
	r := func(name, format string, figure func(*Figures) any) row {
		out := row{Name: name}
		for _, run := range runs {
			out.Cells = append(out.Cells, fmt.Sprintf(format, figure(run.Figures)))
		}
		return out
	}
	return []group{{"Compared", []row{
		r("money", "%.4f", func(f *Figures) any { return f.Money }),
		r("waited more than a second", "%d", func(f *Figures) any { return f.WaitedOver1s }),
		r("wait p99.9", "%.1f ms", func(f *Figures) any { return f.WaitP999Ms }),
		r("all waits", "%.1f s", func(f *Figures) any { return f.WaitSeconds }),
		r("waited for a pod to start", "%d", func(f *Figures) any { return f.WaitedForPod }),
		r("waited for a node to join", "%d", func(f *Figures) any { return f.WaitedForNode }),
		r("errors", "%d", func(f *Figures) any { return f.Errors }),
		r("pod-hours", "%.3f", func(f *Figures) any { return f.PodHours }),
		r("node-hours", "%.3f", func(f *Figures) any { return f.NodeHours }),
		r("utilisation", "%.3f", func(f *Figures) any { return f.Utilisation }),
		r("thrash", "%.2f", func(f *Figures) any { return f.Thrash }),
	}}}
}

// worst is a line of the table of the longest waits.
type worst struct{ Run, At, Waited, Workload, Cause string }

func worstOf(runs []Run) (list []worst) {
	const each = 10
	for _, r := range runs {
		for _, w := range r.Worst[:min(len(r.Worst), each)] {
			list = append(list, worst{
				Run: r.Name, At: fmt.Sprint(w.At.Round(time.Millisecond)), Waited: millis(Milliseconds(w.Waited)), Workload: w.Workload, Cause: w.Cause,
			})
		}
	}
	return list
}
