package demo

import (
	"fmt"
	"io"

	"github.com/wholescale/wholescale/simulator/report"
)

// table prints points for people: in place on a terminal, a line now and then elsewhere.
type table struct {
	w        io.Writer
	terminal bool
	lines    int
}

// plainEvery is how many points go by between two lines when nobody watches them move.
const plainEvery = 5

func (t *table) show(p report.Point) {
	if t.lines%plainEvery != 0 && !t.terminal {
		t.lines++
		return
	}
	if t.lines == 0 {
		fmt.Fprintln(t.w, "   time   req/s   held   in flight   replicas wanted/ready   nodes coming/ready   cost so far")
	}
	t.lines++
	line := fmt.Sprintf("%6.0f s  %6.1f  %5d  %10d  %12d / %-6d  %12d / %-6d  %11.5f",
		p.At.Seconds(), p.Arrivals, p.Held, p.InFlight, p.Wanted, p.Ready, p.NodesComing, p.NodesReady, p.Cost)
	if t.terminal {
		fmt.Fprintf(t.w, "\r%s\x1b[K", line)
		return
	}
	fmt.Fprintln(t.w, line)
}

func (t *table) end() {
	if t.terminal && t.lines > 0 {
		fmt.Fprintln(t.w)
	}
}
