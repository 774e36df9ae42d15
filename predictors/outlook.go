// Package predictors says what demand may be a while ahead, as a distribution. It knows no cluster and no clock: figures
// come in, an Outlook goes out. A forecast may only raise what is wanted; what is needed now is decided without it.
package predictors

import "math"

// Outlook is what demand may be at a time: a normal distribution, cut off at zero, in the unit of what was observed
// (requests in flight). The zero value is no demand.
type Outlook struct {
	Mean float64
	// Deviation is the standard deviation; 0 is certainty.
	Deviation float64
}

// Quantile is the demand that is not exceeded with probability q (0 < q < 1); never negative.
func (o Outlook) Quantile(q float64) float64 {
	return math.Max(0, o.Mean+o.Deviation*normalQuantile(q))
}

// Recent is the outlook without a forecast: the mean and spread of the recent past go on. A rise that the last seconds
// show against the whole window (latest above mean, centres apart seconds between them) goes on for the horizon; a fall
// does not, as a forecast may only raise.
func Recent(mean, latest, deviation float64, apart, horizon float64) Outlook {
	o := Outlook{Mean: math.Max(mean, latest), Deviation: deviation}
	if rise := latest - mean; rise > 0 && apart > 0 {
		o.Mean += rise / apart * horizon
	}
	return o
}

// normalQuantile is the inverse of the standard normal distribution, to 4.5e-4: Abramowitz and Stegun, Handbook of
// Mathematical Functions (1964), 26.2.23. Far more than demand is known by.
func normalQuantile(q float64) float64 {
	if q < 0.5 {
		return -normalQuantile(1 - q)
	}
	t := math.Sqrt(-2 * math.Log(math.Max(1-q, 1e-12)))
	return t - (2.515517+t*(0.802853+t*0.010328))/(1+t*(1.432788+t*(0.189269+t*0.001308)))
}
