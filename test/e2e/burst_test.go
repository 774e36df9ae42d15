package e2e

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/load"
)

// While a machine boots, more requests come. They fit on it: it is the only one that is bought (Azure/AKS#4136).
func TestABurstWhileANodeBootsBuysOneNode(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "3s"))
	w.deploy("chat", map[string]string{"limit": "4", "utilization": "100", "window": "6s", "host": "chat.example"})
	if status, _, err := w.get("chat.example", "/healthz"); err != nil || status != 200 {
		t.Fatalf("the first request: %d %v", status, err)
	}
	w.untilPods(none)
	w.untilNodes(none)
	before := len(lines[order](t, w.Provider.Admin, "/orders"))
	// Eight requests in a second: two pods of four slots and one CPU, on a machine of four. The machine before this one has
	// only just been ended, and is still listed: it is none of those that were ordered.
	requests := make([]trace.Request, 8)
	for i := range requests {
		requests[i] = trace.Request{At: time.Duration(i) * 150 * time.Millisecond, Service: 500 * time.Millisecond}
	}
	for i, o := range load.Run(w.ctx, load.Config{URL: w.URL, Host: "chat.example", Requests: requests}) {
		if !o.OK() {
			t.Errorf("request %d: %d %v", i, o.Status, o.Err)
		}
	}
	most := 0
	for _, o := range lines[order](t, w.Provider.Admin, "/orders")[before:] {
		most = max(most, o.Target)
	}
	if most != 1 {
		t.Errorf("up to %d machines were ordered, not 1", most)
	}
}

// Ten machines' worth at once: what does not fit is bought in one order, not one after the other.
func TestABurstIsBoughtAtOnce(t *testing.T) {
	w := newWorld(t, pool("spot", 8, "500ms"))
	w.deploy("chat", map[string]string{"limit": "1", "utilization": "100", "window": "6s", "host": "chat.example"})
	requests := make([]trace.Request, 16)
	for i := range requests {
		requests[i] = trace.Request{Service: time.Second}
	}
	w.awaitRoute("chat.example")
	for i, o := range load.Run(w.ctx, load.Config{URL: w.URL, Host: "chat.example", Requests: requests}) {
		if !o.OK() {
			t.Errorf("request %d: %d %v", i, o.Status, o.Err)
		}
	}
	targets := []int{}
	for _, o := range lines[order](t, w.Provider.Admin, "/orders") {
		if o.Result == "ok" && o.Kind == "set" {
			targets = append(targets, o.Target)
		}
	}
	// An order whose answer was slow may be given again, and is the same.
	if targets = slices.Compact(targets); len(targets) > 3 || slices.Max(targets) != 4 {
		t.Errorf("machines were ordered as %v: 16 pods on machines of four are 4, at most after a first guess or two", targets)
	}
	w.untilNodes(func(nodes []*corev1.Node) bool { return len(nodes) == 0 })
}
