package controller

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// action is one thing that was done, with the times that tell how long its way took: from the report that made us plan,
// over the plan, to the acknowledgement.
type action struct {
	Kind     string    `json:"kind"` // scale or order
	Subject  string    `json:"subject"`
	From     int       `json:"from"`
	To       int       `json:"to"`
	Rule     string    `json:"rule"`
	Cause    string    `json:"cause"` // of the plan: queue, change or tick
	Observed time.Time `json:"observed"`
	Planned  time.Time `json:"planned"`
	Done     time.Time `json:"done"`
}

// journalLength bounds what is kept: a benchmark reads it more often than it turns over.
const journalLength = 4096

// journal keeps the last actions, for benchmarks and people, and serves them as JSON lines.
type journal struct {
	mu   sync.Mutex
	ring []action
	next int
}

func (j *journal) add(a action) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.ring) < journalLength {
		j.ring = append(j.ring, a)
		return
	}
	j.ring[j.next] = a
	j.next = (j.next + 1) % journalLength
}

func (j *journal) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	j.mu.Lock()
	list := append(append([]action(nil), j.ring[j.next:]...), j.ring[:j.next]...)
	j.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	e := json.NewEncoder(w)
	for _, a := range list {
		if e.Encode(a) != nil {
			return
		}
	}
}
