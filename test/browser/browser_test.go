package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// The page's script comes late, as on a machine with much to do, and what it writes later still.
func TestAPageIsAwaited(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>late</title><body><script src="/script"></script><p id="read">read</p>`)
	})
	mux.HandleFunc("/script", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Second): // the event is the slowness itself
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, `setTimeout(() => document.body.insertAdjacentHTML("beforeend", "<p id=written>written</p>"), 500)`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := Open(t, server.URL)
	if got := b.Eval(`document.getElementById("read").textContent`); got != "read" {
		t.Errorf("a loaded page has %q", got)
	}
	b.Until(`document.getElementById("written").textContent === "written"`)
}
