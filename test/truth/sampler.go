package truth

import (
	"bufio"
	"context"
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

// sampler reads the controller's metrics while the traffic runs: what a person's Prometheus would see.
type sampler struct {
	url   string
	began time.Time
	price float64       // of a node and hour
	sent  *atomic.Int64 // requests so far
	show  func(report.Point)

	mu          sync.Mutex
	series      []report.Point
	nodeSeconds float64
	leaving     float64 // node-seconds of nodes that were being deleted
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
			p, nodes, leaving, err := s.read(ctx)
			if err != nil {
				continue // the controller is busy or restarting; the next look is soon
			}
			s.mu.Lock()
			s.nodeSeconds += float64(nodes) * now.Sub(last).Seconds()
			s.leaving += float64(leaving) * now.Sub(last).Seconds()
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
				if s.show != nil {
					s.show(p)
				}
			}
			s.mu.Unlock()
		}
	}
}

// read takes the figures of the one workload and the one pool out of the metrics. nodes counts all that are paid for.
func (s *sampler) read(ctx context.Context) (p report.Point, nodes, leaving int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return p, 0, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return p, 0, 0, err
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
			case strings.Contains(labels, `phase="leaving"`):
				leaving += n
			}
		}
	}
	return p, nodes, leaving, nil
}
