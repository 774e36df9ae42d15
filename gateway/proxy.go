package gateway

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/api/wire/trace"
)

// proxy is the handler of the public listeners.
type proxy struct {
	hub      *hub
	protocol [2]http.RoundTripper // by route.h2c
	refuser  refuser
	buffers  buffers
	log      *log.Logger // for ReverseProxy
	draining atomic.Bool
	handlers sync.WaitGroup
}

// unreached is a dial that failed: no byte of the request was sent, so it may go elsewhere.
type unreached struct{ err error }

func (u *unreached) Error() string { return "no connection to the pod: " + u.err.Error() }
func (u *unreached) Unwrap() error { return u.err }

// newTransport speaks one protocol to pods: HTTP/1.1, or HTTP/2 without TLS. It follows no redirects, uses no proxy from
// the environment, and dials only addresses that pods may have.
func newTransport(c Config, allowed addresses, h2c bool) *http.Transport {
	dialer := &net.Dialer{Timeout: c.DialTimeout, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := allowed.check(address); err != nil {
				return nil, err
			}
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, &unreached{err}
			}
			return conn, nil
		},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    c.IdlePerPod,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		Protocols:              new(http.Protocols),
	}
	if h2c {
		t.Protocols.SetUnencryptedHTTP2(true)
		// A pod that vanished without a word is noticed by an unanswered ping.
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	} else {
		t.Protocols.SetHTTP1(true)
	}
	return t
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.handlers.Add(1)
	defer p.handlers.Done()
	if p.draining.Load() && r.ProtoMajor == 1 && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
	if r.Method == http.MethodConnect {
		p.turnAway(w, r, refuseConnect)
		return
	}
	t := p.hub.table.Load()
	if t == nil {
		p.turnAway(w, r, refuseNoRoutes)
		return
	}
	e := t.find(r.Host, r.URL)
	if e == nil {
		p.turnAway(w, r, refuseNoRoute)
		return
	}
	x := &exchange{proxy: p, workload: e.workload, route: e.route, in: r, w: w}
	x.serve()
}

// turnAway refuses a request that belongs to no workload.
func (p *proxy) turnAway(w http.ResponseWriter, r *http.Request, why *refusal) {
	p.hub.counts.turnedAway(why)
	p.refuser.write(w, r, why)
}

// exchange is the life of one request: arrive, perhaps wait, be forwarded, end. It is the RoundTripper of its own
// ReverseProxy, so that a request whose pod could not be dialled goes back to the line with its body untouched.
type exchange struct {
	proxy    *proxy
	workload *workload
	route    *route
	in       *http.Request
	w        http.ResponseWriter
	cancel   context.CancelCauseFunc
	forward  httputil.ReverseProxy
	body     *clientBody // nil when the request has none

	arrived  time.Time
	released time.Time
	waited   time.Duration // sum of its waits
	pod      *pod          // its slot is taken for this request; nil while it waits
	waiter   *waiter       // nil when it never waited
	how      outcome
	status   int
}

func (x *exchange) serve() {
	ctx, cancel := context.WithCancelCause(x.in.Context())
	x.cancel = cancel
	defer cancel(nil)
	x.in = x.in.WithContext(ctx)
	x.body = newClientBody(x.w, x.in, x.proxy.hub.config.BodyIdleTimeout)
	defer x.body.done() // after end: a slow client does not keep the slot
	answer := newClientAnswer(x.w, x.proxy.hub.config.AnswerIdleTimeout, func() { cancel(refuseUnread) })
	defer answer.done(x.in)
	x.w = answer
	x.how = outcomeFailed
	x.arrived = time.Now()
	pod, waiter, no := x.workload.arrive(x.route, x.arrived)
	defer x.end()
	if waiter != nil {
		x.body.peek()
		no = x.wait(waiter)
	} else if pod != nil {
		x.release(pod, x.arrived)
	}
	if no != nil {
		x.refuse(no)
		return
	}
	x.forward = httputil.ReverseProxy{
		Rewrite:       x.rewrite,
		Transport:     x,
		FlushInterval: flushKnown,
		BufferPool:    &x.proxy.buffers,
		ErrorHandler:  func(_ http.ResponseWriter, _ *http.Request, err error) { x.broke(err) },
		ErrorLog:      x.proxy.log,
	}
	w := x.w
	if x.in.Header.Get("Expect") != "" {
		w = continued{w}
	}
	x.forward.ServeHTTP(w, x.in)
}

// continued keeps a pod's 100 Continue from the client. It is between two neighbours: that the pod wants the body makes
// the transport read it, and the first read makes our server say 100 to the client, once.
type continued struct{ http.ResponseWriter }

func (c continued) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c continued) WriteHeader(status int) {
	if status != http.StatusContinue {
		c.ResponseWriter.WriteHeader(status)
	}
}

// flushKnown is how long bytes of an answer with a known length may stay in the buffer: small ones then cost one write
// and no timer that fires. What has no length, and event streams, ReverseProxy passes on at once.
const flushKnown = 2 * time.Millisecond

// wait holds the request until it has a pod; the refusal says why it got none.
func (x *exchange) wait(wt *waiter) *refusal {
	x.pod, x.waiter = nil, wt
	from := time.Now()
	defer func() { x.waited += time.Since(from) }()
	limit, page := x.route.holdTimeout, x.wantsPage()
	if page {
		limit = min(limit, x.route.waitingPage)
	}
	timer := time.NewTimer(time.Until(x.arrived.Add(limit)))
	defer timer.Stop()
	var v verdict
	select {
	case v = <-wt.verdict:
	case <-x.in.Context().Done():
		if x.workload.hub.queue.leave(wt) {
			return refuseGone
		}
		v = <-wt.verdict // came at the same moment; end gives the slot back
	case <-timer.C:
		switch {
		case !x.workload.hub.queue.leave(wt):
		case page:
			return refuseForNow
		default:
			return x.workload.expired(x.route.holdTimeout)
		}
		v = <-wt.verdict
	}
	if v.pod != nil {
		x.release(v.pod, time.Now())
	}
	return v.refusal
}

func (x *exchange) release(p *pod, now time.Time) { x.pod, x.released = p, now }

// rewrite makes the request that goes to the pod: the same, with X-Forwarded-* of the gateway's own knowledge. The query
// is passed on byte for byte, since the gateway gives it no meaning.
func (x *exchange) rewrite(r *httputil.ProxyRequest) {
	if x.proxy.hub.config.TrustForwarded {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}
	r.SetXForwarded()
	if proto := r.In.Header.Get("X-Forwarded-Proto"); proto != "" && x.proxy.hub.config.TrustForwarded {
		r.Out.Header.Set("X-Forwarded-Proto", proto)
	}
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	r.Out.URL.Scheme = "http"
	r.Out.Trailer = r.In.Trailer // the map itself: the client's trailers are in it once its body has been read
	r.Out.Host = r.In.Host
}

// RoundTrip sends the request to its pod, and to another one as long as no pod could be dialled.
func (x *exchange) RoundTrip(out *http.Request) (*http.Response, error) {
	var transport = x.proxy.protocol[0]
	if x.route.h2c {
		transport = x.proxy.protocol[1]
	}
	for {
		try := out.WithContext(out.Context())
		address := *out.URL
		address.Host = x.pod.address
		try.URL = &address
		if out.Body != nil {
			try.Body = keepOpen{out}
		}
		stop := x.limitSilence()
		res, err := transport.RoundTrip(try)
		stop()
		if err == nil {
			x.answered(res)
			return res, nil
		}
		var dial *unreached
		if !errors.As(err, &dial) || x.in.Context().Err() != nil {
			return nil, err
		}
		if no := x.again(); no != nil {
			return nil, no
		}
	}
}

// limitSilence gives up when the pod does not begin to answer in time.
func (x *exchange) limitSilence() (stop func()) {
	if x.route.responseTimeout == 0 {
		return func() {}
	}
	t := time.AfterFunc(x.route.responseTimeout, func() { x.cancel(refuseSlow) })
	return func() { t.Stop() }
}

// again puts the request back to its place in the line after its pod could not be dialled.
func (x *exchange) again() *refusal {
	now := time.Now()
	x.proxy.hub.counts.redialled.Add(1)
	wt := x.waiter
	if wt == nil {
		wt = newWaiter(x.arrived, x.proxy.hub.records.add(x.workload.name, x.arrived))
	}
	p := x.pod
	x.pod, x.waiter = nil, wt
	x.workload.unreachable(p, wt, now)
	return x.wait(wt)
}

// answered notes the first byte of the pod's answer.
func (x *exchange) answered(res *http.Response) {
	x.how, x.status = outcomeAnswered, res.StatusCode
	if len(res.Trailer) > 0 && x.in.ProtoMajor == 1 {
		res.Header.Del("Content-Length") // HTTP/1.1 has trailers only after chunks
		res.ContentLength = -1
	}
	if res.ContentLength == 0 {
		// A flush before the end would part the head from the end of the stream, which gRPC's answers without a message
		// ("trailers-only") must have in one.
		x.forward.FlushInterval = 0
	}
	if x.waiter == nil {
		return
	}
	x.tellHeld(res.Header)
	now := time.Now().UnixNano()
	x.waiter.record.write(func(s *stages) { s.FirstByte = now })
}

func (x *exchange) tellHeld(h http.Header) {
	h.Set("X-Wholescale-Held", strconv.FormatInt(x.waited.Milliseconds(), 10))
}

// broke answers for a pod that did not.
func (x *exchange) broke(err error) {
	var no *refusal
	switch cause := context.Cause(x.in.Context()); {
	case errors.As(err, &no):
	case errors.Is(cause, refuseSlow):
		no = refuseSlow
	case errors.Is(cause, refuseStopping):
		no = refuseStopping
	case errors.Is(cause, refuseUnread):
		no = refuseUnread
	case x.body.broken(): // before the next, as it ends the request's context, too
		no = refuseBody
	case cause != nil:
		no = refuseGone
	default:
		no = refuseBroken
		x.proxy.hub.config.Logger.Info("a pod broke off", zap.String("workload", x.workload.name),
			zap.String("pod", x.pod.name), zap.Error(err))
	}
	x.refuse(no)
}

func (x *exchange) refuse(no *refusal) {
	x.how, x.status = no.outcome, no.status
	clear(x.w.Header()) // what a pod said before it broke off is not part of this answer
	if x.proxy.draining.Load() || (x.body != nil && !x.body.ended.Load()) {
		x.w.Header().Set("Connection", "close")
	}
	if x.waiter != nil {
		x.tellHeld(x.w.Header())
	}
	x.proxy.refuser.write(x.w, x.in, x.workload.explain(no, time.Now()))
}

// end counts the one outcome of the request and hands its slot on. It runs also when the answer broke off in the middle,
// which ReverseProxy tells by a panic.
func (x *exchange) end() {
	now := time.Now()
	var service time.Duration
	if x.pod != nil {
		service = now.Sub(x.released)
	}
	x.workload.leave(x.pod, now, service, x.how)
	if c, ok := x.in.Context().Value(connKey{}).(*clientConn); ok {
		c.count(x.how, now.Sub(x.arrived))
	}
	x.proxy.hub.arrived.add(x.workload.name, x.arrived, service, x.status)
	if x.waiter == nil {
		return
	}
	x.proxy.hub.counts.held(x.waited)
	x.trace(now)
	x.waiter.record.write(func(s *stages) { s.End, s.Status = now.UnixNano(), x.status })
}

// trace tells of a request that was held first: how long it was held, and how long the pod had it.
func (x *exchange) trace(now time.Time) {
	hold := x.waiter.trace
	if !hold.Valid() {
		return
	}
	words := map[string]string{"wholescale.workload": x.workload.name, "http.request.method": x.in.Method, "wholescale.outcome": outcomes[x.how]}
	numbers := map[string]int{"http.response.status_code": x.status}
	root := trace.Span{Name: "gateway.hold", Context: hold, From: x.arrived, To: now, Words: words, Numbers: numbers}
	if from, ok := trace.Parse(x.in.Header.Get("Traceparent")); ok {
		words["wholescale.client_trace"] = from.Header()
	}
	if x.pod == nil {
		root.Failed = outcomes[x.how]
		x.proxy.hub.config.Traces.Send(root)
		return
	}
	root.To = x.released
	x.proxy.hub.config.Traces.Send(root)
	x.proxy.hub.config.Traces.Send(trace.Span{
		Name: "gateway.proxy", Context: hold.Child(), Parent: hold.Span, From: x.released, To: now,
		Words: map[string]string{"wholescale.workload": x.workload.name, "k8s.pod.name": x.pod.name, "http.request.method": x.in.Method}, Numbers: numbers,
	})
}

// keepOpen keeps a failed dial from closing the body that the next try sends.
type keepOpen struct{ *http.Request }

func (k keepOpen) Read(p []byte) (int, error) { return k.Body.Read(p) }
func (k keepOpen) Close() error               { return nil }

// buffers is the memory through which answers are copied.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10 // as io.Copy uses

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(p []byte) {
	if len(p) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(p))
	}
}
