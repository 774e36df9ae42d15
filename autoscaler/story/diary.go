package story

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/wholescale/wholescale/autoscaler"
)

// mostParts bounds an entry; what is beyond it stands in the entry of the next plan.
const mostParts = 512

// Diary knows what was last noted of each thing, so that a plan that decides the same for the same reasons adds nothing. The
// numbers inside the reasons change with every tick and are no news. It is for one goroutine; use NewDiary.
type Diary struct {
	said map[thing]*said
	// round counts the calls of Note.
	round uint64
}

// said is what was last noted of a thing, and in which round it was last spoken of.
type said struct {
	mark
	round uint64
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
func NewDiary() *Diary { return &Diary{said: map[thing]*said{}} }

// Note gives back what is new in a decision, and whether anything is.
func (y *Diary) Note(d autoscaler.Decision, cause string) (Entry, bool) {
	n := y.note(d, cause)
	if n.spoken < len(y.said) {
		n.over()
	}
	return n.entry, n.parts > 0
}

// NoteSome is Note for a decision that is about a few: what it does not speak of stands.
func (y *Diary) NoteSome(d autoscaler.Decision, cause string) (Entry, bool) {
	d.Orders, d.Drains = nil, nil // it changes none
	n := y.note(d, cause)
	return n.entry, n.parts > 0
}

func (y *Diary) note(d autoscaler.Decision, cause string) *noting {
	y.round++
	n := noting{diary: y, entry: Entry{At: d.At, Cause: cause}}
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
	return &n
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
	entry Entry
	parts int
	// spoken is how many things that are known were spoken of.
	spoken int
}

// fresh says that something is to be noted. What finds no room in the entry is not taken as said.
func (n *noting) fresh(t thing, m mark) bool {
	last := n.diary.said[t]
	if last != nil {
		last.round = n.diary.round
		n.spoken++
		if last.mark == m {
			return false
		}
	}
	if n.parts == mostParts {
		n.entry.More = true
		return false
	}
	n.parts++
	if last == nil {
		n.diary.said[t] = &said{m, n.diary.round}
		n.spoken++
		return true
	}
	last.mark = m
	return true
}

// unnamed tells things of the same name apart: others' pods of several shapes.
func (n *noting) unnamed(t thing) thing {
	name := t.name
	for k := 2; ; k++ {
		if last := n.diary.said[t]; last == nil || last.round != n.diary.round {
			return t
		}
		t.name = name + "#" + strconv.Itoa(k)
	}
}

var kinds = map[byte]string{'s': "scale", 'p': "place", 'o': "order", 'd': "drain", 'h': "hold"}

// over notes what is no longer spoken of, and forgets it.
func (n *noting) over() {
	var gone []thing
	for t, last := range n.diary.said {
		if last.round != n.diary.round {
			gone = append(gone, t)
		}
	}
	slices.SortFunc(gone, func(a, b thing) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	if left := mostParts - n.parts; len(gone) > left {
		gone, n.entry.More = gone[:left], true
	}
	for _, t := range gone {
		n.entry.Over = append(n.entry.Over, kinds[t.kind]+" "+t.name)
		delete(n.diary.said, t)
	}
	n.parts += len(gone)
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
