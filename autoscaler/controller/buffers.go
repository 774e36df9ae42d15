package controller

import (
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// capacityBuffers is declared headroom, which Cluster Autoscaler and Karpenter read too.
var capacityBuffers = schema.GroupVersionResource{Group: "autoscaling.x-k8s.io", Version: "v1beta1", Resource: "capacitybuffers"}

// activeCapacity is the one strategy that asks for room that pods can take at once; it is the default.
const activeCapacity = "buffer.x-k8s.io/active-capacity"

// buffer is a CapacityBuffer.
type buffer struct {
	bufferSpec
	namespace string
}

// bufferSpec is what we read of its spec.
type bufferSpec struct {
	ProvisioningStrategy string `json:"provisioningStrategy"`
	PodTemplateRef       *struct {
		Name string `json:"name"`
	} `json:"podTemplateRef"`
	ScalableRef *struct {
		APIGroup string `json:"apiGroup"`
		Kind     string `json:"kind"`
		Name     string `json:"name"`
	} `json:"scalableRef"`
	Replicas   *int32              `json:"replicas"`
	Percentage *int32              `json:"percentage"`
	Limits     corev1.ResourceList `json:"limits"`
}

// servesBuffers says that the cluster has the API of capacity buffers. Without it there are none.
func servesBuffers(client discovery.DiscoveryInterface) bool {
	list, err := client.ServerResourcesForGroupVersion(capacityBuffers.GroupVersion().String())
	if err != nil {
		return false
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == capacityBuffers.Resource {
			return true
		}
	}
	return false
}

func (w *world) putBuffer(u *unstructured.Unstructured) {
	b := buffer{namespace: u.GetNamespace()}
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	if runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &b.bufferSpec) != nil {
		drop(w, w.buffers, keyOf(u))
		return
	}
	put(w, w.buffers, keyOf(u), b)
}

// headroom is what the buffers ask for, sorted by id. The lock is held.
func (w *world) headroom() []autoscaler.Buffer {
	var list []autoscaler.Buffer
	for _, key := range slices.Sorted(maps.Keys(w.buffers)) {
		b := w.buffers[key]
		if b.ProvisioningStrategy != "" && b.ProvisioningStrategy != activeCapacity {
			continue
		}
		if shape, replicas, ok := w.bufferShape(&b); ok {
			if n := b.count(&shape, replicas); n > 0 {
				list = append(list, autoscaler.Buffer{ID: key, Shape: shape, Count: n})
			}
		}
	}
	return list
}

// bufferShape is what one pod of the buffer asks for, and the replicas of the workload that it is a percentage of.
func (w *world) bufferShape(b *buffer) (shape autoscaler.Shape, replicas int, ok bool) {
	switch {
	case b.PodTemplateRef != nil:
		t := w.templates[b.namespace+"/"+b.PodTemplateRef.Name]
		if t == nil {
			return shape, 0, false
		}
		return w.shapes.share(shapeOf(FitTemplate(b.namespace, &t.Template, w.lookup()))), 0, true
	case b.ScalableRef != nil:
		t := w.targets[workloadID(b.ScalableRef.Kind, b.namespace, b.ScalableRef.Name)]
		if t == nil {
			return shape, 0, false
		}
		return t.shape, t.replicas, true
	}
	return shape, 0, false
}

// count is how many pods the buffer has room for: its replicas or its percentage of the workload's, the larger where both
// are given, and no more than its limits hold. With limits alone it is what those hold.
func (b *buffer) count(shape *autoscaler.Shape, replicas int) int {
	n := -1
	if b.Replicas != nil {
		n = int(*b.Replicas)
	}
	if b.Percentage != nil {
		n = max(n, int(math.Ceil(float64(replicas)*float64(*b.Percentage)/100)))
	}
	if most, limited := b.within(shape); limited && (n < 0 || most < n) {
		n = most
	}
	return min(max(n, 0), mostBuffer)
}

// mostBuffer bounds the pods of one buffer: a slip of the pen does not buy a data centre.
const mostBuffer = 10_000

func (b *buffer) within(shape *autoscaler.Shape) (most int, limited bool) {
	most = mostBuffer
	for name, limit := range b.Limits {
		need := apiresource.NewQuantity(shape.Pod().Needs.Get(string(name)), apiresource.DecimalSI)
		if name == fit.CPU {
			need = apiresource.NewMilliQuantity(shape.Needs.CPU, apiresource.DecimalSI)
		}
		if need.Sign() > 0 {
			most, limited = min(most, int(limit.AsApproximateFloat64()/need.AsApproximateFloat64())), true
		}
	}
	return most, limited
}
