package trace

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestTraceparent(t *testing.T) {
	c := New()
	if got, ok := Parse(c.Header()); !ok || got != c {
		t.Errorf("%v %v, want %v", got, ok, c)
	}
	if k := c.Child(); k.Trace != c.Trace || k.Span == c.Span {
		t.Errorf("child %v of %v", k, c)
	}
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for header, want := range map[string]bool{
		"00-" + trace + "-" + span + "-01": true, "00-" + trace + "-" + span + "-03": true, "01-" + trace + "-" + span + "-01-more": true,
		"00-" + trace + "-" + span + "-00": false, "00-" + trace + "-" + span + "-01-more": false, "ff-" + trace + "-" + span + "-01": false,
		"00-00000000000000000000000000000000-" + span + "-01": false, "00-" + trace + "-0000000000000000-01": false, "": false, "x": false,
		"00-" + trace + "-" + span: false, "00-0AF7651916cd43dd8448eb211c80319c-" + span + "-01": false, "00-" + trace[:31] + "g-" + span + "-01": false,
	} {
		if _, ok := Parse(header); ok != want {
			t.Errorf("%q: %v", header, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(New().Header())
	f.Fuzz(func(t *testing.T, header string) {
		if c, ok := Parse(header); ok {
			if again, ok := Parse(c.Header()); !ok || again != c {
				t.Errorf("%q is read as %v, and that as %v", header, c, again)
			}
		}
	})
}

func TestSpansAreSentAndNothingWaits(t *testing.T) {
	defer goleak.VerifyNone(t)
	got := make(chan []byte, 10)
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s", r.URL, r.Header)
		}
		w.WriteHeader(status)
		got <- body
	}))
	defer server.Close()
	for _, c := range []struct{ status, complaints int }{{200, 0}, {503, 1}} {
		status = c.status
		e, err := NewExporter(server.URL, "wholescale-gateway")
		if err != nil {
			t.Fatal(err)
		}
		for range waiting + 10 {
			e.Send(Span{Name: "gateway.hold", Context: New(), From: time.Unix(1, 0), To: time.Unix(2, 0)})
		}
		e.Send(Span{Name: "none"})
		if e.Dropped() != 10 {
			t.Errorf("%d dropped, want 10", e.Dropped())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		complaints, sent := 0, 0
		e.Run(ctx, func(error) { complaints++ })
		for len(got) > 0 {
			var m struct {
				ResourceSpans []struct {
					ScopeSpans []struct {
						Spans []struct{ Name, TraceID string }
					}
				}
			}
			if err := json.Unmarshal(<-got, &m); err != nil {
				t.Fatal(err)
			}
			sent += len(m.ResourceSpans[0].ScopeSpans[0].Spans)
		}
		if sent != waiting || (complaints > 0) != (c.complaints > 0) {
			t.Errorf("status %d: %d sent, %d complaints", c.status, sent, complaints)
		}
	}
}

func TestWithoutAnEndpointNothingIsDone(t *testing.T) {
	e, err := NewExporter("", "x")
	if e != nil || err != nil {
		t.Fatal(e, err)
	}
	e.Send(Span{Context: New()})
	e.Run(t.Context(), nil)
	for _, bad := range []string{"127.0.0.1:4318", "grpc://x:4317", "http://", "http://x/?token=a"} {
		if _, err := NewExporter(bad, "x"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
