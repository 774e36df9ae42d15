package gateway

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// recordsKept is how many held requests the ring remembers: 4096 records are under 1 MiB.
const recordsKept = 4096

// stages is the times of one held request, in nanoseconds since 1970; zero means that it did not come to that.
type stages struct {
	Workload     string `json:"workload"`
	Arrived      int64  `json:"arrivedUnixNano"`
	QueuedReport int64  `json:"queuedReportUnixNano"` // the first report that counts it was sent
	Endpoint     int64  `json:"endpointUnixNano"`     // the pod it went to became known
	Probed       int64  `json:"probedUnixNano"`       // that pod's probe passed
	Released     int64  `json:"releasedUnixNano"`
	FirstByte    int64  `json:"firstByteUnixNano"`
	End          int64  `json:"endUnixNano"`
	Status       int    `json:"status"` // 499: the client left
	Pod          string `json:"pod"`
}

// record is a stages that several goroutines write.
type record struct {
	mu sync.Mutex
	s  stages
}

func (r *record) write(f func(*stages)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.s)
}

func (r *record) unreported() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s.QueuedReport == 0
}

// records is the ring of the last held requests. No query strings and no headers are in it.
type records struct {
	mu   sync.Mutex
	ring [recordsKept]*record
	next int
}

func (rs *records) add(workload string, arrived time.Time) *record {
	r := &record{s: stages{Workload: workload, Arrived: arrived.UnixNano()}}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.ring[rs.next%recordsKept] = r
	rs.next++
	return r
}

// writeTo writes one JSON object a line, oldest first.
func (rs *records) writeTo(out io.Writer) error {
	rs.mu.Lock()
	list := make([]*record, 0, recordsKept)
	for i := range rs.ring {
		if r := rs.ring[(rs.next+i)%recordsKept]; r != nil {
			list = append(list, r)
		}
	}
	rs.mu.Unlock()
	enc := json.NewEncoder(out)
	for _, r := range list {
		r.mu.Lock()
		s := r.s
		r.mu.Unlock()
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return nil
}
