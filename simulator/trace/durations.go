package trace

import (
	"errors"
	"io"
	"time"
)

// percents are where Durations knows the distribution, as Azure's tables have it.
var percents = [7]float64{0, 1, 25, 50, 75, 99, 100}

// Durations is how long a function's requests take: their mean and the percentiles 0, 1, 25, 50, 75, 99 and 100. They mean
// something when Known.
type Durations struct {
	Known       bool
	Mean        time.Duration
	Percentiles [7]time.Duration
}

// At is the duration at quantile q of 0 to 1, straight between the percentiles; the mean where there are none.
func (d Durations) At(q float64) time.Duration {
	if d.Percentiles == [7]time.Duration{} {
		return d.Mean
	}
	p := min(max(q, 0), 1) * 100
	for i := 1; i < len(percents); i++ {
		if p <= percents[i] {
			part := (p - percents[i-1]) / (percents[i] - percents[i-1])
			low, high := d.Percentiles[i-1], d.Percentiles[i]
			return low + time.Duration(part*float64(high-low))
		}
	}
	return d.Percentiles[len(percents)-1]
}

// mostDuration bounds what a trace may claim a request took.
const mostDuration = 366 * 24 * time.Hour

// seconds is a number of seconds as a Duration, within mostDuration.
func seconds(s float64) (time.Duration, error) {
	if s > mostDuration.Seconds() {
		return 0, errors.New("longer than a year")
	}
	return time.Duration(s*1e9 + 0.5), nil
}

// profile is what files beside the invocations say about a function.
type profile struct {
	durations Durations
	samples   float64
}

// readDurations reads Azure's durations by function. Of a function in several days' files the day with most executions counts.
func readDurations(files []file) (map[string]profile, error) {
	all := map[string]profile{}
	for _, f := range files {
		err := eachLine(f, func(t *table) error {
			if err := t.full(); err != nil {
				return err
			}
			name, err := t.need(Azure2019, "HashFunction")
			if err != nil {
				return err
			}
			p, err := durationsOf(t)
			if err != nil {
				return err
			}
			if before, ok := all[string(t.row[name])]; !ok || p.samples > before.samples {
				all[string(t.row[name])] = p
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

var percentTitles = [7]string{"percentile_Average_0", "percentile_Average_1", "percentile_Average_25", "percentile_Average_50", "percentile_Average_75", "percentile_Average_99", "percentile_Average_100"}

func durationsOf(t *table) (profile, error) {
	p := profile{durations: Durations{Known: true}}
	ms := func(title string) (time.Duration, error) {
		column, err := t.need(Azure2019, title)
		if err != nil {
			return 0, err
		}
		// The published tables have a few values below 0, where the clock of a machine was set back: they are 0.
		v, err := number(t.row[column], -1e12)
		if err != nil {
			return 0, t.fail(title, err)
		}
		d, err := seconds(max(v, 0) / 1000)
		if err != nil {
			return 0, t.fail(title, err)
		}
		return d, nil
	}
	var err error
	if p.durations.Mean, err = ms("Average"); err != nil {
		return p, err
	}
	for i, title := range percentTitles {
		if p.durations.Percentiles[i], err = ms(title); err != nil {
			return p, err
		}
		if i > 0 {
			p.durations.Percentiles[i] = max(p.durations.Percentiles[i], p.durations.Percentiles[i-1])
		}
	}
	if column := t.find("Count"); column >= 0 {
		p.samples, err = t.number(column, 0)
	}
	return p, err
}

// readMemory reads Azure's memory in MB: by function where the table has one, else by app.
func readMemory(files []file) (byFunction, byApp map[string]float64, err error) {
	byFunction, byApp = map[string]float64{}, map[string]float64{}
	for _, f := range files {
		err := eachLine(f, func(t *table) error {
			if err := t.full(); err != nil {
				return err
			}
			column, err := t.need(Azure2019, "AverageAllocatedMb")
			if err != nil {
				return err
			}
			mb, err := t.number(column, 0)
			if err != nil {
				return err
			}
			if name := t.find("HashFunction"); name >= 0 {
				byFunction[string(t.row[name])] = mb
				return nil
			}
			app, err := t.need(Azure2019, "HashApp")
			if err != nil {
				return err
			}
			byApp[string(t.row[app])] = mb
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return byFunction, byApp, nil
}

// eachLine calls f for each line of a table.
func eachLine(from file, f func(*table) error) error {
	s, err := from.source()
	if err != nil {
		return err
	}
	defer s.Close() // read only: nothing to lose
	t, err := newTable(s)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		switch err := t.read(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n >= mostFunctions:
			return t.failf("", "more than %d functions", mostFunctions)
		}
		if err := f(t); err != nil {
			return err
		}
	}
}
