package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrCut is returned by Run when requests were still open at the end of DrainTimeout and were cut off.
var ErrCut = errors.New("requests were cut off at the end of the drain timeout")

// Gateway is a gateway whose ports are open. Make it with Listen, and call Run once.
type Gateway struct {
	config Config
	hub    *hub
	proxy  *proxy
	link   *link

	plain, secure, admin net.Listener // nil when not configured
	servers              []*http.Server
	open                 atomic.Int64    // client connections, without upgraded ones
	requests             context.Context // ends when requests are cut off
	cut                  context.CancelCauseFunc
}

// Listen checks the configuration and opens the ports. An error says which port is taken.
func Listen(c Config) (*Gateway, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	g := &Gateway{config: c, hub: newHub(c)}
	h := g.hub
	g.link = &link{hub: h, since: time.Now(), finish: make(chan struct{})}
	g.proxy = &proxy{hub: h, refuser: refuser{fallback: c.RetryAfter}, log: quiet(c.Logger)}
	for i, h2c := range []bool{false, true} {
		g.proxy.protocol[i] = newTransport(c, h.allowed, h2c)
		h.probeWith[i] = probeBy(newTransport(c, h.allowed, h2c))
	}
	g.requests, g.cut = context.WithCancelCause(context.Background())
	for _, port := range []struct {
		field, address string
		into           *net.Listener
	}{{"Listen", c.Listen, &g.plain}, {"ListenTLS", c.ListenTLS, &g.secure}, {"Admin", c.Admin, &g.admin}} {
		if port.address == "" {
			continue
		}
		l, err := net.Listen("tcp", port.address)
		if err != nil {
			g.closePorts()
			return nil, fmt.Errorf("gateway.Config.%s: listen on %s (is another process there? choose another port): %w",
				port.field, port.address, err)
		}
		*port.into = l
	}
	return g, nil
}

func (g *Gateway) closePorts() {
	for _, l := range []net.Listener{g.plain, g.secure, g.admin} {
		if l != nil {
			_ = l.Close() // nothing was served on it
		}
	}
}

// Addr is where HTTP without TLS is served; nil when it is not.
func (g *Gateway) Addr() net.Addr { return addr(g.plain) }

// AddrTLS is where HTTP over TLS is served; nil when it is not.
func (g *Gateway) AddrTLS() net.Addr { return addr(g.secure) }

// AdminAddr is where the admin endpoints are; nil when there are none.
func (g *Gateway) AdminAddr() net.Addr { return addr(g.admin) }

func addr(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// Run serves until ctx ends, then drains: /readyz says no; new requests are taken for DrainDelay; then no more are
// accepted, and those that are held or in flight get DrainTimeout; then the controller gets the last figures and
// Goodbye. It returns nil when all requests ended by themselves, ErrCut when some were cut off, and at once with an
// error when a port breaks.
func (g *Gateway) Run(ctx context.Context) error {
	failed := make(chan error, 3)
	var serving sync.WaitGroup
	serve := func(l net.Listener, s *http.Server, secure bool) {
		if l == nil {
			return
		}
		g.servers = append(g.servers, s)
		serving.Go(func() {
			err := s.Serve
			if secure {
				err = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
			}
			if err := err(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
		})
	}
	if g.plain != nil {
		serve(clientListener{g.plain}, g.server(false), false)
	}
	if g.secure != nil {
		serve(clientListener{g.secure}, g.server(true), true)
	}
	admin := &http.Server{Handler: g.adminHandler(), ReadHeaderTimeout: g.config.ReadHeaderTimeout}
	public := len(g.servers)
	if g.admin != nil {
		serve(g.admin, admin, false)
	}
	linkCtx, stopLink := context.WithCancel(context.Background())
	var linking sync.WaitGroup
	linking.Go(func() { g.link.run(linkCtx) })
	tracing, stopTraces := context.WithCancel(context.Background())
	serving.Go(func() {
		g.config.Traces.Run(tracing, func(err error) { g.config.Logger.Warn("spans are lost", zap.Error(err)) })
	})

	var err error
	select {
	case <-ctx.Done():
		err = g.drain(g.servers[:public])
	case err = <-failed:
		g.cut(refuseStopping)
		for _, s := range g.servers[:public] {
			_ = s.Close() // the error to tell is the port's
		}
		g.proxy.handlers.Wait()
	}
	close(g.link.finish)
	end := time.AfterFunc(2*goodbyeWait, stopLink)
	linking.Wait()
	end.Stop()
	stopLink()
	g.hub.close()
	stopTraces()
	_ = admin.Close() // its answers matter to nobody any more
	serving.Wait()
	for _, t := range g.proxy.protocol {
		t.(*http.Transport).CloseIdleConnections()
	}
	return err
}

// server is a public listener's; secure adds HTTP/2 by ALPN, otherwise HTTP/2 is spoken to clients that begin with it.
func (g *Gateway) server(secure bool) *http.Server {
	c := g.config
	s := &http.Server{
		Handler:           g.proxy,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    c.MaxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: c.MaxStreams, WriteByteTimeout: c.AnswerIdleTimeout},
		Protocols:         new(http.Protocols),
		ConnContext:       withConn,
		ConnState:         g.count,
		BaseContext:       func(net.Listener) context.Context { return g.requests },
		ErrorLog:          quiet(c.Logger),
	}
	s.Protocols.SetHTTP1(true)
	if secure {
		s.Protocols.SetHTTP2(true)
		s.TLSConfig = c.TLS.Clone()
		s.TLSConfig.NextProtos = nil // net/http fills in what Protocols says
	} else {
		s.Protocols.SetUnencryptedHTTP2(true)
	}
	return s
}

func (g *Gateway) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		g.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		g.open.Add(-1)
	}
}

// settleTime is for busy HTTP/1.1 clients to be told "Connection: close" in an answer: a connection that is closed while
// the next request is under way on it loses that request.
const settleTime = 500 * time.Millisecond

// settle goes on accepting for DrainDelay, and for settleTime as long as there are client connections.
func (g *Gateway) settle() {
	begin := time.Now()
	time.Sleep(g.config.DrainDelay)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for g.open.Load() > 0 && time.Since(begin) < settleTime {
		<-tick.C
	}
}

// drain ends the public servers and reports whether requests had to be cut off.
func (g *Gateway) drain(servers []*http.Server) error {
	c := g.config
	c.Logger.Info("draining", zap.Duration("delay", c.DrainDelay), zap.Duration("timeout", c.DrainTimeout))
	g.proxy.draining.Store(true)
	g.settle()
	if g.shutDown(servers, c.DrainTimeout) {
		return nil
	}
	g.hub.refuseAll(refuseStopping)
	g.cut(refuseStopping)
	g.shutDown(servers, cutTime) // what does not end even then is closed
	for _, s := range servers {
		_ = s.Close() // the error to tell is ErrCut
	}
	g.proxy.handlers.Wait()
	return ErrCut
}

// cutTime is for requests that are cut off to be told so.
const cutTime = time.Second

// shutDown stops accepting, closes idle connections and waits until all requests ended; it reports whether they did.
func (g *Gateway) shutDown(servers []*http.Server, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() { _ = s.Shutdown(ctx) }) // the only error there can be is ctx's
	}
	all.Wait()
	if ctx.Err() != nil {
		return false
	}
	ended := make(chan struct{})
	go func() { // ends at the latest when the requests are cut off
		defer close(ended)
		g.proxy.handlers.Wait() // upgraded connections, which Shutdown does not wait for
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}
