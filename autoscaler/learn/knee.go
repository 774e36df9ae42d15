package learn

import (
	"math"
	"time"
)

const (
	// levels are half octaves of requests in flight per pod, from 1 to 1024.
	levels = 20
	// A level counts with so many seconds and ended requests, and a knee is looked for with so many such levels.
	secondsNeeded, endedNeeded, levelsNeeded = 30, 20, 3
	// secondsKept is when a level's past counts half.
	secondsKept = 600
	// stepMost is the most that the target moves in a minute, and slower a response time that is still as good as the best.
	stepMost, stillGood = 1.1, 1.3
)

// Knee learns how many requests in flight a pod serves best: where throughput over response time, Kleinrock's power, is
// largest (Kleinrock, Power and deterministic rules of thumb for probabilistic problems in computer communications, ICC
// 1979). Below it more concurrency is more throughput at the same latency, above it only more latency. The zero value is
// ready and knows nothing.
type Knee struct {
	levels [levels]level
	target float64
	moved  time.Time
}

// level is what was seen at one concurrency per pod.
type level struct{ seconds, busy, ended float64 }

// Add takes in some seconds of one pod: the request-seconds that it was busy for and the requests that it ended.
func (k *Knee) Add(seconds, busy, ended float64) {
	if !(seconds > 0 && busy > 0 && ended >= 0) || busy/seconds < 1 {
		return
	}
	l := &k.levels[min(int(2*math.Log2(busy/seconds)), levels-1)]
	if l.seconds > secondsKept {
		l.seconds, l.busy, l.ended = l.seconds/2, l.busy/2, l.ended/2
	}
	l.seconds, l.busy, l.ended = l.seconds+seconds, l.busy+busy, l.ended+ended
}

func (l *level) counts() bool { return l.seconds >= secondsNeeded && l.ended >= endedNeeded }

// power is throughput over response time, which by Little's law is throughput squared over concurrency.
func (l *level) power() float64 { return l.ended / l.seconds * l.ended / l.busy }

// Target is the concurrency per pod to aim for, between least and most, and whether there is evidence for it; start is
// where it begins. It moves by at most a tenth a minute, and a half octave above the highest level seen while responses
// there are as good as anywhere, so that it finds out.
func (k *Knee) Target(now time.Time, start, least, most float64) (float64, bool) {
	goal, ok := k.goal()
	if !ok {
		return start, false
	}
	if k.target == 0 {
		k.target, k.moved = start, now
	}
	if minutes := now.Sub(k.moved).Minutes(); minutes > 0 {
		step := math.Pow(stepMost, math.Min(minutes, 1))
		k.target = math.Max(k.target/step, math.Min(goal, k.target*step))
		k.moved = now
	}
	k.target = math.Max(least, math.Min(k.target, most))
	return k.target, true
}

func (k *Knee) goal() (float64, bool) {
	best, highest, known := -1, -1, 0
	fastest := math.Inf(1)
	for i := range k.levels {
		l := &k.levels[i]
		if !l.counts() {
			continue
		}
		known, highest = known+1, i
		fastest = math.Min(fastest, l.busy/l.ended)
		if best < 0 || l.power() > k.levels[best].power() {
			best = i
		}
	}
	if known < levelsNeeded {
		return 0, false
	}
	l := &k.levels[best]
	goal := l.busy / l.seconds
	if best == highest && l.busy/l.ended <= stillGood*fastest {
		goal *= math.Sqrt2
	}
	return goal, true
}
