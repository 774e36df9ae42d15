package autoscaler

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// rules is the closed list with what each says: a name for code, metrics and tests, and a sentence for people. The verbs
// of the sentence take a Reason's fields by name.
var rules = [ruleEnd]struct{ name, sentence string }{
	NoDemand:        {"NoDemand", "nothing held or in flight over the window"},
	StableDemand:    {"StableDemand", "{observed} in flight on average (stable window) / {bound} per pod"},
	PanicDemand:     {"PanicDemand", "{observed} in flight on average (panic window) / {bound} per pod{since}"},
	QueuedDemand:    {"QueuedDemand", "{observed} held or in flight now / {bound} per pod"},
	ActivationLeast: {"ActivationLeast", "any demand wants {bound} replicas at least"},
	UpRateBound:     {"UpRateBound", "one step goes to {bound} at most"},
	DownRateBound:   {"DownRateBound", "one step goes to {bound} at least"},
	DelayedDown:     {"DelayedDown", "the most that was wanted in the last {bound} s"},
	StepTaken:       {"StepTaken", "lowered within this second already; one step down a tick"},
	ZeroWait:        {"ZeroWait", "the last replica stays until {bound} s idle{at}"},
	GapWait:         {"GapWait", "a cold start would cost more than to keep the last replica for {bound} s, by the idle times seen{at}"},
	GapsLong:        {"GapsLong", "idle for {bound} s: to keep the last replica would cost more than a cold start, by the idle times seen"},
	BacklogEnough:   {"BacklogEnough", "what is there or starting leaves {observed} waiting; these work that off within {bound} s"},
	RateDemand:      {"RateDemand", "{observed} requests a second / {bound} per pod"},
	SignalDemand:    {"SignalDemand", "{subject}: {observed} / {bound} per pod"},
	SignalUnknown:   {"SignalUnknown", "{subject} is not known now: it lowers nothing"},
	TargetLearned:   {"TargetLearned", "a pod serves {observed} at once best, by throughput and latency seen"},
	Stock:           {"Stock", "{observed} in flight is the {bound} % quantile a lead time ahead"},
	RaisedLately:    {"RaisedLately", "raised so lately that it does not show yet; nothing is lowered{until}"},
	Tolerated:       {"Tolerated", "{observed} is within {bound} % of what is there"},
	RampBound:       {"RampBound", "at most {bound} more until the period ends{at}"},
	MoveFirst:       {"MoveFirst", "replacements of {observed} pods that move start before these leave"},
	FloorBound:      {"FloorBound", "floor {subject}: at least {bound}, ends{at}"},
	InitialLeast:    {"InitialLeast", "a new workload starts with {bound}"},
	MinBound:        {"MinBound", "at least {bound}"},
	MaxBound:        {"MaxBound", "at most {bound}"},
	DemandStale:     {"DemandStale", "no fresh report from a gateway: nothing is lowered"},
	Blocked:         {"Blocked", "{subject}"},

	NoPoolFits:    {"NoPoolFits", "no pool has a machine for {observed}m CPU and {bound} bytes ({subject})"},
	PoolsFull:     {"PoolsFull", "pool {subject} is at its bound of {bound} nodes{waits}"},
	PoolsOut:      {"PoolsOut", "pool {subject} is out of stock"},
	Preempts:      {"Preempts", "the scheduler makes room by preempting pods of lower priority; nothing is bought"},
	PriceCapped:   {"PriceCapped", "one machine more would exceed the price cap of {subject}: {bound} an hour{waits}"},
	NotUnderstood: {"NotUnderstood", "left alone: {subject}"},
	PoolsUnknown:  {"PoolsUnknown", "the provider's figures for pool {subject} are not known now"},

	PlacementShort:  {"PlacementShort", "{observed} more for pods that fit nowhere"},
	MinNodes:        {"MinNodes", "at least {bound}"},
	RoomEnough:      {"RoomEnough", "all pods have room on what is there or coming"},
	Resumed:         {"Resumed", "{observed} that are stopped resume first, within {bound} s"},
	Hedged:          {"Hedged", "beside what is coming of pool {subject}: less waiting is worth {observed}, the second machine costs {bound}"},
	StillShort:      {"StillShort", "{observed} pods have no room, and none is bought here: {subject}"},
	NodeOnItsWay:    {"NodeOnItsWay", "{observed} coming will hold them; no more is bought"},
	ProviderUnknown: {"ProviderUnknown", "left as it is: {subject}"},
	NodesLeave:      {"NodesLeave", "{observed} given back"},

	Empty:            {"Empty", "without pods for {bound} s"},
	EmptyTooShort:    {"EmptyTooShort", "empty, and stays until {bound} s have passed{at}"},
	NeededForPlace:   {"NeededForPlace", "{observed} pods are placed on it"},
	PoolAtMin:        {"PoolAtMin", "its pool keeps {bound}"},
	OverMax:          {"OverMax", "its pool has more than {bound}"},
	Draining:         {"Draining", "{observed} pods still to leave"},
	EvictionHeld:     {"EvictionHeld", "{subject}"},
	Drained:          {"Drained", "nothing is left on it"},
	DrainCancelled:   {"DrainCancelled", "wanted again before it was gone"},
	InstanceFailed:   {"InstanceFailed", "the instance will never be a node"},
	NeverJoined:      {"NeverJoined", "not a ready node within {bound} s"},
	NotOurs:          {"NotOurs", "{subject}"},
	Underused:        {"Underused", "its pods have room elsewhere: {observed} saved, {bound} for the moves"},
	NotWorthMoving:   {"NotWorthMoving", "to move its pods would save {observed} and cost {bound}"},
	NoRoomElsewhere:  {"NoRoomElsewhere", "its {observed} pods do not all have room on others"},
	RoomForMore:      {"RoomForMore", "its pods have room on others, but as many more as came within {bound} s, {observed}, would not"},
	CheaperKind:      {"CheaperKind", "its pods would do with a machine of {subject}, bought first: {observed} saved, {bound} for that and the moves"},
	Replaced:         {"Replaced", "a machine of {subject} is ready for its pods, and cheaper"},
	Expired:          {"Expired", "older than {bound} s"},
	Drifted:          {"Drifted", "{subject}"},
	ReplacementFirst: {"ReplacementFirst", "{observed} of its pods have no room on ready nodes yet"},
	Unhealthy:        {"Unhealthy", "not ready for {bound} s"},
	UnreadyTooShort:  {"UnreadyTooShort", "not ready, and stays until {bound} s have passed{at}"},
	TooManyUnready:   {"TooManyUnready", "too many nodes are not ready for the fault to be theirs"},
	BudgetSpent:      {"BudgetSpent", "as many leave already as the budget for {subject} allows"},
	NodeUnknownState: {"NodeUnknownState", "not ready: left alone until it is known why"},

	LeastBusy:    {"LeastBusy", "{observed} in flight, on {subject}"},
	CostReleased: {"CostReleased", "need not leave any more"},

	CapacityArriving: {"CapacityArriving", "room for {observed}{at}"},
	CapacityReady:    {"CapacityReady", "replicas serve, room for {observed}"},
	NothingArrives:   {"NothingArrives", "no room is on its way"},
}

// Rules lists all rules in order, for tests and for metrics with bounded labels.
func Rules() []Rule {
	var all []Rule
	for r := Rule(1); r < ruleEnd; r++ {
		all = append(all, r)
	}
	return all
}

func (r Rule) String() string {
	if r <= 0 || r >= ruleEnd {
		return "Rule(" + strconv.Itoa(int(r)) + ")"
	}
	return rules[r].name
}

// Sentence is the reason for people, without the rule's name.
func (r Reason) Sentence() string {
	if r.Rule <= 0 || r.Rule >= ruleEnd {
		return r.Rule.String()
	}
	at, since, until, waits := "", "", "", ""
	if r.Result != 0 {
		waits = "; priority " + number(r.Observed) + " waits"
	}
	if !r.At.IsZero() {
		until = " until " + clock(r.At)
		at, since = " at "+clock(r.At), ", held since "+clock(r.At)
	}
	return strings.NewReplacer(
		"{observed}", number(r.Observed), "{bound}", number(r.Bound), "{subject}", r.Subject, "{at}", at, "{since}", since, "{until}", until, "{waits}", waits,
	).Replace(rules[r.Rule].sentence)
}

func (r Reason) String() string { return r.Rule.String() + ": " + r.Sentence() }

// Describe prints a Decision, one line for each thing decided. It is what logs, scenarios and bug reports show.
// Without all, what stays as it is for want of anything to do is left out.
func Describe(d Decision, all bool) string {
	var b strings.Builder
	line := func(what string, why ...Reason) {
		for i, r := range why {
			if i > 0 {
				what = ""
			}
			fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("%-30s %-16s %s", what, r.Rule, r.Sentence()), " "))
		}
	}
	for _, s := range d.Scales {
		if all || s.Changes() || s.To > 0 {
			line(fmt.Sprintf("scale %s %d -> %d", s.Workload, s.From, s.To), s.Why...)
		}
	}
	for _, p := range d.Placements {
		if len(p.Spots) > 0 {
			fmt.Fprintf(&b, "place %s%s\n", p.name(), spots(p.Spots))
		}
		if p.Unplaced > 0 {
			line(fmt.Sprintf("short %s %d", p.name(), p.Unplaced), p.Why)
		}
	}
	for _, o := range d.Orders {
		what := fmt.Sprintf("pool  %s %d -> %d", o.Pool, o.From, o.To)
		for _, id := range o.Delete {
			what += " -" + string(id)
		}
		line(what, o.Why...)
	}
	for _, n := range d.Drains {
		line(fmt.Sprintf("%-5s %s", n.Step, n.Node)+evictions(n.Evict), n.Why)
	}
	for _, c := range d.Costs {
		line(fmt.Sprintf("cost  %s %d", c.Pod, c.Cost), c.Why)
	}
	for _, h := range d.Holds {
		verb := "hold  "
		if h.Refuse {
			verb = "refuse "
		}
		what := verb + string(h.Workload)
		for _, a := range h.Arrivals {
			what += fmt.Sprintf(" +%d@%s", a.Slots, clock(a.At))
		}
		line(what, h.Why)
	}
	return b.String()
}

func (s Step) String() string {
	return [...]string{Stay: "stay", Cordon: "cordon", Evict: "evict", Uncordon: "uncordon", Wait: "wait", Delete: "end"}[s]
}

func (p Phase) String() string {
	return [...]string{0: "none", Coming: "coming", Pending: "pending", Starting: "starting", Ready: "ready", NotReady: "notready",
		Failed: "failed", Leaving: "leaving"}[p]
}

// name is whose pods were placed.
func (p *Placement) name() string {
	switch {
	case p.Leaving != "":
		return "pods of " + string(p.Leaving)
	case p.Buffer != "":
		return "headroom " + p.Buffer
	}
	return nameOr(string(p.Workload), "others")
}

func spots(list []Spot) string {
	var b strings.Builder
	for _, s := range list {
		switch {
		case s.Node != "":
			fmt.Fprintf(&b, " %s+%d", s.Node, s.Count)
		case s.Resumes:
			fmt.Fprintf(&b, " %s/stopped+%d", s.Pool, s.Count)
		default:
			fmt.Fprintf(&b, " %s/new+%d", s.Pool, s.Count)
		}
	}
	return b.String()
}

func evictions(pods []PodID) string {
	var b strings.Builder
	for _, p := range pods {
		b.WriteString(" " + string(p))
	}
	return b.String()
}

func nameOr(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

// number shows three decimals at most: more is noise in a sentence.
func number(f float64) string { return strconv.FormatFloat(math.Round(f*1000)/1000, 'f', -1, 64) }

// clock is the time of day to the millisecond where it has any.
func clock(t time.Time) string {
	return strings.TrimRight(strings.TrimRight(t.UTC().Format("15:04:05.000"), "0"), ".")
}
