package controller

import (
	"slices"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/cloudprovider"
)

// started is the nodes of some instances as they will be when nobody's startup taint is on them any more; until then they are
// settling. One that was ready once has started: such a taint is then one like others. The records are the world's and stay as
// they are.
func (p *pools) started(nodes map[string]*nodeRecord, taints []v1alpha1.Taint, instances []cloudprovider.Instance) map[string]*nodeRecord {
	if len(taints) == 0 {
		return nodes
	}
	mine := make(map[string]*nodeRecord, len(instances))
	for i := range instances {
		r := nodes[instances[i].ProviderID]
		if r == nil || p.joined[instances[i].ProviderID] {
			if r != nil {
				mine[instances[i].ProviderID] = r
			}
			continue
		}
		if left := slices.DeleteFunc(slices.Clone(r.Taints), func(t autoscaler.Taint) bool { return startup(taints, t.Key) }); len(left) < len(r.Taints) {
			settling := *r
			settling.Taints, settling.settling = left, true
			r = &settling
		}
		mine[instances[i].ProviderID] = r
	}
	return mine
}

func startup(taints []v1alpha1.Taint, key string) bool {
	return slices.ContainsFunc(taints, func(t v1alpha1.Taint) bool { return t.Key == key })
}
