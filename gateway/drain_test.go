package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/api/wire/identity"
)

// TestDrainLosesNone ends the gateway while clients ask without pause, each until it is told to connect elsewhere.
func TestDrainLosesNone(t *testing.T) {
	const clients = 20
	entered := make(chan struct{}, 1<<16)
	c, g := ready(t, shop())
	c.endpoints(t, "default/shop", 5, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		_, _ = io.Copy(w, r.Body)
	})))
	g.awaitPod(t)
	var all sync.WaitGroup
	var answered atomic.Int64
	for range clients {
		all.Go(func() {
			for {
				req, _ := http.NewRequest(http.MethodPost, g.url, strings.NewReader("all of it"))
				a := g.do(req)
				if a.err != nil {
					t.Errorf("lost: %v", a.err)
					return
				}
				if a.status != 200 || a.body != "all of it" {
					t.Errorf("answer: %+v", a)
					return
				}
				answered.Add(1)
				if a.closes {
					return // a load balancer would take another gateway now
				}
			}
		})
	}
	for range 500 {
		<-entered
	}
	ended := make(chan error, 1)
	go func() { ended <- g.stop() }()
	all.Wait()
	g.client.CloseIdleConnections() // among them some that were dialled and never used
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := answered.Load(); n < 500 {
		t.Errorf("%d answered", n)
	}
	c.awaitGoodbye(t)
}

func (c *controller) awaitGoodbye(t *testing.T) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case m := <-c.said:
			if m.GetGoodbye() != nil {
				return
			}
		case <-limit:
			t.Fatal("no Goodbye came")
		}
	}
}

// TestDrainServesTheHeld: held requests are served by pods that come during the drain, and Goodbye comes after them.
func TestDrainServesTheHeld(t *testing.T) {
	c, g := ready(t, shop())
	held := g.start(t.Context(), "/")
	c.await(t, "one queued", queued(1))
	ended := make(chan error, 1)
	go func() { ended <- g.stop() }()
	eventually(t, "it accepts no more", func() bool {
		conn, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			return true
		}
		conn.Close()
		return false
	})
	res, err := http.Get("http://" + g.AdminAddr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz while draining: %d", res.StatusCode)
	}
	c.endpoints(t, "default/shop", 1, address(backend(t, ok)))
	if a := <-held; a.status != 200 {
		t.Errorf("held: %+v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.awaitGoodbye(t)
}

func TestDrainTimeoutSaysSo(t *testing.T) {
	c := startController(t, "127.0.0.1:0")
	g, err := Listen(Config{Name: "n", Listen: "127.0.0.1:0", Link: c.address, AllowLoopback: true, DrainTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r := &running{Gateway: g, url: "http://" + g.Addr().String(), client: &http.Client{Transport: transport}}
	c.routes(t, shop())
	eventually(t, "routes are known", func() bool { return g.hub.table.Load() != nil })
	held := r.start(t.Context(), "/")
	c.await(t, "one queued", queued(1))
	cancel()
	if a := <-held; a.status != 503 || !strings.Contains(a.body, "stopping") {
		t.Errorf("held: %+v", a)
	}
	if err := <-ended; !errors.Is(err, ErrCut) {
		t.Errorf("Run: %v", err)
	}
}

// TestLinkOverMutualTLS runs the link with certificates as they are issued, and finds a stranger refused.
func TestLinkOverMutualTLS(t *testing.T) {
	dir := t.TempDir()
	if err := identity.Issue(dir, identity.Gateway, identity.Controller, identity.Provider); err != nil {
		t.Fatal(err)
	}
	serverTLS, err := identity.In(dir, identity.Controller).Server(identity.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{address: l.Addr().String(), said: make(chan *wire.ConnectRequest, 1000),
		server: grpc.NewServer(grpc.Creds(credentials.NewTLS(serverTLS)))}
	wire.RegisterLinkServer(c.server, c)
	done := make(chan struct{})
	go func() { defer close(done); _ = c.server.Serve(l) }()
	t.Cleanup(func() { c.server.Stop(); <-done })
	client := func(role identity.Role) *tls.Config {
		conf, err := identity.In(dir, role).Client(identity.Controller)
		if err != nil {
			t.Fatal(err)
		}
		return conf
	}
	c.routes(t, shop())
	stranger := startGateway(t, c.address, func(c *Config) { c.LinkTLS = client(identity.Provider); c.Name = "stranger" })
	g := startGateway(t, c.address, func(c *Config) { c.LinkTLS = client(identity.Gateway) })
	g.awaitReady(t)
	if hello := (<-c.said).GetHello(); hello.GetGateway() != "gw-test" {
		t.Errorf("first said: %v", hello)
	}
	if stranger.hub.table.Load() != nil {
		t.Error("a process with another role got routes")
	}
}

// TestUrgentReports: with regular reports an hour apart, the first held request and the later ones are all told.
func TestUrgentReports(t *testing.T) {
	c, g := ready(t, shop(), func(c *Config) { c.ReportEvery = time.Hour })
	var held []<-chan answer
	for i := range 5 {
		held = append(held, g.start(t.Context(), fmt.Sprint("/", i)))
		c.await(t, "one more queued", queued(uint32(i+1)))
	}
	c.endpoints(t, "default/shop", 1, address(backend(t, ok)))
	for _, h := range held {
		if a := <-h; a.status != 200 {
			t.Errorf("answer: %+v", a)
		}
	}
	res, err := g.client.Get("http://" + g.AdminAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	for _, want := range []string{
		`wholescale_gateway_requests_total{outcome="answered",workload="default/shop"} 5`,
		`wholescale_gateway_link_connected 1`, `wholescale_gateway_hold_seconds_count 5`,
		`wholescale_gateway_pods{probed="true",workload="default/shop"} 1`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// TestUrgentReportsAreCoalesced: the rule alone, with a clock of the test's.
func TestUrgentReportsAreCoalesced(t *testing.T) {
	h := newHub(Config{}.withDefaults())
	defer h.close()
	a, b := &workload{name: "a"}, &workload{name: "b"}
	const gap = 5 * time.Millisecond
	for _, c := range []struct {
		ms   int
		who  *workload
		yes  bool
		wait time.Duration
	}{
		{0, a, true, 0},
		{1, a, false, 4 * time.Millisecond},
		{2, b, true, 0}, // another workload need not wait; its report names a, too
		{3, a, false, 4 * time.Millisecond},
		{7, nil, true, 0},
		{8, nil, false, gap}, // nobody asks
	} {
		if c.who != nil {
			h.urgent(c.who)
		}
		if wait, yes := h.due(at(c.ms), gap); yes != c.yes || wait != c.wait {
			t.Errorf("at %d ms: %v %v, want %v %v", c.ms, wait, yes, c.wait, c.yes)
		}
	}
}

// TestPauseAfterReport: cheap reports follow each other at once, dear ones take a part of a core, and a report that was kept
// from its core for a second does not keep the next one for twenty.
func TestPauseAfterReport(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: 0, 50 * time.Microsecond: time.Millisecond, time.Millisecond: 20 * time.Millisecond, time.Second: 20 * time.Millisecond,
	} {
		if got := pauseAfter(took); got != want {
			t.Errorf("after %v: %v, want %v", took, got, want)
		}
	}
}
