package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

func (t *Teller) node(i int) Story {
	n := &t.state.Nodes[i]
	pool := t.poolOf(n.Pool)
	s := Story{Summary: nodeSummary(n, pool)}
	s.add("machine", machine(n, pool)...)
	s.add("decided", t.drainLine(n))
	s.add("why here", t.whyHere(n, pool)...)
	s.add("why not gone", t.whyNotGone(n, pool)...)
	s.add("pods", t.podsOn(n)...)
	s.add("on its way", t.comingTo(n)...)
	s.add("before", t.pastOfNode(string(n.ID))...)
	return s
}

func nodeSummary(n *autoscaler.Node, pool *autoscaler.Pool) string {
	words := []string{n.Phase.String()}
	if n.Draining {
		words = append(words, "draining")
	}
	if n.Cordoned {
		words = append(words, "cordoned by somebody else")
	}
	if pool == nil {
		return strings.Join(append(words, "not ours"), ", ")
	}
	return strings.Join(append(words, "pool "+string(pool.ID)), ", ")
}

func machine(n *autoscaler.Node, pool *autoscaler.Pool) []string {
	lines := []string{resources(n.Allocatable)}
	if pool != nil {
		lines[0] += "; " + price(pool)
	}
	if !n.Since.IsZero() {
		lines = append(lines, "made or ordered at "+clock(n.Since))
	}
	return lines
}

func price(p *autoscaler.Pool) string {
	if p.PricePerHour == 0 {
		return "its price is not known"
	}
	return number(p.PricePerHour) + " an hour"
}

func (t *Teller) poolOf(id autoscaler.PoolID) *autoscaler.Pool {
	for i := range t.state.Pools {
		if t.state.Pools[i].ID == id {
			return &t.state.Pools[i]
		}
	}
	return nil
}

func (t *Teller) drain(id autoscaler.NodeID) *autoscaler.Drain {
	for i := range t.decision.Drains {
		if t.decision.Drains[i].Node == id {
			return &t.decision.Drains[i]
		}
	}
	return nil
}

func (t *Teller) drainLine(n *autoscaler.Node) string {
	d := t.drain(n.ID)
	if d == nil {
		return ""
	}
	return d.Step.String() + " by " + says(d.Why)
}

// whyHere is what a node is for: the pods that it has, those placed on it, and what it was bought for.
func (t *Teller) whyHere(n *autoscaler.Node, pool *autoscaler.Pool) []string {
	if pool == nil {
		return []string{"it belongs to no pool of ours: its room is used, and it is never touched"}
	}
	var lines []string
	if held := tally(t.staying(n.ID)); held != "" {
		lines = append(lines, "it holds "+held)
	}
	if placed := t.placedOn(n.ID); placed != "" {
		lines = append(lines, "placed on it: "+placed)
	}
	if bought := t.boughtFor(n, pool); bought != "" {
		lines = append(lines, "bought for "+bought)
	}
	if pool.Min > 0 && t.machines(pool.ID) <= pool.Min {
		lines = append(lines, fmt.Sprintf("its pool keeps %d at least", pool.Min))
	}
	return lines
}

// staying are the pods that keep a node from being empty.
func (t *Teller) staying(id autoscaler.NodeID) []*autoscaler.Pod { return slices.Clone(t.on[id]) }

// tally counts pods by workload.
func tally(pods []*autoscaler.Pod) string {
	var names []string
	counts := map[string]int{}
	for _, p := range pods {
		name := string(p.Workload)
		if name == "" {
			name = "pods of nobody's"
		}
		if counts[name] == 0 {
			names = append(names, name)
		}
		counts[name]++
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = fmt.Sprintf("%d of %s", counts[name], name)
		if name == "pods of nobody's" {
			names[i] = fmt.Sprintf("%d that no workload of ours owns", counts[name])
		}
	}
	return list(names)
}

func (t *Teller) placedOn(id autoscaler.NodeID) string {
	var names []string
	for i := range t.decision.Placements {
		p := &t.decision.Placements[i]
		for _, s := range p.Spots {
			if s.Node == id {
				names = append(names, fmt.Sprintf("%d of %s", s.Count, whose(p)))
			}
		}
	}
	return list(names)
}

// boughtFor is from the memory of what coming machines are for, or from the log.
func (t *Teller) boughtFor(n *autoscaler.Node, pool *autoscaler.Pool) string {
	if n.Phase == autoscaler.Coming {
		coming := t.coming(pool.ID)
		if at := slices.IndexFunc(coming, func(c *autoscaler.Node) bool { return c.ID == n.ID }); at >= 0 {
			instances := make([]string, len(coming))
			for i, c := range coming {
				instances[i] = c.Instance
			}
			for i := range t.state.Memo.Bought {
				if b := &t.state.Memo.Bought[i]; b.Pool == pool.ID {
					if holds := b.Assign(instances)[at]; len(holds) > 0 {
						return contents(holds)
					}
				}
			}
		}
	}
	return t.boughtInLog(n)
}

// coming are a pool's machines on their way, soonest first, as the memory has them.
func (t *Teller) coming(pool autoscaler.PoolID) []*autoscaler.Node {
	var nodes []*autoscaler.Node
	for i := range t.state.Nodes {
		if n := &t.state.Nodes[i]; n.Pool == pool && n.Phase == autoscaler.Coming && !n.Cordoned {
			nodes = append(nodes, n)
		}
	}
	slices.SortStableFunc(nodes, func(a, b *autoscaler.Node) int { return a.Due.Compare(b.Due) })
	return nodes
}

func contents(c autoscaler.Contents) string {
	var names []string
	for _, h := range c {
		name := h.For
		if strings.HasPrefix(name, "pods:") {
			name = "pods that no workload of ours owns"
		} else if rest, ok := strings.CutPrefix(name, "buffer:"); ok {
			name = "headroom " + rest
		}
		names = append(names, fmt.Sprintf("%d of %s", h.Count, name))
	}
	return list(names)
}

// whyNotGone is what keeps a node of ours, in the order in which it would have to be removed.
func (t *Teller) whyNotGone(n *autoscaler.Node, pool *autoscaler.Pool) []string {
	if pool == nil || n.Phase == autoscaler.Leaving {
		return nil
	}
	var lines []string
	if n.Keep != "" {
		lines = append(lines, "marked to be kept: "+n.Keep)
	}
	pods := t.staying(n.ID)
	for _, p := range pods {
		if p.Keep != "" {
			lines = append(lines, fmt.Sprintf("pod %s may not be moved: %s", p.ID, p.Keep))
		}
	}
	if d := t.drain(n.ID); d != nil {
		return append(lines, says(d.Why))
	}
	if n.Phase != autoscaler.Ready || len(pods) == 0 || len(lines) > 0 {
		return lines
	}
	return append(lines, t.inUse(n, pool, pods)...)
}

// inUse is why a node with pods is not emptied to save it.
func (t *Teller) inUse(n *autoscaler.Node, pool *autoscaler.Pool, pods []*autoscaler.Pod) []string {
	after := pool.Disruption.ConsolidateAfter
	if after <= 0 {
		return []string{"it has pods, and its pool moves none to save a node (disruption.consolidateAfter is not set)"}
	}
	youngest := pods[0]
	for _, p := range pods {
		if p.Since.After(youngest.Since) {
			youngest = p
		}
	}
	switch until := youngest.Since.Add(after); {
	case until.After(t.state.Now):
		return []string{fmt.Sprintf("it changed lately (pod %s came at %s); its pods are moved after %s of rest", youngest.ID, clock(youngest.Since), length(after))}
	case t.machines(pool.ID) <= pool.Min:
		return []string{fmt.Sprintf("its pool keeps %d", pool.Min)}
	}
	switch d := t.ifItsTurn(n); {
	case d == nil:
		return []string{"its pods or their workloads changed lately, or a budget allows no node of its pool to leave"}
	case d.Step == autoscaler.Cordon:
		return []string{"it goes when its turn comes, one at a time: " + says(d.Why)}
	default:
		return []string{says(d.Why)}
	}
}

// ifItsTurn is what Plan would decide about a node in use if it were the one to be looked at: all others were just tried.
func (t *Teller) ifItsTurn(n *autoscaler.Node) *autoscaler.Drain {
	s := t.state
	s.Memo.Nodes = nil
	known := map[autoscaler.NodeID]autoscaler.NodeMemo{}
	for _, m := range t.state.Memo.Nodes {
		known[m.ID] = m
	}
	for i := range s.Nodes {
		m := known[s.Nodes[i].ID]
		m.ID, m.Tried = s.Nodes[i].ID, s.Now
		if m.ID == n.ID {
			m.Tried = time.Time{}
		}
		s.Memo.Nodes = append(s.Memo.Nodes, m)
	}
	d := autoscaler.Plan(s)
	for i := range d.Drains {
		if d.Drains[i].Node == n.ID {
			return &d.Drains[i]
		}
	}
	return nil
}

// machines is how many a pool has, without those that leave.
func (t *Teller) machines(id autoscaler.PoolID) int {
	n := 0
	for i := range t.state.Nodes {
		if t.state.Nodes[i].Pool == id && t.state.Nodes[i].Phase != autoscaler.Leaving {
			n++
		}
	}
	return n
}

func (t *Teller) podsOn(n *autoscaler.Node) []string {
	pods := t.staying(n.ID)
	slices.SortFunc(pods, func(a, b *autoscaler.Pod) int { return cmp.Compare(a.ID, b.ID) })
	var lines []string
	for i, p := range pods {
		if i == 2*mostNamed {
			lines = append(lines, fmt.Sprintf("and %d more", len(pods)-i))
			break
		}
		line := fmt.Sprintf("%s %s", p.ID, p.Phase)
		if p.InFlight > 0 {
			line += fmt.Sprintf(", %d in flight", p.InFlight)
		}
		lines = append(lines, line)
	}
	return lines
}

func (t *Teller) comingTo(n *autoscaler.Node) []string {
	if n.Phase != autoscaler.Coming {
		return nil
	}
	if n.Due.IsZero() {
		return []string{"it is coming; when it is ready is not known"}
	}
	if !n.Due.After(t.state.Now) {
		return []string{"it was expected to be ready at " + clock(n.Due) + "; 15 minutes after its order it is given up"}
	}
	return []string{"ready " + inTime(n.Due, t.state.Now)}
}

// pod is the story of the node that it is on, or of why it has none.
func (t *Teller) pod(i int) Story {
	p := &t.state.Pods[i]
	s := Story{Summary: p.Phase.String()}
	if p.Node != "" {
		s.Summary += " on node " + string(p.Node)
	}
	owner := "no workload that we scale owns it"
	switch {
	case p.Workload != "":
		owner = "a replica of " + string(p.Workload) + " (wholescale why " + string(p.Workload) + ")"
	case p.Daemon != "":
		owner = "of DaemonSet " + p.Daemon + ": it keeps no node"
	}
	s.add("owner", owner)
	s.add("asks for", resources(p.Shape.Needs))
	if p.InFlight > 0 {
		s.add("requests", fmt.Sprintf("%d in flight", p.InFlight))
	}
	if p.Keep != "" {
		s.add("not moved", p.Keep)
	}
	for _, c := range t.decision.Costs {
		if c.Pod == p.ID {
			s.add("leaves first", says(c.Why))
		}
	}
	if p.Node == "" && p.Workload == "" && p.Daemon == "" {
		s.add("room", t.roomOfOthers()...)
	}
	return s
}

// roomOfOthers is where pods of nobody's have room; they are placed together.
func (t *Teller) roomOfOthers() []string {
	var lines []string
	for i := range t.decision.Placements {
		p := &t.decision.Placements[i]
		if placedFor(p) != "others" {
			continue
		}
		for _, s := range p.Spots {
			where := "node " + string(s.Node)
			if s.Node == "" {
				where = "a machine that is bought now from pool " + string(s.Pool)
			}
			lines = append(lines, fmt.Sprintf("for %s like it on %s, ready %s", count(s.Count, "pod"), where, inTime(s.Due, t.state.Now)))
		}
		if p.Unplaced > 0 {
			lines = append(lines, fmt.Sprintf("none for %d: %s", p.Unplaced, says(p.Why)))
		}
	}
	return lines
}
