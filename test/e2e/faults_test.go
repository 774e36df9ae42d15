package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/load"
)

// The controller dies while requests are held and a machine boots. The gateway holds on, another controller finishes what
// was begun, nobody loses an answer, and nothing is bought twice.
func TestControllerKilledWithRequestsHeld(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "4s"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "max": "4", "host": "chat.example"})
	w.awaitRoute("chat.example")
	w.heldThrough(func() error {
		w.Controller.Kill()
		return w.Controller.Restart(w.ctx)
	})
}

// Of two controllers one leads. It is killed while requests are held and a machine boots: the other one takes over when the
// lease has run out, the gateway finds it, and nothing is bought twice.
func TestTheStandbyTakesOver(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "4s"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "max": "4", "host": "chat.example"})
	w.awaitRoute("chat.example")
	if err := w.StartStandby(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.heldThrough(func() error {
		w.Controller.Kill()
		return nil
	})
}

// heldThrough sends eight requests to nothing and lets fault happen once a machine is ordered for them: each is answered,
// one machine is bought in all, and everything goes back to zero.
func (w *world) heldThrough(fault func() error) {
	w.t.Helper()
	requests := make([]trace.Request, 8)
	for i := range requests {
		requests[i] = trace.Request{Service: 100 * time.Millisecond}
	}
	answered := make(chan []load.Outcome, 1)
	go func() {
		answered <- load.Run(w.ctx, load.Config{URL: w.URL, Host: "chat.example", Requests: requests})
	}()
	w.awaitOrder(1)
	if err := fault(); err != nil {
		w.t.Fatal(err)
	}
	for i, o := range <-answered {
		if !o.OK() {
			w.t.Errorf("request %d: %d %v", i, o.Status, o.Err)
		}
	}
	for _, o := range lines[order](w.t, w.Provider.Admin, "/orders") {
		if o.Target > 1 {
			w.t.Errorf("%d machines were ordered; one holds all pods", o.Target)
		}
	}
	w.untilPods(none)
	w.untilNodes(none)
}

// SIGTERM under load: what the gateway accepted is answered, also what it holds; what it did not accept goes elsewhere.
func TestGatewaySIGTERMUnderLoadLosesNone(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "500ms"))
	w.deploy("chat", map[string]string{"limit": "8", "window": "30s", "host": "chat.example"})
	if status, body, err := w.get("chat.example", "/?ms=0"); err != nil || status != http.StatusOK {
		t.Fatalf("the first request: %d %q %v", status, body, err)
	}
	requests := make([]trace.Request, 60)
	for i := range requests {
		requests[i] = trace.Request{At: time.Duration(i) * 2 * time.Millisecond, Service: 700 * time.Millisecond}
	}
	answered := make(chan []load.Outcome, 1)
	go func() {
		answered <- load.Run(w.ctx, load.Config{URL: w.URL, Host: "chat.example", Requests: requests})
	}()
	w.untilPods(func(pods []*corev1.Pod) bool { return len(pods) > 1 }) // it is under load: more pods are wanted
	if err := w.Gateway.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for i, o := range <-answered {
		if !o.OK() {
			t.Errorf("request %d: %d %v", i, o.Status, o.Err)
		}
	}
	<-w.Gateway.Done()
	if err := w.Gateway.Err(); err != nil {
		t.Errorf("the gateway ended with %v, not in good order", err)
	}
}

// The provider is gone: what stands stays, requests that find room are answered, and when it is back the rest is bought.
func TestProviderGoneAndBack(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "500ms"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "host": "chat.example"})
	w.awaitRoute("chat.example")
	w.Provider.Kill()
	answered := make(chan []load.Outcome, 1)
	go func() {
		answered <- load.Run(w.ctx, load.Config{URL: w.URL, Host: "chat.example", Requests: []trace.Request{{}}})
	}()
	w.untilPods(func(pods []*corev1.Pod) bool { return len(pods) == 1 }) // the pod is wanted; there is no machine for it
	if err := w.Provider.RestartHealthy(w.ctx); err != nil {
		t.Fatal(err)
	}
	if o := (<-answered)[0]; !o.OK() {
		t.Errorf("the request that was held meanwhile: %d %v", o.Status, o.Err)
	}
	w.untilNodes(none)
}

// The leader stands still while requests are held and a machine boots, another one takes over, and the first one wakes up
// in the belief that it leads. It ends by itself, what it still wanted has no effect, and nothing is bought twice.
func TestALeaderThatStoodStillHasNoEffect(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "4s"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "max": "4", "host": "chat.example"})
	w.awaitRoute("chat.example")
	if err := w.StartStandby(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.heldThrough(func() error {
		if err := w.Controller.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		if err := w.Standby.Ready(w.ctx); err != nil { // it leads now
			return err
		}
		if err := w.Controller.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		<-w.Controller.Done()
		return nil
	})
	if w.Controller.Err() == nil {
		t.Error("the old leader ended as if in good order")
	}
	if !w.Standby.Alive() {
		t.Errorf("the new leader ended: %v", w.Standby.Err())
	}
}

// The API server stands still. The gateway goes on serving from what it knows, the controller ends rather than decide from
// what it cannot see, and when both are back everything goes to zero as always.
func TestAPIServerThatStandsStill(t *testing.T) {
	w := newWorld(t, pool("spot", 5, "500ms"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "host": "chat.example"})
	if status, body, err := w.get("chat.example", "/?ms=0"); err != nil || status != http.StatusOK {
		t.Fatalf("the first request: %d %q %v", status, body, err)
	}
	if err := w.cluster.Signal("kube-apiserver", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	serve := func(when string) {
		if status, body, err := w.get("chat.example", "/?ms=0"); err != nil || status != http.StatusOK {
			t.Errorf("%s: %d %q %v", when, status, body, err)
		}
	}
	serve("while the controller does not know yet")
	<-w.Controller.Done()
	serve("without API server and controller")
	if err := w.cluster.Signal("kube-apiserver", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := w.Controller.Restart(w.ctx); err != nil {
		t.Fatal(err)
	}
	serve("when both are back")
	w.untilPods(none)
	w.untilNodes(none)
}
