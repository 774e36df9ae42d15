package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wholescale/wholescale/api/wire"
)

// ok answers "ok".
func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// ready starts a gateway with one route.
func ready(t *testing.T, r *wire.Route, change ...func(*Config)) (*controller, *running) {
	t.Helper()
	c := startController(t, "127.0.0.1:0")
	g := startGateway(t, c.address, change...)
	c.routes(t, r)
	g.awaitReady(t)
	return c, g
}

func TestNeverMoreThanSlots(t *testing.T) {
	const pods, slots, clients, each = 3, 4, 60, 20
	c, g := ready(t, shop())
	var addresses []string
	var most [pods]atomic.Int64
	for i := range pods {
		var now atomic.Int64
		addresses = append(addresses, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most[i].Load(); n > m && !most[i].CompareAndSwap(m, n); m = most[i].Load() {
			}
			_, _ = io.Copy(io.Discard, r.Body)
			ok(w, r)
		})))
	}
	c.endpoints(t, "default/shop", slots, addresses...)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				req, _ := http.NewRequest(http.MethodPost, g.url, strings.NewReader("some body"))
				if a := g.do(req); a.status != 200 || a.body != "ok" {
					t.Errorf("answer: %+v", a)
					return
				}
			}
		})
	}
	all.Wait()
	for i := range most {
		if n := most[i].Load(); n > slots || n == 0 {
			t.Errorf("pod %d had %d requests at once, its slots are %d", i, n, slots)
		}
	}
}

func TestQueueBounds(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.QueueLimit = 2 }))
	due := time.Now().Add(90 * time.Second)
	c.hold(t, &wire.Hold{Workload: "default/shop", Arrivals: []*wire.Arrival{{At: timestamppb.New(due), Slots: 1}}})
	one := g.start(t.Context(), "/1")
	c.await(t, "one queued", queued(1))
	two := g.start(t.Context(), "/2")
	c.await(t, "two queued", queued(2))
	var a answer
	eventually(t, "the hold has arrived", func() bool {
		a = g.get(t.Context(), "/3")
		return a.header.Get("Retry-After") != "5" // what is said while nothing is known
	})
	if n, _ := strconv.Atoi(a.header.Get("Retry-After")); a.status != 503 || n < 60 || n > 90 {
		t.Errorf("over the bound: %+v", a)
	}
	if !strings.Contains(a.body, "queue of this workload is full") {
		t.Errorf("reason: %q", a.body)
	}
	c.endpoints(t, "default/shop", 0, address(backend(t, ok)))
	if a, b := <-one, <-two; a.status != 200 || b.status != 200 {
		t.Errorf("held requests: %+v %+v", a, b)
	}
}

func TestTotalBoundIsFair(t *testing.T) {
	c := startController(t, "127.0.0.1:0")
	g := startGateway(t, c.address, func(c *Config) { c.QueueTotal = 4 })
	c.routes(t, shop(), &wire.Route{Workload: "default/zoo", Hosts: []string{"zoo.test"}})
	g.awaitReady(t)
	var flood []<-chan answer
	for i := range 4 {
		flood = append(flood, g.start(t.Context(), "/"))
		c.await(t, "the flood queued", queued(uint32(i+1)))
	}
	if a := g.get(t.Context(), "/"); a.status != 503 || !strings.Contains(a.body, "gateway's queue is full") {
		t.Errorf("over the bound: %+v", a)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url, nil)
	req.Host = "zoo.test"
	zoo := make(chan answer, 1)
	go func() { zoo <- g.do(req) }()
	if a := <-flood[3]; a.status != 503 {
		t.Errorf("the newest of the flood: %+v", a)
	}
	pod := address(backend(t, ok))
	c.endpoints(t, "default/zoo", 1, pod)
	c.endpoints(t, "default/shop", 1, pod)
	if a := <-zoo; a.status != 200 {
		t.Errorf("the other workload: %+v", a)
	}
	for _, f := range flood[:3] {
		if a := <-f; a.status != 200 {
			t.Errorf("the flood's oldest: %+v", a)
		}
	}
}

func TestClientThatGivesUpNoLongerCounts(t *testing.T) {
	for _, body := range []string{"", "a small body"} {
		t.Run(fmt.Sprintf("body %q", body), func(t *testing.T) {
			c, g := ready(t, shop())
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan answer, 1)
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.url, strings.NewReader(body))
			go func() { left <- g.do(req) }()
			c.await(t, "one queued", queued(1))
			leave()
			<-left
			end := c.await(t, "none queued", queued(0))
			if end.GetFailed() != 1 || end.GetAnswered() != 0 {
				t.Errorf("report after: %v", end)
			}
			if n := g.hub.queue.len(); n != 0 {
				t.Errorf("%d held", n)
			}
		})
	}
}

func TestFailingProbeKeepsRequestsHeld(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.ProbePath = "/ready" }))
	var passes atomic.Bool
	var probes atomic.Int64
	pod := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			if !passes.Load() {
				t.Error("a request came before a probe passed")
			}
			ok(w, r)
			return
		}
		probes.Add(1)
		if !passes.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	held := g.start(t.Context(), "/")
	c.await(t, "one queued", queued(1))
	c.endpoints(t, "default/shop", 1, address(pod))
	eventually(t, "several probes failed", func() bool { return probes.Load() >= 4 })
	select {
	case a := <-held:
		t.Fatalf("released before a probe passed: %+v", a)
	default:
	}
	passes.Store(true)
	if a := <-held; a.status != 200 {
		t.Errorf("answer: %+v", a)
	}
}

func TestHoldTimeoutIs504(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.HoldTimeout = durationpb.New(50 * time.Millisecond) }))
	c.hold(t, &wire.Hold{Workload: "default/shop", Reason: "the node is late"})
	eventually(t, "the hold is known", func() bool {
		a := g.get(t.Context(), "/")
		if a.status != 504 || a.header.Get("Retry-After") == "" || a.header.Get("X-Wholescale-Held") == "" {
			t.Fatalf("answer: %+v", a)
		}
		return strings.Contains(a.body, "hold timeout of 50ms: the node is late")
	})
}

func TestControllerRefuses(t *testing.T) {
	c, g := ready(t, shop())
	held := g.start(t.Context(), "/")
	c.await(t, "one queued", queued(1))
	c.hold(t, &wire.Hold{Workload: "default/shop", Refuse: true, Reason: "no pool fits a pod of 90 GiB"})
	for _, a := range []answer{<-held, g.get(t.Context(), "/")} {
		if a.status != 503 || !strings.Contains(a.body, "90 GiB") || a.header.Get("Retry-After") != "5" {
			t.Errorf("answer: %+v", a)
		}
	}
	c.hold(t, &wire.Hold{Workload: "default/shop"})
	c.endpoints(t, "default/shop", 1, address(backend(t, ok)))
	eventually(t, "it serves again", func() bool { return g.get(t.Context(), "/").status == 200 })
}

func TestRemovedRouteEndsTheHold(t *testing.T) {
	c, g := ready(t, shop())
	held := g.start(t.Context(), "/")
	c.await(t, "one queued", queued(1))
	c.routes(t)
	if a := <-held; a.status != 503 || !strings.Contains(a.body, "route was removed") {
		t.Errorf("held: %+v", a)
	}
	if a := g.get(t.Context(), "/"); a.status != 404 || !strings.Contains(a.body, "no route") {
		t.Errorf("after: %+v", a)
	}
}

func TestControllerGoneServesOn(t *testing.T) {
	c, g := ready(t, shop())
	c.endpoints(t, "default/shop", 1, address(backend(t, ok)))
	eventually(t, "it serves", func() bool { return g.get(t.Context(), "/").status == 200 })
	c.server.Stop()
	eventually(t, "the loss is noticed", func() bool { return !g.hub.linked.Load() })
	for range 20 {
		if a := g.get(t.Context(), "/"); a.status != 200 {
			t.Fatalf("without a controller: %+v", a)
		}
	}
	back := startController(t, c.address)
	if r := back.await(t, "the arrivals of the time without", func(w *wire.WorkloadReport) bool { return w.GetArrivals() >= 20 }); r.GetAnswered() < 20 {
		t.Errorf("report: %v", r)
	}
	if a := g.get(t.Context(), "/"); a.status != 200 {
		t.Errorf("before the new controller spoke: %+v", a)
	}
}

func TestFailedDialGoesBackToTheLine(t *testing.T) {
	c, g := ready(t, shop())
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.endpoints(t, "default/shop", 5, dead.Addr().String())
	w := g.hub.list()[0]
	passed := func() bool { return w.usage().probed == 1 }
	eventually(t, "the probe passed", passed)
	dead.Close()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url, io.MultiReader(strings.NewReader("whole "), strings.NewReader("body")))
	held := make(chan answer, 1)
	go func() { held <- g.do(req) }()
	c.await(t, "the request queued again", queued(1))
	if passed() {
		t.Error("the pod that could not be dialled is still chosen")
	}
	pod := backend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	c.endpoints(t, "default/shop", 5, dead.Addr().String(), address(pod))
	if a := <-held; a.status != 200 || a.body != "whole body" || a.header.Get("X-Wholescale-Held") == "" {
		t.Errorf("answer: %+v", a)
	}
	if n := g.hub.counts.redialled.Load(); n != 1 {
		t.Errorf("put back %d times", n)
	}
}

func TestBytesSentAreNotSentAgain(t *testing.T) {
	c, g := ready(t, shop())
	var n atomic.Int64
	c.endpoints(t, "default/shop", 5, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		panic(http.ErrAbortHandler)
	})))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url, strings.NewReader("pay"))
	if a := g.do(req); a.status != 502 || !strings.Contains(a.body, "broke off") || n.Load() != 1 {
		t.Errorf("answer after %d tries: %+v", n.Load(), a)
	}
}

func TestResponseTimeout(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.ResponseTimeout = durationpb.New(30 * time.Millisecond) }))
	left := make(chan struct{})
	c.endpoints(t, "default/shop", 5, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(left)
	})))
	if a := g.get(t.Context(), "/"); a.status != 504 || !strings.Contains(a.body, "response timeout") {
		t.Errorf("answer: %+v", a)
	}
	<-left
}

func TestRefusedAddressIsNotDialled(t *testing.T) {
	c, g := ready(t, shop(), func(c *Config) { c.AllowLoopback = false })
	c.endpoints(t, "default/shop", 5, address(backend(t, ok)), "169.254.169.254:80")
	eventually(t, "both were refused", func() bool { return g.hub.counts.refusedAddresses.Load() == 2 })
	if u := g.hub.list()[0].usage(); u.probed+u.not != 0 {
		t.Errorf("pods: %+v", u)
	}
}

// TestSilentBodyFreesTheSlot: a client that stops in the middle of its body loses its connection, not the others a slot.
func TestSilentBodyFreesTheSlot(t *testing.T) {
	c, g := ready(t, shop(), func(c *Config) { c.BodyIdleTimeout = 50 * time.Millisecond })
	c.endpoints(t, "default/shop", 1, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			ok(w, r)
		}
	})))
	g.awaitPod(t)
	got := g.raw(t, "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nhalf")
	if !strings.Contains(got, " 400 ") || !strings.Contains(got, "body of the request broke off") {
		t.Errorf("answer: %q", got)
	}
	if a := g.get(t.Context(), "/"); a.status != 200 {
		t.Errorf("the next: %+v", a)
	}
}

// TestExpectContinue: the body is asked for only when a pod is there, and a refusal does not wait for it.
func TestExpectContinue(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.QueueLimit = 1 }))
	const head = "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, head)
	c.await(t, "one queued", queued(1))
	if got := g.raw(t, head); !strings.Contains(got, " 503 ") || strings.Contains(got, " 100 ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("refused: %q", got)
	}
	c.endpoints(t, "default/shop", 1, address(backend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(conn, "body")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestOneContinue: a pod that says 100 Continue more than once, or after the gateway said it, is heard by the gateway alone.
func TestOneContinue(t *testing.T) {
	pod, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() { _ = pod.Close(); served.Wait() })
	served.Go(func() {
		for {
			conn, err := pod.Accept()
			if err != nil {
				return
			}
			served.Go(func() { continueThrice(conn) })
		}
	})
	c, g := ready(t, shop())
	c.endpoints(t, "default/shop", 1, pod.Addr().String())
	g.awaitPod(t)
	got := g.raw(t, "POST / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
	if n := strings.Count(got, "HTTP/1.1 100 "); n != 1 || !strings.HasSuffix(got, "body") {
		t.Errorf("%d times asked to go on: %q", n, got)
	}
}

// continueThrice answers a request with its body, after saying three times that it wants it. A probe just connects.
func continueThrice(conn net.Conn) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 3))
	body, err := io.ReadAll(req.Body)
	if err == nil {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// TestFloodOfTheQueue: far more requests than bounds; each gets exactly one outcome, and nothing stays behind.
func TestFloodOfTheQueue(t *testing.T) {
	h := newHub(Config{QueueTotal: 100}.withDefaults())
	defer h.close()
	h.setRoutes(&wire.Routes{Routes: []*wire.Route{{Workload: "a", Hosts: []string{"a"}}, {Workload: "b", Hosts: []string{"b"}}}})
	const each = 20000
	var verdicts [len(outcomes)]atomic.Int64
	var all sync.WaitGroup
	for i, w := range h.list() {
		p := &proxy{hub: h}
		rt := w.settings.Load()
		for k := range 8 {
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var waits sync.WaitGroup
				for range each / 8 {
					x := &exchange{proxy: p, workload: w, route: rt, in: new(http.Request).WithContext(ctx), arrived: time.Now()}
					_, wt, no := w.arrive(rt, x.arrived)
					waits.Go(func() {
						if wt != nil {
							no = x.wait(wt)
							x.waiter = wt
						}
						x.how = no.outcome
						verdicts[x.how].Add(1)
						x.end()
					})
				}
				if (i+k)%2 == 0 {
					cancel() // these clients leave; the others are refused below
				} else {
					w.setHold(hold{refuse: true, reason: "none"})
				}
				waits.Wait()
			})
		}
	}
	all.Wait()
	if n := verdicts[outcomeRefused].Load() + verdicts[outcomeGone].Load(); n != 2*each {
		t.Errorf("%d outcomes of %d", n, 2*each)
	}
	if n := h.queue.len(); n != 0 {
		t.Errorf("%d still held", n)
	}
	r, _ := h.report(time.Now().Add(-time.Second), time.Now())
	for _, w := range r.GetWorkloads() {
		if w.GetArrivals() != each || w.GetFailed() != each || w.GetQueued() != 0 {
			t.Errorf("report: %v", w)
		}
	}
	if r, _ := h.report(time.Now().Add(-time.Second), time.Now()); len(r.GetWorkloads()) != 0 {
		t.Errorf("workloads without traffic are reported: %v", r)
	}
}
