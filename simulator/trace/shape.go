package trace

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Shape is traffic in a few numbers. The zero value is not of use: Rate and Length must be given.
type Shape struct {
	// Rate is requests a second of all functions together, in the mean and without spikes.
	Rate float64 `json:"rate"`
	// Length is how long the traffic lasts, in seconds.
	Length float64 `json:"length_s"`
	// Period is of one count, in seconds; 0 means 60.
	Period float64 `json:"period_s"`
	// Season is how long one wave lasts, in seconds; 0 means that there is none. Amplitude is how far it goes up and down, as a
	// share of Rate of 0 to 1; Peak is when it is highest, in seconds from the start.
	Season    float64 `json:"season_s"`
	Amplitude float64 `json:"amplitude"`
	Peak      float64 `json:"peak_s"`
	// SpikesPerDay come at any time, last SpikeLength seconds each and multiply the rate by SpikeFactor.
	SpikesPerDay float64 `json:"spikes_per_day"`
	SpikeLength  float64 `json:"spike_length_s"`
	SpikeFactor  float64 `json:"spike_factor"`
	// Functions is how many there are; 0 means 1. The k-th gets a share of k^-Skew.
	Functions int     `json:"functions"`
	Skew      float64 `json:"skew"`
}

// defaults are the zero values' meanings.
func (s Shape) defaults() Shape {
	if s.Period == 0 {
		s.Period = 60
	}
	if s.Functions == 0 {
		s.Functions = 1
	}
	return s
}

// Validate says which field is wrong.
func (s Shape) Validate() error {
	s = s.defaults()
	for _, f := range []struct {
		name        string
		v, low, top float64
	}{
		{"rate", s.Rate, 0, mostRate}, {"period", s.Period, 1e-3, 86_400 * 366}, {"length", s.Length, s.Period, 86_400 * 3660},
		{"season", s.Season, 0, 86_400 * 3660}, {"amplitude", s.Amplitude, 0, 1}, {"peak", s.Peak, 0, 86_400 * 3660},
		{"spikes per day", s.SpikesPerDay, 0, 10_000}, {"spike length", s.SpikeLength, 0, 86_400}, {"spike factor", s.SpikeFactor, 0, 10_000},
		{"functions", float64(s.Functions), 1, 1e6}, {"skew", s.Skew, 0, 10},
	} {
		if !(f.v >= f.low && f.v <= f.top) {
			return fmt.Errorf("%s %g: it is %g to %g", f.name, f.v, f.low, f.top)
		}
	}
	switch {
	case s.Rate == 0:
		return errors.New("rate 0: it is above 0")
	case s.Length/s.Period > mostSpan:
		return fmt.Errorf("length %g s: more than %d periods", s.Length, mostSpan)
	case s.SpikesPerDay > 0 && (s.SpikeLength == 0 || s.SpikeFactor == 0):
		return errors.New("spikes need a length and a factor")
	}
	return nil
}

// at is the rate at a moment without spikes, over Rate.
func (s Shape) at(seconds float64) float64 {
	if s.Season == 0 {
		return 1
	}
	return 1 + s.Amplitude*math.Cos(2*math.Pi*(seconds-s.Peak)/s.Season)
}

// Synthesize makes a trace of counts of a shape: in each period a Poisson number around its rate. Spikes come to all functions
// at once. A function's chance is its own: one more changes the others' rates, by its share, and nothing else.
func Synthesize(s Shape, seed uint64) (*Trace, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s = s.defaults()
	t := &Trace{format: "synthetic", kind: Counts, period: time.Duration(s.Period * 1e9), byName: map[string]int{}}
	y := &synthetic{trace: t, shape: s, periods: int(s.Length / s.Period)}
	sum := 0.0
	for k := range s.Functions {
		y.share = append(y.share, math.Pow(float64(k+1), -s.Skew))
		sum += y.share[k]
		name := fmt.Sprintf("function-%d", k+1)
		y.chance = append(y.chance, chanceOf(seed, name))
		if _, err := t.function(name); err != nil {
			return nil, err
		}
	}
	for k := range y.share {
		y.share[k] /= sum
	}
	if s.SpikesPerDay > 0 {
		chance := chanceOf(seed, "spikes")
		for range poisson(chance, s.SpikesPerDay*s.Length/86_400) {
			y.spikes = append(y.spikes, chance.Float64()*s.Length)
		}
		slices.Sort(y.spikes)
	}
	t.rows = y
	return t, nil
}

// chanceOf is a stream of chance of its own for a name.
func chanceOf(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes anything
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// synthetic gives a day's periods of each function, then the next day's.
type synthetic struct {
	trace    *Trace
	shape    Shape
	periods  int
	share    []float64
	chance   []*rand.Rand
	spikes   []float64 // when they begin
	rates    []float64 // of the block, over Rate
	counts   []float64
	block    int
	function int
}

func (y *synthetic) next(row *Row) error {
	begin := y.block * runMost
	if begin >= y.periods {
		return io.EOF
	}
	n := min(runMost, y.periods-begin)
	if y.function == 0 {
		y.rates = y.rates[:0]
		for i := range n {
			y.rates = append(y.rates, y.rate(begin+i))
		}
	}
	y.counts = y.counts[:0]
	mean := y.shape.Rate * y.share[y.function] * y.shape.Period
	for i := range n {
		y.counts = append(y.counts, float64(poisson(y.chance[y.function], mean*y.rates[i])))
	}
	*row = Row{Function: y.function, At: time.Duration(begin) * y.trace.period, Counts: y.counts, Block: y.block}
	if y.function++; y.function == len(y.share) {
		y.function = 0
		y.block++
	}
	return nil
}

// rate is the mean over a period, over Rate; spikes that last a part of it count in part.
func (y *synthetic) rate(period int) float64 {
	s := y.shape
	from := float64(period) * s.Period
	rate := s.at(from + s.Period/2)
	within := 0.0
	first, _ := slices.BinarySearch(y.spikes, from-s.SpikeLength)
	for _, at := range y.spikes[first:] {
		if at >= from+s.Period {
			break
		}
		within += max(0, min(at+s.SpikeLength, from+s.Period)-max(at, from))
	}
	return rate * (1 + (s.SpikeFactor-1)*min(1, within/s.Period))
}

func (y *synthetic) Close() error { return nil }

// poisson draws a number around mean; from 64 on by the normal distribution, which is within a hundredth of it there.
func poisson(chance *rand.Rand, mean float64) int64 {
	if mean >= 64 {
		return max(0, int64(math.Round(mean+math.Sqrt(mean)*chance.NormFloat64())))
	}
	n := int64(0)
	for left := mean; ; n++ {
		if left -= chance.ExpFloat64(); left < 0 {
			return n
		}
	}
}
