package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
)

const (
	// sampleEvery is how often the controller's metrics are read for the bill of nodes; a point of the series is kept each
	// pointEvery.
	sampleEvery = 250 * time.Millisecond
	pointEvery  = time.Second
)

// sampler reads the controller's metrics while the demo runs: what a person's Prometheus would see.
type sampler struct {
	url   string
	began time.Time
	price float64       // of a node and hour
	sent  *atomic.Int64 // requests so far
	show  func(report.Point)

	mu          sync.Mutex
	series      []report.Point
	nodeSeconds float64
	nodesMax    int
}

func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	last, lastPoint, lastSent := time.Now(), time.Time{}, int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p, nodes, err := s.read(ctx)
			if err != nil {
				continue // the controller is busy or restarting; the next look is soon
			}
			s.mu.Lock()
			s.nodeSeconds += float64(nodes) * now.Sub(last).Seconds()
			last = now
			s.nodesMax = max(s.nodesMax, nodes)
			p.At, p.Cost = now.Sub(s.began), s.nodeSeconds*s.price/3600
			if due := now.Sub(lastPoint); due >= pointEvery-sampleEvery/2 {
				sent := s.sent.Load()
				if !lastPoint.IsZero() {
					p.Arrivals = float64(sent-lastSent) / due.Seconds()
				}
				lastPoint, lastSent = now, sent
				s.series = append(s.series, p)
				s.show(p)
			}
			s.mu.Unlock()
		}
	}
}

// read takes the figures of the demo's one workload and one pool out of the metrics. nodes counts all that are paid for.
func (s *sampler) read(ctx context.Context) (p report.Point, nodes int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return p, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return p, 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(response.Body, 16<<20)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), "{")
		labels, text, _ := strings.Cut(rest, "} ")
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		n := int(f)
		switch name {
		case "wholescale_workload_replicas_wanted":
			p.Wanted += n
		case "wholescale_workload_replicas_ready":
			p.Ready += n
		case "wholescale_workload_requests_held":
			p.Held += n
		case "wholescale_workload_requests_in_flight":
			p.InFlight += n
		case "wholescale_pool_nodes":
			nodes += n
			switch {
			case strings.Contains(labels, `phase="ready"`):
				p.NodesReady += n
			case strings.Contains(labels, `phase="coming"`):
				p.NodesComing += n
			}
		}
	}
	return p, nodes, nil
}

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
