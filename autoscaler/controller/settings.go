package controller

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"go.uber.org/zap"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/cloudprovider"
)

// What follows lets others read settings as the controller does: a simulation of an object then has the very policy that
// the object would have when it is applied.

// Settings are what the core is told because of a PodAutoscaler's spec.
type Settings struct {
	Policy   autoscaler.Policy
	Priority int
	// Start is the time that a pod is assumed to take until it serves; 0 is not given. Hold is how long a request waits.
	Start, Hold time.Duration
	spec        v1alpha1.PodAutoscalerSpec
}

// SettingsOf completes a spec, as the API server does, and translates it. Its error names the first wrong field.
func SettingsOf(spec *v1alpha1.PodAutoscalerSpec) (Settings, error) {
	p := v1alpha1.PodAutoscaler{Spec: *spec.DeepCopy()}
	p.Spec.Default()
	if wrong := p.Validate(); len(wrong) > 0 {
		return Settings{}, wrong[0]
	}
	return Settings{
		Policy: policyOf(&p.Spec), Priority: int(p.Spec.Priority), Start: duration(p.Spec.PodStart), Hold: duration(p.Spec.Timeouts.Hold), spec: p.Spec,
	}, nil
}

// Floors are those that hold at now or begin next.
func (s *Settings) Floors(now time.Time) []autoscaler.Floor { return floorsAt(&s.spec, now) }

// PoolOf is the core's pool for a NodePool and what its provider offers. Budgets are those that hold at now, with no node.
func PoolOf(object *v1alpha1.NodePool, offer cloudprovider.Pool, now time.Time) (autoscaler.Pool, error) {
	o := object.DeepCopy()
	o.Spec.Default()
	if wrong := o.Validate(); len(wrong) > 0 {
		return autoscaler.Pool{}, wrong[0]
	}
	p := newPools(nil, zap.NewNop(), func() {})
	p.offers[o.Spec.Provider.Pool] = offer
	p.states[o.Spec.Provider.Pool] = poolState{PoolState: cloudprovider.PoolState{ID: o.Spec.Provider.Pool, Known: &cloudprovider.Known{}}, at: now}
	pool := p.pool(now, o)
	if pool.Unknown != "" {
		return pool, fmt.Errorf("pool %s: %s", object.Name, pool.Unknown)
	}
	return pool, nil
}

// DisruptionOf is what a NodePool allows at now, with so many nodes.
func DisruptionOf(object *v1alpha1.NodePool, now time.Time, nodes int) autoscaler.Disruption {
	s := *object.Spec.DeepCopy()
	s.Default()
	return disruption(&s.Disruption, now, nodes)
}

// ShapeOf is what a replica of a Deployment asks of a node, with the least that is assumed where its template says nothing.
func ShapeOf(d *appsv1.Deployment) autoscaler.Shape { return translateDeployment(d).shape }

// AnnotatedSpec is the spec that a Deployment's annotations make; nil without the one annotation.
func AnnotatedSpec(d *appsv1.Deployment) (*v1alpha1.PodAutoscalerSpec, error) {
	if d.Annotations[v1alpha1.AnnotationAutoscale] != "true" {
		return nil, nil
	}
	spec, err := specFromAnnotations(d.Annotations)
	if err != nil {
		return nil, err
	}
	spec.TargetRef.Name = d.Name
	return &spec, nil
}
