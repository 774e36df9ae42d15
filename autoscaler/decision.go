package autoscaler

import "time"

// Decision is what to do about one State, complete: nothing is left to choose when it is carried out.
type Decision struct {
	At         time.Time
	Scales     []Scale     // sorted by workload; one for each workload, also when nothing changes
	Placements []Placement // sorted by workload
	Orders     []Order     // sorted by pool; one for each pool, also when nothing changes
	Drains     []Drain     // sorted by node; one for each of our nodes that is leaving or could
	Costs      []Cost      // sorted by pod
	Holds      []Hold      // sorted by workload; one for each workload with requests held or replicas missing
	// Truncated: a bound on steps ended the search for the cheapest machines; what was found is in force.
	Truncated bool
	Memo      Memo
}

// Scale is the replicas that a workload should have.
type Scale struct {
	Workload WorkloadID
	From, To int
	// Excess is the burst capacity left over, as Knative counts it: negative means too little.
	Excess int
	// Why has the rule that decided last and, after it, those that it overruled.
	Why []Reason
}

// Changes says that the scale is to be written.
func (s Scale) Changes() bool { return s.From != s.To }

// Placement is where the replicas that have no node yet have room.
type Placement struct {
	Workload WorkloadID // empty for pods that no workload of ours owns
	// Leaving is the node that these pods are to leave, Buffer the headroom that this is; most often there is neither.
	Leaving NodeID
	Buffer  string
	Spots   []Spot
	// Unplaced have no room anywhere and none can be bought.
	Unplaced int
	Why      Reason // meaningful when Unplaced > 0
}

// Spot is room for some replicas on one node, or on new ones of a pool.
type Spot struct {
	Node NodeID // empty for machines to buy
	Pool PoolID // of machines to buy
	// Resumes: these machines are stopped now.
	Resumes bool
	Count   int
	// Due is when the room can be used.
	Due time.Time
}

// Order is a pool's absolute target and the instances that end with it.
type Order struct {
	Pool     PoolID
	From, To int
	// Delete are nodes that are empty and drained, or instances that failed; sorted.
	Delete []NodeID
	Why    []Reason
}

// Changes says that the provider is to be told.
func (o Order) Changes() bool { return o.From != o.To || len(o.Delete) > 0 }

// Step is what to do with a node that leaves.
type Step int

const (
	// Stay is a node that could leave and does not, with the reason.
	Stay Step = iota + 1
	// Cordon puts our taint on it: new pods keep away.
	Cordon
	// Evict asks the Eviction API to move the pods that are left.
	Evict
	// Uncordon takes our taint away: it is in use again.
	Uncordon
	// Wait is for pods to end.
	Wait
	// Delete ends the instance; it is in its pool's Order too.
	Delete
)

// Drain is one node's way out.
type Drain struct {
	Node  NodeID
	Step  Step
	Evict []PodID // sorted
	Why   Reason
}

// Cost marks which pods should leave first when the scale falls.
type Cost struct {
	Pod  PodID
	Cost int
	Why  Reason
}

// Hold says what the requests held for a workload may hope for.
type Hold struct {
	Workload WorkloadID
	Arrivals []Arrival // sorted by time
	// Refuse: nothing will come; say so at once rather than holding.
	Refuse bool
	Why    Reason
}

// Arrival is room for Slots more requests from At on.
type Arrival struct {
	At    time.Time
	Slots int
}
