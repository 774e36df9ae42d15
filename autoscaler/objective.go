package autoscaler

import (
	"math"
	"time"

	"github.com/wholescale/wholescale/predictors"
)

const (
	// waitQuantile is what "p99 wait" means: 99 of 100 requests find a slot in time. As a price it is a waiting second
	// that costs 99 times an idle one, since then the newsvendor keeps that quantile.
	waitQuantile = 0.99
	// gapsNeeded are the idle times that must be known before they decide how long the last replica stays, and keepMost
	// is for how long at most.
	gapsNeeded = 8
	keepMost   = time.Hour
)

// objective is policy Wholescale beyond KPA's averages: room for what is held now, other signals, and a stock of replicas
// ahead of demand; but no more than is of use while replicas are starting.
func (z *sizer) objective() {
	if z.replicas > z.w.Replicas && z.decider().Rule == DownRateBound {
		// The bound is of the pods that are ready, of which some are leaving still: it slows a fall and makes no rise.
		z.become(z.w.Replicas, z.decider())
	}
	z.queued()
	z.backlog()
	z.signals()
	z.stock()
	if l := z.w.Demand.Learned; l > 0 {
		z.beside(Reason{Rule: TargetLearned, Observed: l, Result: z.replicas})
	}
}

// queued gives each held and in-flight request room now. The windows see a burst only as an average over seconds; a
// request that waits cannot wait for that.
func (z *sizer) queued() {
	d := &z.w.Demand
	if d.Queued == 0 {
		return
	}
	requests, perPod := float64(d.Queued+d.InFlight), z.perPod()
	if need := whole(math.Ceil(requests / perPod)); need > z.replicas {
		z.become(need, Reason{Rule: QueuedDemand, Observed: requests, Bound: perPod})
	}
}

// perPod is the requests that one pod takes at a time.
func (p *Policy) perPod() float64 {
	if p.Slots > 0 {
		return math.Min(p.Total, float64(p.Slots))
	}
	return p.Total
}

func (z *sizer) perPod() float64 { return z.w.Policy.perPod() }

// backlog bounds growth while requests are held. What is held while replicas start is a backlog, to be worked off once,
// and not a demand that lasts: counting it as one doubles the replicas for as long as they start (knative/serving#13284).
// A replica that is wanted now serves a lead time later; by then those that are there or starting have served a part of
// it. With rate r, service time s and c slots a pod, what is left then is
//
//	left = queued + r·lead - (c/s)·(ready·lead + sum over starting of (lead - its ETA))
//
// and the replicas that work it off within the objective, beside those that the rate needs all the time, are enough.
func (z *sizer) backlog() {
	d, p := &z.w.Demand, &z.w.Policy
	if d.Queued == 0 || d.Service <= 0 || d.Stale || z.replicas <= z.w.Replicas {
		return
	}
	lead, service, slots := z.v.lead(z.s, z.at).Seconds(), d.Service.Seconds(), z.perPod()
	served, there := float64(z.ready)*lead, z.ready
	for _, k := range z.v.podsOf[z.at] {
		switch pod := &z.s.Pods[k]; pod.Phase {
		case Starting:
			there++
			served += math.Max(0, lead-z.w.Start.Seconds()+z.s.Now.Sub(pod.Since).Seconds())
		case Pending:
			there++
		}
	}
	left := math.Max(0, float64(d.Queued)+d.Rate*lead-served*slots/service)
	within := math.Max(p.Objective.Wait.Seconds(), service)
	enough := max(whole(math.Ceil(d.Rate*service/p.Target)), there+whole(math.Ceil(left*service/(slots*within))), z.w.Replicas, 1)
	if z.replicas > enough {
		z.become(enough, Reason{Rule: BacklogEnough, Observed: left, Bound: within})
		z.memo.PanicReplicas = min(z.memo.PanicReplicas, enough)
	}
}

// signals lets each other measure of demand propose; the largest wins, and each stands in the reasons.
func (z *sizer) signals() {
	d, p := &z.w.Demand, &z.w.Policy
	if p.RateTarget > 0 {
		z.propose(whole(math.Ceil(d.Rate/p.RateTarget)), Reason{Rule: RateDemand, Observed: d.Rate, Bound: p.RateTarget})
	}
	for i := range z.w.Signals {
		s := &z.w.Signals[i]
		why := Reason{Rule: SignalDemand, Observed: s.Value, Bound: s.Target, Subject: s.Name}
		if !(s.Value >= 0 && s.Value <= math.MaxFloat64) || !(s.Target > 0) {
			z.beside(Reason{Rule: SignalUnknown, Subject: s.Name, Result: z.replicas})
			continue
		}
		want := whole(math.Ceil(s.Value / s.Target))
		if s.Stale && want < z.w.Replicas {
			want, why = z.w.Replicas, Reason{Rule: SignalUnknown, Subject: s.Name}
		}
		z.propose(want, why)
	}
}

// propose takes the larger of two wishes; the smaller stays in the reasons.
func (z *sizer) propose(n int, why Reason) {
	if n > z.replicas {
		z.become(n, why)
		return
	}
	why.Result = n
	z.beside(why)
}

// stock keeps replicas ahead of demand for what they are worth: the newsvendor's quantile of demand at the lead time of
// one more replica (Arrow, Harris and Marschak, Optimal inventory policy, 1951). A replica too few makes a request wait,
// one too many is idle; the quantile is cost of waiting / (cost of waiting + cost of idling).
func (z *sizer) stock() {
	d, p := &z.w.Demand, &z.w.Policy
	q, ok := z.criticalRatio()
	if !ok || d.Stable == 0 && d.Panic == 0 || d.Queued > 0 {
		return // what is held has room asked for it already
	}
	horizon := z.v.lead(z.s, z.at) - p.Objective.Wait
	if horizon <= 0 {
		return // who may wait for as long as a replica starts needs none ahead
	}
	o := outlook(p, d, z.s.Now, min(horizon, p.StableWindow).Seconds())
	demand := o.Quantile(q)
	if most := math.Ceil(p.UpRate * math.Max(1, float64(z.ready))); demand > most*z.perPod() {
		demand = most * z.perPod()
	}
	n := whole(math.Ceil(demand / z.perPod()))
	if d.Panic < d.Stable {
		// Demand falls: its past holds what is there, and adds nothing.
		n = min(n, z.w.Replicas)
	}
	if n > z.replicas {
		z.become(n, Reason{Rule: Stock, Observed: demand, Bound: 100 * q})
	}
}

// settle lowers nothing until replicas that were just asked for have had the time to start and to be seen in the averages:
// to take them back before that is to have asked for nothing.
func (z *sizer) settle() {
	until := z.memo.Raised.Add(z.w.Start + z.w.Policy.PanicWindow)
	if z.replicas < z.w.Replicas && !z.memo.Raised.IsZero() && z.s.Now.Before(until) {
		z.held = z.w.Replicas - z.replicas
		z.become(z.w.Replicas, Reason{Rule: RaisedLately, At: until})
	}
}

// outlook is demand a while ahead. After requests were held, the averages have their waiting in them, which is no demand:
// then it is what the rate of arrivals keeps busy, which for Poisson arrivals is Poisson too, whatever the service times are
// (M/G/infinity; Tijms, A First Course in Stochastic Models, 2003, 1.1.3). Without a known service time it is nothing.
func outlook(p *Policy, d *Demand, now time.Time, ahead float64) predictors.Outlook {
	if !d.HeldAt.IsZero() && now.Before(d.HeldAt.Add(p.StableWindow)) {
		busy := d.Rate * d.Service.Seconds()
		return predictors.Outlook{Mean: busy, Deviation: math.Sqrt(busy)}
	}
	apart := (p.StableWindow - p.PanicWindow).Seconds() / 2 // between the middles of the two windows
	return predictors.Recent(d.Stable, d.Panic, d.Deviation, apart, ahead)
}

// criticalRatio is the newsvendor's quantile of the objective; false without one.
func (z *sizer) criticalRatio() (float64, bool) {
	o := z.w.Policy.Objective
	if slot := z.v.podPrice(z.s, &z.w.Shape) / z.perPod(); o.Price > 0 && slot > 0 {
		return o.Price / (o.Price + slot), true
	}
	return waitQuantile, o.Price > 0 || o.Wait > 0
}

// keepIdle is how long the last replica should stay idle by the gaps that were seen, and whether enough of them are known.
func (z *sizer) keepIdle() (time.Duration, bool) {
	p := &z.w.Policy
	q, ok := z.criticalRatio()
	if !ok || p.Name == KPA || z.w.Demand.Gaps.Count() < gapsNeeded {
		return 0, false
	}
	return keepFor(z.w, q), true
}

// keepFor is keepIdle for a quantile.
func keepFor(w *Workload, q float64) time.Duration {
	p := &w.Policy
	// A cold start makes somebody wait for the lead time; in seconds of keeping a pod that is worth:
	cold := math.Max(0, (w.Start-p.Objective.Wait).Seconds()) * q / (1 - q) // of an idle slot
	if p.Objective.Price > 0 {
		cold /= p.perPod()
	}
	keep := w.Demand.Gaps.Keep(time.Duration(math.Min(cold, 1e6) * float64(time.Second)))
	return min(max(keep, p.PanicWindow), keepMost)
}

// podPrice is what a replica costs a second on the machine where it costs least; 0 when no price is known.
func (v *view) podPrice(s *State, shape *Shape) float64 {
	best := 0.0
	for k := range s.Pools {
		p := &s.Pools[k]
		if n := v.fresh[k].Count(shape.Needs, math.MaxInt32); n > 0 && p.PricePerHour > 0 && runs(shape, &v.offers[k]) {
			if price := p.PricePerHour / 3600 / float64(n); best == 0 || price < best {
				best = price
			}
		}
	}
	return best
}
