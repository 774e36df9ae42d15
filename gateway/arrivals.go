package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Arrival is one request that has ended: when it came, for whom, how long a pod was busy with it, and what was answered.
// Of what was in it, it has nothing: no address, no path, no query, no header, no body.
type Arrival struct {
	// Number counts from 1 in the order in which requests ended; a gap is what was overwritten before it was read.
	Number   uint64 `json:"number"`
	Workload string `json:"workload"`
	UnixNano int64  `json:"arrivedUnixNano"`
	// Service is in nanoseconds, 0 when no pod had it; Status is 0 when the answer broke off.
	Service int64 `json:"serviceNano,omitempty"`
	Status  int   `json:"status"`
}

// arrivals is a ring of the last ones; of size 0 it keeps nothing and costs nothing.
type arrivals struct {
	size int

	mu   sync.Mutex
	ring []Arrival
	next uint64 // the number before the next one
}

func (a *arrivals) add(workload string, arrived time.Time, service time.Duration, status int) {
	if a.size == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next++
	v := Arrival{Number: a.next, Workload: workload, UnixNano: arrived.UnixNano(), Service: int64(service), Status: status}
	if len(a.ring) < a.size {
		a.ring = append(a.ring, v)
		return
	}
	a.ring[(a.next-1)%uint64(a.size)] = v
}

// after lists those with a number above it, in their order.
func (a *arrivals) after(number uint64) []Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := uint64(0)
	if n := uint64(len(a.ring)); a.next > n {
		first = a.next - n
	}
	if number > a.next {
		number = 0 // of an earlier life of this gateway
	}
	list := make([]Arrival, 0, a.next-max(first, number))
	for k := max(first, number); k < a.next; k++ {
		list = append(list, a.ring[k%uint64(a.size)])
	}
	return list
}

// serve answers with one JSON object a line: those after ?after=NUMBER, and all that are kept without it.
func (a *arrivals) serve(w http.ResponseWriter, r *http.Request) {
	if a.size == 0 {
		say(w, http.StatusNotFound, "arrivals are not kept: give --arrivals a number above 0")
		return
	}
	number := uint64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			say(w, http.StatusBadRequest, "after="+strconv.Quote(text)+": it is a number of an arrival")
			return
		}
		number = n
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = writeArrivals(w, a.after(number)) // fails only when the reader is gone
}

func writeArrivals(w io.Writer, list []Arrival) error {
	e := json.NewEncoder(w)
	for i := range list {
		if err := e.Encode(&list[i]); err != nil {
			return err
		}
	}
	return nil
}
