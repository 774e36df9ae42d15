package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/story"
)

const (
	// decisionsKept and decisionBytes bound what is kept in memory of decisions: hours of a cluster that changes now and
	// then, minutes of one that never rests; the file keeps more.
	decisionsKept = 1024
	decisionBytes = 4 << 20
	// decisionQueue bounds the lines that wait for the disk. What is beyond is not in the file.
	decisionQueue = 256
)

// decisions keeps the last decisions that were other than the ones before, serves them as JSON lines, and has them written
// to a file where one is wanted. note is for the loop's goroutine; the rest is safe for all.
type decisions struct {
	log   *zap.Logger
	diary *story.Diary
	// lines go to the file; nil without one. turned says that a new file began, which is to be complete by itself.
	lines  chan []byte
	turned atomic.Bool
	lost   atomic.Int64

	mu    sync.Mutex
	kept  []decided // oldest first
	bytes int
}

type decided struct {
	at   time.Time
	line []byte // ends with a newline
}

func newDecisions(log *zap.Logger) *decisions {
	return &decisions{log: log, diary: story.NewDiary()}
}

// note takes a decision in. It never waits for the disk.
func (d *decisions) note(decision autoscaler.Decision, cause string) {
	if d == nil {
		return
	}
	if d.turned.Swap(false) {
		d.diary = story.NewDiary()
	}
	if entry, news := d.diary.Note(decision, cause); news {
		d.put(entry)
	}
}

// noteSome takes in a decision that is about a few workloads.
func (d *decisions) noteSome(decision autoscaler.Decision, cause string) {
	if d == nil {
		return
	}
	if entry, news := d.diary.NoteSome(decision, cause); news {
		d.put(entry)
	}
}

func (d *decisions) put(entry story.Entry) {
	line, err := json.Marshal(entry)
	if err != nil { // an entry is plain data of finite numbers
		d.log.Error("a decision could not be written down", zap.Error(err))
		return
	}
	line = append(line, '\n')
	d.keep(decided{at: entry.At, line: line})
	if d.lines == nil {
		return
	}
	select {
	case d.lines <- line:
	default:
		if d.lost.Add(1) == 1 {
			d.log.Warn("the disk of the decision log is too slow; some decisions are missing in the file")
		}
	}
}

// keep takes the newest line in and lets the oldest go.
func (d *decisions) keep(l decided) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = append(d.kept, l)
	d.bytes += len(l.line)
	gone := 0
	for len(d.kept)-gone > decisionsKept || d.bytes > decisionBytes && len(d.kept)-gone > 1 {
		d.bytes -= len(d.kept[gone].line)
		d.kept[gone] = decided{}
		gone++
	}
	d.kept = d.kept[gone:]
}

// ServeHTTP answers GET /decisions?since=: JSON lines, oldest first. since is a time (RFC 3339) or how long ago (10m).
func (d *decisions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	since, err := parseSince(r.URL.Query().Get("since"), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	list := append([]decided(nil), d.kept...)
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	for _, l := range list {
		if l.at.Before(since) {
			continue
		}
		if _, err := w.Write(l.line); err != nil {
			return
		}
	}
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fmt.Errorf("since=%s is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 10m", text)
	}
	return at, nil
}

// open reads a folder's log back and makes it ready to be written to.
func (d *decisions) open(folder string) (*journalFile, error) {
	file := &journalFile{folder: folder, most: journalFileBytes}
	text, err := file.open(decisionBytes)
	if err != nil {
		return nil, err
	}
	entries, bad, err := story.Read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		d.log.Warn("lines of the decision log were no decisions and are passed over", zap.Int("lines", bad), zap.String("folder", folder))
	}
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("reading the decision log in %s: %w", folder, err)
		}
		d.keep(decided{at: e.At, line: append(line, '\n')})
	}
	d.lines = make(chan []byte, decisionQueue)
	return file, nil
}

// write writes what is noted until ctx ends and then what is left in the queue.
func (d *decisions) write(ctx context.Context, file *journalFile) {
	defer file.close()
	failed := ""
	put := func(line []byte) {
		turned, err := file.put(line)
		if turned {
			d.turned.Store(true)
		}
		switch {
		case err != nil && err.Error() != failed:
			failed = err.Error()
			d.log.Warn("the decision log cannot be written; decisions are in memory alone", zap.Error(err))
		case err == nil:
			failed = ""
		}
	}
	for {
		select {
		case line := <-d.lines:
			put(line)
		case <-ctx.Done():
			for {
				select {
				case line := <-d.lines:
					put(line)
				default:
					return
				}
			}
		}
	}
}
