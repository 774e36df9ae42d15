package simulator

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Spread is how a delay varies.
type Spread string

// The spreads.
const (
	Normal    Spread = "normal"    // about Mean, never below half of it
	Lognormal Spread = "lognormal" // with this mean and deviation: few that are much longer
	Empirical Spread = "empirical" // one of Samples
	Recorded  Spread = "recorded"  // Samples one after the other, as they came in a run that was measured; then from the first again
)

// Delay is a duration with chance in it. The zero value is no delay; with a Mean alone it is constant.
type Delay struct {
	Mean, Deviation time.Duration
	// Spread is empty for Normal.
	Spread Spread
	// Samples are for Empirical and Recorded alone.
	Samples []time.Duration
}

// Validate says which field is wrong.
func (d Delay) Validate() error {
	switch {
	case d.Spread != "" && d.Spread != Normal && d.Spread != Lognormal && d.Spread != Empirical && d.Spread != Recorded:
		return fmt.Errorf("spread %q: it is normal, lognormal, empirical or recorded", d.Spread)
	case d.Mean < 0 || d.Deviation < 0 || slices.ContainsFunc(d.Samples, func(s time.Duration) bool { return s < 0 }):
		return errors.New("a delay is not below 0")
	case (d.Spread == Empirical || d.Spread == Recorded) && len(d.Samples) == 0:
		return fmt.Errorf("a delay that is %s needs samples", d.Spread)
	case d.Spread == Lognormal && d.Mean == 0:
		return errors.New("a lognormal delay needs a mean above 0")
	}
	return nil
}

// none says that a delay was not given.
func (d *Delay) none() bool { return d.Mean == 0 && len(d.Samples) == 0 }

// ParseDelay reads 45s, normal(45s,9s), lognormal(45s,20s), empirical(41s,45s,90s) or recorded(41s,45s,90s).
func ParseDelay(text string) (Delay, error) {
	fail := func(why error) (Delay, error) {
		return Delay{}, fmt.Errorf("delay %q: it is like 45s, normal(45s,9s), lognormal(45s,20s), empirical(41s,45s,90s) or recorded(41s,45s,90s): %w", text, why)
	}
	name, rest, shaped := strings.Cut(strings.TrimSpace(text), "(")
	if !shaped {
		mean, err := time.ParseDuration(name)
		if err != nil {
			return fail(err)
		}
		d := Delay{Mean: mean}
		return d, d.Validate()
	}
	inner, ok := strings.CutSuffix(rest, ")")
	if !ok {
		return fail(errors.New("there is no closing bracket"))
	}
	var list []time.Duration
	for part := range strings.SplitSeq(inner, ",") {
		v, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil {
			return fail(err)
		}
		list = append(list, v)
	}
	d := Delay{Spread: Spread(name)}
	switch {
	case d.Spread == Empirical || d.Spread == Recorded:
		d.Samples = list
	case len(list) != 2:
		return fail(errors.New("there are a mean and a deviation"))
	default:
		d.Mean, d.Deviation = list[0], list[1]
	}
	if err := d.Validate(); err != nil {
		return fail(err)
	}
	return d, nil
}

// sample is one delay. The stream belongs to the entity that is delayed.
func (d *Delay) sample(r *rand.Rand) time.Duration {
	switch {
	case d.Spread == Empirical:
		return d.Samples[r.IntN(len(d.Samples))]
	case d.Deviation == 0:
		return d.Mean
	case d.Spread == Lognormal:
		v := float64(d.Deviation) / float64(d.Mean)
		sigma2 := math.Log1p(v * v)
		return time.Duration(float64(d.Mean) * math.Exp(r.NormFloat64()*math.Sqrt(sigma2)-sigma2/2))
	}
	return max(d.Mean/2, d.Mean+time.Duration(r.NormFloat64()*float64(d.Deviation)))
}

// typical is what the core is told to expect before it has measured.
func (d *Delay) typical() time.Duration {
	if d.Spread == Empirical || d.Spread == Recorded {
		sorted := slices.Sorted(slices.Values(d.Samples))
		return sorted[len(sorted)/2]
	}
	return d.Mean
}

// stream is the chance of one entity.
func stream(seed uint64, entity string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(entity)) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
