package gateway

import (
	"net/http"
	"time"
)

// clientAnswer is the way of an answer to its client, who must not leave it unread for longer than idle: one who opens
// many requests and reads none of the answers would keep the pods' slots. Time in which there is nothing to write, as
// between the events of a stream, does not count.
type clientAnswer struct {
	http.ResponseWriter
	idle    time.Duration
	patient *time.Timer // runs while a write is under way
}

// newClientAnswer calls slow, once, when the client takes nothing for idle.
func newClientAnswer(w http.ResponseWriter, idle time.Duration, slow func()) *clientAnswer {
	a := &clientAnswer{ResponseWriter: w, idle: idle}
	a.patient = time.AfterFunc(idle, func() {
		slow()
		// Ends the write that is stuck: HTTP/1.1 closes the connection, HTTP/2 the stream.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now()) // refused only when it is closed already
	})
	a.patient.Stop()
	return a
}

func (a *clientAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *clientAnswer) Write(p []byte) (int, error) {
	a.patient.Reset(a.idle)
	defer a.patient.Stop()
	return a.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController calls to flush.
func (a *clientAnswer) FlushError() error {
	a.patient.Reset(a.idle)
	defer a.patient.Stop()
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// done is for what net/http still has in its buffers when the handler has returned.
func (a *clientAnswer) done(r *http.Request) {
	a.patient.Stop()
	if r.ProtoMajor == 1 { // an HTTP/2 connection has its own limit, WriteByteTimeout
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.idle)) // a hijacked one needs none
	}
}
