package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// PricePerSecond is the price as a number; 0 when none is given.
func (o Objective) PricePerSecond() (float64, error) {
	if o.Price == "" {
		return 0, nil
	}
	return strconv.ParseFloat(o.Price, 64)
}

// Period is one time that a floor holds.
//
// +kubebuilder:object:generate=false
type Period struct{ From, Until time.Time }

func (f *Floor) schedule() (cron.Schedule, error) {
	zone, err := time.LoadLocation(f.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", f.TimeZone, err)
	}
	s, err := cron.ParseStandard("CRON_TZ=" + zone.String() + " " + f.Begins)
	if err != nil {
		return nil, fmt.Errorf("must be five fields as in crontab, such as 0 8 * * mon-fri: %w", err)
	}
	return s, nil
}

// Next is the period that holds at now or, if none does, the next one to begin. When several overlap it is the one that
// ends last. False when there is none within five years.
func (f *Floor) Next(now time.Time) (Period, bool) {
	s, err := f.schedule()
	if err != nil {
		return Period{}, false
	}
	// The first to begin after now - lasts is the first that is not over.
	from := s.Next(now.Add(-f.Lasts.Duration))
	if from.IsZero() {
		return Period{}, false
	}
	for range 64 { // of overlapping ones; a floor of a week that begins each hour is the same as one that always holds
		after := s.Next(from)
		if after.IsZero() || after.After(now) {
			break
		}
		from = after
	}
	return Period{From: from, Until: from.Add(f.Lasts.Duration)}, true
}

// floor is the schedule of a budget, which is read as that of a floor.
func (b *Budget) floor() *Floor {
	f := &Floor{Begins: b.Begins, TimeZone: b.TimeZone}
	if b.Lasts != nil {
		f.Lasts = *b.Lasts
	}
	return f
}

// Holds says that the budget holds at now.
func (b *Budget) Holds(now time.Time) bool {
	if b.Begins == "" {
		return true
	}
	p, ok := b.floor().Next(now)
	return ok && !now.Before(p.From) && now.Before(p.Until)
}

func (c *PriceCap) floor() *Floor {
	return &Floor{Begins: c.Begins, TimeZone: c.TimeZone, Lasts: c.Lasts}
}

// LowestCap is the lowest of a cap that always holds and of those that hold at now; 0 is no cap.
func LowestCap(always float64, caps []PriceCap, now time.Time) float64 {
	lowest := always
	for i := range caps {
		p, ok := caps[i].floor().Next(now)
		if ok && !now.Before(p.From) && now.Before(p.Until) && (lowest == 0 || caps[i].PerHour < lowest) {
			lowest = caps[i].PerHour
		}
	}
	return lowest
}

// Of is how many nodes the budget lets leave of a pool of so many; false when it cannot be read.
func (b *Budget) Of(nodes int) (int, bool) {
	text, percent := strings.CutSuffix(b.Nodes, "%")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || percent && n > 100 {
		return 0, false
	}
	if percent {
		n = nodes * n / 100
	}
	return n, true
}
