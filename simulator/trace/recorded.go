package trace

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"time"
)

// Recorded is a request that was seen to come. Service is for how long something was busy with it; without Answered nothing
// was, and it is not known how long it would have taken.
type Recorded struct {
	At       time.Time
	Workload string
	Service  time.Duration
	Answered bool
}

// WriteRecorded writes requests as a trace in the project's own format, in the order of their arrival, into which it sorts
// the list.
func WriteRecorded(w io.Writer, list []Recorded) error {
	slices.SortStableFunc(list, func(a, b Recorded) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Workload, b.Workload))
	})
	t := &Trace{kind: Requests, format: Wholescale}
	if len(list) > 0 {
		t.start = list[0].At.UTC()
	}
	c := converter{to: bufio.NewWriterSize(w, bufferSize), trace: t}
	byName := map[string]int{}
	for _, r := range list {
		at, ok := byName[r.Workload]
		if !ok {
			at = len(t.functions)
			byName[r.Workload] = at
			t.functions = append(t.functions, Function{Name: r.Workload})
		}
		row := Row{At: r.At.Sub(t.start), Function: at, Duration: r.Service, HasDuration: r.Answered}
		if err := c.row(&row); err != nil {
			return err
		}
	}
	return c.to.Flush()
}
