package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// Print writes a State as records that read back to it, each pod and figure spelt out.
func Print(s autoscaler.State) string {
	var p printer
	p.line("now %s", stamp(s.Now))
	for _, g := range s.Groups {
		p.line("group %s nodes=%d..%d%s", g.ID, g.Min, g.Max, floatField("price-cap", g.PriceCap))
	}
	for _, pool := range s.Pools {
		p.pool(pool)
	}
	for _, n := range s.Nodes {
		p.node(n, s.Pools)
	}
	for _, w := range s.Workloads {
		p.workload(w)
	}
	for _, w := range s.Workloads {
		p.demand(w)
		p.signalsAndFloors(w)
	}
	for _, d := range s.Daemons {
		p.line("daemon %s%s", d.ID, shapeFields(d.ID, d.Shape))
	}
	for _, b := range s.Buffers {
		p.line("buffer %s%s count=%d", b.ID, shapeFields(b.ID, b.Shape), b.Count)
	}
	for _, pod := range s.Pods {
		p.pod(pod)
	}
	for _, n := range s.Namespaces {
		p.line("namespace %s%s", n.Name, labelField("labels", n.Labels))
	}
	if s.PriceCap > 0 {
		p.line("price-cap %v", s.PriceCap)
	}
	for _, m := range s.Memo.Workloads {
		peaks := make([]string, len(m.Peaks))
		for i, k := range m.Peaks {
			peaks[i] = fmt.Sprintf("%d:%d", k.Bucket, k.Value)
		}
		p.line("memo %s%s%s%s%s%s%s%s%s", m.ID, timeField("lowered", m.Lowered), timeField("raised", m.Raised), timeField("changed", m.Changed), timeField("ramp-at", m.RampAt), intField("ramp-from", m.RampFrom), timeField("panic", m.PanicSince), intField("replicas", m.PanicReplicas), textField("peaks", strings.Join(peaks, ",")))
	}
	for _, m := range s.Memo.Nodes {
		p.line("node-memo %s%s%s%s%s%s", m.ID, timeField("since", m.EmptySince), timeField("unready", m.UnreadySince), textField("leaving", string(m.Leaving)), timeField("tried", m.Tried), textField("replace-by", string(m.ReplaceBy)))
	}
	for _, b := range s.Memo.Bought {
		machines := make([]string, len(b.Machines))
		for i, m := range b.Machines {
			parts := make([]string, len(m.Holds))
			for k, h := range m.Holds {
				parts[k] = fmt.Sprintf("%s*%d", h.For, h.Count)
			}
			if machines[i] = strings.Join(parts, "+"); m.Instance != "" {
				machines[i] = m.Instance + "=" + machines[i]
			}
		}
		p.line("bought %s machines=%q", b.Pool, strings.Join(machines, ";"))
	}
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *printer) pool(v autoscaler.Pool) {
	p.line("pool %s%s%s%s nodes=%d..%d target=%d%s%s%s join=%s idle=%s%s%s%s%s%s", v.ID, textField("group", string(v.Group)), resourceFields(v.Allocatable), moreField(v.Extended), v.Min, v.Max, v.Target,
		floatField("price", v.PricePerHour), floatField("price-cap", v.PriceCap), intField("weight", v.Weight), v.Join, v.IdleAfter,
		labelField("labels", v.Labels), taintField(v.Taints), textField("unknown", v.Unknown), textField("stock-out", v.StockOut), disruptionFields(v.Disruption)+joinsField(v.Joins)+standbyFields(v))
}

func standbyFields(v autoscaler.Pool) string {
	text := intField("stopped", v.Stopped)
	if v.Resume > 0 {
		text += " resume=" + v.Resume.String()
	}
	return text
}

func joinsField(joins []time.Duration) string {
	parts := make([]string, len(joins))
	for i, d := range joins {
		parts[i] = d.String()
	}
	return textField("joins", strings.Join(parts, ","))
}

func disruptionFields(d autoscaler.Disruption) string {
	var b strings.Builder
	for _, f := range []struct {
		key   string
		value time.Duration
	}{{"consolidate", d.ConsolidateAfter}, {"expire", d.ExpireAfter}, {"repair", d.RepairAfter}} {
		if f.value > 0 {
			fmt.Fprintf(&b, " %s=%s", f.key, f.value)
		}
	}
	budgets := make([]string, len(d.Budgets))
	for i, budget := range d.Budgets {
		if budget.For != "" {
			budgets[i] = string(budget.For) + ":"
		}
		budgets[i] += strconv.Itoa(budget.Nodes)
	}
	return b.String() + textField("budgets", strings.Join(budgets, ","))
}

func (p *printer) node(v autoscaler.Node, pools []autoscaler.Pool) {
	phase := v.Phase.String()
	if v.Cordoned {
		phase += ",cordoned"
	}
	if v.Resuming {
		phase += ",resuming"
	}
	if v.Draining {
		phase += ",draining"
	}
	name, labels, taints, more := none, labelField("labels", v.Labels), taintField(v.Taints), moreField(v.Extended)
	if i, ok := slices.BinarySearchFunc(pools, v.Pool, func(p autoscaler.Pool, id autoscaler.PoolID) int { return cmp.Compare(p.ID, id) }); ok {
		name = string(v.Pool)
		// What is left out is taken from the pool.
		if len(v.Labels) == 0 && len(pools[i].Labels) > 0 {
			labels = " labels=" + none
		}
		if len(v.Taints) == 0 && len(pools[i].Taints) > 0 {
			taints = " taints=" + none
		}
		if len(v.Extended) == 0 && len(pools[i].Extended) > 0 {
			more = " more=" + none
		}
	}
	p.line("node %s %s %s%s%s%s%s%s%s%s%s%s", v.ID, name, phase, textField("instance", cmp.Or(v.Instance, none)), resourceFields(v.Allocatable),
		more, textField("drifted", v.Drifted), labels, taints, textField("keep", v.Keep), timeField("due", v.Due), timeField("since", v.Since))
}

func (p *printer) workload(v autoscaler.Workload) {
	pol := v.Policy
	initialized := ""
	if v.Initialized && pol.Initial > 0 {
		initialized = " initialized=yes"
	}
	unreachable := ""
	if pol.Unreachable {
		unreachable = " unreachable=yes"
	}
	p.line("workload %s%s policy=%s target=%v total=%v%s replicas=%d bounds=%d..%d%s%s window=%s panic-window=%s panic=%v up=%v down=%v delay=%s retention=%s burst=%v start=%s%s%s%s%s%s",
		v.ID, shapeFields(string(v.ID), v.Shape), cmp.Or(pol.Name, autoscaler.Wholescale), pol.Target, pol.Total, intField("slots", pol.Slots), v.Replicas, pol.Min, pol.Max,
		intField("initial", pol.Initial), intField("activation", pol.Activation), pol.StableWindow, pol.PanicWindow, pol.PanicThreshold,
		pol.UpRate, pol.DownRate, pol.ScaleDownDelay, pol.ZeroRetention, pol.BurstCapacity, v.Start,
		objectiveFields(pol), intField("priority", v.Priority), textField("blocked", v.Blocked), initialized, unreachable)
}

func (p *printer) demand(w autoscaler.Workload) {
	d := w.Demand
	stale := ""
	if d.Stale {
		stale = " stale"
	}
	service := ""
	if d.Service > 0 {
		service = " service=" + d.Service.String()
	}
	p.line("demand %s%s stable=%v panic=%v%s%s%s%s%s%s%s%s", w.ID, stale, d.Stable, d.Panic, floatField("deviation", d.Deviation),
		floatField("rate", d.Rate), service, gapField(d.Gaps), timeField("held", d.HeldAt)+floatField("learned", d.Learned), intField("queued", d.Queued),
		intField("inflight", d.InFlight), timeField("idle", d.IdleSince))
}

func (p *printer) pod(v autoscaler.Pod) {
	mirror := ""
	if v.Mirror {
		mirror = " mirror=yes"
	}
	p.line("pod %s%s%s%s phase=%s%s%s%s%s%s%s", v.ID, textField("workload", string(v.Workload)), textField("node", string(v.Node)),
		shapeFields(string(v.ID), v.Shape), v.Phase, textField("daemon", v.Daemon), mirror, textField("keep", v.Keep), timeField("since", v.Since),
		intField("inflight", v.InFlight), intField("cost", v.DeletionCost))
}

func resourceFields(r autoscaler.Resources) string {
	return fmt.Sprintf(" cpu=%dm mem=%d pods=%d", r.CPU, r.Memory, r.Pods)
}

func labelField(key string, labels fit.Labels) string {
	parts := make([]string, len(labels))
	for i, l := range labels {
		parts[i] = l.Key + "=" + l.Value
	}
	return textField(key, strings.Join(parts, ","))
}

func taintField(taints []autoscaler.Taint) string {
	parts := make([]string, len(taints))
	for i, t := range taints {
		parts[i] = t.Key + "=" + t.Value + ":" + effectName(t.Effect)
	}
	return textField("taints", strings.Join(parts, ","))
}

// textField is " key=value", quoted where a bare word would not read back; nothing for an empty value.
func textField(key, value string) string {
	if value == "" {
		return ""
	}
	if !plain(value) || strings.Contains(value, `"`) {
		value = strconv.Quote(value)
	}
	return " " + key + "=" + value
}

func intField(key string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" %s=%d", key, n)
}

func floatField(key string, f float64) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf(" %s=%v", key, f)
}

func timeField(key string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " " + key + "=" + stamp(t)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
