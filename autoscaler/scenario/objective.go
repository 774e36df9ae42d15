package scenario

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/learn"
)

// The records and fields of policy wholescale: the objective and what else wants replicas.

func (r *record) objective(p *autoscaler.Policy) error {
	p.Objective = autoscaler.Objective{Wait: r.duration("wait", 0), Price: r.amount("waiting", 0)}
	p.Auto = r.text("auto") != ""
	p.RateTarget, p.Tolerance = r.amount("rate-target", 0), r.amount("tolerance", 0)
	p.Ramp = field(r, "ramp", autoscaler.Ramp{}, func(s string) (autoscaler.Ramp, error) {
		count, period, _ := strings.Cut(s, "/")
		n, err1 := strconv.Atoi(count)
		d, err2 := time.ParseDuration(period)
		if err1 != nil || err2 != nil || n < 1 || n > mostCount || d <= 0 || d > time.Hour {
			return autoscaler.Ramp{}, errors.New("not a ramp such as 10/30s")
		}
		return autoscaler.Ramp{Replicas: n, Period: d}, nil
	})
	if p.Tolerance > 0.5 {
		return errors.New("a tolerance is a share of 0 to 0.5")
	}
	return nil
}

// gaps reads "30s*9,10m" as nine idle times of 30 s and one of 10 minutes.
func (r *record) gaps() learn.Gaps {
	return field(r, "gaps", learn.Gaps{}, func(s string) (g learn.Gaps, err error) {
		for _, part := range strings.Split(s, ",") {
			length, times, counted := strings.Cut(part, "*")
			d, err := time.ParseDuration(length)
			n := 1
			if counted && err == nil {
				n, err = strconv.Atoi(times)
			}
			if err != nil || n < 0 || n > 255 {
				return g, errors.New("not idle times such as 30s*9,10m")
			}
			for range n {
				g.Add(d)
			}
		}
		return g, nil
	})
}

// gapField prints each bin by a length in its middle.
func gapField(g learn.Gaps) string {
	var parts []string
	for i, n := range g {
		if n > 0 {
			middle := time.Duration(math.Exp2((float64(i)+0.5)/2) * float64(time.Second)).Round(time.Millisecond)
			parts = append(parts, fmt.Sprintf("%s*%d", middle, n))
		}
	}
	return textField("gaps", strings.Join(parts, ","))
}

func (b *builder) of(r *record) (*autoscaler.Workload, error) {
	i, ok := b.workloads[r.text("workload")]
	if !ok {
		return nil, fmt.Errorf("there is no workload %q", r.text("workload"))
	}
	return &b.s.Workloads[i], nil
}

func (b *builder) signal(r *record) error {
	w, err := b.of(r)
	if err != nil {
		return err
	}
	w.Signals = append(w.Signals, autoscaler.Signal{
		Name: r.name, Value: field(r, "value", 0, parseReading), Target: r.float("target", 1), Stale: slices.Contains(r.words, "stale"),
	})
	slices.SortFunc(w.Signals, func(a, b autoscaler.Signal) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// parseReading reads a measure as it came: what is no number is what somebody measured, and has to read back.
func parseReading(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("not a number, nor NaN or Inf")
	}
	return v, nil
}

func (b *builder) floor(r *record) error {
	w, err := b.of(r)
	if err != nil {
		return err
	}
	w.Policy.Floors = append(w.Policy.Floors, autoscaler.Floor{Name: r.name, From: r.time("from"), Until: r.time("until"), Replicas: r.count("replicas", 0)})
	return nil
}

func (p *printer) signalsAndFloors(w autoscaler.Workload) {
	for _, s := range w.Signals {
		stale := ""
		if s.Stale {
			stale = " stale"
		}
		p.line("signal %s%s workload=%s value=%v target=%v", s.Name, stale, w.ID, s.Value, s.Target)
	}
	for _, f := range w.Policy.Floors {
		p.line("floor %s workload=%s%s%s replicas=%d", f.Name, w.ID, timeField("from", f.From), timeField("until", f.Until), f.Replicas)
	}
}

func objectiveFields(p autoscaler.Policy) string {
	var b strings.Builder
	if p.Objective.Wait > 0 {
		fmt.Fprintf(&b, " wait=%s", p.Objective.Wait)
	}
	if p.Auto {
		b.WriteString(" auto=yes")
	}
	b.WriteString(floatField("waiting", p.Objective.Price) + floatField("rate-target", p.RateTarget) + floatField("tolerance", p.Tolerance))
	if p.Ramp.Replicas > 0 {
		fmt.Fprintf(&b, " ramp=%d/%s", p.Ramp.Replicas, p.Ramp.Period)
	}
	return b.String()
}
