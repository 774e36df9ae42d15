package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecordMakesATraceForSimulate with a gateway that overwrote a part before it was asked.
func TestRecordMakesATraceForSimulate(t *testing.T) {
	began := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	line := func(number int, workload string, at time.Duration, service time.Duration, status int) string {
		return fmt.Sprintf(`{"number":%d,"workload":%q,"arrivedUnixNano":%d,"serviceNano":%d,"status":%d}`+"\n", number, workload, began.Add(at).UnixNano(), service, status)
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch after := r.URL.Query().Get("after"); {
		case r.URL.Path != "/arrivals":
			http.NotFound(w, r)
		case after == "0":
			fmt.Fprint(w, line(5, "shop/web", 2*time.Second, 30*time.Millisecond, 200), line(6, "shop/web", time.Second, 1500*time.Millisecond, 200))
		case after == "6": // 7 and 8 are lost
			fmt.Fprint(w, line(9, "shop/pay", 3*time.Second, 0, 503))
		}
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "traffic.trace")
	var out, errs bytes.Buffer
	code := run([]string{"record", "--gateway", strings.TrimPrefix(server.URL, "http://"), "--for", "50ms", "--every", "10ms", "--out", path}, &out, &errs)
	if code != 0 || asked < 2 || !strings.Contains(errs.String(), "recorded 3 requests; 2 were overwritten") {
		t.Fatalf("exit %d after %d questions: %s", code, asked, errs.String())
	}
	text, said, code := simulated(t, path, "-o", "json")
	var got map[string]map[string]float64
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != 0 || got["wholescale"]["requests"] != 3 || got["wholescale"]["answered"] != 3 {
		t.Errorf("exit %d, %v: %s%s", code, err, text, said)
	}
}

func TestRecordSaysWhatIsWrong(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "arrivals are not kept: give --arrivals a number above 0", http.StatusNotFound)
	}))
	var out, errs bytes.Buffer
	address := strings.TrimPrefix(server.URL, "http://")
	if code := run([]string{"record", "--gateway", address, "--for", "50ms"}, &out, &errs); code != exitFailed || out.Len() > 0 || !strings.Contains(errs.String(), "--arrivals") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	server.Close()
	errs.Reset()
	if code := run([]string{"record", "--gateway", address, "--for", "50ms"}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "did not answer") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
