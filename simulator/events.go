package simulator

import "time"

// epoch is when a run begins for the core: a fixed even second, as nothing of the real clock may come into a result. The
// simulator itself counts from it.
var epoch = time.Unix(1_700_000_000, 0).UTC()

// Epoch is when each run begins, for what a Config is asked by time (Workload.Floors, Pool.DisruptionAt).
func Epoch() time.Time { return epoch }

// kind is what an event does. The two that each request causes have a kind of their own, so that they cost no closure.
type kind uint8

const (
	calls kind = iota
	answers
	expires
)

// event is something that happens at a time; events of the same time happen in the order in which they were made.
type event struct {
	at    time.Duration
	order uint64
	call  func()
	index int32 // of the request, or of the workload
	kind  kind
}

// events is a queue of what is to come, on a virtual clock: a heap with four children each, which is half as deep as one
// with two and has them in one or two cache lines. The zero value is ready.
type events struct {
	now   time.Duration // since epoch
	count uint64
	heap  []event
}

// clock is now as the core has it.
func (e *events) clock() time.Time { return epoch.Add(e.now) }

// after makes do happen d from now.
func (e *events) after(d time.Duration, do func()) { e.at(e.now+max(d, 0), do) }

func (e *events) at(t time.Duration, do func()) { e.push(event{at: t, call: do}) }

// next is when the next event happens; false when there is none.
func (e *events) next() (time.Duration, bool) {
	if len(e.heap) == 0 {
		return 0, false
	}
	return e.heap[0].at, true
}

func (a *event) before(b *event) bool { return a.at < b.at || a.at == b.at && a.order < b.order }

func (e *events) push(v event) {
	e.count++
	v.order = e.count
	e.heap = append(e.heap, v)
	i := len(e.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !v.before(&e.heap[parent]) {
			break
		}
		e.heap[i] = e.heap[parent]
		i = parent
	}
	e.heap[i] = v
}

// pop takes the next event out and moves the clock to it.
func (e *events) pop() event {
	top := e.heap[0]
	n := len(e.heap) - 1
	last := e.heap[n]
	e.heap[n] = event{}
	e.heap = e.heap[:n]
	if n > 0 {
		i := 0
		for {
			first := 4*i + 1
			if first >= n {
				break
			}
			least := first
			for c := first + 1; c < min(first+4, n); c++ {
				if e.heap[c].before(&e.heap[least]) {
					least = c
				}
			}
			if !e.heap[least].before(&last) {
				break
			}
			e.heap[i] = e.heap[least]
			i = least
		}
		e.heap[i] = last
	}
	e.now = top.at
	return top
}
