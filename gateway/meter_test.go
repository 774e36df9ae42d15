package gateway

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Unix(1700000000, 0)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func TestMeter(t *testing.T) {
	type event struct {
		ms    int
		enter bool
	}
	in, out := true, false
	for _, c := range []struct {
		name   string
		events []event
		want   float64 // over 0..1000 ms
	}{
		{"nothing", nil, 0},
		{"one all the time", []event{{0, in}}, 1},
		{"one for half", []event{{500, in}}, 0.5},
		{"two overlap", []event{{0, in}, {250, in}, {500, out}, {750, out}}, 1},
		{"a burst of no length", []event{{300, in}, {300, in}, {300, out}, {300, out}}, 0},
		{"the clock goes back", []event{{500, in}, {400, out}, {600, in}, {1000, out}}, 0.4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m meter
			for _, e := range c.events {
				if e.enter {
					m.arrive(at(e.ms))
				} else {
					m.leave(at(e.ms), 0, true)
				}
			}
			if got := m.cut(at(0), at(1000)).concurrency; math.Abs(got-c.want) > 1e-9 {
				t.Errorf("concurrency %v, want %v", got, c.want)
			}
		})
	}
}

func TestMeterIntegralIsTheSumOfStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m meter
		now, since := 0, 0
		var inside []int // arrival times
		var stays, measured float64
		var arrivals, ended, gotArrivals, gotEnded uint64
		cut := func() {
			iv := m.cut(at(since), at(now))
			if now > since {
				measured += iv.concurrency * float64(now-since)
			}
			gotArrivals += iv.arrivals
			gotEnded += iv.answered + iv.failed
			since = now
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now += rapid.IntRange(0, 50).Draw(t, "ms")
			switch op := rapid.IntRange(0, 2).Draw(t, "op"); {
			case op == 0:
				m.arrive(at(now))
				inside = append(inside, now)
				arrivals++
			case op == 1 && len(inside) > 0:
				i := rapid.IntRange(0, len(inside)-1).Draw(t, "who")
				stays += float64(now - inside[i])
				inside = append(inside[:i], inside[i+1:]...)
				m.leave(at(now), time.Millisecond, rapid.Bool().Draw(t, "answered"))
				ended++
			case op == 2 && now > since:
				cut()
			}
		}
		now++
		cut()
		for _, from := range inside {
			stays += float64(now - from)
		}
		if math.Abs(stays-measured) > 1e-6 {
			t.Fatalf("stays sum to %v ms, measured %v ms", stays, measured)
		}
		if arrivals != gotArrivals || ended != gotEnded || m.level != len(inside) {
			t.Fatalf("arrivals %d/%d ended %d/%d level %d/%d", gotArrivals, arrivals, gotEnded, ended, m.level, len(inside))
		}
	})
}
