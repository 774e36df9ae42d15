package trace

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// layouts are how moments are written, most usual first. Without a zone they are UTC.
var layouts = []string{
	"2006-01-02 15:04:05.999999999", time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999-0700",
	"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02", "02/Jan/2006:15:04:05 -0700", "1/2/2006 15:04",
}

// yearFirst and yearLast bound what is taken for a date: nanoseconds since 1970 end in 2262.
const yearFirst, yearLast = 1970, 2261

// moment reads a date, or seconds, milliseconds, microseconds or nanoseconds since 1970, which differ by their size.
func moment(b []byte) (int64, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return 0, fmt.Errorf("%q is not a time such as 2023-11-16 18:15:46 or 1700158546", b)
	}
	if c := b[0]; c >= '0' && c <= '9' && bytes.IndexByte(b, '-') < 0 && bytes.IndexByte(b, '/') < 0 {
		return epoch(b)
	}
	s := string(b)
	for _, layout := range layouts {
		at, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if y := at.UTC().Year(); y < yearFirst || y > yearLast {
			return 0, fmt.Errorf("%q is not between the years %d and %d", clip(b), yearFirst, yearLast)
		}
		return at.UnixNano(), nil
	}
	return 0, fmt.Errorf("%q is not a time such as 2023-11-16 18:15:46 or 1700158546", clip(b))
}

// epoch tells seconds from finer units by their size: 1e11 seconds are the year 5138.
func epoch(b []byte) (int64, error) {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		switch {
		case n < 1e11:
			return n * 1e9, checkEpoch(b, n)
		case n < 1e14:
			return n * 1e6, checkEpoch(b, n/1e3)
		case n < 1e17:
			return n * 1e3, checkEpoch(b, n/1e6)
		}
		return n, nil
	}
	// Two numbers keep the nanoseconds that one float has no room for.
	whole, part, _ := bytes.Cut(b, []byte("."))
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err == nil && n < 1e11 && len(part) > 0 && len(part) <= 18 {
		f, err := strconv.ParseUint(string(part), 10, 64)
		if err == nil {
			return n*1e9 + int64(math.Round(float64(f)*math.Pow10(9-len(part)))), checkEpoch(b, n)
		}
	}
	f, err := number(b, 0)
	if err != nil {
		return 0, err
	}
	for f >= 1e11 {
		f /= 1e3
	}
	return int64(f * 1e9), checkEpoch(b, int64(f))
}

func checkEpoch(b []byte, s int64) error {
	if s < 0 || s > 9_200_000_000 {
		return fmt.Errorf("%q is not between the years %d and %d", clip(b), yearFirst, yearLast)
	}
	return nil
}

// offset reads seconds since a format's own zero.
func offset(b []byte) (int64, error) {
	f, err := number(b, math.Inf(-1))
	if err != nil {
		return 0, err
	}
	if math.Abs(f) > 100*mostDuration.Seconds() {
		return 0, fmt.Errorf("%q is more than a hundred years of seconds", clip(b))
	}
	return int64(math.Round(f * 1e9)), nil
}
