package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	corev1 "k8s.io/api/core/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/cloudprovider"
)

const (
	// listTimeout bounds one question to the provider; an answer older than listMaxAge is not known any more.
	listTimeout = 5 * time.Second
	listMaxAge  = 15 * time.Second
	// listEvery is how often the provider is asked while nothing is on its way, and listSoon while something is.
	listEvery = 2 * time.Second
	listSoon  = 250 * time.Millisecond
	// stockOutFor is how long a pool that was out of stock is not asked again: Cluster Autoscaler's first back-off is five
	// minutes, too long for stock that comes and goes.
	stockOutFor = time.Minute
)

// pools is what the provider says, by the provider's pool id, and what it was asked for since.
type pools struct {
	provider cloudprovider.Provider
	log      *zap.Logger
	nudge    func()

	mu       sync.Mutex
	offers   map[string]cloudprovider.Pool
	states   map[string]poolState
	asked    map[string]ask
	stockOut map[string]stockOut
	failure  string
	ended    map[string]bool // provider ids that the provider was told to end
	coming   map[string]bool // provider ids that were seen before they were a Ready node
	joined   map[string]bool // provider ids that were a Ready node once
	resting  map[string]bool // provider ids that were stopped and have not been a Ready node since
	again    chan struct{}
	// chosen are, by NodePool with offers, the provider's pools that it has chosen; resolved is each pool of the last view's
	// with its NodePool, as far as acting needs it: with one pool of the provider's.
	chosen   map[string]map[string]bool
	resolved map[autoscaler.PoolID]*v1alpha1.NodePool
}

type poolState struct {
	cloudprovider.PoolState
	at time.Time // when the question was asked
}

// ask is the last target that the provider acknowledged.
type ask struct {
	target int
	at     time.Time
}

type stockOut struct {
	until  time.Time
	reason string
}

func newPools(p cloudprovider.Provider, log *zap.Logger, nudge func()) *pools {
	return &pools{
		provider: p, log: log, nudge: nudge, offers: map[string]cloudprovider.Pool{}, states: map[string]poolState{},
		asked: map[string]ask{}, stockOut: map[string]stockOut{}, ended: map[string]bool{}, coming: map[string]bool{}, joined: map[string]bool{}, resting: map[string]bool{}, again: make(chan struct{}, 1), chosen: map[string]map[string]bool{},
		failure: "the provider has not answered yet",
	}
}

// run asks the provider until ctx ends: often while machines are on their way, seldom otherwise.
func (p *pools) run(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.again:
		case <-wait.C:
		}
		p.ask(ctx)
		wait.Reset(p.pause())
	}
}

// soon makes the next question come at once.
func (p *pools) soon() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

func (p *pools) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	at := time.Now()
	offers, err := p.provider.Pools(ctx)
	var states []cloudprovider.PoolState
	if err == nil {
		states, err = p.provider.List(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.failure != err.Error() {
			p.log.Warn("the provider did not answer", zap.Error(err))
		}
		p.failure = err.Error()
		return
	}
	p.failure = ""
	p.offers = map[string]cloudprovider.Pool{}
	for _, o := range offers {
		p.offers[o.ID] = o
	}
	changed := false
	for _, s := range states {
		if a := p.asked[s.ID]; at.Before(a.at) {
			continue // asked before the last order was acknowledged: an old picture
		}
		changed = changed || differs(p.states[s.ID].PoolState, s)
		p.states[s.ID] = poolState{PoolState: s, at: at}
		p.noteStock(s, at)
		p.noteStopped(s)
	}
	p.forget()
	if changed {
		p.nudge()
	}
}

// forget drops what is remembered of instances that are not listed any more, so that memory is bounded by what there is.
func (p *pools) forget() {
	listed := map[string]bool{}
	for _, s := range p.states {
		if s.Known == nil {
			return // nobody knows what is there
		}
		for _, i := range s.Known.Instances {
			listed[i.ProviderID] = true
		}
	}
	for _, m := range []map[string]bool{p.ended, p.coming, p.joined, p.resting} {
		maps.DeleteFunc(m, func(id string, _ bool) bool { return !listed[id] })
	}
}

func differs(a, b cloudprovider.PoolState) bool {
	if (a.Known == nil) != (b.Known == nil) || a.Known == nil {
		return true
	}
	return a.Known.Target != b.Known.Target || !slices.Equal(a.Known.Instances, b.Known.Instances)
}

// noteStopped: who is stopped begins anew as a machine that is coming.
func (p *pools) noteStopped(s cloudprovider.PoolState) {
	if s.Known == nil {
		return
	}
	for _, i := range s.Known.Instances {
		if i.Phase == cloudprovider.Stopped {
			p.resting[i.ProviderID] = true
			for _, m := range []map[string]bool{p.ended, p.coming, p.joined} {
				delete(m, i.ProviderID)
			}
		}
	}
}

// noteStock remembers that a pool ran out of stock, from the last time that it did.
func (p *pools) noteStock(s cloudprovider.PoolState, at time.Time) {
	if s.Known != nil && !s.Known.StockOutSince.IsZero() {
		if until := s.Known.StockOutSince.Add(stockOutFor); until.After(at) {
			p.stockOut[s.ID] = stockOut{until: until, reason: s.Known.StockOutReason}
		}
	}
}

func (p *pools) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		if s.Known == nil {
			continue
		}
		for _, i := range s.Known.Instances {
			if i.Phase != cloudprovider.Running && i.Phase != cloudprovider.Stopped {
				return listSoon
			}
		}
		if s.Known.Target != len(s.Known.Instances)-stopped(s.Known) {
			return listSoon
		}
	}
	return listEvery
}

// acknowledged notes the target that the provider said stands, and the instances that it was told to end: a list that was
// asked for before may still show them.
func (p *pools) acknowledged(pool string, target int, ended []string) {
	p.mu.Lock()
	for _, id := range ended {
		p.ended[id] = true
	}
	p.asked[pool] = ask{target: target, at: time.Now()}
	p.mu.Unlock()
	p.soon()
}

// refused notes that a pool has no stock.
func (p *pools) refused(pool, reason string) {
	p.mu.Lock()
	p.stockOut[pool] = stockOut{until: time.Now().Add(stockOutFor), reason: reason}
	p.mu.Unlock()
	p.soon()
}

// view is the pools and nodes as the core sees them. objects are the NodePools; nodes the Nodes by provider id.
func (p *pools) view(now time.Time, objects map[string]*v1alpha1.NodePool, nodes map[string]*nodeRecord) (list []autoscaler.Pool, machines []autoscaler.Node, joins []join) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	p.resolved = make(map[autoscaler.PoolID]*v1alpha1.NodePool, len(objects))
	maps.DeleteFunc(p.chosen, func(name string, _ map[string]bool) bool { return objects[name] == nil })
	for _, o := range p.offered(objects) {
		object, id := o.object, o.object.Spec.Provider.Pool
		pool := p.pool(now, object)
		if o.group {
			inGroup(&pool, id)
		}
		p.resolved[pool.ID] = object
		if seen[id] {
			pool.Unknown = "another NodePool uses the provider's pool " + strconv.Quote(id)
		}
		if state := p.states[id]; state.Known != nil && !seen[id] {
			pool.Target = state.Known.Target
			if a, ok := p.asked[id]; ok && a.at.After(state.at) {
				pool.Target = a.target
			}
			m, j := p.machines(now, &pool, state, p.started(nodes, object.Spec.StartupTaints, state.Known.Instances))
			machines, joins = append(machines, m...), append(joins, j...)
		}
		seen[id] = true
		list = append(list, pool)
	}
	return list, machines, joins
}

// join is a measured way of a machine from creation to a Ready node.
type join struct {
	pool autoscaler.PoolID
	took time.Duration
	// resumed: it was stopped before.
	resumed bool
}

func (p *pools) pool(now time.Time, object *v1alpha1.NodePool) autoscaler.Pool {
	s := object.Spec
	s.Default()
	offer, known := p.offers[s.Provider.Pool]
	pool := autoscaler.Pool{
		ID: autoscaler.PoolID(object.Name), Min: int(s.Nodes.Min), Max: int(s.Nodes.Max), Weight: int(s.Weight),
		Join: duration(s.Join), IdleAfter: duration(s.IdleAfter),
		Allocatable: autoscaler.Resources{CPU: offer.Allocatable.CPUMillis, Memory: offer.Allocatable.MemoryBytes, Pods: offer.Allocatable.Pods},
		Extended:    furtherOf(offer.Allocatable.Further),
	}
	if offer.Max > 0 {
		pool.Max = min(pool.Max, offer.Max)
	}
	labels := map[string]string{v1alpha1.LabelPool: object.Name}
	maps.Copy(labels, offer.Labels)
	maps.Copy(labels, s.Labels)
	pool.Labels = fit.NewLabels(labels)
	addTaint := func(key, value, effect string) {
		if e, binds := effectOf(corev1.TaintEffect(effect)); binds {
			pool.Taints = append(pool.Taints, autoscaler.Taint{Key: key, Value: value, Effect: e})
		}
	}
	for _, t := range offer.Taints {
		if !startup(s.StartupTaints, t.Key) {
			addTaint(t.Key, t.Value, t.Effect)
		}
	}
	for _, t := range s.Taints {
		addTaint(t.Key, t.Value, string(t.Effect))
	}
	if offer.PriceKnown {
		pool.PricePerHour = offer.PricePerHour
	}
	if s.PricePerHour != nil {
		pool.PricePerHour = *s.PricePerHour
	}
	pool.PriceCap = priceCap(&s, now)
	pool.Disruption = disruption(&s.Disruption, now, p.standing(s.Provider.Pool))
	pool.Unknown = p.unknown(now, s.Provider.Pool, known)
	if pool.Min > pool.Max {
		pool.Unknown = fmt.Sprintf("nodes.min is %d, above what can be had: %d", pool.Min, pool.Max)
		pool.Min = pool.Max
	}
	if out := p.stockOut[s.Provider.Pool]; now.Before(out.until) {
		pool.StockOut = out.reason
	}
	return pool
}

// unknown is why a pool's figures are not known now; empty when they are.
func (p *pools) unknown(now time.Time, id string, offered bool) string {
	state, listed := p.states[id]
	switch {
	case p.failure != "" && now.Sub(state.at) > listMaxAge:
		return p.failure
	case !offered:
		return "the provider has no pool " + strconv.Quote(id)
	case !listed:
		return "the provider did not list pool " + strconv.Quote(id)
	case state.Known == nil:
		return state.Unknown
	case now.Sub(state.at) > listMaxAge:
		return fmt.Sprintf("the provider's last answer is %s old", now.Sub(state.at).Truncate(time.Second))
	}
	return ""
}

// machines are a pool's nodes: instances with and without a Node, and those that were ordered and are not listed yet.
func (p *pools) machines(now time.Time, pool *autoscaler.Pool, state poolState, nodes map[string]*nodeRecord) (list []autoscaler.Node, joins []join) {
	pool.Stopped = stopped(state.Known)
	for _, i := range state.Known.Instances {
		if i.Phase == cloudprovider.Stopped {
			continue
		}
		n := autoscaler.Node{
			ID: autoscaler.NodeID(i.ProviderID), Phase: autoscaler.Coming, Allocatable: pool.Allocatable,
			Extended: pool.Extended, Labels: pool.Labels, Taints: pool.Taints,
		}
		r := nodes[i.ProviderID]
		if r != nil {
			n = r.Node
			n.Phase = p.nodePhase(now, r, i)
			if !p.joined[i.ProviderID] && lacks(n.Extended, pool.Extended) && now.Sub(i.Created) <= autoscaler.JoinDeadline {
				n.Phase, n.Extended = autoscaler.Coming, pool.Extended
			}
		}
		switch {
		case n.Phase == autoscaler.Coming:
			p.coming[i.ProviderID] = true
		case n.Phase == autoscaler.Ready && !p.joined[i.ProviderID]:
			p.joined[i.ProviderID] = true
			if p.coming[i.ProviderID] {
				joins = append(joins, join{pool: pool.ID, took: now.Sub(i.Created), resumed: p.resting[i.ProviderID]})
			}
			delete(p.resting, i.ProviderID)
		}
		n.Pool, n.Instance, n.Since = pool.ID, i.ProviderID, i.Created
		n.Resuming = n.Phase == autoscaler.Coming && p.resting[i.ProviderID]
		if r != nil && now.Sub(i.Created) >= driftAfter {
			n.Drifted = drift(p.offers[state.ID].Labels, r)
		}
		switch {
		case i.Phase == cloudprovider.Deleting, p.ended[i.ProviderID]:
			n.Phase = autoscaler.Leaving
		case i.Phase == cloudprovider.Failed:
			n.Phase = autoscaler.Failed
		}
		if n.Phase == autoscaler.Coming && i.ExpectedReady > 0 {
			n.Due = i.Created.Add(i.ExpectedReady)
		}
		list = append(list, n)
	}
	if pool.StockOut != "" {
		return list, joins
	}
	since := p.asked[state.ID].at
	if since.IsZero() {
		since = state.at
	}
	// A machine that is ending is none of those that the pool was told to have.
	for k := staying(list); k < pool.Target; k++ {
		resumes := pool.Stopped > 0 // the provider starts those first
		if resumes {
			pool.Stopped--
		}
		list = append(list, autoscaler.Node{
			ID: autoscaler.NodeID(fmt.Sprintf("%s/ordered-%d", pool.ID, k)), Pool: pool.ID, Phase: autoscaler.Coming,
			Allocatable: pool.Allocatable, Extended: pool.Extended, Labels: pool.Labels, Taints: pool.Taints, Since: since, Resuming: resumes,
		})
	}
	return list, joins
}

// staying counts the machines that are not ending.
func staying(list []autoscaler.Node) (n int) {
	for i := range list {
		if list[i].Phase != autoscaler.Leaving {
			n++
		}
	}
	return n
}

// driftAfter is the age from which a node can drift: were new ones not as the provider says either, to replace them would
// not help, and would begin anew at once.
const driftAfter = time.Hour

// drift is how a node differs from what the provider says of a new one; empty when it does not.
func drift(labels map[string]string, r *nodeRecord) string {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if value, ok := r.Labels.Get(key); !ok {
			return fmt.Sprintf("has no label %s, and a new node has %s", key, labels[key])
		} else if value != labels[key] {
			return fmt.Sprintf("label %s is %s, and a new node has %s", key, value, labels[key])
		}
	}
	return ""
}

// disruption is what a pool allows at now; nodes is how many it has.
func disruption(d *v1alpha1.Disruption, now time.Time, nodes int) autoscaler.Disruption {
	out := autoscaler.Disruption{
		ConsolidateAfter: duration(d.ConsolidateAfter), ExpireAfter: duration(d.ExpireAfter), RepairAfter: duration(d.RepairAfter),
	}
	for i := range d.Budgets {
		b := &d.Budgets[i]
		n, ok := b.Of(nodes)
		if !ok || !b.Holds(now) {
			continue
		}
		if len(b.Reasons) == 0 {
			out.Budgets = append(out.Budgets, autoscaler.Budget{Nodes: n})
		}
		for _, reason := range b.Reasons {
			out.Budgets = append(out.Budgets, autoscaler.Budget{For: autoscaler.LeaveReason(reason), Nodes: n})
		}
	}
	return out
}

// standing is how many instances the provider listed last.
func (p *pools) standing(id string) int {
	if k := p.states[id].Known; k != nil {
		return len(k.Instances) - stopped(k)
	}
	return 0
}

func stopped(k *cloudprovider.Known) (n int) {
	for i := range k.Instances {
		if k.Instances[i].Phase == cloudprovider.Stopped {
			n++
		}
	}
	return n
}

// nodePhase tells a node that has not been ready yet from one that is not ready any more. Of an old one that this process
// never saw coming, nobody knows; it counts as one that was ready, which is left alone.
func (p *pools) nodePhase(now time.Time, r *nodeRecord, i cloudprovider.Instance) autoscaler.Phase {
	if r.ready && !r.settling {
		return autoscaler.Ready
	}
	if p.joined[i.ProviderID] || !p.coming[i.ProviderID] && now.Sub(i.Created) > autoscaler.JoinDeadline {
		return autoscaler.NotReady
	}
	return autoscaler.Coming
}
