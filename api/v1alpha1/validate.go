package v1alpha1

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var path = regexp.MustCompile(`^/[^?#\s]*$`)

// Validate repeats the schema's rules on an object with its defaults filled, for those that no schema refused: made
// from annotations, or stored under an older schema. Each error names its field and value.
func (p *PodAutoscaler) Validate() field.ErrorList { return p.Spec.validate(field.NewPath("spec")) }

func (s *PodAutoscalerSpec) validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.TargetRef.Name == "" {
		errs = append(errs, field.Required(at.Child("targetRef", "name"), "names the workload"))
	}
	errs = append(errs, s.validateRoute(at)...)
	errs = append(errs, s.Concurrency.validate(at.Child("concurrency"))...)
	errs = append(errs, s.Replicas.validate(at.Child("replicas"))...)
	if s.Policy != PolicyWholescale && s.Policy != PolicyKPA {
		errs = append(errs, field.NotSupported(at.Child("policy"), s.Policy, []PolicyName{PolicyWholescale, PolicyKPA}))
	}
	errs = append(errs, s.validateObjective(at)...)
	for i := range s.Schedule {
		errs = append(errs, s.Schedule[i].validate(at.Child("schedule").Index(i))...)
	}
	w := at.Child("windows")
	errs = append(errs, between(w.Child("stable"), s.Windows.Stable, 6*time.Second, time.Hour)...)
	errs = append(errs, within(w.Child("panicPercentage"), s.Windows.PanicPercentage, 1, 100)...)
	errs = append(errs, within(w.Child("panicThreshold"), s.Windows.PanicThreshold, 110, 1000)...)
	errs = append(errs, between(w.Child("scaleDownDelay"), s.Windows.ScaleDownDelay, 0, time.Hour)...)
	errs = append(errs, between(w.Child("zeroRetention"), s.Windows.ZeroRetention, 0, 24*time.Hour)...)
	errs = append(errs, within(at.Child("rates", "up"), s.Rates.Up, above(1), 1e6)...)
	errs = append(errs, within(at.Child("rates", "down"), s.Rates.Down, above(1), 1e6)...)
	errs = append(errs, count(at.Child("burstCapacity"), s.BurstCapacity, -1, 1e6)...)
	errs = append(errs, between(at.Child("timeouts", "hold"), s.Timeouts.Hold, time.Second, time.Hour)...)
	errs = append(errs, between(at.Child("timeouts", "response"), s.Timeouts.Response, 10*time.Millisecond, 24*time.Hour)...)
	errs = append(errs, between(at.Child("podStart"), s.PodStart, 0, time.Hour)...)
	return errs
}

func (s *PodAutoscalerSpec) validateObjective(at *field.Path) field.ErrorList {
	errs := between(at.Child("objective", "wait"), s.Objective.Wait, time.Millisecond, time.Hour)
	if price, err := s.Objective.PricePerSecond(); err != nil {
		errs = append(errs, field.Invalid(at.Child("objective", "price"), s.Objective.Price, "must be a number such as 0.0001"))
	} else {
		errs = append(errs, within(at.Child("objective", "price"), &price, 0, 1e6)...)
	}
	errs = append(errs, s.Signals.validate(at.Child("signals"))...)
	errs = append(errs, count(at.Child("priority"), &s.Priority, -1e6, 1e6)...)
	errs = append(errs, count(at.Child("rates", "tolerancePercentage"), &s.Rates.TolerancePercentage, 0, 50)...)
	if r := s.Rates.Ramp; r != nil {
		errs = append(errs, count(at.Child("rates", "ramp", "replicas"), &r.Replicas, 1, 100000)...)
		errs = append(errs, between(at.Child("rates", "ramp", "period"), &r.Period, time.Second, time.Hour)...)
	}
	return errs
}

func (s *Signals) validate(at *field.Path) field.ErrorList {
	errs := within(at.Child("requestsPerSecond"), s.RequestsPerSecond, 0, 1e6)
	errs = append(errs, count(at.Child("cpuPercentage"), s.CPUPercentage, 1, 1000)...)
	errs = append(errs, count(at.Child("memoryPercentage"), s.MemoryPercentage, 1, 1000)...)
	names := map[string]bool{"cpu": true, "memory": true}
	check := func(at *field.Path, name, metric, target string, selector *metav1.LabelSelector) {
		for _, wrong := range validation.IsDNS1123Label(name) {
			errs = append(errs, field.Invalid(at.Child("name"), name, wrong))
		}
		if names[name] {
			errs = append(errs, field.Duplicate(at.Child("name"), name))
		}
		names[name] = true
		if metric == "" {
			errs = append(errs, field.Required(at.Child("metric"), "names the metric"))
		}
		if q, err := resource.ParseQuantity(target); err != nil || q.Sign() <= 0 {
			errs = append(errs, field.Invalid(at.Child("target"), target, "must be a quantity above 0"))
		}
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			errs = append(errs, field.Invalid(at.Child("selector"), selector, err.Error()))
		}
	}
	for i, m := range s.Custom {
		check(at.Child("custom").Index(i), m.Name, m.Metric, m.Target, m.Selector)
	}
	for i, m := range s.External {
		check(at.Child("external").Index(i), m.Name, m.Metric, m.Target, m.Selector)
	}
	return errs
}

func (f *Floor) validate(at *field.Path) field.ErrorList {
	errs := between(at.Child("lasts"), &f.Lasts, time.Minute, 168*time.Hour)
	errs = append(errs, count(at.Child("replicas"), &f.Replicas, 0, 100000)...)
	if _, err := f.schedule(); err != nil {
		errs = append(errs, field.Invalid(at.Child("begins"), f.Begins, err.Error()))
	}
	return errs
}

func (s *PodAutoscalerSpec) validateRoute(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.Hosts) > 32 {
		errs = append(errs, field.TooMany(at.Child("hosts"), len(s.Hosts), 32))
	}
	for i, h := range s.Hosts {
		for _, wrong := range validation.IsDNS1123Subdomain(strings.TrimPrefix(h, "*.")) {
			errs = append(errs, field.Invalid(at.Child("hosts").Index(i), h, wrong))
		}
	}
	if len(s.Paths) > 32 {
		errs = append(errs, field.TooMany(at.Child("paths"), len(s.Paths), 32))
	}
	for i, p := range s.Paths {
		if len(p) > 1024 || !path.MatchString(p) {
			errs = append(errs, field.Invalid(at.Child("paths").Index(i), p, "must begin with / and have no ?, # or space"))
		}
	}
	if s.Probe.Path != "" && (len(s.Probe.Path) > 1024 || s.Probe.Path[0] != '/' || strings.ContainsAny(s.Probe.Path, "# \t\r\n")) {
		errs = append(errs, field.Invalid(at.Child("probe", "path"), s.Probe.Path, "must begin with / and have no # or space"))
	}
	if s.Port != nil {
		wrong := validation.IsValidPortNum(s.Port.IntValue())
		if s.Port.Type == intstr.String {
			wrong = validation.IsValidPortName(s.Port.StrVal)
		}
		for _, w := range wrong {
			errs = append(errs, field.Invalid(at.Child("port"), s.Port.String(), w))
		}
	}
	return errs
}

func (c Concurrency) validate(at *field.Path) field.ErrorList {
	errs := within(at.Child("target"), c.Target, above(0), 1e6)
	errs = append(errs, count(at.Child("limit"), &c.Limit, 0, 1e6)...)
	errs = append(errs, count(at.Child("utilization"), &c.Utilization, 1, 100)...)
	if c.Target != nil && c.Limit > 0 && *c.Target > float64(c.Limit) {
		errs = append(errs, field.Invalid(at.Child("target"), *c.Target, fmt.Sprintf("must not be above concurrency.limit, which is %d", c.Limit)))
	}
	return errs
}

func (r Replicas) validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name  string
		value *int32
		least int32
	}{{"min", &r.Min, 0}, {"max", &r.Max, 0}, {"initial", r.Initial, 0}, {"activation", &r.Activation, 1}} {
		errs = append(errs, count(at.Child(f.name), f.value, f.least, 100000)...)
		if f.value != nil && r.Max > 0 && *f.value > r.Max {
			errs = append(errs, field.Invalid(at.Child(f.name), *f.value, fmt.Sprintf("must not be above replicas.max, which is %d", r.Max)))
		}
	}
	return errs
}

// Validate repeats the schema's rules; see PodAutoscaler.Validate.
func (p *NodePool) Validate() field.ErrorList {
	at := field.NewPath("spec")
	s := p.Spec
	var errs field.ErrorList
	if len(p.Name) > validation.LabelValueMaxLength {
		errs = append(errs, field.TooLong(field.NewPath("metadata", "name"), p.Name, validation.LabelValueMaxLength))
	}
	if (s.Provider.Pool == "") == (s.Provider.Offers == nil) {
		errs = append(errs, field.Required(at.Child("provider", "pool"), "must have one of pool and offers: the provider's id of a pool, or which of its pools may be bought from"))
	}
	errs = append(errs, count(at.Child("nodes", "min"), &s.Nodes.Min, 0, 15000)...)
	errs = append(errs, count(at.Child("nodes", "max"), &s.Nodes.Max, 0, 15000)...)
	if s.Nodes.Min > s.Nodes.Max {
		errs = append(errs, field.Invalid(at.Child("nodes", "min"), s.Nodes.Min, fmt.Sprintf("must not be above nodes.max, which is %d", s.Nodes.Max)))
	}
	errs = append(errs, taints(at.Child("taints"), s.Taints)...)
	errs = append(errs, taints(at.Child("startupTaints"), s.StartupTaints)...)
	errs = append(errs, count(at.Child("weight"), &s.Weight, 0, 1000)...)
	errs = append(errs, within(at.Child("pricePerHour"), s.PricePerHour, 0, 1e6)...)
	errs = append(errs, between(at.Child("join"), s.Join, 0, time.Hour)...)
	errs = append(errs, between(at.Child("idleAfter"), s.IdleAfter, 0, 24*time.Hour)...)
	errs = append(errs, within(at.Child("priceCapPerHour"), s.PriceCapPerHour, above(0), 1e8)...)
	errs = append(errs, ValidateCaps(at.Child("priceCaps"), s.PriceCaps)...)
	return append(errs, s.Disruption.validate(at.Child("disruption"))...)
}

func taints(at *field.Path, list []Taint) field.ErrorList {
	var errs field.ErrorList
	for i, t := range list {
		if wrong := validation.IsQualifiedName(t.Key); len(wrong) > 0 {
			errs = append(errs, field.Invalid(at.Index(i).Child("key"), t.Key, wrong[0]))
		}
		switch t.Effect {
		case "NoSchedule", "PreferNoSchedule", "NoExecute":
		default:
			errs = append(errs, field.NotSupported(at.Index(i).Child("effect"), t.Effect, []string{"NoExecute", "NoSchedule", "PreferNoSchedule"}))
		}
	}
	return errs
}

// ValidateCaps names what is wrong with price caps.
func ValidateCaps(at *field.Path, caps []PriceCap) field.ErrorList {
	var errs field.ErrorList
	for i := range caps {
		c, at := &caps[i], at.Index(i)
		errs = append(errs, within(at.Child("perHour"), &c.PerHour, above(0), 1e8)...)
		errs = append(errs, between(at.Child("lasts"), &c.Lasts, time.Minute, 168*time.Hour)...)
		if _, err := c.floor().schedule(); err != nil {
			errs = append(errs, field.Invalid(at.Child("begins"), c.Begins, err.Error()))
		}
	}
	return errs
}

func (d *Disruption) validate(at *field.Path) field.ErrorList {
	errs := between(at.Child("consolidateAfter"), d.ConsolidateAfter, 0, 24*time.Hour)
	errs = append(errs, between(at.Child("expireAfter"), d.ExpireAfter, time.Minute, 8760*time.Hour)...)
	errs = append(errs, between(at.Child("repairAfter"), d.RepairAfter, 0, 24*time.Hour)...)
	for i := range d.Budgets {
		b, at := &d.Budgets[i], at.Child("budgets").Index(i)
		if _, ok := b.Of(100); !ok {
			errs = append(errs, field.Invalid(at.Child("nodes"), b.Nodes, "must be a number or a percentage such as 10%"))
		}
		switch {
		case b.Begins == "":
		case b.Lasts == nil:
			errs = append(errs, field.Required(at.Child("lasts"), "says for how long the budget holds from begins on"))
		default:
			if _, err := b.floor().schedule(); err != nil {
				errs = append(errs, field.Invalid(at.Child("begins"), b.Begins, err.Error()))
			}
		}
	}
	return errs
}

// above is the least number greater than x, for bounds that exclude x itself.
func above(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }

// within refuses NaN too, since no comparison with it holds.
func within(at *field.Path, value *float64, least, most float64) field.ErrorList {
	if value == nil || (*value >= least && *value <= most) {
		return nil
	}
	bound := fmt.Sprintf("from %v", least)
	if whole := math.Floor(least); above(whole) == least {
		bound = fmt.Sprintf("above %v", whole)
	}
	return field.ErrorList{field.Invalid(at, fmt.Sprint(*value), fmt.Sprintf("must be %s to %v", bound, most))}
}

func count(at *field.Path, value *int32, least, most int32) field.ErrorList {
	if value == nil || (*value >= least && *value <= most) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *value, fmt.Sprintf("must be from %d to %d", least, most))}
}

func between(at *field.Path, value *metav1.Duration, least, most time.Duration) field.ErrorList {
	if value == nil || (value.Duration >= least && value.Duration <= most) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value.Duration.String(), fmt.Sprintf("must be from %s to %s", least, most))}
}
