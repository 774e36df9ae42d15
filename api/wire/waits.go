package wire

import (
	"math"
	"slices"
	"time"
)

// WaitBins is how many bins a histogram of waits has: none, and half octaves from a millisecond to a quarter of an hour.
const WaitBins = 42

var waitBounds = func() (bounds [WaitBins]time.Duration) {
	for i := 1; i < WaitBins; i++ {
		bounds[i] = time.Duration(math.Exp2(float64(i-1)/2) * float64(time.Millisecond)).Round(time.Millisecond / 10)
	}
	return bounds
}()

// WaitBin is the bin of a wait: 0 for none, else the first whose bound it does not exceed; the last one takes all that is
// longer.
func WaitBin(wait time.Duration) int {
	if wait <= 0 {
		return 0
	}
	i, _ := slices.BinarySearch(waitBounds[1:], wait)
	return min(i+1, WaitBins-1)
}

// WaitBound is the longest wait of a bin.
func WaitBound(bin int) time.Duration { return waitBounds[bin] }
