// Package learn keeps the last samples of a duration (a pod's start, a node's join) and answers with quantiles.
package learn

import (
	"math"
	"slices"
	"time"
)

// keep is how many samples count: enough for a steady p90 (six samples above it), few enough that a changed image or
// machine type shows within a day of ordinary churn.
const keep = 64

// Durations is the last samples of one duration. The zero value is ready and empty.
type Durations struct {
	samples []time.Duration
	next    int
	sorted  []time.Duration // when it was asked for since the last sample
}

// Add takes one more sample; negative ones are ignored, as only a clock that stepped makes them.
func (d *Durations) Add(sample time.Duration) {
	if sample < 0 {
		return
	}
	d.sorted = d.sorted[:0]
	if len(d.samples) < keep {
		d.samples = append(d.samples, sample)
		return
	}
	d.samples[d.next] = sample
	d.next = (d.next + 1) % keep
}

// Count is the number of samples that count now.
func (d *Durations) Count() int { return len(d.samples) }

// inOrder is the samples, rising; they are asked for far more often than there is a new one.
func (d *Durations) inOrder() []time.Duration {
	if len(d.sorted) == 0 {
		d.sorted = append(d.sorted, d.samples...)
		slices.Sort(d.sorted)
	}
	return d.sorted
}

// spreadOver is how many times tell a distribution, spreadFrom the samples without which it is not known.
const spreadOver, spreadFrom = 10, 8

// Spread is the samples as a few times, each as likely as the others, rising; none with too few samples.
func (d *Durations) Spread() []time.Duration {
	if d == nil || len(d.samples) < spreadFrom {
		return nil
	}
	sorted := d.inOrder()
	times := make([]time.Duration, spreadOver)
	for i := range times {
		times[i] = sorted[(2*i+1)*len(sorted)/(2*spreadOver)]
	}
	return times
}

// Quantile is the smallest sample that at least q (0 < q <= 1) of the samples do not exceed, or prior without samples.
func (d *Durations) Quantile(q float64, prior time.Duration) time.Duration {
	if len(d.samples) == 0 {
		return prior
	}
	sorted := d.inOrder()
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
