package controller

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/api/wire/trace"
	"github.com/wholescale/wholescale/autoscaler"
)

type seenSpan struct {
	Name, TraceID, SpanID, ParentSpanID string
	Status                              struct{ Code int }
}

// collect runs what sends spans and returns them in the order in which they were sent.
func collect(t *testing.T, do func(*trace.Exporter)) []seenSpan {
	t.Helper()
	var spans []seenSpan
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []seenSpan }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
			return
		}
		spans = append(spans, m.ResourceSpans[0].ScopeSpans[0].Spans...)
	}))
	defer server.Close()
	e, err := trace.NewExporter(server.URL, "test")
	if err != nil {
		t.Fatal(err)
	}
	do(e)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.Run(ctx, func(err error) { t.Error(err) })
	return spans
}

func TestOneTraceFromAHeldRequestToItsNode(t *testing.T) {
	held := trace.New()
	now := time.Unix(10, 0)
	s := autoscaler.State{Now: now, Workloads: []autoscaler.Workload{{ID: "a/w", Demand: autoscaler.Demand{Queued: 1}}, {ID: "a/x", Demand: autoscaler.Demand{Queued: 1}}}}
	why := []autoscaler.Reason{{Rule: autoscaler.QueuedDemand}}
	d := autoscaler.Decision{
		Scales:     []autoscaler.Scale{{Workload: "a/w", To: 1, Why: why}, {Workload: "a/x", To: 1, Why: why}},
		Placements: []autoscaler.Placement{{Workload: "a/w", Spots: []autoscaler.Spot{{Pool: "m", Count: 1}}}},
		Orders:     []autoscaler.Order{{Pool: "m", To: 1, Why: why}, {Pool: "n", To: 1, Why: why}},
	}
	spans := collect(t, func(e *trace.Exporter) {
		tr := newTraces(e)
		tr.reported(&wire.Report{Workloads: []*wire.WorkloadReport{{Workload: "a/w", TraceParent: held.Header()}, {Workload: "a/x"}}})
		early := s
		early.Workloads = []autoscaler.Workload{{ID: "a/w"}, {ID: "a/x"}}
		tr.decided(&early, &d, now) // a plan that does not know of it yet
		tr.decided(&s, &d, now)
		tr.decided(&s, &d, now) // the same wish again is no news
		tr.ordered(d.Orders[0], now, now, errors.New("away"))
		tr.ordered(d.Orders[0], now, now, nil)
		tr.ordered(d.Orders[1], now, now, nil) // bought for nobody who is traced
		tr.joined(join{pool: "n", took: time.Second}, now)
		tr.joined(join{pool: "m", took: time.Second}, now)
		tr.joined(join{pool: "m", took: time.Second}, now) // of somebody else
		s.Workloads[0].Demand.Queued = 0
		tr.decided(&s, &d, now)
		s.Workloads[0].Demand.Queued = 1
		tr.decided(&s, &d, now) // of others
		if len(tr.held)+len(tr.orders)+len(tr.joins) != 0 {
			t.Errorf("kept: %v %v %v", tr.held, tr.orders, tr.joins)
		}
	})
	want := []string{"decide.pods", "decide.nodes", "provider.increase", "provider.increase", "node.join"}
	if len(spans) != len(want) {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	header := held.Header()
	parents := []string{header[36:52], spans[0].SpanID, spans[1].SpanID, spans[1].SpanID, spans[3].SpanID}
	for i, s := range spans {
		if s.Name != want[i] || s.TraceID != header[3:35] || s.ParentSpanID != parents[i] {
			t.Errorf("span %d: %+v, want %s under %s", i, s, want[i], parents[i])
		}
	}
	if spans[2].Status.Code != 2 || spans[3].Status.Code != 0 {
		t.Errorf("failures: %+v", spans[2:4])
	}
}

func TestWithoutACollectorNothingIsTraced(t *testing.T) {
	tr := newTraces(nil)
	tr.reported(&wire.Report{})
	tr.decided(&autoscaler.State{}, &autoscaler.Decision{}, time.Now())
	tr.ordered(autoscaler.Order{To: 1}, time.Now(), time.Now(), nil)
	tr.joined(join{}, time.Now())
}
