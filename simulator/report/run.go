// Package report is what a run of traffic came to, real or simulated: one set of figures, one series over time, and their
// forms for people (text, HTML) and programs (JSON).
package report

import (
	"math"
	"slices"
	"time"
)

// Run is one run: figures, and how they came about over time.
type Run struct {
	// Name tells runs apart in a report, such as "measured" or "simulated".
	Name    string
	Summary Summary
	// Series is sorted by time and has a point each second or so.
	Series []Point
	// Figures are by what policies are compared; nil when it was not a policy that was simulated.
	Figures *Figures
	// Moments are decisions with their reasons, sorted by time; Worst the longest waits, the longest first.
	Moments []Moment
	Worst   []Wait
}

// Figures are by what policies are compared.
type Figures struct {
	Requests, Answered, Errors int64
	// HeldAtEnd were neither answered nor refused when the run ended.
	HeldAtEnd int64
	// WaitedOver1s waited longer than a second for a slot; WaitedForPod and WaitedForNode waited, however long, for one to start.
	WaitedOver1s, WaitedForPod, WaitedForNode int64
	// The wait for a slot, of all requests; WaitSeconds is their sum.
	WaitP50Ms, WaitP99Ms, WaitP999Ms, WaitSeconds float64
	// PodHours and NodeHours are what was there, ready or not; Money is what the nodes cost.
	PodHours, NodeHours, Money float64
	// Utilisation is the share of the ready pods' slots that had a request in them.
	Utilisation float64
	// Thrash is how much the replicas moved over how much the demand's trend did: see simulator, trend.
	Thrash                float64
	ReplicasMax, NodesMax int
	// Plans is how many times Plan decided, Violations how many faults Check found.
	Plans, Violations             int64
	OrdersRefused, NodesReclaimed int64
	// OrdersThrottled is how many times a provider would not take an order yet.
	OrdersThrottled int64
}

// Moment is a decision at a time since the run began.
type Moment struct {
	At   time.Duration
	Text string
}

// Wait is one request's wait.
type Wait struct {
	At, Waited      time.Duration
	Workload, Cause string
}

// Summary is the figures of a run. Milliseconds and seconds are of wall time, or of virtual time when simulated.
type Summary struct {
	Requests int `json:"requests"`
	Answered int `json:"answered"`
	Errors   int `json:"errors"`
	// HeldRequests had to wait for room.
	HeldRequests int `json:"heldRequests"`
	// WaitMs is from a request's arrival to its release to a pod, over all requests.
	WaitMs Quantiles `json:"waitMs"`
	// RequestToScaleMs is from the arrival of a request that had to wait to the acknowledged scale that it caused, and
	// RequestToBuyMs to the provider having the target.
	RequestToScaleMs Quantiles `json:"requestToScaleMs"`
	RequestToBuyMs   Quantiles `json:"requestToBuyMs"`
	// NodeJoinMs is from the order to a ready node, PodStartMs from bound to ready; medians.
	NodeJoinMs float64 `json:"nodeJoinMs"`
	PodStartMs float64 `json:"podStartMs"`
	// FirstAnswerMs is from the first request's arrival to its answer's first byte.
	FirstAnswerMs float64 `json:"firstAnswerMs"`
	ReplicasMax   int     `json:"replicasMax"`
	NodesMax      int     `json:"nodesMax"`
	// PodSeconds and NodeSeconds are what was there, ready or not, times how long.
	PodSeconds  float64 `json:"podSeconds"`
	NodeSeconds float64 `json:"nodeSeconds"`
	// Cost is NodeSeconds at the nodes' prices.
	Cost       float64 `json:"cost"`
	PodsAtEnd  int     `json:"podsAtEnd"`
	NodesAtEnd int     `json:"nodesAtEnd"`
}

// Quantiles are the middle and the tail of something measured, in milliseconds; zero when nothing was.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Point is the state of things at a moment. Arrivals is a rate over the time since the point before.
type Point struct {
	At          time.Duration // since the run began
	Arrivals    float64       // requests per second
	Held        int
	InFlight    int
	Wanted      int // replicas
	Ready       int // replicas
	NodesComing int
	NodesReady  int
	Cost        float64 // so far
	Waited      float64 // seconds of all requests so far
}

// QuantilesOf are the nearest-rank quantiles of durations, which it sorts.
func QuantilesOf(d []time.Duration) Quantiles {
	slices.Sort(d)
	return Quantiles{P50: Milliseconds(Rank(d, 0.50)), P99: Milliseconds(Rank(d, 0.99))}
}

// Rank is the smallest of the sorted durations that at least q of them do not exceed; 0 of none.
func Rank(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(max(int(math.Ceil(q*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// Milliseconds is d in milliseconds, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
