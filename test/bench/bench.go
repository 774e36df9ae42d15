// Package bench measures how long the way from a request to its answer takes, stage by stage, against a real cluster. It
// makes what it needs and removes it again. Each benchmark is a row of repetitions; each repetition a set of stages.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/wholescale/wholescale/simulator/report"
)

// Target is the cluster under test.
type Target struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// URL is the gateway's. Gateway, Controller and Provider are their admin addresses; a stage that one of them would
	// tell is left out where it is empty.
	URL, Gateway, Controller, Provider string
	// Image and Command are of the workload: one that answers /?ms=N after N milliseconds, on port 8080.
	Image   string
	Command []string
	// Pool is the provider's pool that machines are bought from.
	Pool string
	// Progress is told in a sentence what is being done.
	Progress func(string)
}

// Stage is one part of the way, measured over the repetitions, in milliseconds.
type Stage struct {
	Name   string  `json:"name"`
	Count  int     `json:"count"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Result is a benchmark's outcome.
type Result struct {
	Name        string  `json:"name"`
	Repetitions int     `json:"repetitions"`
	Requests    int     `json:"requests"`
	Failed      int     `json:"failed"`
	StagesMs    []Stage `json:"stagesMs"`
}

// samples gathers stages in the order in which they first came.
type samples struct {
	names []string
	of    map[string][]time.Duration
}

func (s *samples) add(name string, d time.Duration) {
	if s.of == nil {
		s.of = map[string][]time.Duration{}
	}
	if _, ok := s.of[name]; !ok {
		s.names = append(s.names, name)
	}
	s.of[name] = append(s.of[name], d)
}

// between adds a stage when both of its ends are known.
func (s *samples) between(name string, from, to time.Time) {
	if !from.IsZero() && !to.IsZero() {
		s.add(name, to.Sub(from))
	}
}

func (s *samples) stages() []Stage {
	var list []Stage
	for _, name := range s.names {
		d := s.of[name]
		slices.Sort(d)
		list = append(list, Stage{
			Name: name, Count: len(d), Min: report.Milliseconds(d[0]), Median: report.Milliseconds(report.Rank(d, 0.5)),
			P99: report.Milliseconds(report.Rank(d, 0.99)), Max: report.Milliseconds(d[len(d)-1]),
		})
	}
	return list
}

// Text writes a result as a table.
func Text(w io.Writer, r Result) error {
	fmt.Fprintf(w, "%s: %d repetitions, %d requests, %d failed\n", r.Name, r.Repetitions, r.Requests, r.Failed)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\tn\tmin ms\tmedian ms\tp99 ms\tmax ms\t")
	for _, s := range r.StagesMs {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", s.Name, s.Count, s.Min, s.Median, s.P99, s.Max)
	}
	return t.Flush()
}

// held is a line of the gateway's /requests.
type held struct {
	Workload     string `json:"workload"`
	Arrived      int64  `json:"arrivedUnixNano"`
	QueuedReport int64  `json:"queuedReportUnixNano"`
	Endpoint     int64  `json:"endpointUnixNano"`
	Probed       int64  `json:"probedUnixNano"`
	Released     int64  `json:"releasedUnixNano"`
	FirstByte    int64  `json:"firstByteUnixNano"`
	Status       int    `json:"status"`
	Pod          string `json:"pod"`
}

// action is a line of the controller's /actions.
type action struct {
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	From     int       `json:"from"`
	To       int       `json:"to"`
	Ended    int       `json:"ended"` // instances that an order ended by name
	Cause    string    `json:"cause"`
	Observed time.Time `json:"observed"`
	Planned  time.Time `json:"planned"`
	Done     time.Time `json:"done"`
}

// order is a line of the provider's /orders.
type order struct {
	UnixNano int64  `json:"unixNano"`
	Pool     string `json:"pool"`
	Target   int    `json:"target"`
	Result   string `json:"result"`
}

// journals is what the three processes tell of the time since a moment.
type journals struct {
	held    []held
	actions []action
	orders  []order
}

func (t *Target) journals(ctx context.Context, since time.Time) (j journals, err error) {
	if t.Gateway != "" {
		if j.held, err = lines[held](ctx, "http://"+t.Gateway+"/requests"); err != nil {
			return j, err
		}
	}
	if t.Controller != "" {
		if j.actions, err = lines[action](ctx, "http://"+t.Controller+"/actions"); err != nil {
			return j, err
		}
	}
	if t.Provider != "" {
		if j.orders, err = lines[order](ctx, "http://"+t.Provider+"/orders"); err != nil {
			return j, err
		}
	}
	j.held = slices.DeleteFunc(j.held, func(h held) bool { return h.Arrived < since.UnixNano() })
	j.actions = slices.DeleteFunc(j.actions, func(a action) bool { return a.Done.Before(since) })
	j.orders = slices.DeleteFunc(j.orders, func(o order) bool { return o.UnixNano < since.UnixNano() })
	return j, nil
}

// Lines of a journal are bounded by the processes that keep them; this bounds what is believed.
const mostBytes = 64 << 20

func lines[T any](ctx context.Context, url string) ([]T, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading a journal: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading a journal: %s answered %s", url, response.Status)
	}
	var list []T
	for d := json.NewDecoder(io.LimitReader(response.Body, mostBytes)); ; {
		var v T
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a journal: %s: %w", url, err)
		}
		list = append(list, v)
	}
}

func at(unixNano int64) time.Time {
	if unixNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, unixNano)
}

// reportGap is how long a report of a queue may be under way before the plan that it causes.
const reportGap = 50 * time.Millisecond

// Latencies are, for each growth that a forming queue caused, the time from the arrival of the request that formed it to
// the acknowledged scale, and to the provider having the target.
func (t *Target) Latencies(ctx context.Context, since time.Time) (scale, buy []time.Duration, err error) {
	j, err := t.journals(ctx, since)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range j.actions {
		if a.Cause != "queue" || a.To <= a.From {
			continue
		}
		first := time.Time{}
		for _, h := range j.held {
			arrived, reported := at(h.Arrived), at(h.QueuedReport)
			if h.QueuedReport != 0 && !reported.After(a.Observed) && a.Observed.Sub(reported) < reportGap && (first.IsZero() || arrived.Before(first)) {
				first = arrived
			}
		}
		switch {
		case first.IsZero():
		case a.Kind == "scale":
			scale = append(scale, a.Done.Sub(first))
		case a.Kind == "order":
			buy = append(buy, a.Done.Sub(first))
		}
	}
	return scale, buy, nil
}

// Joins are the times from the acknowledged order of a machine to a ready node, in the order in which they were ordered.
func (t *Target) Joins(ctx context.Context, since time.Time, ready []time.Time) ([]time.Duration, error) {
	j, err := t.journals(ctx, since)
	if err != nil {
		return nil, err
	}
	return joins(j.actions, ready), nil
}

// joins takes the first ordered with the first ready. Targets are absolute: what one adds is what it is above the one before it,
// whatever was known of that when it was planned. What a smaller one ends without a name was ordered last and has not joined.
func joins(actions []action, ready []time.Time) (list []time.Duration) {
	orders := slices.DeleteFunc(slices.Clone(actions), func(a action) bool { return a.Kind != "order" })
	slices.SortStableFunc(orders, func(a, b action) int { return a.Done.Compare(b.Done) })
	var pending []time.Time
	target := 0
	if len(orders) > 0 {
		target = orders[0].From
	}
	for _, at := range slices.SortedFunc(slices.Values(ready), time.Time.Compare) {
		for len(orders) > 0 && orders[0].Done.Before(at) {
			o := orders[0]
			orders = orders[1:]
			for range o.To - target {
				pending = append(pending, o.Done)
			}
			cancelled := max(0, target-o.To-o.Ended)
			pending, target = pending[:max(0, len(pending)-cancelled)], o.To
		}
		if len(pending) > 0 {
			list = append(list, at.Sub(pending[0]))
			pending = pending[1:]
		}
	}
	return list
}

// firstScale and firstOrder are the first growths that a journal tells of.
func (j *journals) firstScale(workload string) (a action) {
	for _, x := range j.actions {
		if x.Kind == "scale" && x.Subject == workload && x.To > x.From && (a.Done.IsZero() || x.Done.Before(a.Done)) {
			a = x
		}
	}
	return a
}

func (j *journals) firstOrder(pool string) time.Time {
	for _, o := range j.orders {
		if o.Pool == pool && o.Target > 0 && o.Result == "ok" {
			return at(o.UnixNano)
		}
	}
	return time.Time{}
}
