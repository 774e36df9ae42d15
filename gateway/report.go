package gateway

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/api/wire/trace"
)

// report cuts the meters of all active workloads at now and returns what they measured since `since`, with the records
// of held requests that this report is the first to count.
func (h *hub) report(since, now time.Time) (*wire.Report, []*record) {
	h.activeMu.Lock()
	list := make([]*workload, 0, len(h.actives))
	for w := range h.actives {
		list = append(list, w)
	}
	h.activeMu.Unlock()
	sortByName(list)
	r := &wire.Report{At: timestamppb.New(now), Interval: durationpb.New(now.Sub(since))}
	var firsts []*record
	for _, w := range list {
		var line *wire.WorkloadReport
		line, firsts = w.report(since, now, firsts)
		r.Workloads = append(r.Workloads, line)
	}
	return r, firsts
}

func (w *workload) report(since, now time.Time, firsts []*record) (*wire.WorkloadReport, []*record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	iv := w.meter.cut(since, now)
	oldest, firsts := w.hub.queue.oldest(&w.line, firsts)
	out := &wire.WorkloadReport{
		Workload:         w.name,
		Concurrency:      iv.concurrency,
		Arrivals:         iv.arrivals,
		Queued:           uint32(w.line.len()),
		ServiceTimeSum:   iv.serviceSum.Seconds(),
		ServiceTimeCount: iv.serviceCount,
		Answered:         iv.answered,
		Failed:           iv.failed,
		Waits:            waits(&iv.waits),
	}
	switch {
	case out.Queued == 0:
		w.traced = trace.Context{}
	case w.traced.Valid():
		out.TraceParent = w.traced.Header()
	}
	if !oldest.IsZero() {
		out.OldestWait = durationpb.New(max(0, now.Sub(oldest)))
	}
	for _, l := range w.slots.loads() {
		out.Pods = append(out.Pods, &wire.PodLoad{Pod: l.name, InFlight: uint32(l.inFlight)})
	}
	if w.meter.level == 0 {
		w.active = false
		w.hub.activeMu.Lock()
		delete(w.hub.actives, w)
		w.hub.activeMu.Unlock()
	}
	return out, firsts
}

// waits leaves out the bins at the end that nothing is in.
func waits(counts *[wire.WaitBins]uint64) []uint64 {
	n := len(counts)
	for n > 0 && counts[n-1] == 0 {
		n--
	}
	return slices.Clone(counts[:n])
}

func sortByName(list []*workload) {
	slices.SortFunc(list, func(a, b *workload) int { return cmp.Compare(a.name, b.name) })
}
