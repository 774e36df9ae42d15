// Package holding says, as plainly as can be, who is given which slot when: the rules of the gateway, to which the gateway and
// the simulator's model of it are both held.
package holding

import (
	"cmp"
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// Holder is what holds requests: the gateway, or its model. Pods are named so that they sort by age.
type Holder interface {
	// Arrive is a request for a workload.
	Arrive(workload, request int)
	// Open is a pod that can answer from now on, Close one that is given nothing more.
	Open(workload int, pod string)
	Close(workload int, pod string)
	// Answer ends a request that a pod has.
	Answer(request int)
	// Leave is the oldest held request of a workload, whose time is over.
	Leave(workload int)
	// Outcomes are those since the last call, in any order.
	Outcomes() []Outcome
}

// Outcome is a request with the pod that has it now; without one, when it was refused or put out.
type Outcome struct {
	Request int
	Pod     string
}

// Limits are of one try. Slots are of each pod, 0 is no limit.
type Limits struct{ Workloads, Slots, PerQueue, Total int }

// Check holds what make makes to the rules, over random arrivals and random capacity.
func Check(t *rapid.T, make func(Limits) Holder) {
	l := Limits{
		Workloads: rapid.IntRange(1, 3).Draw(t, "workloads"), Slots: rapid.IntRange(0, 3).Draw(t, "slots"),
		PerQueue: rapid.IntRange(1, 8).Draw(t, "per queue"), Total: rapid.IntRange(1, 12).Draw(t, "total"),
	}
	h, r := make(l), &rules{Limits: l, lines: map[int]*line{}, at: map[int]seat{}}
	requests, pods := 0, 0
	for step := range rapid.IntRange(1, 120).Draw(t, "steps") {
		w := rapid.IntRange(0, l.Workloads-1).Draw(t, "workload")
		what := rapid.SampledFrom([]string{"arrive", "arrive", "arrive", "answer", "answer", "open", "close", "leave"}).Draw(t, "what")
		switch what {
		case "arrive":
			h.Arrive(w, requests)
			r.arrive(w, requests)
			requests++
		case "open":
			pod := fmt.Sprintf("pod-%05d", pods)
			pods++
			h.Open(w, pod)
			r.open(w, pod)
		case "close":
			if open := r.line(w).pods; len(open) > 0 {
				pod := rapid.SampledFrom(open).Draw(t, "pod")
				h.Close(w, pod.name)
				r.close(w, pod)
			}
		case "answer":
			if busy := r.busy(); len(busy) > 0 {
				request := rapid.SampledFrom(busy).Draw(t, "request")
				h.Answer(request)
				r.answer(request)
			}
		case "leave":
			if len(r.line(w).waiting) > 0 {
				h.Leave(w)
				r.leave(w)
			}
		}
		got, want := sorted(h.Outcomes()), sorted(r.outcomes)
		r.outcomes = nil
		if !slices.Equal(got, want) {
			t.Fatalf("step %d, %s of workload %d: %v, not %v", step, what, w, got, want)
		}
	}
}

func sorted(list []Outcome) []Outcome {
	slices.SortFunc(list, func(a, b Outcome) int { return cmp.Compare(a.Request, b.Request) })
	return list
}

// rules are the reference: lists, and a search for the best.
type rules struct {
	Limits
	lines    map[int]*line
	at       map[int]seat // requests that a pod has
	changes  int
	outcomes []Outcome
}

// seat is where a request is answered.
type seat struct {
	workload int
	pod      *pod
}

// line is a workload: who waits, first in first out, and the pods that are open.
type line struct {
	waiting []int
	pods    []*pod
	changed int
}

type pod struct {
	name string
	busy int
}

func (r *rules) line(w int) *line {
	if r.lines[w] == nil {
		r.lines[w] = &line{}
	}
	return r.lines[w]
}

func (r *rules) busy() (list []int) {
	for request := range r.at {
		list = append(list, request)
	}
	slices.Sort(list)
	return list
}

// free is the pod with the fewest requests that has a free slot, of equals the first by name.
func (r *rules) free(l *line) (best *pod) {
	for _, p := range l.pods {
		if r.Slots > 0 && p.busy >= r.Slots {
			continue
		}
		if best == nil || p.busy < best.busy || p.busy == best.busy && p.name < best.name {
			best = p
		}
	}
	return best
}

func (r *rules) arrive(w, request int) {
	l := r.line(w)
	if p := r.free(l); p != nil && len(l.waiting) == 0 {
		r.give(w, request, p)
		return
	}
	refused := Outcome{Request: request}
	if len(l.waiting) >= r.PerQueue {
		r.outcomes = append(r.outcomes, refused)
		return
	}
	if r.held() >= r.Total {
		longest := r.longest()
		if len(l.waiting)+1 >= len(longest.waiting) {
			r.outcomes = append(r.outcomes, refused)
			return
		}
		last := len(longest.waiting) - 1
		r.outcomes = append(r.outcomes, Outcome{Request: longest.waiting[last]})
		longest.waiting = longest.waiting[:last]
		r.touch(longest)
	}
	l.waiting = append(l.waiting, request)
	r.touch(l)
}

func (r *rules) touch(l *line) {
	r.changes++
	l.changed = r.changes
}

func (r *rules) held() (n int) {
	for _, l := range r.lines {
		n += len(l.waiting)
	}
	return n
}

// longest is the longest line, of equals the one that last became so long.
func (r *rules) longest() (best *line) {
	for w := range r.Workloads {
		if l := r.line(w); best == nil || len(l.waiting) > len(best.waiting) || len(l.waiting) == len(best.waiting) && l.changed > best.changed {
			best = l
		}
	}
	return best
}

func (r *rules) give(w, request int, p *pod) {
	p.busy++
	r.at[request] = seat{w, p}
	r.outcomes = append(r.outcomes, Outcome{Request: request, Pod: p.name})
}

func (r *rules) dispatch(w int) {
	for l := r.line(w); len(l.waiting) > 0; {
		p := r.free(l)
		if p == nil {
			return
		}
		request := l.waiting[0]
		l.waiting = l.waiting[1:]
		r.touch(l)
		r.give(w, request, p)
	}
}

func (r *rules) open(w int, name string) {
	l := r.line(w)
	l.pods = append(l.pods, &pod{name: name})
	r.dispatch(w)
}

func (r *rules) close(w int, p *pod) {
	l := r.line(w)
	l.pods = slices.DeleteFunc(l.pods, func(o *pod) bool { return o == p })
}

func (r *rules) answer(request int) {
	s := r.at[request]
	delete(r.at, request)
	s.pod.busy--
	r.dispatch(s.workload)
}

func (r *rules) leave(w int) {
	l := r.line(w)
	r.outcomes = append(r.outcomes, Outcome{Request: l.waiting[0]})
	l.waiting = l.waiting[1:]
	r.touch(l)
}
