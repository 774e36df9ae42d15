package simulator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// ControlPlane is what goes wrong with what decides and with what carries it out. The zero value is nothing.
type ControlPlane struct {
	// Down are times in which no controller runs: nobody decides, and what was learned is gone when one comes back. Requests
	// go on, and so do pods and machines that were asked for.
	Down []Span
	// APIDown are times in which the API server answers nobody: replicas are not written, pods are neither made nor bound, and
	// whoever decides waits for it to come back. Providers hear of orders all the same.
	APIDown []Span
}

func (c *ControlPlane) validate() error {
	for name, list := range map[string][]Span{"down": c.Down, "apiDown": c.APIDown} {
		for i, v := range list {
			switch {
			case v.From < 0 || v.Until <= v.From:
				return fmt.Errorf("controlPlane.%s: %s until %s is no time", name, v.From, v.Until)
			case i > 0 && v.From < list[i-1].Until:
				return errors.New("controlPlane." + name + ": times are in order and do not overlap")
			}
		}
	}
	return nil
}

// until is the end of the span that at is in; false when it is in none.
func until(spans []Span, at time.Duration) (time.Duration, bool) {
	i := slices.IndexFunc(spans, func(s Span) bool { return at >= s.From && at < s.Until })
	if i < 0 {
		return 0, false
	}
	return spans[i].Until, true
}

// undecided says that nobody decides now.
func (s *simulation) undecided() bool {
	_, down := until(s.ControlPlane.Down, s.now)
	_, mute := until(s.ControlPlane.APIDown, s.now)
	return down || mute
}

// written does what the API server does, now or when it is back.
func (s *simulation) written(do func()) {
	if back, down := until(s.ControlPlane.APIDown, s.now); down {
		s.at(back, do)
		return
	}
	do()
}

// comeBack lets the controller begin anew at the end of each time without one.
func (s *simulation) comeBack() {
	for _, v := range s.ControlPlane.Down {
		s.at(v.Until, func() { s.decider.heard(happening{what: cameBack}) })
	}
	for _, v := range s.ControlPlane.APIDown {
		s.at(v.Until, func() {
			s.wake()
			s.decider.heard(happening{what: worldChanged})
		})
	}
}

// forget begins anew with an empty memory, as a new leader does.
func (l *oneLoop) forget() {
	l.memory = autoscaler.NewMemory()
	l.memo = autoscaler.Memo{}
	l.reportedOnce = false
	for _, w := range l.s.sorted {
		w.focus.known = false
		l.mark(w)
	}
	l.s.reported = l.s.now
	l.again()
}

// forget lets the rivals' loops begin anew.
func (l *twoLoops) forget() {
	for _, w := range l.present {
		w.rival = rivalMemory{taken: l.s.now}
	}
	for _, p := range l.s.waiting {
		l.buyer.refused(p)
	}
}

// throttle is a provider that takes so many orders a minute.
type throttle struct {
	left   float64
	filled time.Duration
}

// throttleRetry is how long the one who orders waits before the next try; each try after it waits twice as long, up to
// throttleLongest (autoscaler/controller, task.go).
const (
	throttleRetry   = 50 * time.Millisecond
	throttleLongest = 2 * time.Second
)

// admits says that an order is taken now.
func (t *throttle) admits(now time.Duration, perMinute float64) bool {
	t.left = min(max(1, perMinute), t.left+(now-t.filled).Minutes()*perMinute)
	t.filled = now
	if t.left < 1 {
		return false
	}
	t.left--
	return true
}

// order brings a pool's target to its provider: at once, or after as many tries as it takes.
func (s *simulation) order(p *pool, ends []autoscaler.NodeID, taken func()) {
	s.tryOrder(p, ends, taken, throttleRetry)
}

func (s *simulation) tryOrder(p *pool, ends []autoscaler.NodeID, taken func(), wait time.Duration) {
	if rate := p.Faults.OrdersPerMinute; rate > 0 && !p.throttle.admits(s.now, rate) {
		s.result.throttled++
		s.after(wait, func() { s.tryOrder(p, ends, taken, min(2*wait, throttleLongest)) })
		return
	}
	if taken != nil {
		taken()
	}
	s.setTarget(p, p.target, ends)
}
