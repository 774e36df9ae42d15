package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodAutoscalerStatus is what stands.
type PodAutoscalerStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// The replicas last asked for.
	// +optional
	DesiredReplicas *int32 `json:"desiredReplicas,omitempty"`
	// The pods that can answer.
	// +optional
	ReadyReplicas *int32 `json:"readyReplicas,omitempty"`
	// The requests held now.
	// +optional
	Queued *int32 `json:"queued,omitempty"`
	// The time that 99 of 100 requests did not wait longer for a slot, over the last 5 to 10 minutes, rounded up to half octaves.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	WaitP99 *metav1.Duration `json:"waitP99,omitempty"`
	// Why the replicas are what they are.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// What one pod is taken to need of a node.
	// +optional
	Requests *Requests `json:"requests,omitempty"`
}

// Requests is what one pod is taken to need.
type Requests struct {
	// +optional
	CPU resource.Quantity `json:"cpu,omitempty"`
	// +optional
	Memory resource.Quantity `json:"memory,omitempty"`
	// The pod template requests no CPU or no memory, so a default was assumed.
	// +optional
	Defaulted bool `json:"defaulted,omitempty"`
}
