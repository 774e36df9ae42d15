package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestArrivalsAreTheLastOnes whatever is asked for: those after a number that are still there, in their order.
func TestArrivalsAreTheLastOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := arrivals{size: rapid.IntRange(1, 8).Draw(t, "size")}
		n := rapid.IntRange(0, 30).Draw(t, "n")
		for i := range n {
			a.add("w", at(i), time.Millisecond, 200)
		}
		after := rapid.IntRange(0, n).Draw(t, "after")
		got := a.after(uint64(after))
		first := max(after, n-a.size) + 1
		if len(got) != n-first+1 {
			t.Fatalf("%d after %d of %d, the last %d of which are kept", len(got), after, n, a.size)
		}
		for i, v := range got {
			if int(v.Number) != first+i || v.UnixNano != at(first+i-1).UnixNano() {
				t.Fatalf("place %d has %+v, not number %d", i, v, first+i)
			}
		}
	})
}

func TestArrivalsSayNothingOfWhatWasAsked(t *testing.T) {
	a := arrivals{size: 2}
	a.add("shop/web", at(1), 0, 503)
	w := httptest.NewRecorder()
	a.serve(w, httptest.NewRequest(http.MethodGet, "/arrivals", nil))
	var fields map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil || len(fields) != 4 || fields["workload"] != "shop/web" || fields["status"] != 503.0 {
		t.Errorf("%s: number, workload, time and status, and nothing else", w.Body)
	}
	w = httptest.NewRecorder()
	a.serve(w, httptest.NewRequest(http.MethodGet, "/arrivals?after=x", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("after=x is answered with %d", w.Code)
	}
	off := arrivals{}
	off.add("shop/web", at(1), 0, 503)
	w = httptest.NewRecorder()
	off.serve(w, httptest.NewRequest(http.MethodGet, "/arrivals", nil))
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "--arrivals") || off.ring != nil {
		t.Errorf("nothing was asked to be kept: %d %s", w.Code, w.Body)
	}
}
