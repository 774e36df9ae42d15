package autoscaler

import (
	"time"

	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/learn"
	"github.com/wholescale/wholescale/autoscaler/pack"
	"github.com/wholescale/wholescale/autoscaler/window"
)

// The ids. A WorkloadID and a PodID are "namespace/name"; a NodeID is the Node's name, or the instance's provider id
// while there is no Node; a PoolID is the NodePool's name, and of one with several offers that and the offer's.
type (
	WorkloadID string
	PodID      string
	NodeID     string
	PoolID     string
	GroupID    string
)

// Resources is CPU in millicores, memory in bytes, and pod slots.
type Resources = pack.Resources

// State is all that Plan may know. Slices are sorted by ID and hold each ID once.
type State struct {
	Now       time.Time
	Workloads []Workload
	Pools     []Pool
	Groups    []Group
	Nodes     []Node
	Pods      []Pod
	Daemons   []Daemon
	Buffers   []Buffer
	// Namespaces are sorted by name.
	Namespaces []Namespace
	// PriceCap is the most that all pools together may cost an hour; 0 is no cap.
	PriceCap float64
	Memo     Memo
}

// Cluster is what a driver sees of the world: State without what Memory adds (demand, learned times, memo).
type Cluster struct {
	Workloads []Workload
	Pools     []Pool
	Groups    []Group
	Nodes     []Node
	Pods      []Pod
	Daemons   []Daemon
	Buffers   []Buffer
	PriceCap  float64

	Namespaces []Namespace
	// Partial: the driver leaves out workloads with which nothing goes on. Memory keeps what it knows of those.
	Partial bool
}

// Buffer is declared headroom: room for so many pods of a shape, which any pod that is wanted takes.
type Buffer struct {
	ID    string // "namespace/name"
	Shape Shape
	Count int
}

// Workload is what scales: a Deployment or anything else with a scale.
type Workload struct {
	ID     WorkloadID
	Policy Policy
	Shape  Shape // of one replica
	// Replicas is what the scale subresource asks for now.
	Replicas int
	// Start is the expected time from a pod's binding to its serving; Memory fills it with the learned p90.
	Start time.Duration
	// Blocked, when not empty, is why we may not act on it (paused, an HPA on the same target).
	Blocked string
	// Initialized says that it has had its initial replicas once; Policy.Initial holds no more.
	Initialized bool
	Demand      Demand // filled by Memory
	// Signals are sorted by name.
	Signals []Signal
	// Priority says who goes without first when not all can be placed: the lowest.
	Priority int
}

// PolicyName chooses the rules for replicas.
type PolicyName string

const (
	// Wholescale wants the most of: what KPA's averages want, room for the requests held and in flight, what a stock of
	// replicas ahead of demand is worth, and what other signals want; less while replicas that are starting suffice.
	Wholescale PolicyName = "wholescale"
	// KPA is Knative's pod autoscaler, exactly.
	KPA PolicyName = "kpa"
)

// Policy is a workload's settings. Bounds are replicas.
type Policy struct {
	Name PolicyName
	// Target is the in-flight requests wanted per pod on average, utilization already taken off; > 0.
	Target float64
	// Total is the in-flight requests one pod can take: Target / utilization; >= Target.
	Total float64
	// Slots is the hard limit of in-flight requests per pod; 0 is none.
	Slots int
	// Min and Max bound the replicas; Max 0 is no bound.
	Min, Max int
	// Initial is the replicas of a new workload until it has had them; Activation the least when there is any demand.
	Initial, Activation int
	// StableWindow and PanicWindow are what averages run over; PanicThreshold is wanted / ready replicas that starts panic.
	StableWindow, PanicWindow time.Duration
	PanicThreshold            float64
	// UpRate and DownRate bound one step: at most ready x UpRate, at least ready / DownRate.
	UpRate, DownRate float64
	// ScaleDownDelay keeps the largest wish of that long; 0 is off.
	ScaleDownDelay time.Duration
	// ZeroRetention keeps the last replica that long beyond an idle stable window.
	ZeroRetention time.Duration
	// BurstCapacity is the in-flight requests that should find room at once, used for the excess figure alone; < 0 is all.
	BurstCapacity float64
	// Unreachable: no route leads here, so neither the scale-down rate nor the delay holds.
	Unreachable bool

	// What follows holds for Wholescale alone, but Floors.

	// Objective says what waiting is worth; the zero value says nothing, and then nothing is kept ahead of demand.
	Objective Objective
	// Auto: Target and Total are where the learned concurrency begins (filled by Memory); Slots is its most.
	Auto bool
	// RateTarget is the requests per second wanted per pod; 0 is off.
	RateTarget float64
	// Floors are the least replicas of times to come.
	Floors []Floor
	// Tolerance is how far, as a share of the replicas, the wish may differ without a change; 0 to 0.5. It holds neither
	// for the way from or to zero nor while requests are held.
	Tolerance float64
	// Ramp bounds growth further than UpRate; its zero value is off.
	Ramp Ramp
}

// Objective is the one knob: either a wait that 99 of 100 requests should not exceed, or the price of waiting.
type Objective struct {
	// Wait is the p99 of waiting for a slot, 0 is not given.
	Wait time.Duration
	// Price is what one second of one request's waiting costs, in the unit of the pools' prices; 0 is not given. It goes
	// before Wait where the price of a pod is known.
	Price float64
}

// Floor is a least number of replicas from a time to another.
type Floor struct {
	Name        string
	From, Until time.Time
	Replicas    int
}

// Ramp is the most replicas that are added in a period.
type Ramp struct {
	Replicas int
	Period   time.Duration
}

// Signal is another measure of demand than requests: CPU, memory, or a metric of the user's.
type Signal struct {
	Name string
	// Value is of all pods together, Target what one pod should have of it; Target > 0.
	Value, Target float64
	// Stale: the value is the last known and may only raise.
	Stale bool
}

// Demand is what gateways reported of one workload.
type Demand struct {
	// Stale: a gateway's report is overdue or there is none; the figures are the last known and may only raise.
	Stale bool
	// Stable and Panic are average concurrency (held + in flight) over the two windows.
	Stable, Panic float64
	// Deviation is the standard deviation of concurrency over the seconds of the stable window.
	Deviation float64
	// Rate is arrivals a second over the panic window; Service the mean time that a pod takes for a request, 0 not known.
	Rate    float64
	Service time.Duration
	// Learned is the concurrency per pod at full use that was learned and put into the policy; 0 without evidence.
	Learned float64
	// HeldAt is when requests were last held; the averages have their waiting in them for a window from then on.
	HeldAt time.Time
	// Gaps are the idle times seen so far.
	Gaps learn.Gaps
	// InFlight and Queued are now.
	InFlight, Queued int
	// IdleSince is since when there was neither; zero means busy or not known.
	IdleSince time.Time
}

// Shape is what a pod asks of a node.
type Shape struct {
	Needs Resources // Pods is 1
	// Rules is all that the scheduler looks at, Needs among them. Equal pods share one; nil is a pod that asks for Needs alone.
	Rules *fit.Pod
}

// What pods and nodes say of each other is package fit's.
type (
	Label      = fit.Label
	Taint      = fit.Taint
	Toleration = fit.Toleration
)

// Namespace is one with its labels: pod affinity may select by them.
type Namespace struct {
	Name   string
	Labels fit.Labels
}

// Group is pools of which any may do, with bounds for all of them together: what is for sale in several shapes, zones and
// capacity types is one pool for each, as each has a price, a stock and a lead time of its own.
type Group struct {
	ID GroupID
	// Min and Max bound the nodes of its pools together, which have no least of their own; what is missing to Min is bought
	// where it costs least.
	Min, Max int
	// PriceCap is the most that they together may cost an hour; 0 is no cap.
	PriceCap float64
}

// Pool is machines of one shape, in one zone and of one capacity type, that can be bought.
type Pool struct {
	ID PoolID
	// Group, when not empty, is that whose bounds hold beside its own; one that is not in State bounds nothing.
	Group GroupID
	// Allocatable, Extended (further resources, by their own names), Labels and Taints are those of a new node.
	Allocatable Resources
	Extended    fit.Amounts
	Labels      fit.Labels
	Taints      []Taint
	Min, Max    int
	// Unknown, when not empty, is why the provider's figures are not known: the pool is then left as it is.
	Unknown string
	// Target is how many instances the provider was last told to have.
	Target int
	// PricePerHour orders pools; 0 means not known, which is dearer than any price.
	PricePerHour float64
	// PriceCap is the most that all nodes of the pool together may cost an hour; 0 is no cap.
	PriceCap float64
	// Weight goes before price: higher first.
	Weight int
	// Join is the expected time from the order to a Ready node; Memory fills it with the learned p90.
	Join time.Duration
	// Joins are times of that kind, each as likely as the others, so that their spread shows; Memory fills them from those that
	// were measured. None: nothing is known of it.
	Joins []time.Duration
	// Stopped is how many of its machines are stopped: they resume, in Resume as Join tells of new ones, before others are made.
	Stopped int
	Resume  time.Duration
	// IdleAfter is how long a node is empty before it is given back.
	IdleAfter time.Duration
	// StockOut, when not empty, is why nothing can be bought here now.
	StockOut string
	// Disruption says when nodes that are in use may leave. Its zero value is never.
	Disruption Disruption
}

// Disruption bounds what is done to nodes that are in use, for the sake of cost or order.
type Disruption struct {
	// ConsolidateAfter is how long nothing has changed on a node before its pods may be moved to others to save it; 0 is
	// never.
	ConsolidateAfter time.Duration
	// ExpireAfter is the age at which a node is replaced; 0 is never.
	ExpireAfter time.Duration
	// RepairAfter is how long a node is not ready before it is replaced, while few are so; 0 is never.
	RepairAfter time.Duration
	// Budgets bound how many nodes of the pool leave at a time; the least that is for a reason holds.
	Budgets []Budget
}

// Budget is how many nodes may leave at a time.
type Budget struct {
	// For names one reason; empty is for all.
	For LeaveReason
	// Nodes is a number; drivers have resolved percentages and schedules.
	Nodes int
}

// LeaveReason is why a node that is in use leaves.
type LeaveReason string

// The reasons that budgets are for.
const (
	LeaveEmpty     LeaveReason = "Empty"
	LeaveUnderused LeaveReason = "Underused"
	LeaveExpired   LeaveReason = "Expired"
	LeaveDrifted   LeaveReason = "Drifted"
	LeaveUnhealthy LeaveReason = "Unhealthy"
)

// Phase is a stage in the life of a node or pod.
type Phase int

// A node is Coming (ordered or booting), Ready, NotReady or Failed (the instance will never be a node). A pod is Pending
// (no node yet), Starting (bound), Ready or Leaving.
const (
	Coming Phase = iota + 1
	Pending
	Starting
	Ready
	NotReady
	Failed
	Leaving
)

// Node is a machine, there or coming.
type Node struct {
	ID NodeID
	// Pool is empty for a node that is not ours: it has room for pods and is never touched.
	Pool        PoolID
	Instance    string // the provider's id
	Phase       Phase
	Allocatable Resources
	Extended    fit.Amounts // further resources, by their own names
	Labels      fit.Labels
	Taints      []Taint // without our own draining taint
	// Cordoned: somebody else marked it unschedulable.
	Cordoned bool
	// Draining: it carries our taint.
	Draining bool
	// Keep, when not empty, is why it must not be given back (a do-not-disrupt mark).
	Keep string
	// Resuming: a Coming node was stopped before.
	Resuming bool
	// Due is when a Coming node is expected to be Ready.
	Due time.Time
	// Since is when the instance was created or the order was placed; zero when not known.
	Since time.Time
	// Drifted, when not empty, is how it differs from what its pool says of a new one.
	Drifted string
}

// Pod is one pod that takes room, or waits for it.
type Pod struct {
	ID PodID
	// Workload is empty when the pod belongs to none that we scale.
	Workload WorkloadID
	// Node is empty while the pod waits for one.
	Node  NodeID
	Phase Phase
	Shape Shape
	// Daemon is "namespace/name" of its DaemonSet: it does not keep a node from being empty.
	Daemon string
	// Mirror: a static pod of the node, which ends with it.
	Mirror bool
	// Keep, when not empty, is why it must not be evicted now (a budget, no controller, do-not-disrupt).
	Keep string
	// Since is when it was bound, or created while it waits.
	Since time.Time
	// InFlight is the requests on it now; filled by Memory.
	InFlight int
	// DeletionCost is its controller.kubernetes.io/pod-deletion-cost.
	DeletionCost int
}

// Daemon is a DaemonSet: it takes its share of each node that it runs on.
type Daemon struct {
	ID    string
	Shape Shape
}

// Memo is what Plan remembers between calls. It comes out in the Decision and goes back in with the next State.
type Memo struct {
	Workloads []WorkloadMemo // sorted by ID
	Nodes     []NodeMemo     // sorted by ID
	Bought    []Bought       // sorted by Pool
}

// WorkloadMemo is the memory of one workload.
type WorkloadMemo struct {
	ID WorkloadID
	// PanicSince is when the panic threshold was last exceeded; zero means not in panic.
	PanicSince time.Time
	// PanicReplicas is the most that was wanted during this panic; it is held until the end of it.
	PanicReplicas int
	// RampFrom and RampAt are the replicas at the beginning of the ramp's period, and that.
	RampFrom int
	RampAt   time.Time
	// Lowered is when replicas were last lowered, Raised when they were raised, and Changed either.
	Lowered, Raised, Changed time.Time
	// Peaks are the recent largest wishes, for ScaleDownDelay.
	Peaks []window.Peak
}

// NodeMemo is the memory of one node.
type NodeMemo struct {
	ID NodeID
	// EmptySince is since when it has no pods but daemons; zero when it has.
	EmptySince time.Time
	// UnreadySince is since when it is not ready; zero when it is.
	UnreadySince time.Time
	// Leaving is why it was marked while it was in use.
	Leaving LeaveReason
	// Tried is when it was last looked at whether its pods fit elsewhere.
	Tried time.Time
	// ReplaceBy, when not empty, is the pool of a cheaper machine that was then ordered for its pods.
	ReplaceBy PoolID
}
