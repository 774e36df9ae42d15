package simulator

import (
	"container/heap"
	"time"
)

// event is something that happens at a time; events of the same time happen in the order in which they were made.
type event struct {
	at    time.Time
	order uint64
	do    func()
}

// events is a queue of what is to come, on a virtual clock. The zero value is ready.
type events struct {
	now   time.Time
	count uint64
	queue eventHeap
}

// after makes do happen d from now.
func (e *events) after(d time.Duration, do func()) { e.at(e.now.Add(max(d, 0)), do) }

func (e *events) at(t time.Time, do func()) {
	e.count++
	heap.Push(&e.queue, event{at: t, order: e.count, do: do})
}

// next lets the next event happen and moves the clock to it; false when there is none.
func (e *events) next() bool {
	if len(e.queue) == 0 {
		return false
	}
	v := heap.Pop(&e.queue).(event)
	e.now = v.at
	v.do()
	return true
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	v := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return v
}
