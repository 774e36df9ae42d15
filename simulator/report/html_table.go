package report

import "fmt"

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
	return []group{
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
	}
}
