package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/wholescale/wholescale/api/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// controller is a Link server that says what the test has it say and keeps what the gateway said.
type controller struct {
	wire.UnimplementedLinkServer
	server  *grpc.Server
	address string
	said    chan *wire.ConnectRequest

	mu     sync.Mutex
	log    []*wire.ConnectResponse // said again to each new stream
	stream wire.Link_ConnectServer
}

func startController(t *testing.T, address string) *controller {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{server: grpc.NewServer(), address: l.Addr().String(), said: make(chan *wire.ConnectRequest, 100000)}
	wire.RegisterLinkServer(c.server, c)
	done := make(chan struct{})
	go func() { defer close(done); _ = c.server.Serve(l) }()
	t.Cleanup(func() { c.server.Stop(); <-done })
	return c
}

func (c *controller) Connect(s wire.Link_ConnectServer) error {
	c.mu.Lock()
	for _, m := range c.log {
		if err := s.Send(m); err != nil {
			c.mu.Unlock()
			return err
		}
	}
	c.stream = s
	c.mu.Unlock()
	for {
		m, err := s.Recv()
		if err != nil {
			return nil //nolint:nilerr // the gateway left, which is no error of the test's server
		}
		select {
		case c.said <- m:
		default:
		}
	}
}

func (c *controller) say(t *testing.T, m *wire.ConnectResponse) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, m)
	if c.stream != nil {
		if err := c.stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *controller) routes(t *testing.T, rs ...*wire.Route) {
	c.say(t, &wire.ConnectResponse{Message: &wire.ConnectResponse_Routes{Routes: &wire.Routes{Version: 1, Routes: rs}}})
}

func (c *controller) endpoints(t *testing.T, workload string, slots uint32, addresses ...string) {
	e := &wire.Endpoints{Workload: workload}
	for i, a := range addresses {
		e.Pods = append(e.Pods, &wire.Endpoint{Pod: fmt.Sprintf("%s-%d", workload, i), Address: a, Slots: slots})
	}
	c.say(t, &wire.ConnectResponse{Message: &wire.ConnectResponse_Endpoints{Endpoints: e}})
}

func (c *controller) hold(t *testing.T, h *wire.Hold) {
	c.say(t, &wire.ConnectResponse{Message: &wire.ConnectResponse_Hold{Hold: h}})
}

// await returns the first report of which yes is true.
func (c *controller) await(t *testing.T, what string, yes func(*wire.WorkloadReport) bool) *wire.WorkloadReport {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case m := <-c.said:
			for _, w := range m.GetReport().GetWorkloads() {
				if yes(w) {
					return w
				}
			}
		case <-limit:
			t.Fatalf("no report came with %s", what)
		}
	}
}

func queued(n uint32) func(*wire.WorkloadReport) bool {
	return func(w *wire.WorkloadReport) bool { return w.GetQueued() == n }
}

func shop(change ...func(*wire.Route)) *wire.Route {
	r := &wire.Route{Workload: "default/shop", Hosts: []string{"shop.test"}, HoldTimeout: durationpb.New(20 * time.Second)}
	for _, f := range change {
		f(r)
	}
	return r
}

// running is a gateway in a test; it is stopped, and must drain, at the test's end.
type running struct {
	*Gateway
	url    string
	client *http.Client
	stop   func() error
}

func startGateway(t *testing.T, link string, change ...func(*Config)) *running {
	t.Helper()
	c := Config{
		Name: "gw-test", Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Link: link, AllowLoopback: true,
		ReportEvery: 50 * time.Millisecond, DrainTimeout: 20 * time.Second,
	}
	for _, f := range change {
		f(&c)
	}
	g, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	r := &running{Gateway: g, url: "http://" + g.Addr().String(), client: &http.Client{Transport: transport}}
	r.stop = sync.OnceValue(func() error {
		transport.CloseIdleConnections()
		cancel()
		err := <-ended
		transport.CloseIdleConnections()
		return err
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("gateway ended with %v", err)
		}
	})
	return r
}

func (g *running) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "readyz says yes", func() bool {
		res, err := g.client.Get("http://" + g.AdminAddr().String() + "/readyz")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// eventually polls what no event tells.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !yes() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it never came that %s", what)
		}
	}
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	closes bool // the connection ends with this answer
	err    error
}

func (g *running) get(ctx context.Context, path string) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+path, nil)
	if err != nil {
		return answer{err: err}
	}
	return g.do(req)
}

func (g *running) do(req *http.Request) answer {
	if req.Host == "" || strings.HasPrefix(req.Host, "127.") {
		req.Host = "shop.test"
	}
	res, err := g.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(b), closes: res.Close, err: err}
}

func (g *running) start(ctx context.Context, path string) <-chan answer {
	out := make(chan answer, 1)
	go func() { out <- g.get(ctx, path) }()
	return out
}

func backend(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func address(s *httptest.Server) string { return s.Listener.Addr().String() }

func TestFromZero(t *testing.T) {
	c := startController(t, "127.0.0.1:0")
	g := startGateway(t, c.address)
	early := g.get(t.Context(), "/")
	if early.status != 503 || !strings.Contains(early.body, "no routes yet") {
		// The link may have been faster, but nothing was said on it.
		t.Fatalf("before any route: %+v", early)
	}
	c.routes(t, shop())
	g.awaitReady(t)
	heldFor, notHeld := uint64(0), uint64(0)
	held := g.start(t.Context(), "/hello?a=1;b&c")
	first := c.await(t, "one queued", queued(1))
	if first.GetArrivals() != 1 || first.GetOldestWait() == nil {
		t.Errorf("report of the first request: %v", first)
	}
	pod := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Forwarded-For"))
	})
	c.endpoints(t, "default/shop", 1, address(pod))
	a := <-held
	if a.err != nil || a.status != 200 || a.body != "shop.test /hello?a=1;b&c 127.0.0.1" {
		t.Fatalf("answer: %+v", a)
	}
	if a.header.Get("X-Wholescale-Held") == "" {
		t.Error("a held request has no X-Wholescale-Held")
	}
	if b := g.get(t.Context(), "/"); b.status != 200 || b.header.Get("X-Wholescale-Held") != "" {
		t.Errorf("second request: %+v", b)
	}
	checkStages(t, g)
	c.await(t, "one that waited and one that did not", func(r *wire.WorkloadReport) bool {
		waited := uint64(0)
		for bin, n := range r.GetWaits() {
			if bin > 0 {
				waited += n
			}
		}
		heldFor += waited
		notHeld += append(r.GetWaits(), 0)[0]
		return heldFor == 1 && notHeld == 1
	})
}

func checkStages(t *testing.T, g *running) {
	t.Helper()
	var s stages
	eventually(t, "the record is complete", func() bool {
		res, err := g.client.Get("http://" + g.AdminAddr().String() + "/requests")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		return s.End != 0
	})
	steps := []int64{1, s.Arrived, s.QueuedReport, s.Endpoint, s.Probed, s.Released, s.FirstByte, s.End}
	if !slices.IsSorted(steps) {
		t.Errorf("stages out of order: %+v", s)
	}
	if s.Status != 200 || s.Pod != "default/shop-0" || s.Workload != "default/shop" {
		t.Errorf("stages: %+v", s)
	}
}
