package live

import (
	"sync"
	"time"
)

// Totals is the whole loop at one moment.
type Totals struct {
	At time.Time `json:"at"`
	// Rate is requests that come a second; Held and InFlight are now.
	Rate     float64 `json:"rate"`
	Held     int     `json:"held"`
	InFlight int     `json:"inFlight"`
	// Wanted, Ready, Starting and Unplaced are replicas of all workloads.
	Wanted   int `json:"wanted"`
	Ready    int `json:"ready"`
	Starting int `json:"starting"`
	Unplaced int `json:"unplaced"`
	// The nodes of our pools by phase.
	NodesReady   int `json:"nodesReady"`
	NodesComing  int `json:"nodesComing"`
	NodesLeaving int `json:"nodesLeaving"`
	// Price is of all nodes an hour, Waste what of it is of no use now.
	Price float64 `json:"price"`
	Waste float64 `json:"waste"`
	// Stale: a gateway's report is overdue.
	Stale bool `json:"stale"`
}

// Workload is one row. Why has the rule that decided and those that it overruled, as sentences.
type Workload struct {
	ID       string   `json:"id"`
	Rate     float64  `json:"rate"`
	Held     int      `json:"held"`
	InFlight int      `json:"inFlight"`
	Wanted   int      `json:"wanted"`
	Ready    int      `json:"ready"`
	Starting int      `json:"starting"`
	Unplaced int      `json:"unplaced"`
	Price    float64  `json:"price"`
	State    string   `json:"state"` // blocked, refused, no room, waking, serving or idle
	Why      []string `json:"why"`
	// Hope is what the held requests hear; empty when none are held.
	Hope string `json:"hope,omitempty"`
}

// Node is one row.
type Node struct {
	ID    string  `json:"id"`
	Pool  string  `json:"pool"`
	Phase string  `json:"phase"`
	Pods  int     `json:"pods"`
	CPU   float64 `json:"cpu"` // requested, as a share of what it has
	// Memory as CPU.
	Memory float64 `json:"memory"`
	Price  float64 `json:"price"`
	Waste  float64 `json:"waste"`
	Why    string  `json:"why"`
}

// Pool is one row.
type Pool struct {
	ID     string  `json:"id"`
	From   int     `json:"from"`
	Target int     `json:"target"`
	Most   int     `json:"most"`
	Price  float64 `json:"price"` // of one machine
	Why    string  `json:"why"`
}

// Picture is one moment in full. Rows are sorted: the busiest first.
type Picture struct {
	Totals    Totals     `json:"totals"`
	Workloads []Workload `json:"workloads"`
	Nodes     []Node     `json:"nodes"`
	Pools     []Pool     `json:"pools"`
	// MoreWorkloads and MoreNodes are not shown.
	MoreWorkloads int `json:"moreWorkloads"`
	MoreNodes     int `json:"moreNodes"`
}

// MostRows bounds the rows of each table.
const MostRows = 500

const (
	// historyStep is how far two points of the history are apart, and historyKept how many there are: an hour.
	historyStep = time.Second
	historyKept = 3600
)

// History is the last hour, a point a second. The zero value is empty and ready. It is safe for several goroutines.
type History struct {
	mu   sync.Mutex
	ring []Totals
	next int
}

// Add takes a moment in; one within the same second takes the place of the last.
func (h *History) Add(t Totals) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.ring); n > 0 {
		last := &h.ring[(h.next+n-1)%n]
		if t.At.Truncate(historyStep).Equal(last.At.Truncate(historyStep)) {
			*last = t
			return
		}
	}
	if len(h.ring) < historyKept {
		h.ring = append(h.ring, t)
		return
	}
	h.ring[h.next] = t
	h.next = (h.next + 1) % historyKept
}

// Since lists the moments after a time, oldest first.
func (h *History) Since(at time.Time) []Totals {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Totals, 0, len(h.ring))
	for i := range h.ring {
		if t := h.ring[(h.next+i)%len(h.ring)]; t.At.After(at) {
			list = append(list, t)
		}
	}
	return list
}
