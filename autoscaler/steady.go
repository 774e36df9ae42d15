package autoscaler

import "time"

// Steady says until when Plan would leave a workload of one replica, which is ready and not in panic, at one replica if no request
// comes: its averages ask for no more, and it is not idle for as long as it would have to be to go. It is zero when a plan must
// tell. busy is that requests are held or in flight now. It costs a fraction of a plan, and it may be zero where a plan changes nothing;
// TestSteadyIsSteady holds it to Plan. Drivers with very many workloads may leave those that are steady out of a State.
func (m *Memory) Steady(now time.Time, w *Workload, busy bool) time.Time {
	p := &w.Policy
	if p.Auto || p.RateTarget > 0 || len(w.Signals) > 0 || len(p.Floors) > 0 || p.Objective.Price > 0 || p.Activation > 1 || p.Min > 1 || p.Initial > 1 {
		return time.Time{}
	}
	mem := m.workloads[w.ID]
	if mem != nil {
		m.rest(mem)
	}
	if mem == nil || mem.stable.Length() != p.StableWindow || mem.panicked.Length() != p.PanicWindow {
		return time.Time{}
	}
	d := Demand{Stable: mem.stable.Mean(now), Panic: mem.panicked.Mean(now)}
	settled := mem.settled(now, p, d)
	if !settled && !mem.suffices(now, p, d) {
		return time.Time{}
	}
	if busy {
		return now.Add(Tick)
	}
	since := mem.idleSince
	if since.IsZero() {
		since = mem.busyUntil
	}
	if since.IsZero() {
		return time.Time{}
	}
	if !settled && now.Before(since.Add(min(p.StableWindow, p.PanicWindow)+p.ZeroRetention)) {
		return now.Add(Tick) // no wait is shorter
	}
	switch goes := since.Add(m.wait(w, mem)); {
	case !now.Before(goes):
		return time.Time{}
	case !settled:
		return now.Add(Tick) // by then the averages have moved
	default:
		return goes
	}
}

// settled says that the averages, which only fall while no request comes, will ask for no more than one replica until then.
func (w *demandMemory) settled(now time.Time, p *Policy, d Demand) bool {
	if d.Panic > 0 || d.Stable > p.Target {
		return false
	}
	if p.Name == KPA || p.Objective.Wait <= 0 || d.Stable == 0 {
		return true
	}
	if w.heldLately(now, p) {
		return false
	}
	d.Deviation = w.stable.DeviationAtMost(now)
	return outlook(p, &d, now, p.StableWindow.Seconds()).Quantile(waitQuantile) <= p.perPod()
}

// suffices says that one replica is all that the averages ask for.
func (w *demandMemory) suffices(now time.Time, p *Policy, d Demand) bool {
	if max(d.Stable, d.Panic) > p.Target {
		return false
	}
	if p.Name == KPA || p.Objective.Wait <= 0 || d.Stable == 0 && d.Panic == 0 {
		return true
	}
	if w.heldLately(now, p) {
		return false
	}
	d.Deviation = w.stable.Deviation(now)
	// For as far ahead as Plan looks at most.
	return outlook(p, &d, now, p.StableWindow.Seconds()).Quantile(waitQuantile) <= p.perPod()
}

// heldLately says that the averages may have waiting in them, so that Plan looks at the arrivals.
func (w *demandMemory) heldLately(now time.Time, p *Policy) bool {
	return !w.heldAt.IsZero() && now.Before(w.heldAt.Add(p.StableWindow))
}

// wait is for how long the last replica stays when no request comes, at least.
func (m *Memory) wait(w *Workload, mem *demandMemory) time.Duration {
	p := &w.Policy
	wait := p.StableWindow
	if p.Name != KPA && p.Objective.Wait > 0 && mem.gaps.Count() >= gapsNeeded {
		v := Workload{Policy: *p, Start: m.start(w), Demand: Demand{Gaps: mem.gaps}}
		wait = keepFor(&v, waitQuantile)
	}
	return wait + p.ZeroRetention
}
