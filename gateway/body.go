package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// peekSize is how much of a held request's body is read ahead. net/http notices that an HTTP/1.1 client left only once the
// body has been read, so without this a small POST whose client gave up would stay in the line and count as demand.
const peekSize = 8 << 10

// clientBody is the body of an HTTP/1.1 request: its client must not fall silent for longer than idle. The nil value is
// of a request without a body, or of HTTP/2, where the protocol tells both.
type clientBody struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
	conn    *clientConn // nil in tests without one
	expects bool        // the client waits for "100 Continue", which the first read sends

	touched atomic.Bool // a read began
	ended   atomic.Bool // read to its end
	failed  atomic.Bool // the client broke it off, fell silent, or sent nonsense
	ahead   chan ahead  // holds one; nil when nothing is read ahead
	rest    ahead       // what of that has not been read yet
	took    bool
}

type ahead struct {
	bytes []byte
	err   error
}

// newClientBody puts itself in the place of r.Body.
func newClientBody(w http.ResponseWriter, r *http.Request, idle time.Duration) *clientBody {
	if r.Body == nil || r.Body == http.NoBody || r.ProtoMajor != 1 {
		return nil
	}
	b := &clientBody{
		ReadCloser: r.Body, control: http.NewResponseController(w), idle: idle, expects: r.Header.Get("Expect") != "",
	}
	b.conn, _ = r.Context().Value(connKey{}).(*clientConn)
	// HTTP/1.1 may stream both ways at once; without this the server swallows the body before the answer's first byte.
	_ = b.control.EnableFullDuplex() // refused only by writers that are not net/http's, which need it not
	r.Body = b
	return b
}

func (b *clientBody) Read(p []byte) (int, error) {
	if b.ahead != nil {
		if !b.took {
			b.rest, b.took = <-b.ahead, true
		}
		if len(b.rest.bytes) > 0 {
			n := copy(p, b.rest.bytes)
			b.rest.bytes = b.rest.bytes[n:]
			if len(b.rest.bytes) == 0 && b.rest.err != nil {
				return n, b.rest.err
			}
			return n, nil
		}
		if b.rest.err != nil {
			return 0, b.rest.err
		}
	}
	return b.read(p)
}

func (b *clientBody) read(p []byte) (int, error) {
	b.touched.Store(true)
	_ = b.control.SetReadDeadline(time.Now().Add(b.idle)) // refused only when the connection is closed: the read says so
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
		_ = b.control.SetReadDeadline(time.Time{}) // the server now watches the connection, for which no time is too long
	default:
		b.failed.Store(true)
	}
	return n, err
}

// peek begins to read ahead, in a goroutine that ends with the first bytes that come, the body, or the connection.
func (b *clientBody) peek() {
	if b == nil || b.expects {
		return
	}
	b.ahead = make(chan ahead, 1)
	go func() {
		var got ahead
		buf := make([]byte, 512)
		for len(got.bytes) < peekSize && got.err == nil {
			var n int
			n, got.err = b.read(buf[:min(len(buf), peekSize-len(got.bytes))])
			got.bytes = append(got.bytes, buf[:n]...)
		}
		b.ahead <- got
	}()
}

// broken reports whether the client failed to send the body.
func (b *clientBody) broken() bool { return b != nil && b.failed.Load() }

// done ends the body after the answer. What the client still sends is swallowed for a moment, so that it gets to read the
// answer; if that is not all, the connection is sealed: the rest of a body must never be taken for a next request.
func (b *clientBody) done() {
	if b == nil || b.ended.Load() {
		return
	}
	_ = b.control.Flush() // a client that is gone needs no answer
	// A client that waits for "100 Continue" sends nothing more after a final answer.
	if !b.failed.Load() && (!b.expects || b.touched.Load()) {
		_ = b.control.SetReadDeadline(time.Now().Add(lingerTime))
		if n, err := io.CopyN(io.Discard, b.ReadCloser, lingerBytes); n < lingerBytes && errors.Is(err, io.EOF) {
			_ = b.control.SetReadDeadline(time.Time{})
			return
		}
	}
	if b.conn == nil {
		return
	}
	b.conn.seal()
	// Closed here and not by net/http after the handler: at the body's end it begins to watch the connection, and would
	// then, in full duplex, do so while it already reads the next request.
	_ = b.ReadCloser.Close()
}

// As net/http does for answers that come before the end of a body.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)
