package story

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wholescale/wholescale/autoscaler"
)

// The rules that keep replicas from growing, from falling, or from either.
var (
	ceilings = []autoscaler.Rule{autoscaler.MaxBound, autoscaler.UpRateBound, autoscaler.RampBound, autoscaler.BacklogEnough, autoscaler.Blocked,
		autoscaler.Tolerated, autoscaler.GapsLong}
	floors = []autoscaler.Rule{autoscaler.MinBound, autoscaler.FloorBound, autoscaler.InitialLeast, autoscaler.ActivationLeast, autoscaler.DownRateBound,
		autoscaler.StepTaken, autoscaler.DelayedDown, autoscaler.ZeroWait, autoscaler.GapWait, autoscaler.RaisedLately, autoscaler.DemandStale,
		autoscaler.SignalUnknown, autoscaler.MoveFirst, autoscaler.Stock, autoscaler.Blocked, autoscaler.Tolerated}
	wants = []autoscaler.Rule{autoscaler.StableDemand, autoscaler.PanicDemand, autoscaler.QueuedDemand, autoscaler.RateDemand, autoscaler.SignalDemand}
)

func (t *Teller) workload(i int, q Question) Story {
	w, scale := &t.state.Workloads[i], t.scale(t.state.Workloads[i].ID)
	pods := t.podsOf(w.ID)
	s := Story{Summary: summary(scale, pods)}
	if q == NotMore {
		s.add("why not more", t.notMore(w, scale)...)
		return s
	}
	if q == NotFewer {
		s.add("why not fewer", t.notFewer(w, scale)...)
		return s
	}
	s.add("demand", demand(w)...)
	s.add("decided", fmt.Sprintf("%d -> %d by %s", scale.From, scale.To, says(scale.Why[0])))
	s.add("overruled", overruled(scale)...)
	s.add("why not more", t.notMore(w, scale)...)
	s.add("why not fewer", t.notFewer(w, scale)...)
	s.add("pods", t.whereabouts(pods)...)
	s.add("on its way", t.arriving(w, scale)...)
	s.add("nodes", t.nodesOf(w, pods)...)
	s.add("leave first", t.leavers(w.ID)...)
	s.add("requests", t.holdLines(w)...)
	s.add("before", t.pastOfWorkload(string(w.ID))...)
	return s
}

func (t *Teller) scale(id autoscaler.WorkloadID) autoscaler.Scale {
	for _, s := range t.decision.Scales {
		if s.Workload == id {
			return s
		}
	}
	return autoscaler.Scale{Workload: id, Why: []autoscaler.Reason{{}}}
}

func (t *Teller) podsOf(id autoscaler.WorkloadID) []*autoscaler.Pod {
	var pods []*autoscaler.Pod
	for i := range t.state.Pods {
		if t.state.Pods[i].Workload == id {
			pods = append(pods, &t.state.Pods[i])
		}
	}
	return pods
}

func summary(s autoscaler.Scale, pods []*autoscaler.Pod) string {
	ready := 0
	for _, p := range pods {
		if p.Phase == autoscaler.Ready {
			ready++
		}
	}
	wanted := fmt.Sprintf("%d wanted, as now", s.To)
	if s.Changes() {
		wanted = fmt.Sprintf("%d wanted instead of %d", s.To, s.From)
	}
	return fmt.Sprintf("%s, %d ready", wanted, ready)
}

func demand(w *autoscaler.Workload) []string {
	d, p := &w.Demand, &w.Policy
	lines := []string{
		fmt.Sprintf("now %d held and %d in flight; on average %s over %s, %s over %s", d.Queued, d.InFlight,
			number(d.Stable), length(p.StableWindow), number(d.Panic), length(p.PanicWindow)),
	}
	if d.Rate > 0 {
		line := number(d.Rate) + " requests a second"
		if d.Service > 0 {
			line += ", each busy for " + length(d.Service)
		}
		lines = append(lines, line)
	}
	if d.Stale {
		lines = append(lines, "a gateway's report is overdue: these are the last figures known, and they lower nothing")
	}
	if !d.IdleSince.IsZero() {
		lines = append(lines, "idle since "+clock(d.IdleSince))
	}
	for _, s := range w.Signals {
		stale := ""
		if s.Stale {
			stale = " (stale)"
		}
		lines = append(lines, fmt.Sprintf("signal %s: %s, target %s per pod%s", s.Name, number(s.Value), number(s.Target), stale))
	}
	worth := ""
	switch o := p.Objective; {
	case o.Price > 0:
		worth = fmt.Sprintf("; a second of waiting costs %s", number(o.Price))
	case o.Wait > 0:
		worth = fmt.Sprintf("; 99 of 100 are to wait %s at most", length(o.Wait))
	}
	return append(lines, fmt.Sprintf("a pod is planned with %s in flight and takes %s%s", number(p.Target), number(p.Total), worth))
}

// overruled is what the deciding rule set aside, in the order in which it was.
func overruled(s autoscaler.Scale) []string {
	var lines []string
	for _, r := range s.Why[1:] {
		lines = append(lines, fmt.Sprintf("%d by %s", r.Result, says(r)))
	}
	return lines
}

// notMore answers from the chain of reasons: the rule that holds a larger wish down, or that nothing wishes more; and what
// keeps the replicas that are wanted from having room.
func (t *Teller) notMore(w *autoscaler.Workload, s autoscaler.Scale) []string {
	var lines []string
	if r, wish, ok := holds(s, ceiling, func(wish int) bool { return wish > s.To }); ok {
		lines = append(lines, fmt.Sprintf("%d would be wanted (%s), but %s", wish.Result, wish.Sentence(), says(r)))
	} else if w.Blocked != "" {
		lines = append(lines, says(s.Why[0]))
	} else {
		lines = append(lines, fmt.Sprintf("nothing asks for more than %d%s", s.To, more(s)))
	}
	for _, p := range t.decision.Placements {
		if p.Workload == w.ID && p.Leaving == "" && p.Buffer == "" && p.Unplaced > 0 {
			lines = append(lines, fmt.Sprintf("%d of the %d have no room: %s", p.Unplaced, s.To, says(p.Why)))
		}
	}
	return lines
}

// more says from which figure on there would be one more.
func more(s autoscaler.Scale) string {
	r := s.Why[0]
	if !slices.Contains(wants, r.Rule) || r.Bound <= 0 || r.Result != s.To || math.Ceil(r.Observed/r.Bound) != float64(s.To) {
		return ""
	}
	return fmt.Sprintf(": %s; one more from above %s on", r.Sentence(), number(float64(s.To)*r.Bound))
}

// notFewer is likewise what keeps the replicas up.
func (t *Teller) notFewer(w *autoscaler.Workload, s autoscaler.Scale) []string {
	if s.To == 0 {
		return []string{"there are none"}
	}
	if r, wish, ok := holds(s, floor, func(wish int) bool { return wish < s.To }); ok {
		until, end := "", r.At
		if r.Rule == autoscaler.PanicDemand {
			end = r.At.Add(w.Policy.StableWindow)
		}
		if end.After(t.state.Now) {
			until = " (for " + length(end.Sub(t.state.Now)) + " more)"
		}
		return []string{fmt.Sprintf("%d would do (%s), but %s%s", wish.Result, wish.Sentence(), says(r), until)}
	}
	if w.Blocked != "" {
		return []string{says(s.Why[0])}
	}
	if _, wish, ok := holds(s, ceiling, func(wish int) bool { return wish > s.To }); ok {
		return []string{fmt.Sprintf("even %d would be wanted: %s", wish.Result, says(wish))}
	}
	needed := "the one is needed: "
	if s.To > 1 {
		needed = fmt.Sprintf("%d are needed: ", s.To)
	}
	return []string{needed + says(s.Why[0])}
}

// floor says that a rule keeps replicas up. Panic does once it is held: then replicas only grow.
func floor(r autoscaler.Reason) bool {
	return slices.Contains(floors, r.Rule) || r.Rule == autoscaler.PanicDemand && !r.At.IsZero()
}

func ceiling(r autoscaler.Reason) bool { return slices.Contains(ceilings, r.Rule) }

// holds finds the rule that set aside a wish beyond what was decided, and that wish: of the rules that shaped the number, the
// last one that did so.
func holds(s autoscaler.Scale, bounds func(autoscaler.Reason) bool, beyond func(int) bool) (rule, wish autoscaler.Reason, ok bool) {
	for i, r := range s.Why {
		if r.Result != s.To || !bounds(r) {
			continue
		}
		for _, w := range s.Why[i+1:] {
			if beyond(w.Result) && (slices.Contains(wants, w.Rule) || w.Rule == autoscaler.NoDemand || w.Rule == autoscaler.Stock) {
				return r, w, true
			}
		}
		for _, w := range s.Why[i+1:] {
			if beyond(w.Result) {
				return r, w, true
			}
		}
	}
	return rule, wish, false
}

// whereabouts lists pods by phase and node.
func (t *Teller) whereabouts(pods []*autoscaler.Pod) []string {
	if len(pods) == 0 {
		return []string{"none"}
	}
	var lines []string
	for _, phase := range []autoscaler.Phase{autoscaler.Ready, autoscaler.Starting, autoscaler.Pending, autoscaler.NotReady, autoscaler.Leaving} {
		n, nodes, on, flight := 0, []string{}, map[string]int{}, 0
		for _, p := range pods {
			if p.Phase != phase {
				continue
			}
			n, flight = n+1, flight+p.InFlight
			if node := string(p.Node); node != "" {
				if on[node] == 0 {
					nodes = append(nodes, node)
				}
				on[node]++
			}
		}
		if n == 0 {
			continue
		}
		slices.Sort(nodes)
		for k, node := range nodes {
			if on[node] > 1 {
				nodes[k] = fmt.Sprintf("%s*%d", node, on[node])
			}
		}
		line := fmt.Sprintf("%d %s", n, phase)
		if len(nodes) > 0 {
			line += " on " + list(nodes)
		}
		if phase == autoscaler.Ready {
			line += fmt.Sprintf(", %d in flight on them", flight)
		}
		lines = append(lines, line)
	}
	return lines
}

// nodesOf are the nodes that it runs on or is to run on, with what they cost and what they were bought for.
func (t *Teller) nodesOf(w *autoscaler.Workload, pods []*autoscaler.Pod) []string {
	used := map[autoscaler.NodeID]bool{}
	for _, p := range pods {
		used[p.Node] = true
	}
	for i := range t.decision.Placements {
		if p := &t.decision.Placements[i]; p.Workload == w.ID {
			for _, spot := range p.Spots {
				used[spot.Node] = true
			}
		}
	}
	var lines []string
	for i := range t.state.Nodes {
		n := &t.state.Nodes[i]
		if !used[n.ID] {
			continue
		}
		pool := t.poolOf(n.Pool)
		line := string(n.ID) + ": " + nodeSummary(n, pool)
		if pool != nil {
			line += ", " + price(pool)
			if bought := t.boughtFor(n, pool); bought != "" {
				line += ", bought for " + bought
			}
		}
		lines = append(lines, line)
	}
	if len(lines) > mostNamed {
		lines = append(lines[:mostNamed], fmt.Sprintf("and %d more", len(lines)-mostNamed))
	}
	return lines
}

// list joins names, and bounds them.
func list(names []string) string {
	if len(names) > mostNamed {
		return strings.Join(names[:mostNamed], ", ") + fmt.Sprintf(" and %d more", len(names)-mostNamed)
	}
	return strings.Join(names, ", ")
}

// arriving is what starts, and where what has no node yet will run.
func (t *Teller) arriving(w *autoscaler.Workload, s autoscaler.Scale) []string {
	var lines []string
	for _, p := range t.podsOf(w.ID) {
		if p.Phase == autoscaler.Starting {
			lines = append(lines, fmt.Sprintf("%s starts on %s, expected to serve %s", p.ID, p.Node, inTime(p.Since.Add(w.Start), t.state.Now)))
		}
	}
	if len(lines) > mostNamed {
		lines = append(lines[:mostNamed], fmt.Sprintf("and %d more that start", len(lines)-mostNamed))
	}
	for _, p := range t.decision.Placements {
		if p.Workload != w.ID || p.Leaving != "" || p.Buffer != "" {
			continue
		}
		for _, spot := range p.Spots {
			lines = append(lines, t.spot(w, spot))
		}
	}
	return lines
}

func (t *Teller) spot(w *autoscaler.Workload, spot autoscaler.Spot) string {
	serves := ", expected to serve " + inTime(spot.Due.Add(w.Start), t.state.Now)
	if spot.Node == "" {
		return fmt.Sprintf("room for %d on machines that are bought now from pool %s, ready %s%s", spot.Count, spot.Pool, inTime(spot.Due, t.state.Now), serves)
	}
	if n := t.nodeOf(spot.Node); n != nil && n.Phase == autoscaler.Coming {
		return fmt.Sprintf("room for %d on node %s, which is coming, ready %s%s", spot.Count, spot.Node, inTime(spot.Due, t.state.Now), serves)
	}
	return fmt.Sprintf("room for %d on node %s%s", spot.Count, spot.Node, serves)
}

func (t *Teller) nodeOf(id autoscaler.NodeID) *autoscaler.Node {
	for i := range t.state.Nodes {
		if t.state.Nodes[i].ID == id {
			return &t.state.Nodes[i]
		}
	}
	return nil
}

// leavers are the pods that are marked to leave first.
func (t *Teller) leavers(id autoscaler.WorkloadID) []string {
	var lines []string
	ours := map[autoscaler.PodID]bool{}
	for _, p := range t.podsOf(id) {
		ours[p.ID] = true
	}
	for _, c := range t.decision.Costs {
		if ours[c.Pod] && c.Cost < 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", c.Pod, says(c.Why)))
		}
	}
	if len(lines) > mostNamed {
		lines = append(lines[:mostNamed], fmt.Sprintf("and %d more", len(lines)-mostNamed))
	}
	return lines
}

func (t *Teller) holdLines(w *autoscaler.Workload) []string {
	for _, h := range t.decision.Holds {
		if h.Workload != w.ID {
			continue
		}
		if h.Refuse && w.Demand.Queued == 0 {
			return []string{"one that came now would be refused at once: " + says(h.Why)}
		}
		if h.Refuse {
			return []string{fmt.Sprintf("the %d held are refused at once: %s", w.Demand.Queued, says(h.Why))}
		}
		if w.Demand.Queued > 0 {
			return []string{fmt.Sprintf("the %d held wait: %s", w.Demand.Queued, says(h.Why))}
		}
	}
	return nil
}
