package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/wholescale/wholescale/api/wire/trace"
)

// queue holds the requests that wait for a slot: one line per workload, first in, first out, each with its own bound, and
// one bound over all lines. When all is full, a line may still grow at the cost of the newest waiter in the longest line,
// as long as it stays shorter than that one: a flood for one workload cannot lock the others out.
//
// Pushes and pops of a line happen under its workload's lock; the queue's own lock is taken inside of that one.
type queue struct {
	total int // bound over all lines, above zero

	mu    sync.Mutex
	held  int
	sizes []*line // sizes[n] is the first of a ring-less list of the lines with n waiters, n >= 1
	top   int     // the size of the longest line
}

// line is the held requests of one workload.
type line struct {
	n           atomic.Int64 // waiters; changed under the queue's lock, read without it
	first, last *waiter
	prev, next  *line // among the lines of the same size
}

// waiter is one held request. It gets exactly one verdict, unless it leaves before.
type waiter struct {
	arrived    time.Time
	verdict    chan verdict // holds one
	record     *record
	trace      trace.Context // of its hold; zero when it is not traced
	line       *line         // nil when not in a line
	prev, next *waiter
}

// verdict ends a wait: with a pod whose slot is taken for the waiter, or with a refusal.
type verdict struct {
	pod     *pod
	refusal *refusal
}

func newWaiter(arrived time.Time, rec *record) *waiter {
	return &waiter{arrived: arrived, verdict: make(chan verdict, 1), record: rec}
}

// push puts w at the end of l, or says which bound forbids it. The waiter put out for it, if any, has its verdict already.
func (q *queue) push(l *line, w *waiter, limit int) *refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := int(l.n.Load())
	if n >= limit {
		return refuseQueueFull
	}
	if q.held >= q.total {
		if n+1 >= q.top {
			return refuseAllFull
		}
		longest := q.sizes[q.top]
		out := longest.last
		q.unlink(longest, out)
		out.verdict <- verdict{refusal: refuseAllFull}
	}
	q.link(l, w, l.last)
	return nil
}

// pushBack returns a waiter whose pod could not be reached to its old place: behind those that arrived before it. It is
// bound by nothing: the request was admitted once and is not refused for a pod's fault.
func (q *queue) pushBack(l *line, w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var after *waiter
	for at := l.first; at != nil && !w.arrived.Before(at.arrived); at = at.next {
		after = at
	}
	q.link(l, w, after)
}

// pop takes the first waiter; nil when the line is empty.
func (q *queue) pop(l *line) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := l.first
	if w != nil {
		q.unlink(l, w)
	}
	return w
}

// leave takes w out of its line. False means that its verdict came first and must be received.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.line == nil {
		return false
	}
	q.unlink(w.line, w)
	return true
}

// flush gives all waiters of a line the same refusal and returns how many there were.
func (q *queue) flush(l *line, r *refusal) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for w := l.first; w != nil; w = l.first {
		q.unlink(l, w)
		w.verdict <- verdict{refusal: r}
		n++
	}
	return n
}

// oldest returns the arrival of the first waiter, and appends to recs the records that no report has named yet.
func (q *queue) oldest(l *line, recs []*record) (time.Time, []*record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.first == nil {
		return time.Time{}, recs
	}
	for w := l.last; w != nil && w.record != nil && w.record.unreported(); w = w.prev {
		recs = append(recs, w.record)
	}
	return l.first.arrived, recs
}

func (l *line) len() int { return int(l.n.Load()) }

// link puts w behind after, or first when after is nil.
func (q *queue) link(l *line, w *waiter, after *waiter) {
	w.line, w.prev = l, after
	if after == nil {
		w.next, l.first = l.first, w
	} else {
		w.next, after.next = after.next, w
	}
	if w.next == nil {
		l.last = w
	} else {
		w.next.prev = w
	}
	q.resize(l, 1)
}

func (q *queue) unlink(l *line, w *waiter) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.line, w.prev, w.next = nil, nil, nil
	q.resize(l, -1)
}

// resize moves l among the lists by size. A line changes by one at a time, so the longest is always known at no cost.
func (q *queue) resize(l *line, by int) {
	from := int(l.n.Load())
	to := from + by
	if from > 0 {
		if l.prev == nil {
			q.sizes[from] = l.next
		} else {
			l.prev.next = l.next
		}
		if l.next != nil {
			l.next.prev = l.prev
		}
		l.prev, l.next = nil, nil
	}
	if to > 0 {
		for len(q.sizes) <= to {
			q.sizes = append(q.sizes, nil)
		}
		if l.next = q.sizes[to]; l.next != nil {
			l.next.prev = l
		}
		q.sizes[to] = l
	}
	q.held += by
	l.n.Store(int64(to))
	if to > q.top {
		q.top = to
	} else if from == q.top && q.sizes[from] == nil {
		q.top = to
	}
}

// len is the number of held requests in all lines.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}
