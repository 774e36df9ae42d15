package gateway

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueIsFairAndBounded compares the queue with a plain model: slices, and a search for the longest.
func TestQueueIsFairAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := queue{total: rapid.IntRange(1, 12).Draw(t, "total")}
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		lines := make([]line, rapid.IntRange(1, 5).Draw(t, "lines"))
		model := make([][]*waiter, len(lines))
		held := func() (n, longest int) {
			for _, m := range model {
				n, longest = n+len(m), max(longest, len(m))
			}
			return n, longest
		}
		clock := 0
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
			clock++
			switch op := rapid.SampledFrom([]string{"push", "push", "push", "pop", "leave", "flush", "back"}).Draw(t, "op"); op {
			case "push":
				w := newWaiter(at(clock), &record{})
				n, longest := held()
				got := q.push(&lines[i], w, limit)
				var want *refusal
				switch {
				case len(model[i]) >= limit:
					want = refuseQueueFull
				case n >= q.total && len(model[i])+1 >= longest:
					want = refuseAllFull
				}
				if got != want {
					t.Fatalf("push to a line of %d with %d held, longest %d: %v, want %v", len(model[i]), n, longest, got, want)
				}
				if got == nil && n >= q.total {
					evictOne(t, model, longest)
				}
				if got == nil {
					model[i] = append(model[i], w)
				}
			case "pop":
				got := q.pop(&lines[i])
				if len(model[i]) == 0 {
					if got != nil {
						t.Fatal("pop of an empty line")
					}
					break
				}
				if got != model[i][0] {
					t.Fatal("pop is not first in, first out")
				}
				model[i] = model[i][1:]
			case "leave":
				if n := len(model[i]); n > 0 {
					k := rapid.IntRange(0, n-1).Draw(t, "who")
					w := model[i][k]
					if !q.leave(w) || q.leave(w) {
						t.Fatal("a waiter leaves once")
					}
					model[i] = slices.Delete(slices.Clone(model[i]), k, k+1)
				}
			case "flush":
				if got := q.flush(&lines[i], refuseRemoved); got != len(model[i]) {
					t.Fatalf("flushed %d of %d", got, len(model[i]))
				}
				for _, w := range model[i] {
					if v := <-w.verdict; v.refusal != refuseRemoved {
						t.Fatal("wrong verdict")
					}
				}
				model[i] = nil
			case "back":
				w := newWaiter(at(rapid.IntRange(0, clock).Draw(t, "arrived")), &record{})
				q.pushBack(&lines[i], w)
				k := 0
				for k < len(model[i]) && !w.arrived.Before(model[i][k].arrived) {
					k++
				}
				model[i] = slices.Insert(slices.Clone(model[i]), k, w)
			}
			n, longest := held()
			if q.len() != n || q.top != longest {
				t.Fatalf("held %d, longest %d; want %d, %d", q.len(), q.top, n, longest)
			}
			for j := range lines {
				checkLine(t, &lines[j], model[j])
			}
		}
	})
}

// evictOne finds whom the queue put out: the newest of a longest line.
func evictOne(t *rapid.T, model [][]*waiter, longest int) {
	for j, m := range model {
		if len(m) != longest {
			continue
		}
		select {
		case v := <-m[len(m)-1].verdict:
			if v.refusal != refuseAllFull {
				t.Fatal("wrong verdict")
			}
			model[j] = m[:len(m)-1]
			return
		default:
		}
	}
	t.Fatal("nobody was put out of a full queue")
}

func checkLine(t *rapid.T, l *line, want []*waiter) {
	var forth, back []*waiter
	for w := l.first; w != nil; w = w.next {
		forth = append(forth, w)
	}
	for w := l.last; w != nil; w = w.prev {
		back = append(back, w)
	}
	slices.Reverse(back)
	if !slices.Equal(forth, want) || !slices.Equal(back, want) || l.len() != len(want) {
		t.Fatalf("line of %d, want %d", len(forth), len(want))
	}
}

func TestSlotsKeepTheirLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slots
		var flying []*pod
		open := map[*pod]bool{}
		drawWants := rapid.Custom(func(t *rapid.T) []want {
			var out []want
			for i := range rapid.IntRange(0, 4).Draw(t, "pods") {
				out = append(out, want{name: fmt.Sprint("p", i), address: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "address"), limit: rapid.IntRange(0, 3).Draw(t, "limit")})
			}
			return out
		})
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"replace", "open", "open", "close", "take", "take", "take", "put"}).Draw(t, "op") {
			case "replace":
				s.replace(drawWants.Draw(t, "wants"), at(step))
			case "open":
				for _, p := range s.pods {
					s.opened(p, at(step))
					open[p] = true
				}
			case "close":
				if p := s.pods["p0"]; p != nil {
					s.close(p)
					open[p] = false
				}
			case "take":
				least := -1 // in flight on the best pod; -1 when none has a free slot
				for _, p := range s.pods {
					if open[p] && !p.full() && (least < 0 || p.inFlight < least) {
						least = p.inFlight
					}
				}
				p := s.take()
				if (p == nil) != (least < 0) {
					t.Fatalf("took %+v, the best has %d in flight", p, least)
				}
				if p == nil {
					break
				}
				flying = append(flying, p)
				if !open[p] || p.gone || p.inFlight-1 != least || (p.limit > 0 && p.inFlight > p.limit) {
					t.Fatalf("took %+v, the best had %d in flight", p, least)
				}
			case "put":
				if n := len(flying); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "whose")
					s.put(flying[i])
					flying = slices.Delete(flying, i, i+1)
				}
			}
			sum := 0
			for _, l := range s.loads() {
				sum += l.inFlight
			}
			if sum != len(flying) {
				t.Fatalf("loads sum to %d, %d in flight", sum, len(flying))
			}
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	q := queue{total: 10000}
	lines := make([]line, 1000)
	now := time.Now()
	for i := range 9000 {
		q.push(&lines[i%1000], newWaiter(now, nil), 1000)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l := &lines[i%1000]
		q.push(l, newWaiter(now, nil), 1000)
		q.pop(l)
		i++
	}
}
