package report

import "math"

// Field is one of Figures by its name: what tables print, assertions name and sweeps plot.
type Field struct {
	// Name is as in -o json; Alias, when not empty, is what people write in an assertion, with its own unit.
	Name, Alias string
	// Digits after the point that mean something; whole numbers have -1.
	Digits int
	// MoreIsBetter turns round who is the best of several.
	MoreIsBetter bool
	// Scale makes seconds of it when it is a time; 0 when it is none. The Alias is that time.
	Scale float64
	Of    func(*Figures) float64
}

// Value is the figure as it is printed: int64, or float64 rounded to what means something.
func (f Field) Value(v *Figures) any {
	if f.Digits < 0 {
		return int64(f.Of(v))
	}
	scale := math.Pow10(f.Digits)
	return math.Round(f.Of(v)*scale) / scale
}

// Fields are all of them in the order of tables.
func Fields() []Field { return fields }

// asMeasured is the digits of a figure that has been rounded already: milliseconds, to the microsecond.
const asMeasured = 3

var fields = []Field{
	{Name: "requests", Digits: -1, MoreIsBetter: true, Of: func(f *Figures) float64 { return float64(f.Requests) }},
	{Name: "answered", Digits: -1, MoreIsBetter: true, Of: func(f *Figures) float64 { return float64(f.Answered) }},
	{Name: "errors", Digits: -1, Of: func(f *Figures) float64 { return float64(f.Errors) }},
	{Name: "heldAtEnd", Digits: -1, Of: func(f *Figures) float64 { return float64(f.HeldAtEnd) }},
	{Name: "waitedOver1s", Digits: -1, Of: func(f *Figures) float64 { return float64(f.WaitedOver1s) }},
	{Name: "waitedForPod", Digits: -1, Of: func(f *Figures) float64 { return float64(f.WaitedForPod) }},
	{Name: "waitedForNode", Digits: -1, Of: func(f *Figures) float64 { return float64(f.WaitedForNode) }},
	{Name: "waitP50Ms", Alias: "wait.p50", Scale: 0.001, Digits: asMeasured, Of: func(f *Figures) float64 { return f.WaitP50Ms }},
	{Name: "waitP99Ms", Alias: "wait.p99", Scale: 0.001, Digits: asMeasured, Of: func(f *Figures) float64 { return f.WaitP99Ms }},
	{Name: "waitP999Ms", Alias: "wait.p999", Scale: 0.001, Digits: asMeasured, Of: func(f *Figures) float64 { return f.WaitP999Ms }},
	{Name: "waitSeconds", Alias: "wait.sum", Scale: 1, Digits: 3, Of: func(f *Figures) float64 { return f.WaitSeconds }},
	{Name: "podHours", Alias: "pod.time", Scale: 3600, Digits: 4, Of: func(f *Figures) float64 { return f.PodHours }},
	{Name: "nodeHours", Alias: "node.time", Scale: 3600, Digits: 4, Of: func(f *Figures) float64 { return f.NodeHours }},
	{Name: "money", Digits: 5, Of: func(f *Figures) float64 { return f.Money }},
	{Name: "utilisation", Digits: 4, MoreIsBetter: true, Of: func(f *Figures) float64 { return f.Utilisation }},
	{Name: "thrash", Digits: 3, Of: func(f *Figures) float64 { return f.Thrash }},
	{Name: "replicasMax", Digits: -1, Of: func(f *Figures) float64 { return float64(f.ReplicasMax) }},
	{Name: "nodesMax", Digits: -1, Of: func(f *Figures) float64 { return float64(f.NodesMax) }},
	{Name: "plans", Digits: -1, Of: func(f *Figures) float64 { return float64(f.Plans) }},
	{Name: "violations", Digits: -1, Of: func(f *Figures) float64 { return float64(f.Violations) }},
	{Name: "ordersRefused", Digits: -1, Of: func(f *Figures) float64 { return float64(f.OrdersRefused) }},
	{Name: "nodesReclaimed", Digits: -1, Of: func(f *Figures) float64 { return float64(f.NodesReclaimed) }},
	{Name: "ordersThrottled", Digits: -1, Of: func(f *Figures) float64 { return float64(f.OrdersThrottled) }},
}
