// Package v1alpha1 is what people write to Wholescale: PodAutoscaler for a workload, NodePool for machines, and the
// annotations that do without either. Defaults and bounds stand in the schema, so the API server refuses a bad object
// and names the field; Validate repeats them for objects that were stored all the same and for annotations.
//
// +kubebuilder:object:generate=true
// +groupName=autoscaling.wholescale.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group, and the prefix of all our annotations, labels and taints.
const Group = "autoscaling.wholescale.dev"

// GroupVersion is this package's version.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// The resources of the group.
var (
	PodAutoscalers = GroupVersion.WithResource("podautoscalers")
	NodePools      = GroupVersion.WithResource("nodepools")
)

// AddToScheme makes a scheme know the group's types.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &PodAutoscaler{}, &PodAutoscalerList{}, &NodePool{}, &NodePoolList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
