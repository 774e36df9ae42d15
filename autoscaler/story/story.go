package story

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wholescale/wholescale/autoscaler"
)

// Story is what there is to tell of one thing at one time, in the order in which cause leads to effect.
type Story struct {
	// Subject is "workload demo/cart", "node n1", "pool spot" or "pod demo/cart-1".
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
	Summary string    `json:"summary"`
	Parts   []Part    `json:"parts"`
}

// Part is one question and its answer.
type Part struct {
	Title string   `json:"title"`
	Lines []string `json:"lines"`
}

// Teller tells stories of one State, with the Decision that Plan makes of it and the log of what was decided before.
type Teller struct {
	state    autoscaler.State
	decision autoscaler.Decision
	log      []Entry // oldest first
	// on are the pods that keep a node from being empty.
	on map[autoscaler.NodeID][]*autoscaler.Pod
}

// NewTeller plans the State. The log may be empty: then nothing is told of the past.
func NewTeller(s autoscaler.State, log []Entry) *Teller {
	t := &Teller{state: s, decision: autoscaler.Plan(s), log: log, on: map[autoscaler.NodeID][]*autoscaler.Pod{}}
	for i := range s.Pods {
		if p := &s.Pods[i]; p.Node != "" && p.Daemon == "" && !p.Mirror {
			t.on[p.Node] = append(t.on[p.Node], p)
		}
	}
	return t
}

// Decision is what Plan makes of the State.
func (t *Teller) Decision() autoscaler.Decision { return t.decision }

// Question is a form of asking.
type Question int

// The questions: everything, or why a number is not larger or not smaller.
const (
	Why Question = iota
	NotMore
	NotFewer
)

// Tell tells of a workload, node, pool or pod. Its name may leave the namespace out where that leaves no doubt, and may have
// its kind before it (node/n1). An error names what there is instead.
func (t *Teller) Tell(name string, q Question) (Story, error) {
	id, err := t.find(name)
	if err != nil {
		return Story{}, err
	}
	var s Story
	switch {
	case id.kind == "workload":
		s = t.workload(id.at, q)
	case id.kind == "pool":
		s = t.pool(id.at, q)
	case q != Why:
		return Story{}, fmt.Errorf("%s %s: not more and not fewer are asked of a workload or a pool", id.kind, id.name)
	case id.kind == "node":
		s = t.node(id.at)
	default:
		s = t.pod(id.at)
	}
	s.Subject, s.At = id.kind+" "+id.name, t.state.Now
	return s, nil
}

func (s *Story) add(title string, lines ...string) {
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	if len(lines) > 0 {
		s.Parts = append(s.Parts, Part{title, lines})
	}
}

// Text is the story for people; head marks titles, for a terminal, and may be nil.
func (s Story) Text(head func(string) string) string {
	if head == nil {
		head = func(s string) string { return s }
	}
	width := 0
	for _, p := range s.Parts {
		width = max(width, len(p.Title))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", head(Printable(s.Subject+" at "+clock(s.At)+": "+s.Summary)))
	for _, p := range s.Parts {
		title := p.Title
		for _, l := range p.Lines {
			fmt.Fprintf(&b, "  %s  %s\n", head(fmt.Sprintf("%-*s", width, title)), Printable(l))
			title = ""
		}
	}
	return b.String()
}

// Printable keeps words that came from outside (a provider's, an annotation's) from moving a terminal's cursor.
func Printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, text)
}

// identity is a thing of the State, by its position.
type identity struct {
	kind, name string
	at         int
}

// mostNamed bounds how many names an error lists.
const mostNamed = 8

// find looks for an exact name first, then for one without its namespace.
func (t *Teller) find(name string) (identity, error) {
	all := t.things()
	kind, bare, found := strings.Cut(name, "/")
	if !found || !slices.Contains([]string{"workload", "node", "pool", "pod"}, kind) {
		kind, bare = "", name
	}
	match := func(same func(identity) bool) []identity {
		var list []identity
		for _, id := range all {
			if (kind == "" || id.kind == kind) && same(id) {
				list = append(list, id)
			}
		}
		return list
	}
	list := match(func(id identity) bool { return id.name == bare })
	if len(list) == 0 {
		list = match(func(id identity) bool { return strings.HasSuffix(id.name, "/"+bare) })
	}
	switch len(list) {
	case 1:
		return list[0], nil
	case 0:
		near := match(func(id identity) bool { return strings.Contains(id.name, bare) })
		if len(near) == 0 {
			near = match(func(id identity) bool { return id.kind != "pod" })
		}
		return identity{}, fmt.Errorf("there is no %s %q; there is %s", cmp.Or(kind, "workload, node, pool or pod"), bare, named(near))
	}
	return identity{}, fmt.Errorf("%q is more than one thing: %s; say which", name, named(list))
}

func (t *Teller) things() []identity {
	var all []identity
	for i := range t.state.Workloads {
		all = append(all, identity{"workload", string(t.state.Workloads[i].ID), i})
	}
	for i := range t.state.Nodes {
		all = append(all, identity{"node", string(t.state.Nodes[i].ID), i})
	}
	for i := range t.state.Pools {
		all = append(all, identity{"pool", string(t.state.Pools[i].ID), i})
	}
	for i := range t.state.Pods {
		all = append(all, identity{"pod", string(t.state.Pods[i].ID), i})
	}
	return all
}

func named(list []identity) string {
	var names []string
	for i, id := range list {
		if i == mostNamed {
			names = append(names, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		names = append(names, id.kind+"/"+id.name)
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// says is a reason with its rule, as all places print it.
func says(r autoscaler.Reason) string { return r.Rule.String() + ": " + r.Sentence() }

// clock is a time of day, with its date where that is told apart.
func clock(t time.Time) string {
	return strings.TrimSuffix(t.UTC().Format("15:04:05.000"), ".000")
}

// inTime is a time to come, and how long from now.
func inTime(at, now time.Time) string {
	if !at.After(now) {
		return "now"
	}
	return clock(at) + " (in " + length(at.Sub(now)) + ")"
}

// length is a duration to the second, from a second on.
func length(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func number(f float64) string { return strconv.FormatFloat(math.Round(f*1000)/1000, 'f', -1, 64) }

// count is a number with its noun.
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(one, "y"))
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func bytesText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}} {
		if n >= u.size {
			return number(float64(n)/float64(u.size)) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func resources(r autoscaler.Resources) string {
	return number(float64(r.CPU)/1000) + " CPU, " + bytesText(r.Memory)
}
