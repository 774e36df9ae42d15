package workload

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// maxPaths bounds what /count keeps by path; the rest is counted as "other".
const maxPaths = 1000

// ServeHTTP answers HTTP/1.1, h2c and, over h2c, grpc.health.v1.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		h.limited(h.grpc.ServeHTTP)(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// wish is what a request asks of its own answer, as query ?ms= or header X-Ms; the query wins.
func wish(r *http.Request, name string) string {
	if value := r.URL.Query().Get(name); value != "" {
		return value
	}
	return r.Header.Get("X-" + name)
}

func number(r *http.Request, name string, fallback, limit int) int {
	n, err := strconv.Atoi(wish(r, name))
	if err != nil || n < 0 {
		return fallback
	}
	return min(n, limit)
}

// limited counts the request and keeps to the limit.
func (h *Handler) limited(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Pod", h.config.Pod)
		if !h.enter(r) {
			http.Error(w, "over the limit of requests at once", http.StatusServiceUnavailable)
			return
		}
		defer h.leave(r.URL.Path)
		next(w, r)
	}
}

// enter takes a slot; false means that there is none, or that the client went away while it waited.
func (h *Handler) enter(r *http.Request) bool {
	if h.slots != nil {
		select {
		case h.slots <- struct{}{}:
		default:
			h.mu.Lock()
			h.count.OverLimit++
			h.mu.Unlock()
			if !h.config.Queue {
				return false
			}
			select {
			case h.slots <- struct{}{}:
			case <-r.Context().Done():
				return false
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	h.count.MaxConcurrent = max(h.count.MaxConcurrent, h.now)
	return true
}

func (h *Handler) leave(path string) {
	h.mu.Lock()
	h.now--
	h.count.Served++
	if _, known := h.count.ByPath[path]; !known && len(h.count.ByPath) >= maxPaths {
		path = "other"
	}
	h.count.ByPath[path]++
	h.mu.Unlock()
	if h.slots != nil {
		<-h.slots
	}
}

func (h *Handler) failed() {
	h.mu.Lock()
	h.count.Failures++
	h.mu.Unlock()
}

// answer: ?ms=120 works that long, ?size=1000 bytes of body, ?status=503, ?abort=before (no answer) or during (half of
// the body), ?trailer=x sends a trailer X-Sum: x.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) {
	// HTTP/1.1 servers close a connection whose body they did not read.
	_, _ = io.Copy(io.Discard, r.Body)
	h.serviceTime(r)
	status := number(r, "status", http.StatusOK, 599)
	if status < 200 {
		status = http.StatusOK
	}
	abort := wish(r, "abort")
	if abort != "" || status >= 500 {
		h.failed()
	}
	if abort == "before" {
		panic(http.ErrAbortHandler)
	}
	trailer := wish(r, "trailer")
	if trailer != "" {
		w.Header().Set("Trailer", "X-Sum")
	}
	body := []byte("pod " + h.config.Pod + "\n")
	if size := number(r, "size", -1, 64<<20); size >= 0 {
		body = []byte(strings.Repeat("x", size))
	}
	w.Header().Set("Content-Type", "text/plain")
	if abort == "during" {
		w.Header().Set("Content-Length", strconv.Itoa(2*len(body)+1))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away needs no more
	if abort == "during" {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if trailer != "" {
		w.Header().Set("X-Sum", trailer)
	}
}

func (h *Handler) serviceTime(r *http.Request) {
	d := h.config.ServiceTime
	if ms := number(r, "ms", -1, 3_600_000); ms >= 0 {
		d = time.Duration(ms) * time.Millisecond
	}
	sleep(r.Context(), d)
}

// stream sends ?chunks=n lines, one ?every=10ms, each flushed.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request) {
	every, err := time.ParseDuration(wish(r, "every"))
	if err != nil {
		every = 10 * time.Millisecond
	}
	h.serviceTime(r)
	w.Header().Set("Content-Type", "text/plain")
	for i := range number(r, "chunks", 10, 1_000_000) {
		if i > 0 && !sleep(r.Context(), every) {
			return
		}
		if _, err := fmt.Fprintf(w, "chunk %d\n", i); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// echo sends back what comes as it comes, in both directions at once.
func (h *Handler) echo(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		_ = control.EnableFullDuplex() // without it the body is read first, which is an echo, too
	}
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buffer)
		if n > 0 {
			if _, wrote := w.Write(buffer[:n]); wrote != nil {
				return
			}
			if control.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// webSocket echoes messages until the client closes or the server drains.
func (h *Handler) webSocket(w http.ResponseWriter, r *http.Request) {
	connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = connection.Close(websocket.StatusGoingAway, "the pod ends") }()
	connection.SetReadLimit(1 << 20)
	for {
		kind, message, err := connection.Read(h.sockets)
		if err != nil {
			return
		}
		if err := connection.Write(h.sockets, kind, message); err != nil {
			return
		}
	}
}

func (h *Handler) serveReady(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	ready := h.ready
	h.mu.Unlock()
	if !ready {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *Handler) serveCount(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(h.Count()) // a client that went away needs no more
}

// Count is what happened so far.
func (h *Handler) Count() Count {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := h.count
	count.Pod = h.config.Pod
	count.ByPath = maps.Clone(count.ByPath)
	return count
}
