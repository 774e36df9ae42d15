package story

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// Entry is what one plan decided otherwise than the one before: a line of the decision log.
type Entry struct {
	At time.Time `json:"at"`
	// Cause is what made the driver plan: queue, change or tick.
	Cause      string      `json:"cause,omitempty"`
	Scales     []Scale     `json:"scales,omitempty"`
	Placements []Placement `json:"placements,omitempty"`
	Orders     []Order     `json:"orders,omitempty"`
	Drains     []Drain     `json:"drains,omitempty"`
	Holds      []Hold      `json:"holds,omitempty"`
	// Over names what the plan before said something of and this one does not: "place demo/cart", "hold demo/cart".
	Over []string `json:"over,omitempty"`
	// More: there was more than an entry holds; the rest stands in the next one.
	More bool `json:"more,omitempty"`
}

// Reason is a reason with the rule by its name and the sentence written out, so that a log is read by people, by jq, and by
// a later version with other rules.
type Reason struct {
	Rule     string    `json:"rule"`
	Says     string    `json:"says"`
	Observed float64   `json:"observed,omitempty"`
	Bound    float64   `json:"bound,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Subject  string    `json:"subject,omitempty"`
	Result   int       `json:"result,omitempty"`
}

// Scale is the replicas that a workload should have, with the deciding reason first and what it overruled after it.
type Scale struct {
	Workload string   `json:"workload"`
	From     int      `json:"from"`
	To       int      `json:"to"`
	Why      []Reason `json:"why"`
}

// Placement is where pods without a node have room.
type Placement struct {
	// For names whose pods: a workload, "headroom NAME", "pods of NODE" that leave it, or "others".
	For      string  `json:"for"`
	Spots    []Spot  `json:"spots,omitempty"`
	Unplaced int     `json:"unplaced,omitempty"`
	Why      *Reason `json:"why,omitempty"` // when some are unplaced
}

// Spot is room on a node, or on new machines of a pool.
type Spot struct {
	Node  string    `json:"node,omitempty"`
	Pool  string    `json:"pool,omitempty"`
	Count int       `json:"count"`
	Due   time.Time `json:"due"`
}

// Order is a pool's target.
type Order struct {
	Pool   string   `json:"pool"`
	From   int      `json:"from"`
	To     int      `json:"to"`
	Delete []string `json:"delete,omitempty"`
	Why    []Reason `json:"why"`
}

// Drain is a step of a node's way out, or why it stays.
type Drain struct {
	Node  string   `json:"node"`
	Step  string   `json:"step"`
	Evict []string `json:"evict,omitempty"`
	Why   Reason   `json:"why"`
}

// Hold is what held requests may hope for.
type Hold struct {
	Workload string    `json:"workload"`
	Refuse   bool      `json:"refuse,omitempty"`
	Arrivals []Arrival `json:"arrivals,omitempty"`
	Why      Reason    `json:"why"`
}

// Arrival is room for more requests from a time on.
type Arrival struct {
	At    time.Time `json:"at"`
	Slots int       `json:"slots"`
}

func reasonOf(r autoscaler.Reason) Reason {
	return Reason{Rule: r.Rule.String(), Says: r.Sentence(), Observed: finite(r.Observed), Bound: finite(r.Bound), At: r.At, Subject: r.Subject, Result: r.Result}
}

// finite is a number that JSON can hold; the sentence has the others.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

func reasonsOf(list []autoscaler.Reason) []Reason {
	out := make([]Reason, len(list))
	for i, r := range list {
		out[i] = reasonOf(r)
	}
	return out
}

func scaleOf(s *autoscaler.Scale) Scale {
	return Scale{Workload: string(s.Workload), From: s.From, To: s.To, Why: reasonsOf(s.Why)}
}

func placementOf(p *autoscaler.Placement) Placement {
	out := Placement{For: placedFor(p), Unplaced: p.Unplaced}
	for _, s := range p.Spots {
		out.Spots = append(out.Spots, Spot{Node: string(s.Node), Pool: string(s.Pool), Count: s.Count, Due: s.Due})
	}
	if p.Unplaced > 0 {
		why := reasonOf(p.Why)
		out.Why = &why
	}
	return out
}

// placedFor is whose pods a placement is of.
func placedFor(p *autoscaler.Placement) string {
	switch {
	case p.Leaving != "":
		return "pods of " + string(p.Leaving)
	case p.Buffer != "":
		return "headroom " + p.Buffer
	case p.Workload != "":
		return string(p.Workload)
	}
	return "others"
}

func orderOf(o *autoscaler.Order) Order {
	out := Order{Pool: string(o.Pool), From: o.From, To: o.To, Why: reasonsOf(o.Why)}
	for _, id := range o.Delete {
		out.Delete = append(out.Delete, string(id))
	}
	return out
}

func drainOf(d *autoscaler.Drain) Drain {
	out := Drain{Node: string(d.Node), Step: d.Step.String(), Why: reasonOf(d.Why)}
	for _, id := range d.Evict {
		out.Evict = append(out.Evict, string(id))
	}
	return out
}

func holdOf(h *autoscaler.Hold) Hold {
	out := Hold{Workload: string(h.Workload), Refuse: h.Refuse, Why: reasonOf(h.Why)}
	for _, a := range h.Arrivals {
		out.Arrivals = append(out.Arrivals, Arrival(a))
	}
	return out
}

// mostLine bounds one line of a log in bytes: an entry of mostParts parts is far below.
const mostLine = 4 << 20

// Read reads a log, oldest first. Lines that are no entries are passed over and counted: the last one of a process that was
// killed may be torn.
func Read(r io.Reader) (entries []Entry, bad int, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > mostLine {
			bad++
		} else if len(line) > 1 {
			var e Entry
			if json.Unmarshal(line, &e) != nil || e.At.IsZero() {
				bad++
			} else {
				entries = append(entries, e)
			}
		}
		if errors.Is(err, io.EOF) {
			return entries, bad, nil
		}
		if err != nil {
			return entries, bad, fmt.Errorf("reading the decision log: %w", err)
		}
	}
}
