package trace

import "fmt"

// Values says what the numbers of a Prometheus export are.
type Values string

// What they may be.
const (
	ValuesAuto    Values = ""        // a counter when the metric's name ends in _total, _count or _sum; else a rate
	ValuesCounter Values = "counter" // ever growing, from 0 after a restart
	ValuesRate    Values = "rate"    // a second
	ValuesCount   Values = "count"   // in the step
)

func (v Values) validate() error {
	switch v {
	case ValuesAuto, ValuesCounter, ValuesRate, ValuesCount:
		return nil
	}
	return fmt.Errorf("values %q: it is counter, rate or count", v)
}
