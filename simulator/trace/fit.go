package trace

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// seasons are what Fit tries: an hour, half a day, a day, a week.
var seasons = []float64{3600, 43_200, 86_400, 604_800}

// seasonLeast is how much of the variance a season must explain to be one.
const seasonLeast = 0.1

// Fit finds the Shape that a trace is nearest to: its rate, the one season that explains most of it, and its spikes (more than
// three times what the season says, and more than six standard deviations of Poisson). It reads t to its end.
func Fit(t *Trace) (Shape, error) {
	f := fitter{period: t.period}
	if t.kind == Pods {
		return Shape{}, errors.New("a shape is of requests or counts, and this trace has pods")
	}
	if t.kind == Requests {
		f.period = time.Second
	}
	if err := t.Each(func(row *Row) error { return f.row(t.kind, row) }); err != nil {
		return Shape{}, err
	}
	if t.kind == Requests {
		f.coarsen()
	}
	if len(f.totals) < 2 {
		return Shape{}, errors.New("a shape needs two periods at least")
	}
	s := Shape{Period: f.period.Seconds(), Length: float64(len(f.totals)) * f.period.Seconds(), Functions: len(t.functions)}
	f.season(&s)
	f.spikes(&s)
	f.season(&s) // once more, without the spikes
	s.Skew = digits3(f.skew())
	s.Rate, s.Amplitude, s.Peak = significant(s.Rate), digits3(s.Amplitude), math.Round(s.Peak)
	s.SpikesPerDay, s.SpikeLength, s.SpikeFactor = digits3(s.SpikesPerDay), digits3(s.SpikeLength), digits3(s.SpikeFactor)
	return s, nil
}

// significant keeps six digits, of small rates too.
func significant(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow10(5 - int(math.Floor(math.Log10(math.Abs(v)))))
	return math.Round(v*scale) / scale
}

type fitter struct {
	period     time.Duration
	totals     []float64
	spiked     []bool
	byFunction []float64
}

func (f *fitter) row(kind Kind, row *Row) error {
	for len(f.byFunction) <= row.Function {
		f.byFunction = append(f.byFunction, 0)
	}
	begin := int64(row.At / f.period)
	if begin+int64(len(row.Counts)) >= mostSpan {
		return fmt.Errorf("the trace spans more than %d periods of %s", mostSpan, f.period)
	}
	for int64(len(f.totals)) < begin+max(1, int64(len(row.Counts))) {
		f.totals = append(f.totals, 0)
	}
	if kind == Requests {
		f.totals[begin]++
		f.byFunction[row.Function]++
		return nil
	}
	for i, n := range row.Counts {
		f.totals[begin+int64(i)] += n
		f.byFunction[row.Function] += n
	}
	return nil
}

// coarsen makes minutes of the seconds of a long trace of requests.
func (f *fitter) coarsen() {
	if len(f.totals) < 2*3600 {
		return
	}
	minutes := make([]float64, (len(f.totals)+59)/60)
	for i, n := range f.totals {
		minutes[i/60] += n
	}
	f.totals, f.period = minutes, time.Minute
}

// season sets Rate, and Season with its Amplitude and Peak by least squares, over what is no spike.
func (f *fitter) season(s *Shape) {
	period := f.period.Seconds()
	n, sum := 0.0, 0.0
	for i, v := range f.totals {
		if f.calm(i) {
			n++
			sum += v
		}
	}
	mean := sum / max(n, 1)
	variance := 0.0
	for i, v := range f.totals {
		if f.calm(i) {
			variance += (v - mean) * (v - mean)
		}
	}
	s.Rate = mean / period
	s.Season, s.Amplitude, s.Peak = 0, 0, 0
	best := seasonLeast
	for _, season := range seasons {
		if s.Length < 2*season || season < 4*period || variance == 0 || mean == 0 {
			continue
		}
		a, b := 0.0, 0.0
		for i, v := range f.totals {
			if f.calm(i) {
				angle := 2 * math.Pi * (float64(i) + 0.5) * period / season
				a += (v - mean) * math.Cos(angle)
				b += (v - mean) * math.Sin(angle)
			}
		}
		a, b = 2*a/n, 2*b/n
		if explained := (a*a + b*b) / 2 * n / variance; explained > best {
			best = explained
			s.Season, s.Amplitude = season, min(1, math.Hypot(a, b)/mean)
			s.Peak = math.Mod(math.Atan2(b, a)/(2*math.Pi)*season+season, season)
		}
	}
}

func (f *fitter) calm(i int) bool { return len(f.spiked) == 0 || !f.spiked[i] }

// spikes marks the periods far above the season and says how many runs of them there are, how long and how high.
func (f *fitter) spikes(s *Shape) {
	period := f.period.Seconds()
	f.spiked = make([]bool, len(f.totals))
	runs, length, factor := 0, 0, 0.0
	// The mean holds the spikes too; the median of what is over the season does not.
	ratios := make([]float64, 0, len(f.totals))
	for i, v := range f.totals {
		if w := s.Rate * period * s.at((float64(i)+0.5)*period); w > 0 {
			ratios = append(ratios, v/w)
		}
	}
	slices.Sort(ratios)
	middle := 1.0
	if len(ratios) > 0 && ratios[len(ratios)/2] > 0 {
		middle = ratios[len(ratios)/2]
	}
	for i, v := range f.totals {
		want := middle * s.Rate * period * s.at((float64(i)+0.5)*period)
		if v <= 3*want || v <= want+6*math.Sqrt(want)+6 {
			continue
		}
		f.spiked[i] = true
		if i == 0 || !f.spiked[i-1] {
			runs++
		}
		length++
		factor += v / max(want, 1)
	}
	if runs == 0 {
		return
	}
	s.SpikesPerDay = float64(runs) * 86_400 / s.Length
	s.SpikeLength = min(86_400, float64(length)/float64(runs)*period)
	s.SpikeFactor = min(10_000, factor/float64(length))
}

// skew is the slope of the busiest functions' shares over their ranks, both as logarithms.
func (f *fitter) skew() float64 {
	slices.SortFunc(f.byFunction, func(a, b float64) int { return cmp.Compare(b, a) })
	const most = 100 // the tail of a trace bends down: functions that came once or never
	n, sx, sy, sxx, sxy := 0.0, 0.0, 0.0, 0.0, 0.0
	for k, v := range f.byFunction[:min(most, len(f.byFunction))] {
		if v <= 0 {
			break
		}
		x, y := math.Log(float64(k+1)), math.Log(v)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if n < 2 {
		return 0
	}
	return min(10, max(0, -(n*sxy-sx*sy)/(n*sxx-sx*sx)))
}
