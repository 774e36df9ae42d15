package check

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/wholescale/wholescale/api/wire/trace"
)

// What is sent is what OpenTelemetry's own collector reads.
func TestSpansAreReadByOpenTelemetry(t *testing.T) {
	root := trace.New()
	child := root.Child()
	from, to := time.Unix(1, 5), time.Unix(2, 0)
	body, err := trace.Encode("wholescale-gateway", []trace.Span{
		{Name: "gateway.hold", Context: root, From: from, To: to, Words: map[string]string{"wholescale.workload": "demo/cart"}, Numbers: map[string]int{"http.response.status_code": 200}},
		{Name: "gateway.proxy", Context: child, Parent: root.Span, From: to, To: from, Failed: "broke"},
	})
	if err != nil {
		t.Fatal(err)
	}
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(body)
	if err != nil {
		t.Fatal(err)
	}
	resource := traces.ResourceSpans().At(0)
	if name, _ := resource.Resource().Attributes().Get("service.name"); name.Str() != "wholescale-gateway" {
		t.Errorf("service %q", name.Str())
	}
	spans := resource.ScopeSpans().At(0).Spans()
	a, b := spans.At(0), spans.At(1)
	if a.TraceID() != root.Trace || a.SpanID() != root.Span || !a.ParentSpanID().IsEmpty() || a.Name() != "gateway.hold" || a.Kind() != ptrace.SpanKindInternal ||
		!a.StartTimestamp().AsTime().Equal(from) || !a.EndTimestamp().AsTime().Equal(to) {
		t.Errorf("%+v", a)
	}
	if v, _ := a.Attributes().Get("wholescale.workload"); v.Str() != "demo/cart" {
		t.Errorf("workload %q", v.Str())
	}
	if v, _ := a.Attributes().Get("http.response.status_code"); v.Int() != 200 {
		t.Errorf("status %d", v.Int())
	}
	if b.ParentSpanID() != root.Span || b.TraceID() != root.Trace || b.Status().Code() != ptrace.StatusCodeError || b.EndTimestamp() < b.StartTimestamp() {
		t.Errorf("%+v", b)
	}
}
