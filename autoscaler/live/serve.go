package live

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/wholescale/wholescale/autoscaler/live/plot"
)

//go:embed assets
var assets embed.FS

// Source is where the page's figures come from.
type Source struct {
	// Now is the picture of the last decision; false while there is none, as when another process leads.
	Now func() (Picture, bool)
	// History is the last hour.
	History *History
	// Decisions serves what was decided, as JSON lines; it knows ?since=.
	Decisions http.Handler
}

// Listen opens the page's address. It must be on loopback: the page has no authentication of its own.
func Listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the live page's address %q is no host:port: %w", address, err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the live page's address %q is not on loopback, and the page asks nobody who he is: say 127.0.0.1:PORT, and reach it from elsewhere by kubectl port-forward", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for the live page on %s (is another process there? choose another with --live-address): %w", address, err)
	}
	return l, nil
}

// policy lets nothing in that is not from this server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page and its figures.
func Handler(s Source) http.Handler {
	mux := http.NewServeMux()
	text := func(path, kind, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			_, _ = w.Write([]byte(body)) // a reader that went away
		})
	}
	text("/{$}", "text/html", asset("live.html"))
	text("/live.css", "text/css", plot.Style()+"\n"+asset("live.css"))
	text("/live.js", "text/javascript", asset("live.js"))
	text("/plot.js", "text/javascript", plot.Script())
	mux.HandleFunc("GET /now", func(w http.ResponseWriter, _ *http.Request) {
		p, ok := s.Now()
		if !ok {
			http.Error(w, "this controller does not lead, or has not decided yet", http.StatusServiceUnavailable)
			return
		}
		answer(w, p)
	})
	mux.HandleFunc("GET /history", func(w http.ResponseWriter, r *http.Request) {
		since := time.Time{}
		if text := r.URL.Query().Get("since"); text != "" {
			var err error
			if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
				http.Error(w, "since must be a time such as 2026-01-02T15:04:05Z", http.StatusBadRequest)
				return
			}
		}
		answer(w, s.History.Since(since))
	})
	mux.Handle("GET /decisions", s.Decisions)
	return guarded(mux)
}

// guarded refuses what a page of somebody else's could ask for in a person's browser: another host's name that was made to
// lead here, and requests that come from another site.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if err := ours(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func ours(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && host != "[::1]" && (err != nil || !ip.IsLoopback()) {
		return errors.New("the live page answers to loopback names alone")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" && r.URL.Path != "/" {
		return errors.New("the live page answers to itself alone")
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // finite numbers and strings; a reader that went away
}

func asset(name string) string {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return string(b)
}
