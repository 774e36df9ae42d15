package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wholescale/wholescale/api/wire"
)

// attacker speaks HTTP/2 by hand to the gateway's port without TLS.
type attacker struct {
	net.Conn
	*http2.Framer
	head *hpack.Encoder
	text bytes.Buffer
}

func attack(t *testing.T, g *running, settings ...http2.Setting) *attacker {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // an attack that nothing ends fails the test
	a := &attacker{Conn: conn, Framer: http2.NewFramer(conn, conn)}
	a.head = hpack.NewEncoder(&a.text)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := a.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return a
}

// request is the head of a GET.
func (a *attacker) request() []byte {
	a.text.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "shop.test"}, {":path", "/"}} {
		_ = a.head.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // to memory
	}
	return a.text.Bytes()
}

// TestHTTP2Floods: each of these clients loses its connection, or costs no more than its own traffic; nothing of it is left
// in the line, no memory is kept, and somebody else is answered meanwhile.
func TestHTTP2Floods(t *testing.T) {
	floods := []struct {
		name string
		// step does one bit of harm; after most of them the connection must have ended, unless allowed.
		step func(a *attacker, i int) error
		most int
		// reads says that the attacker reads what it is told; the others leave that in the way.
		reads bool
		// allowed is a flood that costs no more than a client may cost anyway: the connection stays.
		allowed bool
	}{
		{"rapid reset", func(a *attacker, i int) error {
			id := uint32(2*i + 1)
			if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: a.request(), EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return a.WriteRSTStream(id, http2.ErrCodeCancel)
		}, 50_000, true, false},
		{"more streams than allowed", func(a *attacker, i int) error {
			return a.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: a.request(), EndHeaders: true, EndStream: true})
		}, 50_000, true, true},
		{"made you reset", func(a *attacker, i int) error {
			id := uint32(2*i + 1)
			if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: a.request(), EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return a.WriteRawFrame(http2.FrameWindowUpdate, 0, id, []byte{0, 0, 0, 0})
		}, 50_000, false, false},
		{"continuations without end", func(a *attacker, i int) error {
			if i == 0 {
				return a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.request(), EndStream: true})
			}
			a.text.Reset()
			_ = a.head.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 1000)}) // to memory
			return a.WriteContinuation(1, false, a.text.Bytes())
		}, 50_000, true, false},
		{"pings that nobody reads", func(a *attacker, _ int) error { return a.WritePing(false, [8]byte{}) }, 100_000, false, true},
		{"settings that nobody reads", func(a *attacker, _ int) error {
			return a.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		}, 100_000, false, true},
	}
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			c, g := ready(t, shop(), func(c *Config) { c.AnswerIdleTimeout = 200 * time.Millisecond })
			c.routes(t, shop(), &wire.Route{Workload: "default/other", Hosts: []string{"other.test"}})
			c.endpoints(t, "default/other", 0, address(backend(t, ok)))
			before := memory()
			a := attack(t, g)
			if f.reads {
				go func() { _, _ = io.Copy(io.Discard, a.Conn) }() // ends with the connection
			}
			var err error
			for i := 0; i < f.most && err == nil; i++ {
				if err = f.step(a, i); i == 1000 {
					if got := g.other(t); got.status != http.StatusOK {
						t.Errorf("somebody else meanwhile: %+v", got)
					}
				}
			}
			if f.allowed {
				if n := g.hub.queue.len(); n > 250 {
					t.Errorf("%d are held of one connection", n)
				}
				_ = a.Close() // the client leaves
			} else {
				if err == nil {
					_, err = io.Copy(io.Discard, a.Conn)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the connection is still open: %v", err)
				}
			}
			eventually(t, "nothing is held", func() bool { return g.hub.queue.len() == 0 })
			if grown := memory() - before; grown > 64<<20 {
				t.Errorf("%d MiB more memory than before", grown>>20)
			}
		})
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func (g *running) other(t *testing.T) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "other.test"
	return g.do(req)
}

// TestUnknownFramesAreIgnored: RFC 9113 section 4.1 wants it, and clients send them (GREASE).
func TestUnknownFramesAreIgnored(t *testing.T) {
	c, g := ready(t, shop())
	c.endpoints(t, "default/shop", 0, address(backend(t, ok)))
	a := attack(t, g)
	for kind := http2.FrameType(0x0a); kind <= 0x0f; kind++ {
		if err := a.WriteRawFrame(kind, 0xff, 0, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.request(), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := a.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := frame.(*http2.DataFrame); ok && string(d.Data()) == "ok" {
			return
		}
	}
}

// TestUnreadAnswerFreesTheSlot: a client that takes nothing of its answer loses it, not the others a slot.
func TestUnreadAnswerFreesTheSlot(t *testing.T) {
	much := bytes.Repeat([]byte("much "), 4<<20)
	for name, stall := range map[string]func(*testing.T, *running){
		"HTTP/1.1": func(t *testing.T, g *running) {
			conn, err := net.Dial("tcp", g.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		},
		"HTTP/2 with a window of 0": func(t *testing.T, g *running) {
			a := attack(t, g, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.request(), EndHeaders: true, EndStream: true}); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, a.Conn) }() // ends with the connection
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, g := ready(t, shop(), func(c *Config) { c.AnswerIdleTimeout = 50 * time.Millisecond })
			asked := make(chan struct{}, 10)
			c.endpoints(t, "default/shop", 1, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				if r.URL.Path == "/small" {
					ok(w, r)
					return
				}
				_, _ = w.Write(much) // breaks off
			})))
			stall(t, g)
			<-asked
			if a := g.get(t.Context(), "/small"); a.status != http.StatusOK {
				t.Errorf("the next: %+v", a)
			}
		})
	}
}

// TestEventsMayBeFarApart: time in which the pod has nothing to say is not the client's.
func TestEventsMayBeFarApart(t *testing.T) {
	const idle = 20 * time.Millisecond
	for name, protocol := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2":   func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			c, g := ready(t, shop(), func(c *Config) { c.AnswerIdleTimeout = idle })
			c.endpoints(t, "default/shop", 1, address(backend(t, func(w http.ResponseWriter, r *http.Request) {
				for range 3 {
					_, _ = io.WriteString(w, "event ")
					w.(http.Flusher).Flush()
					pause(r.Context(), 5*idle)
				}
			})))
			transport := &http.Transport{Protocols: new(http.Protocols)}
			protocol(transport.Protocols)
			defer transport.CloseIdleConnections()
			g.client = &http.Client{Transport: transport}
			if a := g.get(t.Context(), "/"); a.err != nil || a.body != "event event event " {
				t.Errorf("%+v", a)
			}
		})
	}
}

// pause is the pod's silence: real time is what the test is about.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// TestSlowHeadIsCut: slowloris.
func TestSlowHeadIsCut(t *testing.T) {
	_, g := ready(t, shop(), func(c *Config) { c.ReadHeaderTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Slow"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}
