package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/cloudprovider"
)

// seller is a provider of what its fields say.
type seller struct {
	cloudprovider.Provider
	err     error
	states  []cloudprovider.PoolState
	further map[string]int64
}

func (s *seller) Pools(context.Context) ([]cloudprovider.Pool, error) {
	return []cloudprovider.Pool{{ID: "m", Allocatable: cloudprovider.Resources{CPUMillis: 4000, MemoryBytes: 16 << 30, Pods: 110, Further: s.further}, Max: 10}}, s.err
}

func (s *seller) List(context.Context) ([]cloudprovider.PoolState, error) { return s.states, s.err }

func (s *seller) has(target int, instances ...cloudprovider.Instance) {
	s.states = []cloudprovider.PoolState{{ID: "m", Known: &cloudprovider.Known{Target: target, Instances: instances}}}
}

func nodePools(names ...string) map[string]*v1alpha1.NodePool {
	m := map[string]*v1alpha1.NodePool{}
	for _, name := range names {
		m[name] = &v1alpha1.NodePool{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.NodePoolSpec{Provider: v1alpha1.ProviderRef{Pool: "m"}, Nodes: v1alpha1.Bounds{Max: 5}},
		}
	}
	return m
}

func sold(s *seller) *pools { return newPools(s, zap.NewNop(), func() {}) }

func TestAPoolIsUnknownUntilTheProviderHasAnswered(t *testing.T) {
	s := &seller{err: errors.New("the cloud is away")}
	p := sold(s)
	unknown := func(now time.Time) string {
		list, _, _ := p.view(now, nodePools("a"), nil)
		return list[0].Unknown
	}
	if got := unknown(time.Now()); got != "the provider has not answered yet" {
		t.Errorf("%q", got)
	}
	p.ask(t.Context())
	if got := unknown(time.Now()); got != "the cloud is away" {
		t.Errorf("%q", got)
	}
	s.err = nil
	p.ask(t.Context())
	if got := unknown(time.Now()); got != `the provider did not list pool "m"` {
		t.Errorf("%q", got)
	}
	s.has(0)
	p.ask(t.Context())
	if got := unknown(time.Now()); got != "" {
		t.Errorf("%q though it answered", got)
	}
	s.err = errors.New("the cloud is away")
	p.ask(t.Context())
	if got := unknown(time.Now()); got != "" {
		t.Errorf("%q: one lost answer is borne", got)
	}
	if got := unknown(time.Now().Add(listMaxAge + time.Second)); got != "the cloud is away" {
		t.Errorf("%q when the last answer is old", got)
	}
}

func TestTwoNodePoolsOnOneProviderPoolAreNotBothBelieved(t *testing.T) {
	s := &seller{}
	s.has(1, cloudprovider.Instance{ProviderID: "i1", Phase: cloudprovider.Running, Created: time.Now()})
	p := sold(s)
	p.ask(t.Context())
	list, nodes, _ := p.view(time.Now(), nodePools("a", "b"), nil)
	if list[0].Unknown != "" || list[1].Unknown == "" || len(nodes) != 1 || nodes[0].Pool != "a" {
		t.Errorf("%+v %+v", list, nodes)
	}
}

func TestWhatWasOrderedAndIsNotListedIsComing(t *testing.T) {
	s := &seller{}
	s.has(1, cloudprovider.Instance{ProviderID: "i1", Phase: cloudprovider.Creating, Created: time.Now()})
	p := sold(s)
	p.ask(t.Context())
	p.acknowledged("m", 3, nil)
	list, nodes, _ := p.view(time.Now(), nodePools("a"), nil)
	if list[0].Target != 3 || len(nodes) != 3 {
		t.Fatalf("target %d, %d nodes: the order counts before the provider lists it", list[0].Target, len(nodes))
	}
	for _, n := range nodes {
		if n.Phase != autoscaler.Coming || n.Since.IsZero() {
			t.Errorf("%+v", n)
		}
	}
	p.refused("m", "no such machine now")
	list, nodes, _ = p.view(time.Now(), nodePools("a"), nil)
	if list[0].StockOut != "no such machine now" || len(nodes) != 1 {
		t.Errorf("%q, %d nodes: what cannot be had is not coming", list[0].StockOut, len(nodes))
	}
	if list, _, _ = p.view(time.Now().Add(stockOutFor+time.Second), nodePools("a"), nil); list[0].StockOut != "" {
		t.Error("never asked again")
	}
}

func TestAJoinIsMeasuredOnceAndOnlyOfAMachineThatWasSeenComing(t *testing.T) {
	s, created := &seller{}, time.Now()
	s.has(2, cloudprovider.Instance{ProviderID: "i1", Phase: cloudprovider.Running, Created: created}, cloudprovider.Instance{ProviderID: "old", Phase: cloudprovider.Running, Created: created})
	p := sold(s)
	p.ask(t.Context())
	ready := func(ids ...string) map[string]*nodeRecord {
		m := map[string]*nodeRecord{}
		for _, id := range ids {
			m[id] = &nodeRecord{Node: autoscaler.Node{ID: autoscaler.NodeID("node-" + id)}, providerID: id, ready: true}
		}
		return m
	}
	p.view(created, nodePools("a"), ready("old"))
	_, nodes, joins := p.view(created.Add(9*time.Second), nodePools("a"), ready("old", "i1"))
	if len(joins) != 1 || joins[0].took != 9*time.Second || nodes[0].ID != "node-i1" || nodes[0].Phase != autoscaler.Ready {
		t.Errorf("%+v %+v", joins, nodes)
	}
	if _, _, joins = p.view(created.Add(20*time.Second), nodePools("a"), ready("old", "i1")); len(joins) != 0 {
		t.Errorf("%+v", joins)
	}
	if _, nodes, _ = p.view(created.Add(30*time.Second), nodePools("a"), map[string]*nodeRecord{"i1": {}}); nodes[0].Phase != autoscaler.NotReady {
		t.Errorf("%s: it was ready once, so it is not coming", nodes[0].Phase)
	}
	s.has(0)
	p.ask(t.Context())
	if len(p.joined)+len(p.coming) != 0 {
		t.Errorf("%d and %d instances are remembered of none", len(p.joined), len(p.coming))
	}
}

// TestANodeThatIsNeverReadyIsGivenUp: one that was seen coming stays so, for Plan to end it; of one that was old when this
// process began nobody knows.
func TestANodeThatIsNeverReadyIsGivenUp(t *testing.T) {
	s, created := &seller{}, time.Now()
	s.has(1, cloudprovider.Instance{ProviderID: "i1", Phase: cloudprovider.Running, Created: created})
	registered := map[string]*nodeRecord{"i1": {Node: autoscaler.Node{ID: "node-i1"}, providerID: "i1"}}
	late := created.Add(autoscaler.JoinDeadline + time.Second)
	for _, seen := range []bool{true, false} {
		p := sold(s)
		p.ask(t.Context())
		want := autoscaler.NotReady
		if seen {
			p.view(created.Add(time.Minute), nodePools("a"), registered)
			want = autoscaler.Coming
		}
		p.ask(t.Context())
		if _, nodes, _ := p.view(late, nodePools("a"), registered); len(nodes) != 1 || nodes[0].Phase != want {
			t.Errorf("seen coming %v: %+v", seen, nodes)
		}
	}
}

func TestDriftIsOfLabelsThatANewNodeHas(t *testing.T) {
	labels := map[string]string{"disk": "ssd", "zone": "a"}
	for _, c := range []struct {
		has  map[string]string
		want string
	}{
		{map[string]string{"disk": "ssd", "zone": "a", "more": "x"}, ""},
		{map[string]string{"disk": "hdd", "zone": "a"}, "label disk is hdd, and a new node has ssd"},
		{map[string]string{"disk": "ssd"}, "has no label zone, and a new node has a"},
	} {
		if got := drift(labels, &nodeRecord{Node: autoscaler.Node{Labels: fit.NewLabels(c.has)}}); got != c.want {
			t.Errorf("%v: %q, want %q", c.has, got, c.want)
		}
	}
}

func TestBoundsThatCannotBeKeptMakeThePoolUnknown(t *testing.T) {
	s := &seller{}
	s.has(0)
	p := sold(s)
	p.ask(t.Context())
	objects := nodePools("a")
	objects["a"].Spec.Nodes = v1alpha1.Bounds{Min: 20, Max: 30}
	list, _, _ := p.view(time.Now(), objects, nil)
	if list[0].Unknown != "nodes.min is 20, above what can be had: 10" || list[0].Min > list[0].Max {
		t.Errorf("%+v", list[0])
	}
}

// A machine was ended and another one ordered, and the list that we have is of before both: the ended one leaves, and the
// ordered one is coming, so that nobody buys a third.
func TestAnEndedMachineIsNoneOfThoseOrdered(t *testing.T) {
	s := &seller{}
	s.has(1, cloudprovider.Instance{ProviderID: "old", Phase: cloudprovider.Running})
	p := sold(s)
	p.ask(t.Context())
	p.acknowledged("m", 0, []string{"old"})
	p.acknowledged("m", 1, nil)
	list, machines, _ := p.view(time.Now(), nodePools("a"), nil)
	if list[0].Target != 1 || len(machines) != 2 {
		t.Fatalf("target %d and %d machines, not 1 and 2", list[0].Target, len(machines))
	}
	if machines[0].Phase != autoscaler.Leaving || machines[1].Phase != autoscaler.Coming || machines[1].Instance != "" {
		t.Errorf("%+v: the ended one leaves, and the ordered one is coming", machines)
	}
}

// TestAStoppedMachineIsNoNodeUntilItResumes: one that was told to end and is stopped counts as standby, and is one that is
// coming, of its own kind, when it resumes.
func TestAStoppedMachineIsNoNodeUntilItResumes(t *testing.T) {
	s := &seller{}
	p := sold(s)
	now := time.Now()
	at := cloudprovider.Instance{ProviderID: "i1", Phase: cloudprovider.Running, Created: now.Add(-time.Hour)}
	s.has(1, at)
	p.ask(t.Context())
	nodes := map[string]*nodeRecord{"i1": {Node: autoscaler.Node{ID: "n1"}, providerID: "i1", ready: true}}
	p.view(now, nodePools("a"), nodes)
	p.acknowledged("m", 0, []string{"i1"})
	at.Phase = cloudprovider.Stopped
	s.has(0, at)
	p.ask(t.Context())
	list, machines, _ := p.view(now, nodePools("a"), nil)
	if len(machines) != 0 || list[0].Stopped != 1 || list[0].Target != 0 {
		t.Errorf("stopped: %+v, %+v", machines, list[0])
	}
	p.acknowledged("m", 2, nil)
	list, machines, _ = p.view(now, nodePools("a"), nil)
	if len(machines) != 2 || !machines[0].Resuming || machines[1].Resuming || list[0].Stopped != 0 {
		t.Errorf("two are ordered, of which the stopped one resumes: %+v, %+v", machines, list[0])
	}
	at.Phase, at.Created = cloudprovider.Creating, now
	s.has(1, at)
	p.ask(t.Context())
	nodes["i1"].ready = false
	_, machines, _ = p.view(now, nodePools("a"), nodes)
	if len(machines) != 1 || machines[0].Phase != autoscaler.Coming || !machines[0].Resuming {
		t.Errorf("resuming: %+v", machines)
	}
	nodes["i1"].ready = true
	_, machines, joins := p.view(now.Add(3*time.Second), nodePools("a"), nodes)
	if len(machines) != 1 || machines[0].Phase != autoscaler.Ready || machines[0].Resuming || len(joins) != 1 || !joins[0].resumed || joins[0].took != 3*time.Second {
		t.Errorf("resumed: %+v, %+v", machines, joins)
	}
}

// A device plugin tells of its devices when the node is Ready already: until then the machine is coming with what it will have, as long
// as a machine may take, and one that had them and lost them has none.
func TestANodeIsComingUntilItsDevicesAreThere(t *testing.T) {
	now := time.Now()
	s := &seller{further: map[string]int64{"example.com/gpu": 2, "ephemeral-storage": 100, fit.Attached("disk"): 25}}
	p := sold(s)
	s.has(2, cloudprovider.Instance{ProviderID: "m-1", Phase: cloudprovider.Running, Created: now})
	p.ask(t.Context())
	record := &nodeRecord{Node: autoscaler.Node{ID: "n-1"}, ready: true, providerID: "m-1"}
	look := func(now time.Time, has fit.Amounts) autoscaler.Node {
		r := *record
		r.Extended = has
		list, machines, _ := p.view(now, nodePools("a"), map[string]*nodeRecord{"m-1": &r})
		if want := furtherOf(s.further); !slices.Equal(list[0].Extended, want) || len(machines) != 2 || !slices.Equal(machines[1].Extended, want) {
			t.Errorf("a new machine has %v, one that is ordered %+v", list[0].Extended, machines)
		}
		return machines[0]
	}
	if n := look(now, nil); n.Phase != autoscaler.Coming || n.Extended.Get("example.com/gpu") != 2 {
		t.Errorf("without its devices it is %+v", n)
	}
	cards := fit.Amounts{{Name: "example.com/gpu", Value: 2}}
	if n := look(now, cards); n.Phase != autoscaler.Ready {
		t.Errorf("with its devices it is %+v", n)
	}
	if n := look(now, nil); n.Phase != autoscaler.Ready || n.Extended.Get("example.com/gpu") != 0 {
		t.Errorf("after it lost them it is %+v", n)
	}
	p = sold(s)
	p.ask(t.Context())
	if n := look(now.Add(autoscaler.JoinDeadline+time.Second), nil); n.Phase != autoscaler.Ready {
		t.Errorf("though they never came it is %+v", n)
	}
}
