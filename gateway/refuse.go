package gateway

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is why a request gets no answer from a pod. Values are shared and never changed.
type refusal struct {
	status  int     // 404, 405, 502, 503, 504, or 499 when the client left and nobody reads the answer
	outcome outcome // for the metrics
	reason  string  // one sentence for people
	// by is when capacity is expected; zero means unknown. Only 503 and 504 say it.
	by time.Time
	// page shows it to a person, who need do nothing: the page asks again by itself.
	page bool
}

func (r *refusal) Error() string { return r.reason }

var (
	refuseNoRoutes  = &refusal{status: http.StatusServiceUnavailable, outcome: outcomeRefused, reason: "no routes yet: the gateway has not heard from the controller"}
	refuseNoRoute   = &refusal{status: http.StatusNotFound, outcome: outcomeRefused, reason: "no route for this host and path"}
	refuseConnect   = &refusal{status: http.StatusMethodNotAllowed, outcome: outcomeRefused, reason: "CONNECT is not served"}
	refuseQueueFull = &refusal{status: http.StatusServiceUnavailable, outcome: outcomeRefused, reason: "the queue of this workload is full"}
	refuseAllFull   = &refusal{status: http.StatusServiceUnavailable, outcome: outcomeRefused, reason: "the gateway's queue is full"}
	refuseStopping  = &refusal{status: http.StatusServiceUnavailable, outcome: outcomeRefused, reason: "the gateway is stopping"}
	refuseRemoved   = &refusal{status: http.StatusServiceUnavailable, outcome: outcomeRefused, reason: "the route was removed while the request was held"}
	refuseGone      = &refusal{status: 499, outcome: outcomeGone, reason: "the client left"}
	refuseForNow    = &refusal{status: http.StatusServiceUnavailable, outcome: outcomePage, reason: "it is being started", page: true}
	refuseUnread    = &refusal{status: 499, outcome: outcomeGone, reason: "the client left the answer unread"}
	refuseBody      = &refusal{status: http.StatusBadRequest, outcome: outcomeGone, reason: "the body of the request broke off"}
	refuseBroken    = &refusal{status: http.StatusBadGateway, outcome: outcomeFailed, reason: "the pod broke off before it answered"}
	refuseSlow      = &refusal{status: http.StatusGatewayTimeout, outcome: outcomeFailed, reason: "the pod did not begin to answer within the route's response timeout"}
)

// retryAfter is whole seconds from now, at least 1 and at most an hour.
func retryAfter(by, now time.Time, fallback time.Duration) string {
	d := fallback
	if !by.IsZero() {
		d = by.Sub(now)
	}
	return strconv.Itoa(int(min(max(math.Ceil(d.Seconds()), 1), 3600)))
}

// refuser writes refusals.
type refuser struct {
	fallback time.Duration // Retry-After when nothing is known
}

func (f refuser) write(w http.ResponseWriter, r *http.Request, why *refusal) {
	h := w.Header()
	if why.status == http.StatusServiceUnavailable || why.status == http.StatusGatewayTimeout {
		h.Set("Retry-After", retryAfter(why.by, time.Now(), f.fallback))
	}
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		writeGRPC(w, why)
		return
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if why.page {
		writePage(w, why)
		return
	}
	body := why.reason + "\n"
	if strings.Contains(r.Header.Get("Accept"), "json") {
		h.Set("Content-Type", "application/json")
		b, _ := json.Marshal(map[string]any{"status": why.status, "reason": why.reason}) // cannot fail: a number and a string
		body = string(b) + "\n"
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(why.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // a client that is gone needs no answer
	}
}

// writeGRPC says the same in a trailers-only answer: gRPC clients hide the text of any other.
func writeGRPC(w http.ResponseWriter, why *refusal) {
	code := "14" // UNAVAILABLE
	if why.status == http.StatusNotFound || why.status == http.StatusMethodNotAllowed {
		code = "12" // UNIMPLEMENTED
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", code)
	h.Set("Grpc-Message", percentEncode(why.reason))
	w.WriteHeader(http.StatusOK)
}

// percentEncode is gRPC's: printable ASCII but '%' stays.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
