package truth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/test/bench"
	"github.com/wholescale/wholescale/test/load"
	"github.com/wholescale/wholescale/test/sighting"
	"github.com/wholescale/wholescale/test/stack"
)

// Measured is a real run: its figures, and the times that the model is given.
type Measured struct {
	report.Run
	Times Times
	// Sent is when each request was sent, Service how long its answer took once it had a slot, in the order of the requests.
	Sent, Service []time.Duration
	// Waited is the sum of all waits, in seconds.
	Waited float64
	lives  []sighting.Life
}

// Times are what was measured of each part of the way. Each list may be empty.
type Times struct {
	// Scale is from a request that must wait to the acknowledged scale, Buy to the acknowledged order.
	Scale, Buy []time.Duration
	// Create is from an acknowledged scale to a bound pod where there was room; Bind from a Ready node to a bound pod that
	// waited for it.
	Create, Bind []time.Duration
	// Serve is from bound to the gateway's probe having passed, Ready from bound to Ready.
	Serve, Ready []time.Duration
	// Stop is from a pod's deletion to its being gone.
	Stop []time.Duration
	// Join is from an acknowledged order to a Ready node, Delete from its end to the end of its bill.
	Join, Delete []time.Duration
}

// Measure sends the traffic and watches what comes of it, until pods and nodes are gone. show, which may be nil, is given a
// point each second.
func Measure(ctx context.Context, s *stack.Stack, c *Scenario, show func(report.Point)) (m Measured, err error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	o, err := sighting.Watch(watching, s.Client, sighting.Scope{Namespace: namespace})
	if err != nil {
		return m, err
	}
	var sent atomic.Int64
	began := time.Now()
	sam := &sampler{url: "http://" + s.Controller.Admin + "/metrics", began: began, price: c.PricePerHour, sent: &sent, show: show}
	sampled := make(chan struct{})
	go func() { // ends with watching
		defer close(sampled)
		sam.run(watching)
	}()
	outcomes := load.Run(ctx, load.Config{URL: s.URL, Host: c.Host, Requests: c.Requests, Sent: &sent})
	settling, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	_ = o.Until(settling, func(pods, nodes int) bool { return pods+nodes == 0 }) // what is left is counted below
	stop()
	<-sampled
	if ctx.Err() != nil {
		return m, errors.New("interrupted; everything that was started has been ended")
	}
	m.Name, m.Series = "measured", sam.series
	for _, x := range outcomes {
		m.Sent, m.Service = append(m.Sent, x.Sent), append(m.Service, max(0, x.Took-x.Held))
	}
	return m, m.summarize(ctx, s, summed{seen: o, sampler: sam, outcomes: outcomes, began: began})
}

// summed is what a run left behind.
type summed struct {
	seen     *sighting.Book
	sampler  *sampler
	outcomes []load.Outcome
	began    time.Time
}

func (m *Measured) summarize(ctx context.Context, s *stack.Stack, from summed) error {
	sum := &m.Summary
	sum.Requests = len(from.outcomes)
	waits := make([]time.Duration, len(from.outcomes))
	for i, x := range from.outcomes {
		waits[i] = x.Held
		m.Waited += x.Held.Seconds()
		if x.OK() {
			sum.Answered++
		} else {
			sum.Errors++
		}
		if x.Held > 0 {
			sum.HeldRequests++
		}
	}
	sum.FirstAnswerMs = report.Milliseconds(from.outcomes[0].Took)
	sum.WaitMs = report.QuantilesOf(waits)
	t := bench.Target{Client: s.Client, Dynamic: s.Dynamic, URL: s.URL, Gateway: s.Gateway.Admin, Controller: s.Controller.Admin, Provider: s.Provider.Admin}
	var err error
	if m.Times.Scale, m.Times.Buy, err = t.Latencies(ctx, from.began); err != nil {
		return err
	}
	sum.RequestToScaleMs, sum.RequestToBuyMs = report.QuantilesOf(m.Times.Scale), report.QuantilesOf(m.Times.Buy)
	ready := from.seen.Ready()
	if m.Times.Join, err = t.Joins(ctx, from.began, slices.Collect(maps.Values(ready))); err != nil {
		return err
	}
	if n := len(ready); n > 0 {
		m.Times.Delete = []time.Duration{time.Duration(from.sampler.leaving / float64(n) * float64(time.Second))}
	}
	served, err := firstServed(ctx, s.Gateway.Admin)
	if err != nil {
		return err
	}
	m.lives = from.seen.Lives()
	m.times(ready, served)
	sum.NodeJoinMs, sum.PodStartMs = report.QuantilesOf(slices.Clone(m.Times.Join)).P50, report.QuantilesOf(slices.Clone(m.Times.Ready)).P50
	bill := from.seen.Bill()
	sum.ReplicasMax, sum.PodSeconds = bill.ReplicasMax, bill.PodSeconds
	sum.PodsAtEnd, sum.NodesAtEnd = from.seen.Left()
	sum.NodesMax, sum.NodeSeconds = from.sampler.nodesMax, from.sampler.nodeSeconds
	sum.Cost = sum.NodeSeconds * from.sampler.price / 3600
	return nil
}

// times takes the lives of the pods apart. Each list is in the order in which it happened.
func (m *Measured) times(nodeReady, served map[string]time.Time) {
	t := &m.Times
	waited := map[string][]time.Duration{} // from its node's being ready to a pod's being bound
	bound := slices.DeleteFunc(slices.Clone(m.lives), func(l sighting.Life) bool { return l.Bound.IsZero() || l.Ready.IsZero() })
	slices.SortStableFunc(bound, func(a, b sighting.Life) int { return a.Bound.Compare(b.Bound) })
	for _, l := range bound {
		if joined := nodeReady[l.Node]; joined.After(l.Created) {
			waited[l.Node] = append(waited[l.Node], l.Bound.Sub(joined))
		} else {
			t.Create = append(t.Create, l.Bound.Sub(l.Created))
		}
		// One to which nothing was released while it waited could have served when it was ready.
		serves := l.Ready
		if at := served[l.Name]; at.After(l.Bound) {
			serves = at
		}
		t.Serve, t.Ready = append(t.Serve, serves.Sub(l.Bound)), append(t.Ready, l.Ready.Sub(l.Bound))
	}
	nodes := slices.Collect(maps.Keys(nodeReady))
	slices.SortFunc(nodes, func(a, b string) int { return nodeReady[a].Compare(nodeReady[b]) })
	for _, n := range nodes {
		if list := waited[n]; len(list) > 0 {
			slices.Sort(list)
			t.Bind = append(t.Bind, report.Rank(list, 0.5))
		}
	}
	gone := slices.DeleteFunc(bound, func(l sighting.Life) bool { return l.Gone.IsZero() || l.Leaving.IsZero() })
	slices.SortStableFunc(gone, func(a, b sighting.Life) int { return a.Leaving.Compare(b.Leaving) })
	for _, l := range gone {
		t.Stop = append(t.Stop, l.Gone.Sub(l.Leaving))
	}
}

// firstServed is, for each pod, when the gateway's probe of it passed.
func firstServed(ctx context.Context, gateway string) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+gateway+"/requests", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's journal: %w", err)
	}
	defer response.Body.Close() // read to its end
	first := map[string]time.Time{}
	for d := json.NewDecoder(io.LimitReader(response.Body, 64<<20)); ; {
		var v struct {
			Pod    string `json:"pod"`
			Probed int64  `json:"probedUnixNano"`
		}
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return first, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the gateway's journal: %w", err)
		}
		at := time.Unix(0, v.Probed)
		name := v.Pod[strings.LastIndexByte(v.Pod, '/')+1:]
		if old, ok := first[name]; name != "" && v.Probed > 0 && (!ok || at.Before(old)) {
			first[name] = at
		}
	}
}
