package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wholescale/wholescale/api/wire"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// TestWaitingPage: a browser gets the page when it was held as long as the route says, a program is held on, and both get the
// pod when it comes.
func TestWaitingPage(t *testing.T) {
	c, g := ready(t, shop(func(r *wire.Route) { r.WaitingPage = durationpb.New(20 * time.Millisecond) }))
	c.hold(t, &wire.Hold{Workload: "default/shop", Arrivals: []*wire.Arrival{{At: timestamppb.New(time.Now().Add(time.Hour)), Slots: 1}}})
	program := g.start(t.Context(), "/")
	c.await(t, "one queued", queued(1))
	ask := func() answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", browser)
		return g.do(req)
	}
	a := ask()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Content-Type") != "text/html; charset=utf-8" || a.header.Get("Retry-After") != "3600" ||
		!strings.Contains(a.body, `<meta http-equiv="refresh" content="5">`) || !strings.Contains(a.body, "It should answer in about 60 minutes.") {
		t.Errorf("answer: %+v", a)
	}
	c.endpoints(t, "default/shop", 0, address(backend(t, ok)))
	if a := <-program; a.status != http.StatusOK {
		t.Errorf("the program: %+v", a)
	}
	if a := ask(); a.body != "ok" {
		t.Errorf("the browser, again: %+v", a)
	}
}

func TestWhoIsShownThePage(t *testing.T) {
	for _, c := range []struct {
		name, method, accept, upgrade string
		after                         time.Duration
		want                          bool
	}{
		{"a browser", "GET", browser, "", time.Second, true},
		{"the route has no page", "GET", browser, "", 0, false},
		{"a program", "GET", "*/*", "", time.Second, false},
		{"JSON is wanted", "GET", "application/json", "", time.Second, false},
		{"a form", "POST", browser, "", time.Second, false},
		{"a WebSocket", "GET", browser, "websocket", time.Second, false},
	} {
		r, err := http.NewRequest(c.method, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", c.accept)
		r.Header.Set("Upgrade", c.upgrade)
		if got := (&exchange{in: r, route: &route{waitingPage: c.after}}).wantsPage(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestHowLongInWords(t *testing.T) {
	for left, want := range map[time.Duration]string{
		-time.Second: "", 0: "", 3 * time.Second: "in a few seconds", 41 * time.Second: "in about 50 seconds", 100 * time.Second: "in about 2 minutes",
	} {
		if got := inWords(left); got != want {
			t.Errorf("%v: %q, want %q", left, got, want)
		}
	}
}
