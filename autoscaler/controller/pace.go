package controller

import "time"

// changeGap is the least time between two plans that a change of the world causes: changes come in swarms (a pod's status
// five times in a row), and one plan answers them all.
const changeGap = 5 * time.Millisecond

// pace says when the next plan is due. A tick's is due at once, a change's changeGap after the last plan, and a queue that
// forms waits only as long as the last plan took, so that planning takes half of one core at most whatever comes.
type pace struct {
	cause string // of the plan that is due; empty when none is
	seen  time.Time
	ended time.Time     // the last plan
	took  time.Duration // it took
}

// want asks for a plan: sooner says that it is due wait from now, otherwise one that is due already answers this too.
func (p *pace) want(cause string, seen, now time.Time) (wait time.Duration, sooner bool) {
	if p.cause != "" && (cause != "queue" || p.cause == "queue") {
		return 0, false
	}
	p.cause, p.seen = cause, seen
	apart := map[string]time.Duration{"queue": p.took, "change": changeGap}[cause]
	return max(0, apart-now.Sub(p.ended)), true
}

// take is the plan that is due: what caused it and when that was seen. An empty cause is none.
func (p *pace) take() (cause string, seen time.Time) {
	cause, seen = p.cause, p.seen
	p.cause = ""
	return cause, seen
}

// planned notes a plan.
func (p *pace) planned(began, ended time.Time) { p.ended, p.took = ended, ended.Sub(began) }
