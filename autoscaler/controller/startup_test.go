package controller

import (
	"testing"
	"time"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/cloudprovider"
)

// TestANodeWithAStartupTaintIsComing: pods are planned on it as if the taint were gone, which is not so of other taints; and
// nothing else of the world is changed by looking.
func TestANodeWithAStartupTaintIsComing(t *testing.T) {
	s := &seller{}
	p := sold(s)
	now := time.Now()
	s.has(1, cloudprovider.Instance{ProviderID: "i1", Phase: cloudprovider.Running, Created: now})
	p.ask(t.Context())
	objects := nodePools("a")
	objects["a"].Spec.StartupTaints = []v1alpha1.Taint{{Key: "agent", Effect: "NoSchedule"}}
	r := &nodeRecord{providerID: "i1", ready: true, Node: autoscaler.Node{ID: "n1", Taints: []autoscaler.Taint{{Key: "agent", Effect: fit.NoSchedule}, {Key: "gpu", Effect: fit.NoSchedule}}}}
	_, machines, _ := p.view(now, objects, map[string]*nodeRecord{"i1": r})
	if len(machines) != 1 || machines[0].Phase != autoscaler.Coming || len(machines[0].Taints) != 1 || machines[0].Taints[0].Key != "gpu" {
		t.Errorf("%+v", machines)
	}
	if len(r.Taints) != 2 || r.settling {
		t.Errorf("the world was changed: %+v", r)
	}
	r.Taints = r.Taints[1:]
	_, machines, joins := p.view(now.Add(time.Second), objects, map[string]*nodeRecord{"i1": r})
	if machines[0].Phase != autoscaler.Ready || len(joins) != 1 {
		t.Errorf("%+v, %+v", machines, joins)
	}
	r.Taints = []autoscaler.Taint{{Key: "agent", Effect: fit.NoSchedule}}
	if _, machines, _ = p.view(now.Add(2*time.Second), objects, map[string]*nodeRecord{"i1": r}); machines[0].Phase != autoscaler.Ready || len(machines[0].Taints) != 1 {
		t.Errorf("tainted again: %+v", machines)
	}
}
