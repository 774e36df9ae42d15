package keepalive

import "math"

// window is when a function is loaded after an event: from prewarm minutes after it until keep minutes after it.
type window struct{ prewarm, keep int64 }

// after is what a gap costs: whether the event at its end is cold, and the minutes loaded without work.
func (w window) after(gap int64) (cold bool, idle int64) {
	switch {
	case gap < w.prewarm:
		return true, 0
	case gap > w.keep:
		return true, w.keep - w.prewarm
	}
	return false, gap - w.prewarm
}

// last is the minutes loaded after the last event, when the trace ends left minutes later.
func (w window) last(left int64) int64 { return max(0, min(w.keep, left)-w.prewarm) }

// histogramBins is how many gaps of 1 minute and more a histogram tells apart: four hours. Longer gaps fall outside.
const histogramBins = 240

// histogram is the hybrid rule of "Serverless in the Wild", section 4.2, without its ARIMA for rare functions: the gaps so
// far say when the next invocation can be expected. Its sums are kept as gaps come, so that a gap costs no pass over the bins.
type histogram struct {
	bins    [histogramBins]uint32 // a gap is a minute at least: they count to 8,000 years
	inside  int64                 // gaps in the bins
	outside int64
	squares int64 // sum of the squares of the bins
	head    mark
	tail    mark
}

// mark is the first bin where the cumulative count reaches a share of all: below is the count in the bins before it.
type mark struct {
	bin   int
	below int64
}

// add counts a gap.
func (h *histogram) add(gap int64) {
	if gap >= histogramBins {
		h.outside++
		return
	}
	h.squares += 2*int64(h.bins[gap]) + 1
	h.bins[gap]++
	h.inside++
	h.move(&h.head, int(gap), 0.05)
	h.move(&h.tail, int(gap), 0.99)
}

func (h *histogram) move(m *mark, added int, share float64) {
	if added < m.bin {
		m.below++
	}
	want := share * float64(h.inside)
	for float64(m.below+int64(h.bins[m.bin])) < want {
		m.below += int64(h.bins[m.bin])
		m.bin++
	}
	for m.bin > 0 && float64(m.below) >= want {
		m.bin--
		m.below -= int64(h.bins[m.bin])
	}
}

// window is what the gaps so far advise.
func (h *histogram) window() window {
	// The coefficient of variation of the bins is < 2 exactly when 240 x squares < 5 x inside x inside.
	spread := histogramBins*h.squares < 5*h.inside*h.inside
	if h.inside == 0 || spread || 2*h.outside >= h.inside+h.outside {
		return window{keep: histogramBins}
	}
	return window{
		prewarm: int64(math.Floor(0.9 * float64(h.head.bin))),
		keep:    int64(math.Ceil(1.1 * float64(h.tail.bin+1))),
	}
}
