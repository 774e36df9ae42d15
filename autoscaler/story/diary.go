package story

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/wholescale/wholescale/autoscaler"
)

// mostParts bounds an entry; what is beyond it stands in the entry of the next plan.
const mostParts = 512

// Diary knows what was last noted of each thing, so that a plan that decides the same for the same reasons adds nothing. The
// numbers inside the reasons change with every tick and are no news. It is for one goroutine; use NewDiary.
type Diary struct {
	said map[thing]mark
}

// thing is what a decision is about: kind is the first letter of scale, place, order, drain or hold.
type thing struct {
	kind byte
	name string
}

// mark is what makes a decision about a thing the same one.
type mark struct {
	from, to int
	rule     autoscaler.Rule
	subject  string
	rest     uint64 // of lists
}

// NewDiary is one that has noted nothing: its next entry is complete.
func NewDiary() *Diary { return &Diary{said: map[thing]mark{}} }

// Note gives back what is new in a decision, and whether anything is.
func (y *Diary) Note(d autoscaler.Decision, cause string) (Entry, bool) {
	n := noting{diary: y, now: make(map[thing]mark, len(y.said)), entry: Entry{At: d.At, Cause: cause}}
	for i := range d.Scales {
		s := &d.Scales[i]
		if n.fresh(thing{'s', string(s.Workload)}, mark{from: s.From, to: s.To, rule: first(s.Why).Rule, subject: first(s.Why).Subject}) {
			n.entry.Scales = append(n.entry.Scales, scaleOf(s))
		}
	}
	for i := range d.Placements {
		p := &d.Placements[i]
		if n.fresh(n.unnamed(thing{'p', placedFor(p)}), mark{to: p.Unplaced, rule: p.Why.Rule, rest: spotsMark(p.Spots)}) {
			n.entry.Placements = append(n.entry.Placements, placementOf(p))
		}
	}
	for i := range d.Orders {
		o := &d.Orders[i]
		if n.fresh(thing{'o', string(o.Pool)}, mark{from: o.From, to: o.To, rule: first(o.Why).Rule, subject: first(o.Why).Subject, rest: idsMark(o.Delete)}) {
			n.entry.Orders = append(n.entry.Orders, orderOf(o))
		}
	}
	for i := range d.Drains {
		r := &d.Drains[i]
		if n.fresh(thing{'d', string(r.Node)}, mark{to: int(r.Step), rule: r.Why.Rule, subject: r.Why.Subject, rest: idsMark(r.Evict)}) {
			n.entry.Drains = append(n.entry.Drains, drainOf(r))
		}
	}
	for i := range d.Holds {
		h := &d.Holds[i]
		refused := 0
		if h.Refuse {
			refused = 1
		}
		if n.fresh(thing{'h', string(h.Workload)}, mark{to: refused, rule: h.Why.Rule, subject: h.Why.Subject}) {
			n.entry.Holds = append(n.entry.Holds, holdOf(h))
		}
	}
	n.over()
	y.said = n.now
	return n.entry, n.parts > 0
}

func first(why []autoscaler.Reason) autoscaler.Reason {
	if len(why) == 0 {
		return autoscaler.Reason{}
	}
	return why[0]
}

// noting is one Note under way.
type noting struct {
	diary *Diary
	now   map[thing]mark
	entry Entry
	parts int
}

// fresh says that something is to be noted. What finds no room in the entry is not taken as said.
func (n *noting) fresh(t thing, m mark) bool {
	before, known := n.diary.said[t]
	switch {
	case known && before == m:
		n.now[t] = m
		return false
	case n.parts == mostParts:
		n.entry.More = true
		if known {
			n.now[t] = before
		}
		return false
	}
	n.now[t] = m
	n.parts++
	return true
}

// unnamed tells things of the same name apart: others' pods of several shapes.
func (n *noting) unnamed(t thing) thing {
	name := t.name
	for k := 2; ; k++ {
		if _, taken := n.now[t]; !taken {
			return t
		}
		t.name = name + "#" + strconv.Itoa(k)
	}
}

var kinds = map[byte]string{'s': "scale", 'p': "place", 'o': "order", 'd': "drain", 'h': "hold"}

// over notes what is no longer spoken of.
func (n *noting) over() {
	for t := range n.diary.said {
		if _, still := n.now[t]; !still {
			n.entry.Over = append(n.entry.Over, kinds[t.kind]+" "+t.name)
		}
	}
	slices.Sort(n.entry.Over)
	if left := mostParts - n.parts; len(n.entry.Over) > left {
		for _, name := range n.entry.Over[left:] {
			kind, rest, _ := strings.Cut(name, " ")
			t := thing{kind[0], rest}
			n.now[t] = n.diary.said[t]
		}
		n.entry.Over, n.entry.More = n.entry.Over[:left], true
	}
	n.parts += len(n.entry.Over)
}

func spotsMark(spots []autoscaler.Spot) uint64 {
	h := fnv.New64a()
	for _, s := range spots {
		_, _ = h.Write([]byte(string(s.Node) + "\x00" + string(s.Pool) + "\x00" + strconv.Itoa(s.Count) + "\x00"))
	}
	return h.Sum64()
}

func idsMark[ID ~string](ids []ID) uint64 {
	if len(ids) == 0 {
		return 0
	}
	h := fnv.New64a()
	for _, id := range ids {
		_, _ = h.Write([]byte(string(id) + "\x00"))
	}
	return h.Sum64()
}
