package controller

import (
	"testing"
	"time"
)

func TestWhatWeWroteStandsUntilTheInformerShowsIt(t *testing.T) {
	w, now := newWrittenScales(), time.Unix(1000, 0)
	if got := w.current("ns/w", 3, now); got != 3 {
		t.Errorf("%d before any write", got)
	}
	w.writing("ns/w", 5, now)
	w.wrote("ns/w", 5, now)
	if got := w.current("ns/w", 3, now.Add(time.Second)); got != 5 {
		t.Errorf("%d while the informer lags", got)
	}
	if got := w.current("ns/w", 3, now.Add(writtenFor)); got != 3 {
		t.Errorf("%d when it lags for too long: the write may be undone", got)
	}
}

func TestAnotherWriterIsSeenAtTheThirdTime(t *testing.T) {
	w, now := newWrittenScales(), time.Unix(1000, 0)
	for k := range foreignWrites {
		if why := w.conflict("ns/w", now); why != "" {
			t.Fatalf("after %d foreign writes: %s", k, why)
		}
		w.writing("ns/w", 5, now)
		w.wrote("ns/w", 5, now)
		w.current("ns/w", 5, now)
		now = now.Add(time.Second)
		w.current("ns/w", 1, now) // not ours
		now = now.Add(time.Second)
	}
	if w.conflict("ns/w", now) == "" {
		t.Error("three foreign writes are no conflict")
	}
	if why := w.conflict("ns/w", now.Add(conflictPeriod+time.Minute)); why != "" {
		t.Errorf("it lasts for ever: %s", why)
	}
}

func TestOurOwnWritesInARowAreNotForeign(t *testing.T) {
	w, now := newWrittenScales(), time.Unix(1000, 0)
	for n := range 10 {
		w.writing("ns/w", n+1, now)
		w.current("ns/w", n+1, now) // shown before it is acknowledged
		w.wrote("ns/w", n+1, now)
		w.current("ns/w", n+1, now)
		now = now.Add(time.Second)
	}
	if why := w.conflict("ns/w", now); why != "" {
		t.Error(why)
	}
}

func TestScalesOfWorkloadsThatAreGoneAreForgotten(t *testing.T) {
	w := newWrittenScales()
	for _, id := range []string{"ns/a", "ns/b"} {
		w.wrote(workloadID("", "ns", id[3:]), 1, time.Unix(1000, 0))
	}
	w.keep([]adopted{{target: &target{id: "ns/b"}}})
	if len(w.by) != 1 || w.by["ns/b"] == nil {
		t.Errorf("%v", w.by)
	}
}
