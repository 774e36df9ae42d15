package local

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Config says what machines there are. The YAML names are the lower-case ones in the tags.
type Config struct {
	// MachineCommand starts a machine; the machine's own flags are appended to it. Required.
	MachineCommand []string `yaml:"machineCommand"`
	// State is the folder for targets, tokens, epochs and logs. Required; made when it is not there.
	State string `yaml:"state"`
	// StopGrace is from SIGTERM to SIGKILL; 0 is 45s, longer than a machine gives its pods.
	StopGrace Duration `yaml:"stopGrace"`
	// Pools are what can be bought; ids are unique. At least one.
	Pools []PoolConfig `yaml:"pools"`
}

// PoolConfig is one kind of machine.
type PoolConfig struct {
	// ID is lower-case letters, digits and '-', at most 40.
	ID string `yaml:"id"`
	// Shape is a name for people; empty is the id.
	Shape string `yaml:"shape"`
	// CPU and Memory are quantities ("4", "8Gi"); empty is 4 and 8Gi. Pods 0 is 110.
	CPU    string `yaml:"cpu"`
	Memory string `yaml:"memory"`
	Pods   int    `yaml:"pods"`
	// Further are other resources of the node by name, such as example.com/gpu: 2.
	Further map[string]int64 `yaml:"further"`
	// Labels of the node. autoscaling.wholescale.dev/pool is added with the id when it is not among them: without it the
	// admission policy lets nobody of ours touch the node.
	Labels map[string]string `yaml:"labels"`
	// Taints are "key=value:Effect" or "key:Effect".
	Taints []string `yaml:"taints"`
	// Max is the most instances, 1 to 10000. Required.
	Max int `yaml:"max"`
	// PricePerHour is of one machine; absent is unknown.
	PricePerHour *float64 `yaml:"pricePerHour"`
	// BootDelay is handed to the machine: "2s", "normal:2s,300ms", "lognormal:2s,1.5", "uniform:1s..3s"; empty is none.
	BootDelay string `yaml:"bootDelay"`
	// Standby is how many machines that are ended are stopped instead: they keep their names and resume first; 0 is none.
	Standby int `yaml:"standby"`
	// ResumeDelay is BootDelay of a machine that resumes.
	ResumeDelay string `yaml:"resumeDelay"`
	// StockOut makes starts beyond so many instances fail, as a cloud that has no more; 0 is never.
	StockOut int `yaml:"stockOut"`
}

// Duration is a time.Duration that YAML writes as "15s".
type Duration time.Duration

// UnmarshalText reads "15s".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// FieldError is a field of the configuration that cannot be used.
type FieldError struct {
	// Path is as in "pools[2].max".
	Path   string
	Reason string
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Reason }

func wrong(path, format string, args ...any) error {
	return &FieldError{path, fmt.Sprintf(format, args...)}
}

var (
	idPattern    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)
	taintPattern = regexp.MustCompile(`^([^=:,\s]+)(?:=([^=:,\s]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$`)
)

// Validate joins a *FieldError for each field that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if len(c.MachineCommand) == 0 || c.MachineCommand[0] == "" {
		errs = append(errs, wrong("machineCommand", "is empty; it starts a machine, as in [devcluster, machine, --cluster, DIR]"))
	}
	if c.State == "" {
		errs = append(errs, wrong("state", "is empty; it is the folder that a restart goes on from"))
	}
	if c.StopGrace < 0 {
		errs = append(errs, wrong("stopGrace", "%s is negative", time.Duration(c.StopGrace)))
	}
	if len(c.Pools) == 0 {
		errs = append(errs, wrong("pools", "is empty"))
	}
	seen := map[string]bool{}
	for i, p := range c.Pools {
		at := fmt.Sprintf("pools[%d].", i)
		if seen[p.ID] {
			errs = append(errs, wrong(at+"id", "%q is there twice", p.ID))
		}
		seen[p.ID] = true
		errs = append(errs, p.validate(at)...)
	}
	return errors.Join(errs...)
}

func (p PoolConfig) validate(at string) []error {
	var errs []error
	if !idPattern.MatchString(p.ID) {
		errs = append(errs, wrong(at+"id", "%q must be 1 to 40 lower-case letters, digits and '-'", p.ID))
	}
	if p.Max < 1 || p.Max > 10000 {
		errs = append(errs, wrong(at+"max", "%d must be from 1 to 10000", p.Max))
	}
	if p.Pods < 0 || p.Pods > 10000 {
		errs = append(errs, wrong(at+"pods", "%d must be from 0 to 10000", p.Pods))
	}
	if p.Standby < 0 {
		errs = append(errs, wrong(at+"standby", "%d is negative", p.Standby))
	}
	if _, err := expected(p.ResumeDelay); err != nil {
		errs = append(errs, wrong(at+"resumeDelay", "%q: %v", p.ResumeDelay, err))
	}
	if p.StockOut < 0 {
		errs = append(errs, wrong(at+"stockOut", "%d is negative", p.StockOut))
	}
	for name, text := range map[string]string{"cpu": p.cpu(), "memory": p.memory()} {
		if q, err := resource.ParseQuantity(text); err != nil || q.Sign() <= 0 || q.CmpInt64(math.MaxInt64/1000) > 0 {
			errs = append(errs, wrong(at+name, "%q is not a quantity above 0, as in 4 or 8Gi", text))
		}
	}
	if v := p.PricePerHour; v != nil && !(*v >= 0 && *v <= 1e6) {
		errs = append(errs, wrong(at+"pricePerHour", "%v must be from 0 to 1000000", *v))
	}
	if _, err := expected(p.BootDelay); err != nil {
		errs = append(errs, wrong(at+"bootDelay", "%q: %v", p.BootDelay, err))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Further)) {
		if bad := validation.IsQualifiedName(name); len(bad) > 0 || !strings.Contains(name, "/") || p.Further[name] < 0 {
			errs = append(errs, wrong(at+"further", "%s: %d must be a name with a domain, as in example.com/gpu, and a number from 0", name, p.Further[name]))
		}
	}
	for key, value := range p.Labels {
		if bad := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(bad) > 0 {
			errs = append(errs, wrong(at+"labels", "%s=%s: %s", key, value, bad[0]))
		}
	}
	for j, text := range p.Taints {
		if !taintPattern.MatchString(text) {
			errs = append(errs, wrong(fmt.Sprintf("%staints[%d]", at, j), "%q is not key=value:NoSchedule, PreferNoSchedule or NoExecute", text))
		}
	}
	return errs
}

func (p PoolConfig) cpu() string    { return orElse(p.CPU, "4") }
func (p PoolConfig) memory() string { return orElse(p.Memory, "8Gi") }
func (p PoolConfig) pods() int {
	if p.Pods == 0 {
		return 110
	}
	return p.Pods
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// expected is the middle of a boot delay: its constant, mean, median or midpoint.
func expected(text string) (time.Duration, error) {
	kind, rest, named := strings.Cut(text, ":")
	switch {
	case text == "":
		return 0, nil
	case !named:
		return positive(text)
	case kind == "normal", kind == "lognormal":
		middle, _, _ := strings.Cut(rest, ",")
		return positive(middle)
	case kind == "uniform":
		low, high, _ := strings.Cut(rest, "..")
		a, err := positive(low)
		if err != nil {
			return 0, err
		}
		b, err := positive(high)
		return a/2 + b/2, err
	}
	return 0, fmt.Errorf("must be a duration, normal:, lognormal: or uniform:")
}

func positive(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%s is negative", text)
	}
	return d, err
}
