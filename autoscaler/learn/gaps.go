package learn

import (
	"math"
	"time"
)

const (
	gapBins = 36
	// gapsKept is how many gaps count at most; then all are halved, so that the past fades.
	gapsKept = 128
)

// Gaps is a histogram of the idle times of one workload: bins of half an octave from one second to three days, so that
// one workload costs 36 bytes. The zero value is ready and empty.
type Gaps [gapBins]uint8

// Add takes one more gap; those under a second are none.
func (g *Gaps) Add(gap time.Duration) {
	if gap < time.Second {
		return
	}
	if g.Count() >= gapsKept {
		for i := range g {
			g[i] /= 2
		}
	}
	g[min(int(2*math.Log2(gap.Seconds())), gapBins-1)]++
}

// Count is the number of gaps that count now.
func (g *Gaps) Count() int {
	n := 0
	for _, c := range g {
		n += int(c)
	}
	return n
}

// middle and end are those of each bin, in seconds, the middle on the bins' own scale.
var middle, end = scale()

func scale() (middle, end [gapBins]float64) {
	for i := range gapBins {
		middle[i], end[i] = math.Exp2((float64(i)+0.5)/2), math.Exp2(float64(i+1)/2)
	}
	return middle, end
}

// Keep is how long after the last request a replica should stay when a cold start costs as much as coldStart of keeping
// it: the time that would have cost least over the gaps seen. It is ski rental with a known distribution (Karlin,
// Manasse, McGeoch and Owicki, Competitive randomized algorithms for nonuniform problems, 1994): as long as the hazard
// of the next arrival times the cost of the cold start exceeds the cost of keeping, it stays.
func (g *Gaps) Keep(coldStart time.Duration) time.Duration {
	missed := float64(g.Count()) // gaps that are longer than it would stay
	met := 0.0                   // seconds kept in those that are not
	best, bestCost := 0.0, missed*coldStart.Seconds()
	for k, n := range g {
		if n == 0 {
			continue // to stay longer than the last gap that was met is wasted
		}
		met += float64(n) * middle[k]
		missed -= float64(n)
		if cost := met + missed*(end[k]+coldStart.Seconds()); cost < bestCost {
			best, bestCost = end[k], cost
		}
	}
	return time.Duration(best * float64(time.Second))
}
