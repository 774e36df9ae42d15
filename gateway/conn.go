package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// clientConn is a client's connection, which can be sealed: nothing is read from it any more.
type clientConn struct {
	net.Conn
	sealed atomic.Bool
	// whims are the requests that were taken back as soon as they were made, less those that were answered.
	whims atomic.Int64
}

// Rapid reset (CVE-2023-44487) is to make requests and take them back at once, which costs the client next to nothing.
const (
	whimTime  = 100 * time.Millisecond
	mostWhims = 1000
)

// count notes how a request of this connection ended, and closes a connection that takes too many of them back at once.
func (c *clientConn) count(how outcome, after time.Duration) {
	switch {
	case how == outcomeGone && after < whimTime:
		if c.whims.Add(1) > mostWhims {
			_ = c.Close() // closed already is as good
		}
	case how == outcomeAnswered && c.whims.Load() > 0:
		c.whims.Add(-1)
	}
}

func (c *clientConn) Read(p []byte) (int, error) {
	if c.sealed.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

func (c *clientConn) seal() {
	c.sealed.Store(true)
	_ = c.Conn.SetReadDeadline(time.Now()) // wakes a read that waits; refused only when the connection is closed
}

// clientListener makes clientConns.
type clientListener struct{ net.Listener }

func (l clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: conn}, nil
}

type connKey struct{}

// withConn is an http.Server's ConnContext, through which a request finds its connection.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if c, ok := conn.(*clientConn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}
