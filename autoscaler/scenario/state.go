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
)

// Scenario is a set of records. The zero value is empty.
type Scenario struct {
	records []*record // one that was taken away is nil
	at      map[identity]int
}

// identity is what a record replaces another one by.
type identity struct{ kind, name string }

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

var kinds = []string{"now", "group", "pool", "node", "workload", "demand", "signal", "floor", "daemon", "buffer", "pod", "namespace", "price-cap", "memo", "node-memo", "bought"}

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
	if s.at == nil {
		s.at = map[identity]int{}
	}
	id := identity{r.kind, r.name}
	switch r.kind {
	case "now", "price-cap":
		id.name = ""
	case "signal", "floor":
		id.name += " of " + r.fields["workload"] // each workload has names of its own
	}
	if i, old := s.at[id]; old {
		s.records[i] = r
		return nil
	}
	s.at[id] = len(s.records)
	s.records = append(s.records, r)
	return nil
}

func (s *Scenario) remove(kind, name string) error {
	i, ok := s.at[identity{kind, name}]
	if !ok {
		return fmt.Errorf("there is no %s %s to take away", kind, name)
	}
	s.records[i] = nil
	delete(s.at, identity{kind, name})
	return nil
}

// State is what the records say. Memo is empty unless records give it.
func (s *Scenario) State() (autoscaler.State, error) {
	b := builder{rules: map[string]*fit.Pod{}, pools: map[string]int{}, workloads: map[string]int{}, pods: map[autoscaler.PodID]int{}}
	for _, kind := range kinds {
		for _, r := range s.records {
			if r == nil || r.kind != kind {
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
	b.sort()
	return b.s, nil
}

// builder makes a State of records, kind by kind. The maps are positions in its lists.
type builder struct {
	s                autoscaler.State
	pools, workloads map[string]int
	pods             map[autoscaler.PodID]int
	rules            map[string]*fit.Pod // by key
	untold           []bool              // by pool: its target is not given
}

func (b *builder) sort() {
	s := &b.s
	slices.SortFunc(s.Pools, func(a, b autoscaler.Pool) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Nodes, func(a, b autoscaler.Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Workloads, func(a, b autoscaler.Workload) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Pods, func(a, b autoscaler.Pod) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Daemons, func(a, b autoscaler.Daemon) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Buffers, func(a, b autoscaler.Buffer) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Groups, func(a, b autoscaler.Group) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Namespaces, func(a, b autoscaler.Namespace) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Memo.Workloads, func(a, b autoscaler.WorkloadMemo) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Memo.Bought, func(a, b autoscaler.Bought) int { return strings.Compare(string(a.Pool), string(b.Pool)) })
	slices.SortFunc(s.Memo.Nodes, func(a, b autoscaler.NodeMemo) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

// parseMachines reads "n4=cart*2+web*1;cart*3": what each of two machines was bought for, of which the first is instance n4.
func parseMachines(s string) (list []autoscaler.BoughtMachine, err error) {
	for _, machine := range strings.Split(s, ";") {
		var m autoscaler.BoughtMachine
		if instance, holds, known := strings.Cut(machine, "="); known {
			m.Instance, machine = instance, holds
		}
		for _, part := range strings.Split(machine, "+") {
			if part == "" {
				continue
			}
			name, times, _ := strings.Cut(part, "*")
			n, err := strconv.Atoi(times)
			if err != nil || n < 1 || n > mostPods {
				return nil, errors.New("not machines such as n4=cart*2+web*1;cart*3")
			}
			m.Holds = append(m.Holds, autoscaler.Holding{For: name, Count: n})
		}
		list = append(list, m)
	}
	return list, nil
}

func (b *builder) add(r *record) error {
	switch r.kind {
	case "now":
		t, err := parseTime(r.name)
		b.s.Now = t
		return err
	case "group":
		return b.group(r)
	case "pool":
		return b.pool(r)
	case "node":
		return b.node(r)
	case "workload":
		return b.workload(r)
	case "demand":
		return b.demand(r)
	case "signal":
		return b.signal(r)
	case "floor":
		return b.floor(r)
	case "daemon":
		b.s.Daemons = append(b.s.Daemons, autoscaler.Daemon{ID: r.name, Shape: b.shape(r)})
	case "buffer":
		b.s.Buffers = append(b.s.Buffers, autoscaler.Buffer{ID: r.name, Shape: b.shape(r), Count: r.count("count", 1)})
	case "namespace":
		b.s.Namespaces = append(b.s.Namespaces, autoscaler.Namespace{Name: r.name, Labels: r.labels("labels")})
	case "price-cap":
		cap, err := parseAmount(r.name)
		b.s.PriceCap = cap
		return err
	case "pod":
		return b.pod(r)
	case "memo":
		return b.memo(r)
	case "bought":
		b.s.Memo.Bought = append(b.s.Memo.Bought, autoscaler.Bought{Pool: autoscaler.PoolID(r.name), Machines: field(r, "machines", nil, parseMachines)})
	case "node-memo":
		b.s.Memo.Nodes = append(b.s.Memo.Nodes, autoscaler.NodeMemo{
			ID: autoscaler.NodeID(r.name), EmptySince: r.time("since"), UnreadySince: r.time("unready"),
			Leaving: autoscaler.LeaveReason(r.text("leaving")), Tried: r.time("tried"),
			ReplaceBy: autoscaler.PoolID(r.text("replace-by")),
		})
	}
	return nil
}
