package node

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Delay is a constant or random time, never below 0. The zero value is no delay.
type Delay struct {
	kind string
	a, b float64 // seconds; for lognormal b is sigma, a factor without unit
}

// ParseDelay reads a delay:
//
//	2s                 always two seconds
//	uniform:1s..3s     each time between as likely
//	normal:2s,300ms    mean and standard deviation, cut at 0
//	lognormal:2s,0.5   median and sigma (the standard deviation of the logarithm)
func ParseDelay(text string) (Delay, error) {
	kind, rest, random := strings.Cut(text, ":")
	if text == "" {
		return Delay{}, nil
	}
	if !random {
		kind, rest = "constant", text
	}
	separator := map[string]string{"constant": "\x00", "uniform": "..", "normal": ",", "lognormal": ","}[kind]
	if separator == "" {
		return Delay{}, fmt.Errorf("delay %q: kind %q is none of uniform, normal, lognormal", text, kind)
	}
	first, second, two := strings.Cut(rest, separator)
	if two != random {
		return Delay{}, fmt.Errorf("delay %q: want %s:A%sB", text, kind, separator)
	}
	d := Delay{kind: kind}
	var err error
	if d.a, err = seconds(first); err == nil && two {
		if kind == "lognormal" {
			d.b, err = strconv.ParseFloat(second, 64)
		} else {
			d.b, err = seconds(second)
		}
	}
	if err != nil {
		return Delay{}, fmt.Errorf("delay %q: %w", text, err)
	}
	if d.a < 0 || d.b < 0 || kind == "uniform" && d.b < d.a {
		return Delay{}, fmt.Errorf("delay %q: below 0, or the end before the start", text)
	}
	return d, nil
}

func seconds(text string) (float64, error) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	return d.Seconds(), err
}

// Draw is the next delay that random gives.
func (d Delay) Draw(random *rand.Rand) time.Duration {
	s := d.a
	switch d.kind {
	case "uniform":
		s += random.Float64() * (d.b - d.a)
	case "normal":
		s += random.NormFloat64() * d.b
	case "lognormal":
		s *= math.Exp(random.NormFloat64() * d.b)
	}
	// A day is beyond every boot; the bound keeps a wide lognormal from overflowing.
	return time.Duration(min(max(s, 0), 86400) * float64(time.Second))
}
