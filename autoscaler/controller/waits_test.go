package controller

import (
	"testing"
	"time"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/autoscaler"
)

// waited is a report of so many requests that did not wait, and so many that waited for a time.
func waited(none, some uint64, wait time.Duration) *wire.Report {
	counts := make([]uint64, wire.WaitBin(wait)+1)
	counts[0] = none
	counts[len(counts)-1] += some
	return &wire.Report{Workloads: []*wire.WorkloadReport{{Workload: "ns/w", Waits: counts}}}
}

func TestTheP99WaitIsOfTheLastMinutes(t *testing.T) {
	var w waits
	w.route(map[autoscaler.WorkloadID]bool{"ns/w": true})
	begin := time.Unix(1000, 0)
	if got, known := w.p99(begin, "ns/w"); known {
		t.Errorf("%v of no requests", got)
	}
	w.add(begin, waited(990, 10, time.Second))
	if got, known := w.p99(begin, "ns/w"); got != 0 || !known {
		t.Errorf("%v, %v: ten of a thousand are not more than one in a hundred", got, known)
	}
	w.add(begin, waited(0, 1, time.Second))
	if got, _ := w.p99(begin, "ns/w"); got != 1024*time.Millisecond {
		t.Errorf("%v: eleven of a thousand and one waited for a second", got)
	}
	w.add(begin.Add(waitWindow), waited(5000, 0, 0))
	if got, known := w.p99(begin.Add(waitWindow), "ns/w"); got != 0 || !known {
		t.Errorf("%v, %v", got, known)
	}
	if got, known := w.p99(begin.Add(3*waitWindow), "ns/w"); known {
		t.Errorf("%v: long after the last request", got)
	}
}

func TestWaitsThatCannotBeAreLeftOut(t *testing.T) {
	var w waits
	begin := time.Unix(1000, 0)
	w.add(begin, waited(1, 0, 0))
	w.route(map[autoscaler.WorkloadID]bool{"ns/w": true})
	if _, known := w.p99(begin, "ns/w"); known {
		t.Error("a workload that nobody routed was counted")
	}
	counts := make([]uint64, 500)
	counts[499], counts[3] = 7, 1<<63
	w.add(begin, &wire.Report{Workloads: []*wire.WorkloadReport{{Workload: "ns/w", Waits: counts}}})
	if got, known := w.p99(begin, "ns/w"); known {
		t.Errorf("%v of what cannot be", got)
	}
	w.add(begin, waited(1, 0, 0))
	if _, known := w.p99(begin, "ns/w"); !known {
		t.Error("a workload that is routed is not counted")
	}
	w.route(map[autoscaler.WorkloadID]bool{})
	if _, known := w.p99(begin, "ns/w"); known {
		t.Error("a workload that is gone is remembered")
	}
}
