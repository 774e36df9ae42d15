package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/window"
)

func (b *builder) pool(r *record) error {
	if r.name == "-" {
		return errors.New("- is no pool: it marks nodes that are not ours")
	}
	p := autoscaler.Pool{
		ID:          autoscaler.PoolID(r.name),
		Allocatable: r.resources(autoscaler.Resources{CPU: 4000, Memory: 16 << 30, Pods: 110}),
		Extended:    field(r, "more", nil, parseAmounts), Labels: r.labels("labels"), Taints: r.taints(), PriceCap: r.amount("price-cap", 0),
		Target: r.count("target", -1), PricePerHour: r.float("price", 0), Weight: r.int("weight", 0),
		Join: r.duration("join", time.Minute), IdleAfter: r.duration("idle", 30*time.Second),
		Stopped: r.count("stopped", 0), Resume: r.duration("resume", 0),
		Joins:   field(r, "joins", nil, parseDurations),
		Group:   autoscaler.GroupID(r.text("group")),
		Unknown: r.text("unknown"), StockOut: r.text("stock-out"),
	}
	p.Disruption = autoscaler.Disruption{
		ConsolidateAfter: r.duration("consolidate", 0), ExpireAfter: r.duration("expire", 0), RepairAfter: r.duration("repair", 0),
		Budgets: field(r, "budgets", nil, parseBudgets),
	}
	p.Min, p.Max = r.bounds("nodes", pair{0, 10}, mostNodes)
	if p.Min > p.Max {
		return fmt.Errorf("its least of %d nodes is above its most, %d", p.Min, p.Max)
	}
	if p.Group != "" && p.Min > 0 {
		return errors.New("a pool of a group has no least of its own")
	}
	b.pools[r.name] = len(b.s.Pools)
	b.untold = append(b.untold, p.Target < 0)
	p.Target = max(p.Target, 0)
	b.s.Pools = append(b.s.Pools, p)
	return nil
}

func (b *builder) group(r *record) error {
	g := autoscaler.Group{ID: autoscaler.GroupID(r.name), PriceCap: r.amount("price-cap", 0)}
	g.Min, g.Max = r.bounds("nodes", pair{0, 10}, mostNodes)
	if g.Min > g.Max {
		return fmt.Errorf("its least of %d nodes is above its most, %d", g.Min, g.Max)
	}
	b.s.Groups = append(b.s.Groups, g)
	return nil
}

func (b *builder) node(r *record) error {
	if len(r.words) != 2 {
		return errors.New("a node has a pool, or -, and a phase")
	}
	n := autoscaler.Node{ID: autoscaler.NodeID(r.name), Keep: r.text("keep"), Due: r.time("due"), Since: r.time("since"), Drifted: r.text("drifted")}
	k, ours := b.pools[r.words[0]]
	var pool autoscaler.Pool
	switch {
	case ours:
		pool = b.s.Pools[k]
		n.Pool, n.Instance = pool.ID, r.name
	case r.words[0] != "-":
		return fmt.Errorf("there is no pool %s", r.words[0])
	}
	n.Extended = field(r, "more", pool.Extended, parseAmounts)
	n.Allocatable, n.Labels, n.Taints = r.resources(pool.Allocatable), r.labels("labels"), r.taints()
	if n.Labels == nil {
		n.Labels = pool.Labels
	}
	if n.Taints == nil {
		n.Taints = pool.Taints
	}
	if i := r.text("instance"); i == none {
		n.Instance = ""
	} else if i != "" {
		n.Instance = i
	}
	for _, word := range strings.Split(r.words[1], ",") {
		switch word {
		case "cordoned":
			n.Cordoned = true
		case "resuming":
			n.Resuming = true
		case "draining":
			n.Draining = true
		default:
			phase, err := parsePhase(word)
			if err != nil {
				return err
			}
			n.Phase = phase
		}
	}
	if n.Phase == 0 {
		n.Phase = autoscaler.Ready
	}
	b.s.Nodes = append(b.s.Nodes, n)
	// A pool without a target of its own was told to have what is there.
	if ours && n.Phase != autoscaler.Leaving && b.untold[k] {
		b.s.Pools[k].Target++
	}
	return nil
}

// parseBudgets reads "1,Underused:0": how many nodes may leave at a time, in all or for a reason.
func parseBudgets(s string) (list []autoscaler.Budget, err error) {
	for _, part := range strings.Split(s, ",") {
		reason, text, found := strings.Cut(part, ":")
		if !found {
			reason, text = "", part
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > mostNodes {
			return nil, errors.New("not budgets such as 1,Underused:0")
		}
		list = append(list, autoscaler.Budget{For: autoscaler.LeaveReason(reason), Nodes: n})
	}
	return list, nil
}

// parseDurations reads "20s,5m" as times, rising.
func parseDurations(s string) (list []time.Duration, err error) {
	for _, part := range strings.Split(s, ",") {
		d, err := time.ParseDuration(part)
		if err != nil || d < 0 || d > 24*time.Hour || len(list) == mostJoins {
			return nil, fmt.Errorf("not up to %d times such as 20s,5m", mostJoins)
		}
		list = append(list, d)
	}
	slices.Sort(list)
	return list, nil
}

// mostJoins bounds the times of a pool: each is held against each of another's.
const mostJoins = 64

func parsePhase(word string) (autoscaler.Phase, error) {
	for p := autoscaler.Coming; p <= autoscaler.Leaving; p++ {
		if p.String() == word {
			return p, nil
		}
	}
	return 0, fmt.Errorf("unknown phase %q", word)
}

func (b *builder) workload(r *record) error {
	w := autoscaler.Workload{ID: autoscaler.WorkloadID(r.name), Shape: b.shape(r), Start: r.duration("start", 4*time.Second), Blocked: r.text("blocked")}
	p := &w.Policy
	*p = autoscaler.Policy{
		Name:   autoscaler.PolicyName(field(r, "policy", string(autoscaler.Wholescale), parsePolicy)),
		Target: r.float("target", 7), Slots: r.count("slots", 0), Initial: r.count("initial", 0), Activation: r.count("activation", 0),
		StableWindow: r.duration("window", time.Minute), PanicWindow: r.duration("panic-window", 6*time.Second),
		PanicThreshold: r.float("panic", 2), UpRate: r.float("up", 1000), DownRate: r.float("down", 2),
		ScaleDownDelay: r.duration("delay", 0), ZeroRetention: r.duration("retention", 0), BurstCapacity: r.float("burst", 211),
		Unreachable: r.text("unreachable") != "",
	}
	p.Total = r.float("total", p.Target/0.7)
	if p.Target < leastTarget || p.Total < p.Target || p.UpRate <= 1 || p.DownRate <= 1 || p.StableWindow < time.Second || p.PanicWindow < time.Second ||
		max(p.StableWindow, p.PanicWindow) > time.Hour {
		return errors.New("0.001 <= target <= total, up > 1, down > 1 and windows of 1 s to 1 h are needed")
	}
	p.Min, p.Max = r.bounds("bounds", pair{0, 0}, mostCount)
	if p.Max > 0 && p.Min > p.Max {
		return fmt.Errorf("its least of %d replicas is above its most, %d", p.Min, p.Max)
	}
	if err := r.objective(p); err != nil {
		return err
	}
	w.Priority = r.int("priority", 0)
	w.Initialized = p.Initial == 0 || r.text("initialized") != ""
	count := 0
	for _, place := range []struct {
		key   string
		phase autoscaler.Phase
	}{{"on", autoscaler.Ready}, {"starting", autoscaler.Starting}, {"leaving", autoscaler.Leaving}, {"pending", autoscaler.Pending}} {
		nodes := field(r, place.key, nil, parseCounted)
		for _, node := range nodes {
			count++
			pod := autoscaler.Pod{
				ID: autoscaler.PodID(fmt.Sprintf("%s-%d", r.name, count)), Workload: w.ID, Phase: place.phase, Shape: w.Shape, Since: b.s.Now,
			}
			if place.phase != autoscaler.Pending {
				pod.Node = autoscaler.NodeID(node)
			}
			if err := b.put(pod); err != nil {
				return err
			}
		}
	}
	w.Replicas = r.count("replicas", count)
	b.workloads[r.name] = len(b.s.Workloads)
	b.s.Workloads = append(b.s.Workloads, w)
	return nil
}

func parsePolicy(s string) (string, error) {
	if p := autoscaler.PolicyName(s); p != autoscaler.Wholescale && p != autoscaler.KPA {
		return "", errors.New("a policy is wholescale or kpa")
	}
	return s, nil
}

// put takes a pod in; one with the same id is replaced.
func (b *builder) put(p autoscaler.Pod) error {
	if i, ok := b.pods[p.ID]; ok {
		b.s.Pods[i] = p
		return nil
	}
	if len(b.s.Pods) == mostPods {
		return fmt.Errorf("more than %d pods in all", mostPods)
	}
	b.pods[p.ID] = len(b.s.Pods)
	b.s.Pods = append(b.s.Pods, p)
	return nil
}

// parseCounted reads "n1*3,n2" as n1 n1 n1 n2, and "5" as five of no name.
func parseCounted(s string) ([]string, error) {
	var all []string
	for _, part := range strings.Split(s, ",") {
		name, times, counted := strings.Cut(part, "*")
		n := 1
		if k, err := strconv.Atoi(part); err == nil {
			name, n = "", k
		} else if counted {
			k, err := strconv.Atoi(times)
			if err != nil {
				return nil, errors.New("not a list such as n1*3,n2")
			}
			n = k
		}
		if n < 0 || n+len(all) > mostPods {
			return nil, fmt.Errorf("not between 0 and %d pods", mostPods)
		}
		all = append(all, slices.Repeat([]string{name}, n)...)
	}
	return all, nil
}

func (b *builder) demand(r *record) error {
	i, ok := b.workloads[r.name]
	if !ok {
		return errors.New("there is no such workload")
	}
	w := &b.s.Workloads[i]
	var series []float64
	for _, word := range r.words {
		if word == "stale" {
			w.Demand.Stale = true
			continue
		}
		values, err := parseSeries(word)
		if err != nil || len(values)+len(series) > mostSeconds {
			return fmt.Errorf("%q is not a series such as 5x50 or 28", word)
		}
		series = append(series, values...)
	}
	stable, panicked := window.New(w.Policy.StableWindow), window.New(w.Policy.PanicWindow)
	for k, v := range series {
		at := b.s.Now.Add(time.Duration(k-len(series)+1) * time.Second)
		stable.Add(at, v)
		panicked.Add(at, v)
	}
	w.Demand.Stable, w.Demand.Panic = r.amount("stable", stable.Mean(b.s.Now)), r.amount("panic", panicked.Mean(b.s.Now))
	w.Demand.Deviation, w.Demand.Rate = r.amount("deviation", stable.Deviation(b.s.Now)), r.amount("rate", 0)
	w.Demand.Service, w.Demand.Gaps, w.Demand.HeldAt = r.duration("service", 0), r.gaps(), r.time("held")
	w.Demand.Learned = r.amount("learned", 0)
	w.Demand.Queued = r.count("queued", 0)
	w.Demand.IdleSince = r.time("idle")
	loads := field(r, "inflight", nil, parseInts)
	for k := range b.s.Pods {
		if p := &b.s.Pods[k]; p.Workload == w.ID && p.Phase == autoscaler.Ready && len(loads) > 0 {
			p.InFlight, loads = loads[0], loads[1:]
			w.Demand.InFlight += p.InFlight
		}
	}
	for _, rest := range loads {
		w.Demand.InFlight += rest
	}
	return nil
}

// parseSeries reads "5x50" as fifty fives, and "28" as one value.
func parseSeries(word string) ([]float64, error) {
	value, times, repeated := strings.Cut(word, "x")
	v, err := parseAmount(value)
	if err != nil || !repeated {
		return []float64{v}, err
	}
	n, err := strconv.Atoi(times)
	if err != nil || n < 0 || n > mostSeconds {
		return nil, errors.New("not a count")
	}
	return slices.Repeat([]float64{v}, n), nil
}

func parseInts(s string) ([]int, error) {
	var all []int
	for _, part := range strings.Split(s, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > mostCount {
			return nil, errors.New("not whole numbers such as 9,8")
		}
		all = append(all, n)
	}
	return all, nil
}

func (b *builder) pod(r *record) error {
	p := autoscaler.Pod{
		ID: autoscaler.PodID(r.name), Workload: autoscaler.WorkloadID(r.text("workload")), Node: autoscaler.NodeID(r.text("node")),
		Shape: b.shape(r), Daemon: r.text("daemon"), Mirror: r.text("mirror") != "", Keep: r.text("keep"),
		Since: r.time("since"), InFlight: r.count("inflight", 0), DeletionCost: r.int("cost", 0),
	}
	p.Phase = field(r, "phase", autoscaler.Ready, parsePhase)
	if p.Node == "" && r.fields["phase"] == "" {
		p.Phase = autoscaler.Pending
	}
	return b.put(p)
}

func (b *builder) memo(r *record) error {
	m := autoscaler.WorkloadMemo{ID: autoscaler.WorkloadID(r.name), PanicSince: r.time("panic"), PanicReplicas: r.int("replicas", 0), Lowered: r.time("lowered"),
		RampFrom: r.count("ramp-from", 0), RampAt: r.time("ramp-at"), Changed: r.time("changed"), Raised: r.time("raised")}
	m.Peaks = field(r, "peaks", nil, func(s string) (peaks []window.Peak, err error) {
		for _, part := range strings.Split(s, ",") {
			bucket, value, _ := strings.Cut(part, ":")
			b, err1 := strconv.ParseInt(bucket, 10, 64)
			v, err2 := strconv.Atoi(value)
			if err1 != nil || err2 != nil {
				return nil, errors.New("not peaks such as 850:3")
			}
			peaks = append(peaks, window.Peak{Bucket: b, Value: v})
		}
		return peaks, nil
	})
	b.s.Memo.Workloads = append(b.s.Memo.Workloads, m)
	return nil
}

func (r *record) labels(key string) fit.Labels {
	return field(r, key, nil, func(s string) (all fit.Labels, err error) {
		if s == none {
			return fit.Labels{}, nil
		}
		for _, part := range strings.Split(s, ",") {
			k, v, found := strings.Cut(part, "=")
			if !found {
				return nil, errors.New("not labels such as a=b,c=d")
			}
			all = append(all, autoscaler.Label{Key: k, Value: v})
		}
		slices.SortFunc(all, func(a, b autoscaler.Label) int { return strings.Compare(a.Key, b.Key) })
		for i := 1; i < len(all); i++ {
			if all[i].Key == all[i-1].Key {
				return nil, fmt.Errorf("label %s is given twice", all[i].Key)
			}
		}
		return all, nil
	})
}

func (r *record) taints() []autoscaler.Taint {
	return field(r, "taints", nil, func(s string) (all []autoscaler.Taint, err error) {
		if s == none {
			return []autoscaler.Taint{}, nil
		}
		for _, part := range strings.Split(s, ",") {
			rest, effect, found := strings.Cut(part, ":")
			if !found {
				return nil, errors.New("not taints such as k=v:NoSchedule")
			}
			k, v, _ := strings.Cut(rest, "=")
			if effect == "PreferNoSchedule" {
				continue // a preference keeps no pod off
			}
			e, known := effects[effect]
			if !known || e == fit.AnyEffect {
				return nil, errors.New("an effect is NoSchedule, NoExecute or PreferNoSchedule")
			}
			all = append(all, autoscaler.Taint{Key: k, Value: v, Effect: e})
		}
		return all, nil
	})
}
