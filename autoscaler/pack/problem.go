package pack

import "math"

// Special domains, and the value of a limit that does not bind.
const (
	// NoDomain says that a node lacks the label of a topology.
	NoDomain = -1
	// FreshDomain says, of an offer, that each machine is a domain of its own: its host name.
	FreshDomain = -2
	// Unlimited is the limit that never binds. The zero value of a limit is 0: nothing may be bought.
	Unlimited = -1
)

// Topology is one topology key. Rules name it by its position in Problem.Topologies.
type Topology struct {
	// Domains is how many domains bins and offers have: their ids are 0 to Domains-1.
	Domains int
	// Fresh says that a further domain can always be added by buying a machine, so that the least count over the
	// domains is taken as 0. It is set for the host name when machines can be bought.
	Fresh bool
}

// NodeSet names a set of node classes: 0 is every class, i is Problem.Sets[i-1].
type NodeSet int

// ClassSet holds node classes, one bit each.
type ClassSet []uint64

// Add puts class c into the set.
func (s *ClassSet) Add(c int) {
	for len(*s) <= c>>6 {
		*s = append(*s, 0)
	}
	(*s)[c>>6] |= 1 << (c & 63)
}

// Has says whether class c is in the set.
func (s ClassSet) Has(c int) bool { return c>>6 < len(s) && c >= 0 && s[c>>6]&(1<<(c&63)) != 0 }

// Term is a rule's topology and the pods that it is about.
type Term struct{ Topology, Selector int }

// Spread is a topology spread constraint with DoNotSchedule.
type Spread struct {
	Topology, Selector int
	MaxSkew            int
	// MinDomains: with fewer domains the least count is 0. 0 and 1 ask for nothing.
	MinDomains int
	// Self says that the pods of the group match Selector.
	Self bool
	// Nodes are the classes whose domains and pods are counted: what the inclusion policies leave, and of that only
	// classes which have the labels of all spread constraints of the pod.
	Nodes NodeSet
}

// Affinity is all required pod affinity of a pod.
type Affinity struct {
	// Topologies are those of its terms. None: no affinity.
	Topologies []int
	// Selector are the pods that match all of its terms.
	Selector int
	// Self says that the pods of the group match Selector.
	Self bool
}

// Group is a number of equal pods.
type Group struct {
	// Needs are the requests of one pod. Pods is 1, unless it takes no slot.
	Needs Resources
	// Extended are the requests of further resources by index; nil asks for none.
	Extended []int64
	Count    int
	// Priority: the higher first when not all can be placed.
	Priority int
	// Nodes are the classes on which the pods may run: selectors, affinity, taints, volumes.
	Nodes NodeSet
	// Matches are the selectors that the pods match, ascending.
	Matches  []int
	Spreads  []Spread
	Affinity Affinity
	Anti     []Term
	// Ports are host ports, as ids of the caller's: two pods with one id do not share a node. A port on all addresses
	// takes the ids of that port on each address too.
	Ports []int
}

// Bin is a node that exists or is coming.
type Bin struct {
	// Free is the room left. It may be negative.
	Free     Resources
	Extended []int64
	Class    int
	// Domains are by topology; a topology that is missing is NoDomain.
	Domains []int
	// Ports are the host ports that are taken.
	Ports []int
}

// Running is a number of equal pods that run on a bin, as far as rules see them.
type Running struct {
	Bin, Count int
	Matches    []int
	Anti       []Term
}

// Offer is a kind of machine for sale: one shape of one pool in one zone.
type Offer struct {
	// Room is what a new machine has for pods.
	Room     Resources
	Extended []int64
	Class    int
	Domains  []int
	// Price is per hour. An offer whose price is no number, infinite or negative is not for sale.
	Price float64
	// Limit is how many may be bought, or Unlimited.
	Limit int
	// Pool is the position in Problem.Pools; with no pools it is not looked at.
	Pool int
	// Weight: offers of a higher weight are bought first, whatever they cost.
	Weight int
}

// Pool is a limit that offers share.
type Pool struct {
	// Machines is how many may be bought, or Unlimited.
	Machines int
	// PriceCap is the highest price per hour of what is bought, if Capped.
	Capped   bool
	PriceCap float64
}

// Problem asks for the cheapest machines on which, with the bins, all groups can run.
type Problem struct {
	Topologies []Topology
	Sets       []ClassSet
	// Bins cost nothing. They are filled before machines are bought, in this order where it does not matter.
	Bins    []Bin
	Running []Running
	Offers  []Offer
	Pools   []Pool
	Groups  []Group
	// NodePrice is added for each machine bought: what a node costs by being one. With 0, of two plans of like price
	// the one with fewer machines is still better.
	NodePrice float64
	// PriceCap is the highest price per hour of all that is bought, NodePrice left out, if Capped.
	Capped   bool
	PriceCap float64
	// MaxMachines bounds the machines of one plan; 0 is 100,000.
	MaxMachines int
}

// Step places pods of one group on one place: a bin, or from len(Problem.Bins) on a machine.
type Step struct {
	Group, Place, Count int
	// InTurn: the pods of this step and of its neighbours of the same group with InTurn are placed one by one, each on the
	// place whose zone holds the fewest that the group spreads by.
	InTurn bool
}

// Unplaced are pods that have no place.
type Unplaced struct {
	Group, Count int
	// Why is what stood against the place that came nearest.
	Why Refusal
}

// Solution is a plan.
type Solution struct {
	// Machines are the offers to buy, one entry for each machine.
	Machines []int
	// Steps are in an order in which each pod's rules hold when it is placed.
	Steps []Step
	// Unplaced are by group.
	Unplaced []Unplaced
	// Price is per hour, NodePrice left out.
	Price float64
	// Truncated says that a bound on steps or machines ended the search.
	Truncated bool
}

// Refusal is why a pod may not be placed.
type Refusal uint8

// The refusals. Fits is none.
const (
	Fits Refusal = iota
	NodeClass
	NoCPU
	NoMemory
	NoPodSlot
	NoExtended
	PortTaken
	SpreadLabel
	SpreadSkew
	AffinityLabel
	AffinityUnmet
	AntiAffinity
	AntiAffinityOfOthers
	NoOffer
	LimitReached
	CapReached
	TooManyMachines
)

// String is the refusal in words.
func (r Refusal) String() string {
	if int(r) < len(refusals) {
		return refusals[r]
	}
	return "unknown"
}

var refusals = [...]string{
	Fits:                 "fits",
	NodeClass:            "the node's labels or taints do not suit the pod",
	NoCPU:                "not enough CPU",
	NoMemory:             "not enough memory",
	NoPodSlot:            "too many pods",
	NoExtended:           "not enough of a further resource",
	PortTaken:            "a host port is taken",
	SpreadLabel:          "the node lacks the topology label of a spread constraint",
	SpreadSkew:           "the spread would be too uneven",
	AffinityLabel:        "the node lacks the topology label of a pod affinity",
	AffinityUnmet:        "no pod that the affinity asks for",
	AntiAffinity:         "a pod that the anti-affinity forbids",
	AntiAffinityOfOthers: "the anti-affinity of a pod that is there",
	NoOffer:              "no machine is for sale",
	LimitReached:         "the limit of machines is reached",
	CapReached:           "the price cap is reached",
	TooManyMachines:      "too many machines for one plan",
}

func (p *Problem) has(set NodeSet, class int) bool {
	return set <= 0 || int(set) <= len(p.Sets) && p.Sets[set-1].Has(class)
}

// forSale says that the offer can be bought at all.
func (o *Offer) forSale() bool {
	return o.Price >= 0 && !math.IsInf(o.Price, 0) && o.Limit != 0
}

func domainOf(domains []int, topology int) int {
	if topology < 0 || topology >= len(domains) {
		return NoDomain
	}
	return domains[topology]
}

func (p *Problem) fresh(topology int) bool {
	return topology >= 0 && topology < len(p.Topologies) && p.Topologies[topology].Fresh
}
