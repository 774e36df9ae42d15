// Package window keeps time-averaged figures over a sliding window of whole seconds, and the largest of recent wishes.
// Time comes in as an argument; nothing here reads a clock.
//
// The averages are those of Knative Serving (pkg/autoscaler/aggregation, linear buckets of one second), held equal to
// it by test/conformance: a window that is younger than its length is averaged over its age, and a silence as long as
// the window starts it anew.
package window

import (
	"math"
	"time"
)

// Average is the mean over the last whole seconds of what was added in each. Add values that are integrals over time
// (concurrency x seconds) and the average is a time average. The zero value is not ready: use New.
type Average struct {
	length int64 // seconds
	sums   []float64
	total  float64
	first  int64 // second of the oldest value that counts; meaningful when used
	last   int64 // second of the newest value
	used   bool
}

// New returns a window over length, rounded up to whole seconds and at least one.
func New(length time.Duration) *Average {
	n := max(1, int64(math.Ceil(length.Seconds())))
	return &Average{length: n, sums: make([]float64, n)}
}

// Length is the window's length in whole seconds.
func (a *Average) Length() time.Duration { return time.Duration(a.length) * time.Second }

// Add puts v into the second of now. A value older than the window is dropped: it could not count any more.
func (a *Average) Add(now time.Time, v float64) {
	s := now.Unix()
	switch {
	case !a.used, s-a.last >= a.length:
		clear(a.sums)
		a.total, a.first, a.last, a.used = 0, s, s, true
	case s <= a.last-a.length:
		return
	case s > a.last:
		a.drop(a.last+1, s)
		a.last = s
	default:
		a.first = min(a.first, s)
	}
	a.sums[a.slot(s)] += v
	a.total += v
}

// Clear forgets all values: the next one begins anew.
func (a *Average) Clear() { a.used = false }

// Rest counts each second from the newest value up to now as zero, as adding zero in each would.
func (a *Average) Rest(now time.Time) {
	s := now.Unix()
	if !a.used || s <= a.last {
		return
	}
	a.drop(a.last+1, min(s, a.last+a.length))
	a.last = s
}

// Mean is the average at now, rounded to six digits (so that sums and differences of floats do not show). Seconds
// after the last value do not count as zero: no news is not no load.
func (a *Average) Mean(now time.Time) float64 {
	silent := now.Unix() - a.last
	if !a.used || silent >= a.length {
		return 0
	}
	total, seconds := a.total, float64(a.length)
	if silent > 0 {
		for s := a.last + 1; s <= now.Unix(); s++ {
			total -= a.sums[a.slot(s)]
		}
		seconds -= float64(silent)
	}
	seconds = min(seconds, float64(a.last-a.first+1))
	return math.Round(total/seconds*1e6) / 1e6
}

// Deviation is the standard deviation of the whole seconds in the window; the newest, which is not over yet, does not
// count. Under two seconds it is 0.
func (a *Average) Deviation(now time.Time) float64 {
	if a.Empty(now) {
		return 0
	}
	oldest := max(a.first, now.Unix()-a.length+1)
	n := float64(a.last - oldest)
	if n < 2 {
		return 0
	}
	sum, squares := 0.0, 0.0
	at := a.slot(oldest)
	for range a.last - oldest {
		v := a.sums[at]
		sum, squares = sum+v, squares+v*v
		if at++; at == a.length {
			at = 0
		}
	}
	return math.Round(math.Sqrt(math.Max(0, squares/n-sum/n*sum/n))*1e6) / 1e6
}

// DeviationAtMost is what Deviation will not exceed from now on if nothing more than zero is added: the squares in the window only
// go, and the seconds over which they are averaged do not get fewer.
func (a *Average) DeviationAtMost(now time.Time) float64 {
	if a.Empty(now) {
		return 0
	}
	squares := 0.0
	for _, v := range a.sums {
		squares += v * v
	}
	n := a.last - max(a.first, now.Unix()-a.length+1)
	return math.Sqrt(squares/float64(max(n, 2))) + 1e-6 // as much as rounding may add
}

// Empty says that nothing was added for a whole window before now.
func (a *Average) Empty(now time.Time) bool { return !a.used || now.Unix()-a.last >= a.length }

// Resize returns a window of another length with the same recent seconds in it.
func (a *Average) Resize(length time.Duration) *Average {
	b := New(length)
	if !a.used {
		return b
	}
	oldest := max(a.first, a.last-min(a.length, b.length)+1)
	for s := oldest; s <= a.last; s++ {
		b.Add(time.Unix(s, 0), a.sums[a.slot(s)])
	}
	return b
}

func (a *Average) slot(second int64) int64 { return ((second % a.length) + a.length) % a.length }

func (a *Average) drop(from, to int64) {
	for s := from; s <= to; s++ {
		i := a.slot(s)
		a.total -= a.sums[i]
		a.sums[i] = 0
	}
}

// Peak is one step of the running maximum that Largest keeps.
type Peak struct {
	Bucket int64 // Unix seconds divided by the granularity
	Value  int
}

// Largest returns the largest value of the last length, with the peaks to remember for the next call. Peaks fall in
// value and grow in time, so the first is the answer. It does not change its argument.
func Largest(peaks []Peak, now time.Time, value int, length, granularity time.Duration) (int, []Peak) {
	bucket := now.Unix() / int64(granularity.Seconds())
	buckets := int64(math.Ceil(float64(length) / float64(granularity)))
	kept := make([]Peak, 0, len(peaks)+1)
	for _, p := range peaks {
		if p.Value > value && bucket-p.Bucket < buckets {
			kept = append(kept, p)
		}
	}
	// A larger one of the same bucket lasts as long: the smaller one would never be the answer.
	if n := len(kept); n == 0 || kept[n-1].Bucket != bucket {
		kept = append(kept, Peak{Bucket: bucket, Value: value})
	}
	return kept[0].Value, kept
}
