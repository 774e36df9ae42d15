package autoscaler

import (
	"cmp"
	"time"
)

// Steady says that Plan would leave a workload of one replica, which is ready and not in panic, at one replica for now:
// its averages ask for no more, and it is not idle for as long as it would have to be to go. busy is that requests are held or
// in flight now. It costs a fraction of a plan, and it may say no where a plan changes nothing; TestSteadyIsSteady holds it to Plan.
// Drivers with very many workloads may leave those that are steady out of a State.
func (m *Memory) Steady(now time.Time, w *Workload, busy bool) bool {
	p := &w.Policy
	if p.Auto || p.RateTarget > 0 || len(w.Signals) > 0 || len(p.Floors) > 0 || p.Objective.Price > 0 || p.Activation > 1 || p.Min > 1 || p.Initial > 1 {
		return false
	}
	mem := m.workloads[w.ID]
	if mem == nil || mem.stable.Length() != p.StableWindow || mem.panicked.Length() != p.PanicWindow {
		return false
	}
	return mem.suffices(now, p) && (busy || now.Before(mem.goes(now, w, m)))
}

// suffices says that one replica is all that the averages ask for.
func (w *demandMemory) suffices(now time.Time, p *Policy) bool {
	d := Demand{Stable: w.stable.Mean(now), Panic: w.panicked.Mean(now)}
	if max(d.Stable, d.Panic) > p.Target {
		return false
	}
	if p.Name == KPA || p.Objective.Wait <= 0 || d.Stable == 0 && d.Panic == 0 {
		return true
	}
	if !w.heldAt.IsZero() && now.Before(w.heldAt.Add(p.StableWindow)) {
		return false
	}
	d.Deviation = w.stable.Deviation(now)
	// For as far ahead as Plan looks at most.
	return outlook(p, &d, now, p.StableWindow.Seconds()).Quantile(waitQuantile) <= p.perPod()
}

// goes is when the last replica goes if no request comes, at the earliest.
func (w *demandMemory) goes(now time.Time, of *Workload, m *Memory) time.Time {
	p, since := &of.Policy, w.idleSince
	if since.IsZero() {
		since = w.busyUntil
	}
	if since.IsZero() {
		return now
	}
	wait := p.StableWindow
	if p.Name != KPA && p.Objective.Wait > 0 && w.gaps.Count() >= gapsNeeded {
		v := Workload{Policy: *p, Start: lead(m.starts[of.ID], cmp.Or(of.Start, defaultStart)), Demand: Demand{Gaps: w.gaps}}
		wait = keepFor(&v, waitQuantile)
	}
	return since.Add(wait + p.ZeroRetention)
}
