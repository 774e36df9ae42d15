package simulator

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations by the microsecond up to 2 ms and within a thousandth of themselves beyond, so that memory
// does not grow with the requests.
type histogram struct {
	counts []int64
	n      int64
	sum    time.Duration
}

const histogramBits = 11 // of precision: 2048 cells, of which the upper half is for each further octave

func cell(us uint64) int {
	if us < 1<<histogramBits {
		return int(us)
	}
	shift := bits.Len64(us) - histogramBits
	return shift<<(histogramBits-1) + int(us>>shift)
}

// lower is the least value of a cell, in microseconds.
func lower(cell int) uint64 {
	if cell < 1<<histogramBits {
		return uint64(cell)
	}
	shift := cell>>(histogramBits-1) - 1
	return uint64(cell-shift<<(histogramBits-1)) << shift
}

func (h *histogram) add(d time.Duration) { h.addN(d, 1) }

func (h *histogram) addN(d time.Duration, n int64) {
	h.n += n
	h.sum += d * time.Duration(n)
	c := cell(uint64(max(d, 0) / time.Microsecond))
	if c >= len(h.counts) {
		h.counts = append(h.counts, make([]int64, c+1-len(h.counts))...)
	}
	h.counts[c] += n
}

// quantile is the smallest duration that at least q of them do not exceed, to the precision of the cells; 0 of none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(int64(math.Ceil(q*float64(h.n))), 1)
	for c, n := range h.counts {
		if rank -= n; rank <= 0 {
			return time.Duration(lower(c)) * time.Microsecond
		}
	}
	return 0
}

// over is how many are longer than d.
func (h *histogram) over(d time.Duration) (n int64) {
	for c := cell(uint64(d/time.Microsecond)) + 1; c < len(h.counts); c++ {
		n += h.counts[c]
	}
	return n
}
