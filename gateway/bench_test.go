package gateway

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wholescale/wholescale/api/wire"
)

const connections = 64

// BenchmarkProxy has 64 connections ask without pause. cpu-us/op is the CPU time of the whole process; client and pod are
// as lean as can be (fixed bytes over TCP), and what they alone cost is "bare". So the proxy's own cost is the difference.
func BenchmarkProxy(b *testing.B) {
	pod := leanPod(b)
	b.Run("bare", func(b *testing.B) { hammer(b, pod) })
	b.Run("reverseproxy", func(b *testing.B) {
		target, err := url.Parse("http://" + pod)
		if err != nil {
			b.Fatal(err)
		}
		p := httputil.NewSingleHostReverseProxy(target)
		p.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
		p.BufferPool = &buffers{}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
		go func() { _ = s.Serve(l) }()
		defer s.Close()
		defer p.Transport.(*http.Transport).CloseIdleConnections()
		hammer(b, l.Addr().String())
	})
	b.Run("gateway", func(b *testing.B) {
		g, err := Listen(Config{Name: "bench", Listen: "127.0.0.1:0", Link: "127.0.0.1:1", AllowLoopback: true, DrainTimeout: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		g.hub.setRoutes(&wire.Routes{Routes: []*wire.Route{{Workload: "default/shop", Hosts: []string{"shop.test"}}}})
		g.hub.setEndpoints(&wire.Endpoints{Workload: "default/shop", Pods: []*wire.Endpoint{{Pod: "p", Address: pod, Slots: connections}}}, time.Now())
		for g.hub.list()[0].usage().probed == 0 {
			time.Sleep(time.Millisecond)
		}
		hammer(b, g.Addr().String())
	})
}

// leanPod answers each request with the same bytes.
func leanPod(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					for {
						line, err := in.ReadSlice('\n')
						if err != nil {
							return
						}
						if len(line) == 2 {
							break
						}
					}
					if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func hammer(b *testing.B, address string) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var conns []net.Conn
	for range connections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() {
			in := bufio.NewReader(conn)
			for left.Add(-1) >= 0 {
				if _, err := io.WriteString(conn, "GET /path HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"); err != nil {
					b.Error(err)
					return
				}
				if line, err := in.ReadSlice('\n'); err != nil || string(line) != "HTTP/1.1 200 OK\r\n" {
					b.Errorf("%q, %v", line, err)
					return
				}
				for {
					line, err := in.ReadSlice('\n')
					if err != nil {
						b.Error(err)
						return
					}
					if len(line) == 2 {
						break
					}
				}
				if _, err := in.Discard(5); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
