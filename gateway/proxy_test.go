package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wholescale/wholescale/api/wire"
)

// serving starts a gateway whose one workload has one pod that answers with h.
func serving(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *running {
	t.Helper()
	c, g := ready(t, shop(), change...)
	c.endpoints(t, "default/shop", 0, address(backend(t, h)))
	g.awaitPod(t)
	return g
}

func (g *running) awaitPod(t *testing.T) {
	t.Helper()
	eventually(t, "the probe passed", func() bool { return g.hub.list()[0].usage().probed == 1 })
}

func h2cServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// h2cClient speaks HTTP/2 without TLS.
func h2cClient(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestProtocols(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, r.Trailer.Get("X-Client"), " ", r.Proto))
	}
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	t.Cleanup(cert.Close)
	for _, toPod := range []string{"HTTP/1.1", "HTTP/2.0"} {
		h2c := toPod == "HTTP/2.0"
		c, g := ready(t, shop(func(r *wire.Route) { r.H2C = h2c; r.ProbePath = "/" }), func(c *Config) {
			c.ListenTLS, c.TLS = "127.0.0.1:0", cert.TLS
		})
		pod := backend(t, echo)
		if h2c {
			pod = h2cServer(t, http.HandlerFunc(echo))
		}
		c.endpoints(t, "default/shop", 0, address(pod))
		g.awaitPod(t)
		secure := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		t.Cleanup(secure.CloseIdleConnections)
		for name, with := range map[string]struct {
			client *http.Client
			url    string
			proto  string
		}{
			"http/1.1": {g.client, g.url, "HTTP/1.1"},
			"h2c":      {h2cClient(t), g.url, "HTTP/2.0"},
			"h2":       {&http.Client{Transport: secure}, "https://" + g.AddrTLS().String(), "HTTP/2.0"},
		} {
			t.Run(name+" to "+toPod, func(t *testing.T) {
				req, _ := http.NewRequest(http.MethodPost, with.url, struct{ io.Reader }{strings.NewReader("12345")})
				req.Host = "shop.test"
				req.Trailer = http.Header{"X-Client": {"-end"}}
				res, err := with.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil || string(b) != "12345" || res.Proto != with.proto {
					t.Errorf("%s body %q, error %v", res.Proto, b, err)
				}
				if got, want := res.Trailer.Get("X-Sum"), "5-end "+toPod; got != want {
					t.Errorf("trailer %q, want %q", got, want)
				}
			})
		}
	}
}

func TestGRPC(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.H2C = true }))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pod := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-end", "yes"))
		return next(ctx, req)
	}))
	check := health.NewServer()
	check.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(pod, check)
	done := make(chan struct{})
	go func() { defer close(done); _ = pod.Serve(l) }()
	t.Cleanup(func() { pod.Stop(); <-done })

	conn, err := grpc.NewClient("passthrough:///"+g.Addr().String(), grpc.WithAuthority("shop.test"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)

	c.hold(t, &wire.Hold{Workload: "default/shop", Refuse: true, Reason: "nothing 100% fits"})
	eventually(t, "the refusal reaches the client with its reason", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "shop"})
		return status.Code(err) == codes.Unavailable && status.Convert(err).Message() == "nothing 100% fits"
	})
	c.hold(t, &wire.Hold{Workload: "default/shop"})
	c.endpoints(t, "default/shop", 10, l.Addr().String())
	g.awaitPod(t)

	var trailer metadata.MD
	res, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "shop"}, grpc.Trailer(&trailer))
	if err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING || len(trailer["x-end"]) != 1 {
		t.Fatalf("%v, trailer %v, error %v", res, trailer, err)
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "unknown"}); status.Code(err) != codes.NotFound {
		t.Errorf("error of the pod: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		if m, err := watch.Recv(); err != nil || m.GetStatus() != want {
			t.Fatalf("stream: %v, %v", m, err)
		}
		check.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
	}
}

func TestWebSocket(t *testing.T) {
	c, g := ready(t, shop())
	held := make(chan *websocket.Conn, 1)
	go func() {
		conn, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(g.url, "http"), &websocket.DialOptions{Host: "shop.test", HTTPClient: g.client})
		if err != nil {
			t.Error(err)
		} else if res.Header.Get("X-Wholescale-Held") == "" {
			t.Error("the upgrade was held and does not say so")
		}
		held <- conn
	}()
	c.await(t, "the upgrade queued", queued(1))
	c.endpoints(t, "default/shop", 1, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		for {
			kind, m, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if conn.Write(r.Context(), kind, append([]byte("echo "), m...)) != nil {
				return
			}
		}
	})))
	conn := <-held
	if conn == nil {
		return
	}
	for i := range 3 {
		if err := conn.Write(t.Context(), websocket.MessageText, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if _, m, err := conn.Read(t.Context()); err != nil || string(m) != fmt.Sprint("echo ", i) {
			t.Fatalf("%q, %v", m, err)
		}
	}
	c.await(t, "the open socket in flight", func(w *wire.WorkloadReport) bool { return len(w.GetPods()) == 1 && w.GetPods()[0].GetInFlight() == 1 })
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	eventually(t, "its slot is free", func() bool { return g.hub.list()[0].usage().inFlight == 0 })
}

// TestBodiesStreamBothWays has each side wait for what the other said last: nothing may be buffered.
func TestBodiesStreamBothWays(t *testing.T) {
	talk := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, "pod "+lines.Text()+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
	for _, h2c := range []bool{false, true} {
		t.Run(fmt.Sprint("h2c ", h2c), func(t *testing.T) {
			c, g := ready(t, shop(func(r *wire.Route) { r.H2C = h2c }))
			pod, client := backend(t, talk), g.client
			if h2c {
				pod, client = h2cServer(t, http.HandlerFunc(talk)), h2cClient(t)
			}
			c.endpoints(t, "default/shop", 0, address(pod))
			g.awaitPod(t)
			from, to := io.Pipe()
			req, _ := http.NewRequest(http.MethodPost, g.url, from)
			req.Host = "shop.test"
			go func() { _, _ = io.WriteString(to, "0\n") }()
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			lines := bufio.NewScanner(res.Body)
			for i := range 5 {
				if !lines.Scan() || lines.Text() != fmt.Sprint("pod ", i) {
					t.Fatalf("%q, %v", lines.Text(), lines.Err())
				}
				go func() { _, _ = fmt.Fprintln(to, i+1) }()
			}
			lines.Scan()
			_ = to.Close()
			for lines.Scan() {
			}
			if lines.Err() != nil {
				t.Error(lines.Err())
			}
		})
	}
}

func TestCancellationReachesThePod(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		t.Run(fmt.Sprint("h2c ", h2c), func(t *testing.T) {
			began, left := make(chan struct{}), make(chan struct{})
			wait := func(w http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				close(left)
			}
			c, g := ready(t, shop(func(r *wire.Route) { r.H2C = h2c }))
			pod := backend(t, wait)
			if h2c {
				pod = h2cServer(t, http.HandlerFunc(wait))
				g.client = h2cClient(t)
			}
			c.endpoints(t, "default/shop", 1, address(pod))
			ctx, cancel := context.WithCancel(t.Context())
			a := g.start(ctx, "/")
			<-began
			cancel()
			<-left
			<-a
			eventually(t, "the slot is free", func() bool { return g.hub.list()[0].usage().inFlight == 0 })
			if u := g.hub.list()[0].usage(); u.ended[outcomeGone] != 1 {
				t.Errorf("outcomes: %v", u.ended)
			}
		})
	}
}

func TestForwardedHeaders(t *testing.T) {
	tell := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), "|", r.Header.Get("X-Forwarded-Proto"), "|", r.Header.Get("X-Forwarded-Host"), "|", r.Header.Get("X-Hop"))
	}
	for trust, want := range map[bool]string{false: "127.0.0.1|http|shop.test|", true: "9.9.9.9, 127.0.0.1|https|shop.test|"} {
		g := serving(t, tell, func(c *Config) { c.TrustForwarded = trust })
		req, _ := http.NewRequest(http.MethodGet, g.url, nil)
		req.Header.Set("X-Forwarded-For", "9.9.9.9")
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("X-Hop", "1")
		req.Header.Set("Connection", "X-Hop")
		if a := g.do(req); a.body != want {
			t.Errorf("trust %v: %q, want %q", trust, a.body, want)
		}
	}
}

func TestRedirectsArePassedOn(t *testing.T) {
	g := serving(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	})
	g.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := g.get(t.Context(), "/"); a.status != http.StatusFound || a.header.Get("Location") != "http://169.254.169.254/latest" {
		t.Errorf("answer: %+v", a)
	}
}

// raw sends text on a connection of its own and returns all that comes back until the gateway closes it.
func (g *running) raw(t *testing.T, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, _ := io.ReadAll(conn)
	return string(b)
}

// TestSmuggling: each of these is refused, or means the same to the gateway and to the pod.
func TestSmuggling(t *testing.T) {
	g := serving(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "pod saw %s %s host=%s te=%v body=%q", r.Method, r.RequestURI, r.Host, r.TransferEncoding, b)
	})
	const end = "Connection: close\r\n"
	for _, c := range []struct{ name, send, want string }{
		{"length twice", "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n" + end + "\r\nabcd", " 400 "},
		{"length with sign", "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: +3\r\n" + end + "\r\nabc", " 400 "},
		{"unknown encoding", "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: xchunked\r\n" + end + "\r\n", " 501 "},
		{"folded encoding", "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding:\r\n chunked, identity\r\n" + end + "\r\n0\r\n\r\n", " 501 "},
		{"space before colon", "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length : 3\r\n" + end + "\r\nabc", " 400 "},
		{"two hosts", "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: other.test\r\n" + end + "\r\n", " 400 "},
		{"no host", "GET / HTTP/1.1\r\n" + end + "\r\n", " 400 "},
		{"bare LF in a chunk", "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n" + end + "\r\n3\nabc\r\n0\r\n\r\n", " 400 "},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n" + end + "\r\nzz\r\nabc\r\n0\r\n\r\n", " 400 "},
		{"connect", "CONNECT shop.test:80 HTTP/1.1\r\nHost: shop.test\r\n" + end + "\r\n", " 405 "},
		{
			"both lengths", "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n" + end + "\r\n3\r\nabc\r\n0\r\n\r\n",
			`te=[chunked] body="abc"`,
		},
		{"absolute form", "GET http://shop.test/a HTTP/1.1\r\nHost: other.test\r\n" + end + "\r\n", "pod saw GET /a host=shop.test"},
		{"odd query", "GET /?a=%zz;b=1&=& HTTP/1.1\r\nHost: shop.test\r\n" + end + "\r\n", "pod saw GET /?a=%zz;b=1&=& host=shop.test"},
		{"encoded slash", "GET /a%2Fb//c HTTP/1.1\r\nHost: shop.test\r\n" + end + "\r\n", "pod saw GET /a%2Fb//c host=shop.test"},
		{"foreign host", "GET / HTTP/1.1\r\nHost: xn--shp-0ra.test\r\n" + end + "\r\n", " 404 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.raw(t, c.send)
			if !strings.Contains(got, c.want) {
				t.Errorf("want %q in: %s", c.want, got)
			}
			if n := strings.Count(got, "HTTP/1.1 "); n != 1 {
				t.Errorf("%d answers: %s", n, got)
			}
		})
	}
}

// TestRestOfABodyIsNoRequest: the pod answers before the body came, the client never sends all of it, and what it sends
// later must not be taken for a request.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	g := serving(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // otherwise net/http awaits the body before it answers
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "pod "+r.URL.Path)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /first HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4000\r\n\r\n")
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "pod /first" {
		t.Fatalf("%q, %v", b, err)
	}
	eventually(t, "the slot is free though the body did not end", func() bool { return g.hub.list()[0].usage().inFlight == 0 })
	_, _ = io.WriteString(conn, "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if rest, err := io.ReadAll(answers); len(rest) != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the gateway answered what was the rest of a body, or keeps the connection: %q, %v", rest, err)
	}
}
