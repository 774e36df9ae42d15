package controller

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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
	Ended    int       `json:"ended,omitempty"` // instances that an order ended by name
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

const (
	// journalFileBytes bounds one file of a journal, and journalFiles how many there are.
	journalFileBytes = 8 << 20
	journalFiles     = 4
	journalName      = "decisions.jsonl"
)

// journalFile is a journal on disk: lines are appended, and a file that is full makes room for a new one. It is for one
// goroutine.
type journalFile struct {
	folder string
	most   int64 // bytes of one file
	file   *os.File
	size   int64
}

// path is of the n-th file back from the current one, which is 0.
func (j *journalFile) path(n int) string {
	if n == 0 {
		return filepath.Join(j.folder, journalName)
	}
	return filepath.Join(j.folder, fmt.Sprintf("decisions.%d.jsonl", n))
}

// open reads back the last lines, most bytes of them at least where there are as many, and cuts off a line that a crash tore.
func (j *journalFile) open(most int) ([]byte, error) {
	const mine = 0o700
	if err := os.MkdirAll(j.folder, mine); err != nil {
		return nil, fmt.Errorf("making the folder of the decision log (is it writable? choose another with --decision-log): %w", err)
	}
	var text []byte
	for n := 0; n < journalFiles && len(text) < most; n++ {
		old, err := os.ReadFile(j.path(n))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the decision log: %w", err)
		}
		whole := old[:bytes.LastIndexByte(old, '\n')+1]
		if n == 0 && len(whole) < len(old) {
			if err := os.Truncate(j.path(0), int64(len(whole))); err != nil {
				return nil, fmt.Errorf("cutting off the torn last line of the decision log: %w", err)
			}
		}
		text = append(whole[:len(whole):len(whole)], text...)
	}
	return text, j.reopen()
}

func (j *journalFile) reopen() error {
	const mine = 0o600
	f, err := os.OpenFile(j.path(0), os.O_APPEND|os.O_CREATE|os.O_WRONLY, mine)
	if err != nil {
		return fmt.Errorf("opening the decision log (is it writable? choose another folder with --decision-log): %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("opening the decision log: %w", err), f.Close())
	}
	j.file, j.size = f, info.Size()
	return nil
}

// put appends a line; turned says that it is not in the file any more to which the ones before it went.
func (j *journalFile) put(line []byte) (turned bool, err error) {
	if j.file == nil {
		if err := j.reopen(); err != nil {
			return false, err
		}
	}
	if j.size > 0 && j.size+int64(len(line)) > j.most {
		if err := j.turn(); err != nil {
			return false, err
		}
		turned = true
	}
	n, err := j.file.Write(line)
	j.size += int64(n)
	if err != nil {
		if n > 0 { // a torn line would spoil the next one
			err = errors.Join(err, j.file.Truncate(j.size-int64(n)))
		}
		j.close()
		return turned, fmt.Errorf("writing the decision log: %w", err)
	}
	return turned, nil
}

// turn begins a new file and lets the oldest go.
func (j *journalFile) turn() error {
	j.close()
	for n := journalFiles - 1; n > 0; n-- {
		if err := os.Rename(j.path(n-1), j.path(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotating the decision log: %w", err)
		}
	}
	return j.reopen()
}

func (j *journalFile) close() {
	if j.file != nil {
		_ = j.file.Close() // what could not be written is lost either way
		j.file = nil
	}
}
