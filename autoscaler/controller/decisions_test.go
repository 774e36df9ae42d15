package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/story"
)

var ten = time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)

// decide is a decision that is news each time that n is another one.
func decide(n int) autoscaler.Decision {
	return autoscaler.Decision{At: ten.Add(time.Duration(n) * time.Second), Scales: []autoscaler.Scale{
		{Workload: "demo/cart", From: n, To: n + 1, Why: []autoscaler.Reason{{Rule: autoscaler.QueuedDemand, Observed: 7, Bound: 1, Result: n + 1}}},
	}}
}

// asked is what /decisions answers.
func asked(t *testing.T, d *decisions, query string) []story.Entry {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/decisions"+query, nil))
	entries, bad, err := story.Read(w.Body)
	if w.Code != http.StatusOK || bad != 0 || err != nil {
		t.Fatalf("%d, %d bad lines, %v", w.Code, bad, err)
	}
	return entries
}

func TestDecisionsKeepsWhatIsNewsAndIsBounded(t *testing.T) {
	d := newDecisions(zap.NewNop())
	for range 3 {
		d.note(decide(1), "tick")
	}
	if got := asked(t, d, ""); len(got) != 1 || got[0].Scales[0].To != 2 || got[0].Cause != "tick" {
		t.Errorf("%+v", got)
	}
	for n := range 3 * decisionsKept {
		d.note(decide(n), "tick")
	}
	got := asked(t, d, "")
	if len(got) != decisionsKept || got[len(got)-1].Scales[0].From != 3*decisionsKept-1 || got[0].Scales[0].From != 2*decisionsKept {
		t.Errorf("%d entries, from %+v", len(got), got[0].Scales)
	}
	long := strings.Repeat("x", decisionBytes/4)
	for n := range 9 {
		big := decide(n)
		big.Scales[0].Why[0] = autoscaler.Reason{Rule: autoscaler.Blocked, Subject: long}
		d.note(big, "tick")
	}
	if d.bytes > decisionBytes || len(d.kept) == 0 {
		t.Errorf("%d bytes in %d entries", d.bytes, len(d.kept))
	}
	sum := 0
	for _, l := range d.kept {
		sum += len(l.line)
	}
	if sum != d.bytes {
		t.Errorf("%d bytes are counted, and %d kept", d.bytes, sum)
	}
}

func TestDecisionsSince(t *testing.T) {
	d := newDecisions(zap.NewNop())
	for n := range 10 {
		d.note(decide(n), "tick")
	}
	if got := asked(t, d, "?since="+url.QueryEscape(ten.Add(7*time.Second).Format(time.RFC3339))); len(got) != 3 {
		t.Errorf("%d entries", len(got))
	}
	if got := asked(t, d, "?since="+time.Since(ten.Add(-time.Hour)).Round(time.Second).String()); len(got) != 10 {
		t.Errorf("%d entries", len(got))
	}
	for _, wrong := range []string{"soon", "-5m", "10"} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/decisions?since="+wrong, nil))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "such as 10m") {
			t.Errorf("%s: %d %s", wrong, w.Code, w.Body)
		}
	}
}

// written notes decisions, lets them be written and ends.
func written(t *testing.T, folder string, most int64, from, to int) *decisions {
	t.Helper()
	d := newDecisions(zap.NewNop())
	file, err := d.open(folder)
	if err != nil {
		t.Fatal(err)
	}
	file.most = most
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.write(ctx, file) }()
	for n := from; n < to; n++ {
		d.note(decide(n), "tick")
	}
	cancel()
	<-ended
	return d
}

func TestDecisionsSurviveARestart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "log")
	written(t, folder, journalFileBytes, 0, 5)
	second := written(t, folder, journalFileBytes, 5, 8)
	if got := asked(t, second, ""); len(got) != 8 || got[0].Scales[0].From != 0 || got[7].Scales[0].From != 7 {
		t.Errorf("%+v", got)
	}
	info, err := os.Stat(filepath.Join(folder, journalName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestATornLastLineIsCutOff(t *testing.T) {
	folder := t.TempDir()
	written(t, folder, journalFileBytes, 0, 3)
	path := filepath.Join(folder, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The process is killed at any byte of its last write.
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for _, cut := range []int{last + 1, last + (len(whole)-last)/2, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		d := written(t, folder, journalFileBytes, 7, 8)
		got := asked(t, d, "")
		if len(got) != 3 || got[1].Scales[0].From != 1 || got[2].Scales[0].From != 7 {
			t.Errorf("cut at %d: %+v", cut, got)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if entries, bad, err := story.Read(bytes.NewReader(text)); len(entries) != 3 || bad != 0 || err != nil {
			t.Errorf("cut at %d: the file has %d entries, %d bad lines, %v", cut, len(entries), bad, err)
		}
	}
}

func TestTheFileIsRotatedAndBounded(t *testing.T) {
	folder := t.TempDir()
	const most = 2000
	for n := 0; n < 100; n += 10 {
		written(t, folder, most, n, n+10)
	}
	list, err := os.ReadDir(folder)
	if err != nil || len(list) != journalFiles {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, f := range list {
		if info, err := f.Info(); err != nil || info.Size() > most || info.Size() == 0 {
			t.Errorf("%s: %d bytes, %v", f.Name(), info.Size(), err)
		}
	}
	got := asked(t, written(t, folder, most, 100, 101), "")
	for i, e := range got {
		if want := 101 - len(got) + i; e.Scales[0].From != want {
			t.Errorf("entry %d is of %d, not %d", i, e.Scales[0].From, want)
		}
	}
	if len(got) < 10 {
		t.Errorf("%d entries were read back", len(got))
	}
}

// Each file tells all by itself: what has not changed since stands at its beginning again.
func TestANewFileBeginsComplete(t *testing.T) {
	d := newDecisions(zap.NewNop())
	still := autoscaler.Scale{Workload: "demo/still", From: 1, To: 1, Why: []autoscaler.Reason{{Rule: autoscaler.MinBound}}}
	with := func(n int) autoscaler.Decision {
		x := decide(n)
		x.Scales = append(x.Scales, still)
		return x
	}
	d.note(with(1), "tick")
	d.note(with(2), "tick")
	d.turned.Store(true)
	d.note(with(3), "tick")
	got := asked(t, d, "")
	if len(got) != 3 || len(got[1].Scales) != 1 || len(got[2].Scales) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestAFileThatCannotBeWrittenIsSaidAndHarmsNothing(t *testing.T) {
	folder := t.TempDir()
	file := &journalFile{folder: folder, most: journalFileBytes}
	if _, err := file.open(1); err != nil {
		t.Fatal(err)
	}
	file.close()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := file.put([]byte("x\n")); err == nil {
		t.Error("the folder is gone, and nobody noticed")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := file.put([]byte("y\n")); err != nil {
		t.Errorf("it is there again: %v", err)
	}
	file.close()
	if text, err := os.ReadFile(file.path(0)); string(text) != "y\n" {
		t.Errorf("%q, %v", text, err)
	}
	blocked := filepath.Join(folder, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newDecisions(zap.NewNop()).open(blocked); err == nil || !strings.Contains(err.Error(), "--decision-log") {
		t.Errorf("%v", err)
	}
}

// A queue that is full loses lines of the file alone, and says so once.
func TestASlowDiskHoldsNothingUp(t *testing.T) {
	d := newDecisions(zap.NewNop())
	d.lines = make(chan []byte, 1)
	for n := range 5 {
		d.note(decide(n), "tick")
	}
	if got := asked(t, d, ""); len(got) != 5 || d.lost.Load() != 4 {
		t.Errorf("%d entries, %d lost", len(got), d.lost.Load())
	}
}

func TestAdminAnswers(t *testing.T) {
	p := &process{registry: prometheus.NewRegistry(), decisions: newDecisions(zap.NewNop())}
	p.decisions.note(decide(3), "queue")
	p.journal.add(action{Kind: "scale", Subject: "demo/cart"})
	server := httptest.NewServer(p.admin())
	defer server.Close()
	get := func(method, path string) (int, string) {
		request, err := http.NewRequest(method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() // read to its end
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, path string
		code         int
		holds        string
	}{
		{"GET", "/healthz", 200, "ok"}, {"GET", "/readyz", 503, "not leading"}, {"GET", "/state", 503, "not leading"},
		{"GET", "/actions", 200, `"demo/cart"`}, {"GET", "/decisions", 200, `"rule":"QueuedDemand"`}, {"GET", "/decisions?since=never", 400, "since=never"},
		{"POST", "/decisions", 405, ""}, {"GET", "/metrics", 200, ""}, {"GET", "/other", 404, ""},
	} {
		if code, text := get(c.method, c.path); code != c.code || !strings.Contains(text, c.holds) {
			t.Errorf("%s %s: %d %q", c.method, c.path, code, text)
		}
	}
	l := &loop{state: autoscaler.State{Now: ten}}
	p.leading.Store(l)
	if code, text := get("GET", "/state"); code != 200 || !strings.HasPrefix(text, "now 2026-01-01T10:00:00Z") {
		t.Errorf("%d %q", code, text)
	}
	var e story.Entry
	if _, text := get("GET", "/decisions?since="+url.QueryEscape(ten.Format(time.RFC3339))); json.Unmarshal([]byte(text), &e) != nil || e.Scales[0].From != 3 || fmt.Sprint(e.At) != fmt.Sprint(ten.Add(3*time.Second)) {
		t.Errorf("%s", text)
	}
}
