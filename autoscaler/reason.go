package autoscaler

import "time"

// Rule names why something was decided. The list is closed: a test fails when a rule stands in no scenario.
type Rule int

// The rules, by what they decide.
const (
	// Replicas.
	NoDemand        Rule = iota + 1 // nothing held or in flight
	StableDemand                    // the stable average over the target
	PanicDemand                     // the panic average over the target, held while panic lasts
	QueuedDemand                    // held and in-flight requests need room now
	ActivationLeast                 // any demand wants the activation scale
	UpRateBound                     // at most ready x up rate
	DownRateBound                   // at least ready / down rate
	DelayedDown                     // the largest wish within the scale-down delay
	StepTaken                       // replicas were lowered within this tick already
	ZeroWait                        // not idle for long enough to go to zero
	GapWait                         // a cold start is expected to cost more than keeping the last one
	GapsLong                        // keeping the last one is expected to cost more than a cold start
	BacklogEnough                   // what is there or starting works the backlog off
	RateDemand                      // requests a second over the target
	SignalDemand                    // another measure over its target
	SignalUnknown                   // a measure that is stale or no number lowers nothing
	TargetLearned                   // the target per pod is the knee of latency
	Stock                           // ahead of demand: the newsvendor's quantile
	RaisedLately                    // what was just asked for has not had the time to serve
	Tolerated                       // too small a difference
	RampBound                       // at most so many more in a period
	MoveFirst                       // replacements of pods that move serve first
	FloorBound                      // the least of this time of day
	InitialLeast                    // new: its initial replicas first
	MinBound                        // the least that the workload allows
	MaxBound                        // the most that the workload allows
	DemandStale                     // unknown demand lowers nothing
	Blocked                         // we may not act
	// Placement.
	NoPoolFits    // no pool's machine can hold the pod
	PoolsFull     // pools that fit are at their bound
	PoolsOut      // pools that fit cannot be bought from now
	Preempts      // the scheduler makes room for it
	PriceCapped   // a machine more would cost more than is allowed
	NotUnderstood // the pod asks for what is not understood here
	PoolsUnknown  // pools that fit are unknown now
	// Orders.
	PlacementShort  // pods fit nowhere: buy
	MinNodes        // the least that the pool allows
	RoomEnough      // all fits on what is there or coming
	Resumed         // stopped machines before new ones
	Hedged          // a second machine, as the first may be late and waiting is dear
	StillShort      // pods have no room, and none is bought here
	NodeOnItsWay    // a node that is coming holds them; no more is bought
	ProviderUnknown // unknown figures change nothing
	NodesLeave      // empty nodes are given back
	// Nodes.
	Empty            // empty for the idle time: goes
	EmptyTooShort    // empty, not long enough
	NeededForPlace   // empty, and placed pods need it
	PoolAtMin        // its pool may not shrink
	OverMax          // its pool has more than its bound: goes with its pods
	Draining         // pods are asked to leave
	EvictionHeld     // a pod may not be evicted now
	Drained          // nothing is left on it: ends
	DrainCancelled   // wanted again before it was gone
	InstanceFailed   // the instance will never be a node: ends
	NeverJoined      // not Ready within the join deadline: ends
	NotOurs          // marked by somebody to be kept
	Underused        // its pods have room elsewhere, and to save it is worth their moves
	NotWorthMoving   // its pods would cost more to move than it would save
	NoRoomElsewhere  // its pods have no room on others
	RoomForMore      // its pods have room on others, but as many more as came lately would not
	CheaperKind      // cheaper machines would do for its pods: they are bought first
	Replaced         // cheaper machines are ready for its pods
	Expired          // too old: replaced
	Drifted          // not as its pool says: replaced
	ReplacementFirst // its pods have no room on ready nodes yet
	Unhealthy        // not ready for too long: ends
	UnreadyTooShort  // not ready, not for long enough
	TooManyUnready   // so many are not ready that nothing is taken away
	BudgetSpent      // as many as may leave at a time do
	NodeUnknownState // NotReady: left alone until it is known
	// Pods.
	LeastBusy    // leaves first: least in flight, on the node that empties first
	CostReleased // leaves no more
	// Holds.
	CapacityArriving // room comes at a time
	CapacityReady    // replicas serve
	NothingArrives   // no room can come
	ruleEnd
)

// Reason is why, as data: the rule, what it saw, and what bounded it. Which fields have meaning stands with each rule in
// describe.go.
type Reason struct {
	Rule Rule
	// Observed and Bound are in the rule's own unit.
	Observed, Bound float64
	// At is a time that the rule speaks of; zero when it speaks of none.
	At time.Time
	// Subject is an id, or a sentence that came from outside (why a workload is blocked, a provider's words).
	Subject string
	// Result is what the rule made of the number at hand.
	Result int
}
