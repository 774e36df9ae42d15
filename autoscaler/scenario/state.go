package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/window"
)

// Scenario is a set of records. The zero value is empty.
type Scenario struct {
	records []*record
}

// Add reads records, one a line; lines that are empty or begin with # are passed over.
func (s *Scenario) Add(text string) error {
	for i, line := range strings.Split(text, "\n") {
		if t := strings.TrimSpace(line); t == "" || strings.HasPrefix(t, "#") {
			continue
		}
		r, err := parseRecord(line)
		if err == nil {
			err = s.put(r)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

var kinds = []string{"now", "pool", "node", "workload", "demand", "daemon", "pod", "memo", "empty"}

func (s *Scenario) put(r *record) error {
	if r.kind == "gone" {
		if len(r.words) != 1 {
			return errors.New("gone takes a kind and a name")
		}
		return s.remove(r.name, r.words[0])
	}
	if !slices.Contains(kinds, r.kind) {
		return fmt.Errorf("unknown kind %q; it is one of %s", r.kind, strings.Join(kinds, ", "))
	}
	for i, old := range s.records {
		if old.kind == r.kind && (old.name == r.name || r.kind == "now") {
			s.records[i] = r
			return nil
		}
	}
	s.records = append(s.records, r)
	return nil
}

func (s *Scenario) remove(kind, name string) error {
	n := len(s.records)
	s.records = slices.DeleteFunc(s.records, func(r *record) bool { return r.kind == kind && r.name == name })
	if len(s.records) == n {
		return fmt.Errorf("there is no %s %s to take away", kind, name)
	}
	return nil
}

// State is what the records say. Memo is empty unless records give it.
func (s *Scenario) State() (autoscaler.State, error) {
	b := builder{pools: map[string]autoscaler.Pool{}}
	for _, kind := range kinds {
		for _, r := range s.records {
			if r.kind != kind {
				continue
			}
			r.used, r.err = map[string]bool{}, nil
			if err := b.add(r); err != nil {
				return autoscaler.State{}, fmt.Errorf("%s %s: %w", r.kind, r.name, err)
			}
			if err := r.unused(); err != nil {
				return autoscaler.State{}, fmt.Errorf("%s %s: %w", r.kind, r.name, err)
			}
		}
	}
	if b.s.Now.IsZero() {
		b.s.Now = day.Add(10 * time.Hour)
	}
	for i := range b.s.Pools {
		b.s.Pools[i].Target = max(b.s.Pools[i].Target, 0)
	}
	b.sort()
	return b.s, nil
}

type builder struct {
	s     autoscaler.State
	pools map[string]autoscaler.Pool
}

func (b *builder) sort() {
	s := &b.s
	slices.SortFunc(s.Pools, func(a, b autoscaler.Pool) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Nodes, func(a, b autoscaler.Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Workloads, func(a, b autoscaler.Workload) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Pods, func(a, b autoscaler.Pod) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Daemons, func(a, b autoscaler.Daemon) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Memo.Workloads, func(a, b autoscaler.WorkloadMemo) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Memo.Nodes, func(a, b autoscaler.NodeMemo) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

func (b *builder) add(r *record) error {
	switch r.kind {
	case "now":
		t, err := parseTime(r.name)
		b.s.Now = t
		return err
	case "pool":
		return b.pool(r)
	case "node":
		return b.node(r)
	case "workload":
		return b.workload(r)
	case "demand":
		return b.demand(r)
	case "daemon":
		b.s.Daemons = append(b.s.Daemons, autoscaler.Daemon{ID: r.name, Shape: r.shape()})
	case "pod":
		return b.pod(r)
	case "memo":
		return b.memo(r)
	case "empty":
		b.s.Memo.Nodes = append(b.s.Memo.Nodes, autoscaler.NodeMemo{ID: autoscaler.NodeID(r.name), EmptySince: r.time("since")})
	}
	return nil
}

func (b *builder) pool(r *record) error {
	p := autoscaler.Pool{
		ID:          autoscaler.PoolID(r.name),
		Allocatable: r.resources(autoscaler.Resources{CPU: 4000, Memory: 16 << 30, Pods: 110}),
		Labels:      r.labels("labels"), Taints: r.taints(),
		Target: r.int("target", -1), PricePerHour: r.float("price", 0), Weight: r.int("weight", 0),
		Join: r.duration("join", time.Minute), IdleAfter: r.duration("idle", 30*time.Second),
		Unknown: r.text("unknown"), StockOut: r.text("stock-out"),
	}
	p.Min, p.Max = r.bounds("nodes", 0, 10)
	b.pools[r.name] = p
	b.s.Pools = append(b.s.Pools, p)
	return nil
}

func (b *builder) node(r *record) error {
	if len(r.words) != 2 {
		return errors.New("a node has a pool, or -, and a phase")
	}
	n := autoscaler.Node{ID: autoscaler.NodeID(r.name), Keep: r.text("keep"), Due: r.time("due"), Since: r.time("since")}
	pool, ours := b.pools[r.words[0]]
	switch {
	case ours:
		n.Pool, n.Instance = pool.ID, r.name
	case r.words[0] != "-":
		return fmt.Errorf("there is no pool %s", r.words[0])
	}
	n.Allocatable, n.Labels, n.Taints = r.resources(pool.Allocatable), r.labels("labels"), r.taints()
	if n.Labels == nil {
		n.Labels = pool.Labels
	}
	if n.Taints == nil {
		n.Taints = pool.Taints
	}
	if i := r.text("instance"); i != "" {
		n.Instance = strings.TrimPrefix(i, "-")
	}
	for _, word := range strings.Split(r.words[1], ",") {
		switch word {
		case "cordoned":
			n.Cordoned = true
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
	if i := slices.IndexFunc(b.s.Pools, func(p autoscaler.Pool) bool { return p.ID == n.Pool }); i >= 0 && r.words[0] != "-" && n.Phase != autoscaler.Leaving {
		// A pool without a target of its own was told to have what is there.
		if pool.Target < 0 {
			b.s.Pools[i].Target = max(b.s.Pools[i].Target, 0) + 1
		}
	}
	return nil
}

func parsePhase(word string) (autoscaler.Phase, error) {
	for p := autoscaler.Coming; p <= autoscaler.Leaving; p++ {
		if p.String() == word {
			return p, nil
		}
	}
	return 0, fmt.Errorf("unknown phase %q", word)
}

func (b *builder) workload(r *record) error {
	w := autoscaler.Workload{ID: autoscaler.WorkloadID(r.name), Shape: r.shape(), Start: r.duration("start", 4*time.Second), Blocked: r.text("blocked")}
	p := &w.Policy
	*p = autoscaler.Policy{
		Name:   autoscaler.PolicyName(field(r, "policy", string(autoscaler.Wholescale), parsePolicy)),
		Target: r.float("target", 7), Slots: r.int("slots", 0), Initial: r.int("initial", 0), Activation: r.int("activation", 0),
		StableWindow: r.duration("window", time.Minute), PanicWindow: r.duration("panic-window", 6*time.Second),
		PanicThreshold: r.float("panic", 2), UpRate: r.float("up", 1000), DownRate: r.float("down", 2),
		ScaleDownDelay: r.duration("delay", 0), ZeroRetention: r.duration("retention", 0), BurstCapacity: r.float("burst", 211),
		Unreachable: r.text("unreachable") != "",
	}
	p.Total = r.float("total", p.Target/0.7)
	if p.Target <= 0 || p.Total < p.Target || p.UpRate <= 1 || p.DownRate <= 1 || p.StableWindow < time.Second || p.PanicWindow < time.Second ||
		max(p.StableWindow, p.PanicWindow) > time.Hour {
		return errors.New("0 < target <= total, up > 1, down > 1 and windows of 1 s to 1 h are needed")
	}
	p.Min, p.Max = r.bounds("bounds", 0, 0)
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
			b.s.Pods = append(b.s.Pods, pod)
		}
	}
	w.Replicas = r.int("replicas", count)
	b.s.Workloads = append(b.s.Workloads, w)
	return nil
}

func parsePolicy(s string) (string, error) {
	if p := autoscaler.PolicyName(s); p != autoscaler.Wholescale && p != autoscaler.KPA {
		return "", errors.New("a policy is wholescale or kpa")
	}
	return s, nil
}

// mostPods bounds what one field may ask for, so that a slip of the pen does not fill the memory.
const mostPods = 100_000

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
	i := slices.IndexFunc(b.s.Workloads, func(w autoscaler.Workload) bool { return string(w.ID) == r.name })
	if i < 0 {
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
		if err != nil || len(values)+len(series) > mostPods {
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
	w.Demand.Stable, w.Demand.Panic = r.float("stable", stable.Mean(b.s.Now)), r.float("panic", panicked.Mean(b.s.Now))
	w.Demand.Queued = r.int("queued", 0)
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
	v, err := parseFloat(value)
	if err != nil || !repeated {
		return []float64{v}, err
	}
	n, err := strconv.Atoi(times)
	if err != nil || n < 0 || n > mostPods {
		return nil, errors.New("not a count")
	}
	return slices.Repeat([]float64{v}, n), nil
}

func parseInts(s string) ([]int, error) {
	var all []int
	for _, part := range strings.Split(s, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, errors.New("not whole numbers such as 9,8")
		}
		all = append(all, n)
	}
	return all, nil
}

func (b *builder) pod(r *record) error {
	p := autoscaler.Pod{
		ID: autoscaler.PodID(r.name), Workload: autoscaler.WorkloadID(r.text("workload")), Node: autoscaler.NodeID(r.text("node")),
		Shape: r.shape(), Daemon: r.text("daemon"), Mirror: r.text("mirror") != "", Keep: r.text("keep"),
		Since: r.time("since"), InFlight: r.int("inflight", 0), DeletionCost: r.int("cost", 0),
	}
	p.Phase = field(r, "phase", autoscaler.Ready, parsePhase)
	if p.Node == "" && r.fields["phase"] == "" {
		p.Phase = autoscaler.Pending
	}
	if i := slices.IndexFunc(b.s.Pods, func(o autoscaler.Pod) bool { return o.ID == p.ID }); i >= 0 {
		b.s.Pods[i] = p
		return nil
	}
	b.s.Pods = append(b.s.Pods, p)
	return nil
}

func (b *builder) memo(r *record) error {
	m := autoscaler.WorkloadMemo{ID: autoscaler.WorkloadID(r.name), PanicSince: r.time("panic"), PanicReplicas: r.int("replicas", 0), Lowered: r.time("lowered")}
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

func (r *record) shape() autoscaler.Shape {
	return autoscaler.Shape{
		Needs:    r.resources(autoscaler.Resources{CPU: 1000, Memory: 1 << 30, Pods: 1}),
		Selector: r.labels("selector"),
		Tolerations: field(r, "tolerates", nil, func(s string) (all []autoscaler.Toleration, err error) {
			for _, part := range strings.Split(s, ",") {
				rest, effect, _ := strings.Cut(part, ":")
				key, value, valued := strings.Cut(rest, "=")
				all = append(all, autoscaler.Toleration{Key: strings.TrimPrefix(key, "*"), Value: value, Effect: effect, Exists: !valued})
			}
			return all, nil
		}),
	}
}

func (r *record) labels(key string) []autoscaler.Label {
	return field(r, key, nil, func(s string) (all []autoscaler.Label, err error) {
		for _, part := range strings.Split(s, ",") {
			k, v, found := strings.Cut(part, "=")
			if !found {
				return nil, errors.New("not labels such as a=b,c=d")
			}
			all = append(all, autoscaler.Label{Key: k, Value: v})
		}
		slices.SortFunc(all, func(a, b autoscaler.Label) int { return strings.Compare(a.Key, b.Key) })
		return all, nil
	})
}

func (r *record) taints() []autoscaler.Taint {
	return field(r, "taints", nil, func(s string) (all []autoscaler.Taint, err error) {
		for _, part := range strings.Split(s, ",") {
			rest, effect, found := strings.Cut(part, ":")
			if !found {
				return nil, errors.New("not taints such as k=v:NoSchedule")
			}
			k, v, _ := strings.Cut(rest, "=")
			all = append(all, autoscaler.Taint{Key: k, Value: v, Effect: effect})
		}
		return all, nil
	})
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
