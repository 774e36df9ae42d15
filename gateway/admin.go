package gateway

import (
	"io"
	"log"
	"net/http"

	"go.uber.org/zap"
)

// adminHandler is what operators and probes ask: /healthz (the process runs), /readyz (it has had routes and does not
// drain), /metrics (Prometheus), /requests (the last held requests, one JSON object a line) and /arrivals (the last requests
// that ended, if Config.Arrivals says so).
func (g *Gateway) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case g.proxy.draining.Load():
			say(w, http.StatusServiceUnavailable, refuseStopping.reason)
		case g.hub.table.Load() == nil:
			say(w, http.StatusServiceUnavailable, refuseNoRoutes.reason)
		default:
			say(w, http.StatusOK, "ok")
		}
	})
	mux.Handle("GET /metrics", metricsHandler(g.hub))
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		_ = g.hub.records.writeTo(w) // fails only when the reader is gone
	})
	mux.HandleFunc("GET /arrivals", g.hub.arrived.serve)
	return mux
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // fails only when the reader is gone
}

// quiet sends what net/http says of single connections, such as failed TLS handshakes, to the debug level: any client can
// cause it.
func quiet(l *zap.Logger) *log.Logger {
	out, err := zap.NewStdLogAt(l, zap.DebugLevel)
	if err != nil { // only for a level that zap does not know
		return log.New(io.Discard, "", 0)
	}
	return out
}
