package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// mostPast bounds how many former decisions a story of now tells of.
const mostPast = 5

func scaleLine(s *Scale) string {
	return fmt.Sprintf("replicas %d -> %d by %s", s.From, s.To, why(s.Why))
}

func why(list []Reason) string {
	if len(list) == 0 {
		return "no reason noted"
	}
	return list[0].Rule + ": " + list[0].Says
}

// past lists what the log has of a thing, newest first.
func (t *Teller) past(line func(*Entry) string) []string {
	var lines []string
	for i := len(t.log) - 1; i >= 0 && len(lines) < mostPast; i-- {
		if text := line(&t.log[i]); text != "" {
			lines = append(lines, stamp(t.log[i].At, t.state.Now)+"  "+text)
		}
	}
	return lines
}

// stamp has the day where it is another one.
func stamp(at, now time.Time) string {
	if at.UTC().Truncate(24 * time.Hour).Equal(now.UTC().Truncate(24 * time.Hour)) {
		return clock(at)
	}
	return at.UTC().Format("2006-01-02 ") + clock(at)
}

func (t *Teller) pastOfWorkload(id string) []string {
	return t.past(func(e *Entry) string { return strings.Join(workloadLines(e, id), "; ") })
}

func workloadLines(e *Entry, id string) []string {
	var lines []string
	for i := range e.Scales {
		if s := &e.Scales[i]; s.Workload == id && s.From != s.To {
			lines = append(lines, scaleLine(s))
		}
	}
	for i := range e.Placements {
		if p := &e.Placements[i]; p.For == id {
			lines = append(lines, placeLine(p))
		}
	}
	return lines
}

func placeLine(p *Placement) string {
	var parts []string
	for _, s := range p.Spots {
		if s.Node != "" {
			parts = append(parts, fmt.Sprintf("%d on node %s", s.Count, s.Node))
		} else {
			parts = append(parts, fmt.Sprintf("%d on machines bought from %s, due %s", s.Count, s.Pool, clock(s.Due)))
		}
	}
	if p.Unplaced > 0 && p.Why != nil {
		parts = append(parts, fmt.Sprintf("%d without room (%s: %s)", p.Unplaced, p.Why.Rule, p.Why.Says))
	}
	return "room for " + list(parts)
}

func (t *Teller) pastOfNode(id string) []string {
	return t.past(func(e *Entry) string { return strings.Join(nodeLines(e, id), "; ") })
}

func nodeLines(e *Entry, id string) []string {
	var lines []string
	for i := range e.Drains {
		if d := &e.Drains[i]; d.Node == id {
			lines = append(lines, d.Step+" by "+d.Why.Rule+": "+d.Why.Says)
		}
	}
	for i := range e.Placements {
		p := &e.Placements[i]
		for _, s := range p.Spots {
			if s.Node == id {
				lines = append(lines, fmt.Sprintf("room for %d of %s", s.Count, p.For))
			}
		}
	}
	return lines
}

func (t *Teller) pastOfPool(id string) []string {
	return t.past(func(e *Entry) string { return strings.Join(poolLines(e, id), "; ") })
}

func poolLines(e *Entry, id string) []string {
	var lines []string
	for i := range e.Orders {
		o := &e.Orders[i]
		if o.Pool != id || o.From == o.To && len(o.Delete) == 0 {
			continue
		}
		line := fmt.Sprintf("machines %d -> %d by %s", o.From, o.To, why(o.Why))
		if len(o.Delete) > 0 {
			line += ", ending " + list(o.Delete)
		}
		if whom := buyersIn(e, id); whom != "" && o.To > o.From {
			line += ", for " + whom
		}
		lines = append(lines, line)
	}
	return lines
}

func buyersIn(e *Entry, pool string) string {
	var names []string
	for i := range e.Placements {
		p := &e.Placements[i]
		for _, s := range p.Spots {
			if s.Node == "" && s.Pool == pool {
				names = append(names, fmt.Sprintf("%d of %s", s.Count, p.For))
			}
		}
	}
	return list(names)
}

// A node may say that it was made before it was ordered: Kubernetes cuts times to the second, and the provider's clock is
// another one. The last order until usualSlack after it is taken, and failing that the first one until mostSlack after it.
const (
	usualSlack = time.Second
	mostSlack  = 5 * time.Second
)

// boughtInLog finds the rise of its pool that a node was made by, and whom that was for.
func (t *Teller) boughtInLog(n *autoscaler.Node) string {
	if n.Since.IsZero() {
		return ""
	}
	text := ""
	for i := range t.log {
		e := &t.log[i]
		if e.At.After(n.Since.Add(mostSlack)) || text != "" && e.At.After(n.Since.Add(usualSlack)) {
			break
		}
		for k := range e.Orders {
			if o := &e.Orders[k]; o.Pool == string(n.Pool) && o.To > o.From {
				reason := buyersIn(e, o.Pool)
				if reason == "" {
					reason = why(o.Why)
				}
				text = reason + ", at " + stamp(e.At, t.state.Now)
			}
		}
	}
	return text
}

// Past tells what the log has of a workload, node or pool at a time: what held then, since when, and what came after. An
// error says what the log knows.
func Past(log []Entry, name string, at time.Time) (Story, error) {
	if len(log) == 0 {
		return Story{}, fmt.Errorf("the decision log is empty: nothing is known of %s", clock(at))
	}
	if at.Before(log[0].At) {
		return Story{}, fmt.Errorf("the decision log begins at %s: nothing is known of %s", log[0].At.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	id, err := findInLog(log, name)
	if err != nil {
		return Story{}, err
	}
	p := pastOf{log: log, id: id, at: at}
	return p.tell(), nil
}

// findInLog is as find, of what the log speaks of.
func findInLog(log []Entry, name string) (identity, error) {
	seen := map[identity]bool{}
	for i := range log {
		for _, s := range log[i].Scales {
			seen[identity{kind: "workload", name: s.Workload}] = true
		}
		for _, o := range log[i].Orders {
			seen[identity{kind: "pool", name: o.Pool}] = true
		}
		for _, d := range log[i].Drains {
			seen[identity{kind: "node", name: d.Node}] = true
		}
		for _, p := range log[i].Placements {
			for _, s := range p.Spots {
				if s.Node != "" {
					seen[identity{kind: "node", name: s.Node}] = true
				}
			}
		}
	}
	var t Teller
	for id := range seen {
		switch id.kind {
		case "workload":
			t.state.Workloads = append(t.state.Workloads, autoscaler.Workload{ID: autoscaler.WorkloadID(id.name)})
		case "pool":
			t.state.Pools = append(t.state.Pools, autoscaler.Pool{ID: autoscaler.PoolID(id.name)})
		default:
			t.state.Nodes = append(t.state.Nodes, autoscaler.Node{ID: autoscaler.NodeID(id.name)})
		}
	}
	slices.SortFunc(t.state.Workloads, func(a, b autoscaler.Workload) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(t.state.Pools, func(a, b autoscaler.Pool) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(t.state.Nodes, func(a, b autoscaler.Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	id, err := t.find(name)
	if err != nil {
		return id, fmt.Errorf("in the decision log: %w", err)
	}
	return id, nil
}

type pastOf struct {
	log []Entry
	id  identity
	at  time.Time
}

func (p *pastOf) tell() Story {
	s := Story{Subject: p.id.kind + " " + p.id.name, At: p.at, Summary: "what was decided then, from the log"}
	last := p.lastScale()
	if last != nil {
		k := last.scale
		s.Summary = fmt.Sprintf("%d wanted, since %s", k.To, stamp(last.at, p.at))
		s.add("decided", fmt.Sprintf("%s  %s", stamp(last.at, p.at), scaleLine(k)))
		var lines []string
		for _, r := range k.Why[min(1, len(k.Why)):] {
			lines = append(lines, fmt.Sprintf("%d by %s: %s", r.Result, r.Rule, r.Says))
		}
		s.add("overruled", lines...)
	}
	s.add("until then", p.lines(func(at time.Time) bool { return !at.After(p.at) }, true)...)
	s.add("after", p.lines(func(at time.Time) bool { return at.After(p.at) }, false)...)
	if len(s.Parts) == 0 {
		s.add("decided", "the log has nothing of it until then")
	}
	return s
}

type scaleAt struct {
	at    time.Time
	scale *Scale
}

// lastScale is what held for a workload at the time; nil for another thing.
func (p *pastOf) lastScale() *scaleAt {
	for i := len(p.log) - 1; i >= 0; i-- {
		for k := range p.log[i].Scales {
			if s := &p.log[i].Scales[k]; p.id.kind == "workload" && s.Workload == p.id.name && !p.log[i].At.After(p.at) {
				return &scaleAt{p.log[i].At, s}
			}
		}
	}
	return nil
}

// lines are the entries on one side of the time that are nearest to it, oldest first.
func (p *pastOf) lines(on func(time.Time) bool, newest bool) []string {
	var lines []string
	for i := range p.log {
		e := &p.log[i]
		if !on(e.At) {
			continue
		}
		var of []string
		switch p.id.kind {
		case "workload":
			of = append(workloadLines(e, p.id.name), holdsIn(e, p.id.name)...)
		case "node":
			of = nodeLines(e, p.id.name)
		default:
			of = poolLines(e, p.id.name)
		}
		for _, l := range of {
			lines = append(lines, stamp(e.At, p.at)+"  "+l)
		}
	}
	if len(lines) > 2*mostPast {
		if newest {
			return lines[len(lines)-2*mostPast:]
		}
		return lines[:2*mostPast]
	}
	return lines
}

func holdsIn(e *Entry, id string) []string {
	var lines []string
	for i := range e.Holds {
		if h := &e.Holds[i]; h.Workload == id {
			verb := "held requests wait: "
			if h.Refuse {
				verb = "held requests are refused: "
			}
			lines = append(lines, verb+h.Why.Rule+": "+h.Why.Says)
		}
	}
	return lines
}
