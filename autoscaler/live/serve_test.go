package live

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// noon is when all that tests show happens.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// sample is a loop in which a burst for cart came half an hour ago, and one is under way.
func sample() Source {
	h := &History{}
	at := func(second int) Totals {
		x := float64(second)
		burst := math.Exp(-math.Pow((x-1800)/300, 2)) + 0.8*math.Exp(-math.Pow((x-3600)/120, 2))
		t := Totals{At: noon.Add(time.Duration(second-3600) * time.Second), Rate: 20 + 200*burst, InFlight: int(4 + 40*burst)}
		t.Wanted = 2 + int(9*burst)
		t.Ready = min(t.Wanted, 2+int(9*math.Exp(-math.Pow((x-1815)/300, 2))))
		t.Starting, t.Held = t.Wanted-t.Ready, 7*(t.Wanted-t.Ready)
		t.NodesReady = 1 + t.Ready/4
		t.NodesComing = max(0, 1+t.Wanted/4-t.NodesReady)
		t.Price = 0.12 * float64(t.NodesReady+t.NodesComing)
		t.Waste = t.Price * (0.6 - 0.4*burst)
		return t
	}
	for s := range 3601 {
		h.Add(at(s))
	}
	now := Picture{
		Totals: at(3600), MoreNodes: 3,
		Workloads: []Workload{
			{ID: "shop/cart", State: "waking", Rate: 180, Held: 49, InFlight: 36, Wanted: 9, Ready: 2, Starting: 7, Price: 0.21, Hope: "CapacityArriving: room for 10 at 12:00:04",
				Why: []string{"QueuedDemand: 85 held or in flight now / 10 per pod", "StableDemand: 21.7 in flight on average (stable window) / 7 per pod"}},
			{ID: "shop/search", State: "serving", Rate: 3, InFlight: 1, Wanted: 1, Ready: 1, Price: 0.03, Why: []string{"PanicDemand: 0.4 in flight on average (panic window) / 7 per pod"}},
			{ID: "ml/train", State: "no room", Wanted: 1, Unplaced: 1, Why: []string{"MinBound: at least 1"}},
			{ID: "shop/<b>admin</b>", State: "idle", Why: []string{"NoDemand: nothing held or in flight over the window"}},
		},
		Nodes: []Node{
			{ID: "spot-1", Pool: "spot", Phase: "ready", Pods: 5, CPU: 0.8, Memory: 0.4, Price: 0.12, Waste: 0.02, Why: "in use"},
			{ID: "spot-2", Pool: "spot", Phase: "draining", Pods: 1, CPU: 0.2, Memory: 0.1, Price: 0.12, Waste: 0.1, Why: "Draining: 1 pods still to leave"},
			{ID: "spot/ordered-2", Pool: "spot", Phase: "coming", Price: 0.12, Waste: 0.12, Why: "expected at 12:00:35"},
		},
		Pools: []Pool{{ID: "spot", From: 2, Target: 3, Most: 20, Price: 0.12, Why: "PlacementShort: 1 more for pods that fit nowhere"}, {ID: "gpu", Most: 4, Why: "RoomEnough: all pods have room on what is there or coming"}},
	}
	decisions := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range []string{
			`{"at":"2026-01-02T11:59:46Z","scales":[{"workload":"shop/cart","from":4,"to":9,"why":[{"rule":"QueuedDemand","says":"85 held or in flight now / 10 per pod"}]}],"orders":[{"pool":"spot","from":2,"to":3,"why":[{"rule":"PlacementShort","says":"1 more for pods that fit nowhere"}]}]}`,
			`{"at":"2026-01-02T11:59:50Z","holds":[{"workload":"shop/cart","why":{"rule":"CapacityArriving","says":"room for 10 at 12:00:04"}}]}`,
		} {
			_, _ = w.Write([]byte(e + "\n"))
		}
	})
	return Source{Now: func() (Picture, bool) { return now, true }, History: h, Decisions: decisions}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, bad := range []string{"0.0.0.0:0", ":9095", "10.0.0.1:9095", "example.com:9095", "9095", "[::]:0"} {
		if l, err := Listen(bad); err == nil {
			_ = l.Close()
			t.Errorf("%q is served", bad)
		}
	}
	for _, good := range []string{"127.0.0.1:0", "localhost:0", "127.3.2.1:0"} {
		l, err := Listen(good)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}

func TestWhoMayAsk(t *testing.T) {
	h := Handler(sample())
	for _, c := range []struct {
		host, site, path, method string
		want                     int
	}{
		{"127.0.0.1:9095", "", "/now", "GET", 200},
		{"localhost:9095", "same-origin", "/history", "GET", 200},
		{"[::1]:9095", "none", "/", "GET", 200},
		{"rebound.example:9095", "", "/now", "GET", 403},
		{"10.0.0.1", "", "/", "GET", 403},
		{"127.0.0.1:9095", "cross-site", "/now", "GET", 403},
		{"127.0.0.1:9095", "same-site", "/decisions", "GET", 403},
		{"127.0.0.1:9095", "", "/now", "POST", 405},
		{"127.0.0.1:9095", "", "/state", "GET", 404},
		{"127.0.0.1:9095", "", "/history?since=noon", "GET", 400},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		r.Host = c.host
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
			t.Errorf("%+v: policy %q", c, p)
		}
	}
}

func TestThereMayBeNothingToShow(t *testing.T) {
	h := Handler(Source{Now: func() (Picture, bool) { return Picture{}, false }, History: &History{}, Decisions: http.NotFoundHandler()})
	for path, want := range map[string]int{"/now": 503, "/history": 200, "/": 200} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "127.0.0.1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || path == "/history" && strings.TrimSpace(w.Body.String()) != "[]" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestHistoryIsAnHour(t *testing.T) {
	h := &History{}
	for i := range 5000 {
		h.Add(Totals{At: noon.Add(time.Duration(i) * time.Second), Held: i})
		h.Add(Totals{At: noon.Add(time.Duration(i)*time.Second + time.Millisecond), Held: -i}) // of the same second: the last one counts
	}
	all := h.Since(time.Time{})
	if len(all) != 3600 || all[0].Held != -1400 || all[3599].Held != -4999 {
		t.Errorf("%d points from %d to %d", len(all), all[0].Held, all[len(all)-1].Held)
	}
	for i := 1; i < len(all); i++ {
		if !all[i].At.After(all[i-1].At) {
			t.Fatalf("point %d is not after the one before", i)
		}
	}
	if some := h.Since(all[3589].At); len(some) != 10 {
		t.Errorf("%d points since then, want 10", len(some))
	}
	if _, err := json.Marshal(all[0]); err != nil {
		t.Error(err)
	}
}
