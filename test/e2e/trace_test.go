package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// One trace tells the whole way: held at the gateway, decided, ordered, joined, served.
func TestOneTraceFromARequestToItsNode(t *testing.T) {
	type span struct{ Name, TraceID, SpanID, ParentSpanID string }
	var mu sync.Mutex
	spans := map[string]span{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []span }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, s := range m.ResourceSpans[0].ScopeSpans[0].Spans {
			spans[s.Name] = s
		}
	}))
	defer collector.Close()
	w := newTracedWorld(t, collector.URL, pool("m", 2, "300ms"))
	w.deploy("hello", nil)
	w.awaitRoute("hello.default")
	if status, body, err := w.get("hello.default", "/"); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	parents := map[string]string{"gateway.proxy": "gateway.hold", "decide.pods": "gateway.hold", "decide.nodes": "decide.pods", "provider.increase": "decide.nodes", "node.join": "provider.increase"}
	w.awaitEvery(100*time.Millisecond, "the trace is not whole", func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return len(spans) == len(parents)+1, fmt.Sprint(spans)
	})
	for child, parent := range parents {
		if c, p := spans[child], spans[parent]; c.TraceID != p.TraceID || c.ParentSpanID != p.SpanID {
			t.Errorf("%s is not under %s: %+v %+v", child, parent, c, p)
		}
	}
}
