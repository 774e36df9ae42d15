package story

import (
	"fmt"
	"strings"

	"github.com/wholescale/wholescale/autoscaler"
)

func (t *Teller) pool(i int, q Question) Story {
	p := &t.state.Pools[i]
	o := t.order(p.ID)
	s := Story{Summary: fmt.Sprintf("%s of %d..%d", count(t.machines(p.ID), "machine"), p.Min, p.Max)}
	if o.Changes() {
		s.Summary += fmt.Sprintf(", %d wanted instead of %d", o.To, o.From)
	}
	if q == NotMore {
		s.add("why not more", t.poolNotMore(p, o)...)
		return s
	}
	if q == NotFewer {
		s.add("why not fewer", t.poolNotFewer(p)...)
		return s
	}
	s.add("machine", resources(p.Allocatable)+"; "+price(p))
	s.add("decided", fmt.Sprintf("%d -> %d by %s", o.From, o.To, says(o.Why[0])))
	var rest []string
	for _, r := range o.Why[1:] {
		rest = append(rest, says(r))
	}
	s.add("beside it", rest...)
	s.add("bought for", t.buyers(p.ID)...)
	s.add("why not more", t.poolNotMore(p, o)...)
	s.add("why not fewer", t.poolNotFewer(p)...)
	s.add("on its way", t.poolComing(p.ID)...)
	s.add("money", t.poolMoney(p, o))
	s.add("before", t.pastOfPool(string(p.ID))...)
	return s
}

func (t *Teller) order(id autoscaler.PoolID) autoscaler.Order {
	for _, o := range t.decision.Orders {
		if o.Pool == id {
			return o
		}
	}
	return autoscaler.Order{Pool: id, Why: []autoscaler.Reason{{}}}
}

// buyers are whose pods go to machines that are bought now.
func (t *Teller) buyers(id autoscaler.PoolID) []string {
	var lines []string
	for i := range t.decision.Placements {
		p := &t.decision.Placements[i]
		for _, s := range p.Spots {
			if s.Node == "" && s.Pool == id {
				lines = append(lines, fmt.Sprintf("%d of %s", s.Count, whose(p)))
			}
		}
	}
	return lines
}

func (t *Teller) poolNotMore(p *autoscaler.Pool, o autoscaler.Order) []string {
	var lines []string
	if p.Unknown != "" {
		lines = append(lines, "the provider's figures are not known: "+p.Unknown)
	}
	if p.StockOut != "" {
		lines = append(lines, "nothing can be bought from it now: "+p.StockOut)
	}
	short, elsewhere := 0, 0
	for i := range t.decision.Placements {
		d := &t.decision.Placements[i]
		if d.Unplaced == 0 {
			continue
		}
		short += d.Unplaced
		if !concerns(&d.Why, p.ID) {
			elsewhere += d.Unplaced
			continue
		}
		lines = append(lines, fmt.Sprintf("%d of %s have no room: %s", d.Unplaced, whose(d), says(d.Why)))
	}
	switch {
	case elsewhere > 0:
		lines = append(lines, fmt.Sprintf("%s without room that another pool is nearer to (wholescale check)", count(elsewhere, "pod")))
	case short == 0 && len(lines) == 0:
		lines = append(lines, says(o.Why[len(o.Why)-1]))
	}
	return lines
}

// concerns says that a refusal speaks of a pool, or of all.
func concerns(r *autoscaler.Reason, id autoscaler.PoolID) bool {
	switch r.Rule {
	case autoscaler.PoolsFull, autoscaler.PoolsOut, autoscaler.PoolsUnknown:
		return r.Subject == string(id)
	case autoscaler.PriceCapped:
		return r.Subject == "pool "+string(id) || r.Subject == "the cluster"
	}
	return true
}

// whose is placedFor in a sentence.
func whose(p *autoscaler.Placement) string {
	if name := placedFor(p); name != "others" {
		return name
	}
	return "those that no workload of ours owns"
}

// poolNotFewer lists what keeps its machines.
func (t *Teller) poolNotFewer(p *autoscaler.Pool) []string {
	var lines []string
	if n := t.machines(p.ID); n <= p.Min && n > 0 {
		lines = append(lines, fmt.Sprintf("it keeps %d at least", p.Min))
	}
	for i := range t.state.Nodes {
		n := &t.state.Nodes[i]
		if n.Pool != p.ID || n.Phase == autoscaler.Leaving {
			continue
		}
		if len(lines) == 2*mostNamed {
			return append(lines, "and more: wholescale why NODE tells of each")
		}
		why := t.whyNotGone(n, p)
		if n.Phase == autoscaler.Coming {
			why = t.comingTo(n)
		}
		if here := t.whyHere(n, p); len(why) == 0 && len(here) > 0 {
			why = here[:1]
		}
		lines = append(lines, string(n.ID)+": "+strings.Join(why, "; "))
	}
	return lines
}

func (t *Teller) poolComing(id autoscaler.PoolID) []string {
	var lines []string
	for i := range t.state.Nodes {
		if n := &t.state.Nodes[i]; n.Pool == id && n.Phase == autoscaler.Coming {
			line := string(n.ID) + ": " + strings.Join(t.comingTo(n), "")
			if bought := t.boughtFor(n, t.poolOf(id)); bought != "" {
				line += ", bought for " + bought
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func (t *Teller) poolMoney(p *autoscaler.Pool, o autoscaler.Order) string {
	if p.PricePerHour == 0 {
		return "its price is not known: it is taken to be dearer than any"
	}
	line := fmt.Sprintf("%s an hour for the %d asked for", number(float64(o.From)*p.PricePerHour), o.From)
	if o.To != o.From {
		line += fmt.Sprintf(", %s for the %d wanted", number(float64(o.To)*p.PricePerHour), o.To)
	}
	if p.PriceCap > 0 {
		line += "; capped at " + number(p.PriceCap)
	}
	return line
}
