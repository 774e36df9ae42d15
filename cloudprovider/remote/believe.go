package remote

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/cloudprovider"
)

const (
	// mostPools and mostInstances are more than any cluster has (Kubernetes ends at 5,000 nodes), and little memory.
	mostPools     = 1000
	mostInstances = 20000
	mostFurther   = 1e15 // of one resource
)

// fromWirePools reads the offers. One bad offer fails them all: which of them is a lie cannot be known.
func fromWirePools(from []*wire.Pool) ([]cloudprovider.Pool, error) {
	if len(from) > mostPools {
		return nil, fmt.Errorf("the provider names %d pools, more than %d", len(from), mostPools)
	}
	pools := make([]cloudprovider.Pool, 0, len(from))
	seen := map[string]bool{}
	for _, w := range from {
		a := w.GetAllocatable()
		p := cloudprovider.Pool{
			ID: w.GetId(), Shape: w.GetShape(), Labels: w.GetLabels(), Max: int(w.GetMax()),
			Allocatable: cloudprovider.Resources{CPUMillis: a.GetCpuMillis(), MemoryBytes: a.GetMemoryBytes(), Pods: a.GetPods(), Further: a.GetFurther()},
		}
		for _, t := range w.GetTaints() {
			p.Taints = append(p.Taints, cloudprovider.Taint{Key: t.GetKey(), Value: t.GetValue(), Effect: t.GetEffect()})
		}
		if w.PricePerHour != nil {
			p.PricePerHour, p.PriceKnown = w.GetPricePerHour(), true
		}
		switch {
		case p.ID == "" || seen[p.ID]:
			return nil, fmt.Errorf("the provider names pool %q twice or without an id", p.ID)
		case p.Max > mostInstances:
			return nil, fmt.Errorf("the provider offers %d machines in pool %q, more than %d", p.Max, p.ID, mostInstances)
		case p.Allocatable.CPUMillis <= 0 || p.Allocatable.MemoryBytes <= 0 || p.Allocatable.Pods <= 0:
			return nil, fmt.Errorf("the provider offers machines without room in pool %q: %+v", p.ID, p.Allocatable)
		case !believable(p.Allocatable.Further):
			return nil, fmt.Errorf("the provider offers machines in pool %q with further resources that cannot be: %v", p.ID, p.Allocatable.Further)
		case p.PriceKnown && !(p.PricePerHour >= 0 && p.PricePerHour <= 1e6):
			return nil, fmt.Errorf("the provider asks the price %v in pool %q", p.PricePerHour, p.ID)
		}
		seen[p.ID] = true
		pools = append(pools, p)
	}
	slices.SortFunc(pools, func(a, b cloudprovider.Pool) int { return strings.Compare(a.ID, b.ID) })
	return pools, nil
}

// believable: not too many further resources, each with a name of its own and an amount that a machine can have.
func believable(further map[string]int64) bool {
	for name, n := range further {
		if n < 0 || n > mostFurther || name == "" || len(name) > 316 || name == "cpu" || name == "memory" || name == "pods" {
			return false
		}
	}
	return len(further) <= 64
}

// fromWireStates reads what is there. A pool about which something cannot be true is unknown, with the reason; an
// instance that two pools claim makes both unknown.
func fromWireStates(from []*wire.PoolState) ([]cloudprovider.PoolState, error) {
	if len(from) > mostPools {
		return nil, fmt.Errorf("the provider names %d pools, more than %d", len(from), mostPools)
	}
	states := make([]cloudprovider.PoolState, 0, len(from))
	ids := map[string]bool{}
	owner := map[string]int{}
	for at, w := range from {
		if w.GetId() == "" || ids[w.GetId()] {
			return nil, fmt.Errorf("the provider names pool %q twice or without an id", w.GetId())
		}
		ids[w.GetId()] = true
		s := cloudprovider.PoolState{ID: w.GetId()}
		k, reason := fromWireKnown(w)
		if reason == "" {
			s.Known = k
		}
		s.Unknown = reason
		states = append(states, s)
		if k == nil {
			continue
		}
		for _, i := range k.Instances {
			if other, taken := owner[i.ProviderID]; taken {
				for _, both := range []int{other, at} {
					states[both].Known = nil
					states[both].Unknown = fmt.Sprintf("the provider names instance %q twice", i.ProviderID)
				}
			}
			owner[i.ProviderID] = at
		}
	}
	slices.SortFunc(states, func(a, b cloudprovider.PoolState) int { return strings.Compare(a.ID, b.ID) })
	return states, nil
}

// fromWireKnown returns nil and why when the pool is not known.
func fromWireKnown(w *wire.PoolState) (*cloudprovider.Known, string) {
	k := w.GetKnown()
	if k == nil {
		if reason := w.GetUnknown().GetReason(); reason != "" {
			return nil, reason
		}
		return nil, "the provider gave no reason"
	}
	if k.GetTarget() > mostInstances || len(k.GetInstances()) > mostInstances {
		return nil, fmt.Sprintf("the provider says target %d and %d instances, more than %d", k.GetTarget(), len(k.GetInstances()), mostInstances)
	}
	known := &cloudprovider.Known{Target: int(k.GetTarget())}
	for _, i := range k.GetInstances() {
		at := cloudprovider.Instance{
			ProviderID: i.GetProviderId(), Phase: cloudprovider.Phase(i.GetPhase()), Message: i.GetMessage(),
			ExpectedReady: min(max(i.GetExpectedReady().AsDuration(), 0), 24*time.Hour),
		}
		if at.ProviderID == "" || at.Phase < cloudprovider.Creating || at.Phase > cloudprovider.Stopped || i.GetCreated().CheckValid() != nil {
			return nil, fmt.Sprintf("the provider names instance %q with phase %s and no proper time", at.ProviderID, i.GetPhase())
		}
		at.Created = i.GetCreated().AsTime()
		known.Instances = append(known.Instances, at)
	}
	slices.SortFunc(known.Instances, func(a, b cloudprovider.Instance) int { return strings.Compare(a.ProviderID, b.ProviderID) })
	if out := k.GetStockOut(); out != nil {
		known.StockOutSince, known.StockOutReason = out.GetSince().AsTime(), out.GetReason()
	}
	return known, ""
}
