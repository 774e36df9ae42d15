package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodePool lets Wholescale buy machines of one of the provider's pools, or of several of which any may do: then those that
// cost least together are bought. Its nodes carry the label LabelPool.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=wnp,categories=wholescale
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Target",type=integer,JSONPath=`.status.target`
// +kubebuilder:printcolumn:name="Ready-nodes",type=integer,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Coming",type=integer,JSONPath=`.status.coming`
// +kubebuilder:printcolumn:name="Price",type=number,JSONPath=`.status.pricePerHour`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must be at most 63 characters: it is a label's value"
type NodePool struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec NodePoolSpec `json:"spec"`
	// +optional
	Status NodePoolStatus `json:"status,omitempty"`
}

// NodePoolList is a list of them.
//
// +kubebuilder:object:root=true
type NodePoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodePool `json:"items"`
}

// NodePoolSpec says what may be bought.
type NodePoolSpec struct {
	// +required
	Provider ProviderRef `json:"provider"`

	// +required
	Nodes Bounds `json:"nodes"`

	// Labels of a new node, in addition to and before those that the provider tells.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`

	// Taints of a new node, in addition to those that the provider tells.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Taints []Taint `json:"taints,omitempty"`

	// Taints that a new node has until somebody takes them away (an agent that must run first): a node that has one of these
	// keys is still coming, and pods are planned there as if it had not.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	StartupTaints []Taint `json:"startupTaints,omitempty"`

	// Pools of a higher weight are bought from first, whatever they cost.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight,omitempty"`

	// The price of one node and hour, before what the provider tells, in the same currency for all pools.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	PricePerHour *float64 `json:"pricePerHour,omitempty"`

	// The time from an order to a Ready node that is assumed until it has been learned.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="must be from 0s to 1h"
	Join *metav1.Duration `json:"join,omitempty"`

	// How long a node is empty before it is given back.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be from 0s to 24h"
	IdleAfter *metav1.Duration `json:"idleAfter,omitempty"`

	// The most that all nodes of the pool together may cost an hour, where their price is known; without it there is no cap.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=100000000
	PriceCapPerHour *float64 `json:"priceCapPerHour,omitempty"`

	// Price caps by the clock, beside priceCapPerHour: the lowest that holds now bounds what is bought. Nodes that are there
	// stay; pods of the lowest priority wait.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	PriceCaps []PriceCap `json:"priceCaps,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Disruption Disruption `json:"disruption,omitempty"`
}

// Disruption says when nodes that are in use may leave, and how many at a time. Their pods' replacements serve first.
type Disruption struct {
	// How long nothing has changed on a node before its pods may move to others to save it; 0 is never. Room is left for as many
	// pods more as came in ten times as long.
	// +optional
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be from 0s to 24h"
	ConsolidateAfter *metav1.Duration `json:"consolidateAfter,omitempty"`
	// The age at which a node is replaced; without it, never.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('8760h')",message="must be from 1m to 8760h"
	ExpireAfter *metav1.Duration `json:"expireAfter,omitempty"`
	// How long a node is not ready before it is replaced, while few are so; 0 is never.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be from 0s to 24h"
	RepairAfter *metav1.Duration `json:"repairAfter,omitempty"`
	// How many nodes may leave at a time; the least that holds now. Without any it is a tenth of the pool, at least one, and
	// any number of empty ones.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Budgets []Budget `json:"budgets,omitempty"`
}

// PriceCap is the most that nodes may cost an hour, by the clock.
type PriceCap struct {
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=100000000
	PerHour float64 `json:"perHour"`
	// When it begins to hold: five fields as in crontab(5), "0 20 * * *".
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=100
	Begins string `json:"begins"`
	// For how long it holds.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="must be from 1m to 168h"
	Lasts metav1.Duration `json:"lasts"`
	// The time zone of begins, as in the IANA list.
	// +optional
	// +kubebuilder:default="UTC"
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// Budget is how many nodes may leave at a time.
type Budget struct {
	// A number, or a percentage of the pool's nodes, rounded down.
	// +required
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}|[0-9]{1,2}%|100%)$`
	// +kubebuilder:validation:MaxLength=5
	Nodes string `json:"nodes"`
	// The reasons that it is for; without any, all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:Enum=Empty;Underused;Expired;Drifted;Unhealthy
	Reasons []string `json:"reasons,omitempty"`
	// When it begins to hold: five fields as in crontab(5). Without it, it always holds.
	// +optional
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=100
	Begins string `json:"begins,omitempty"`
	// For how long it holds from then on.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="must be from 1m to 168h"
	Lasts *metav1.Duration `json:"lasts,omitempty"`
	// The time zone of begins, as in the IANA list.
	// +optional
	// +kubebuilder:default="UTC"
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// ProviderRef names what the provider sells: one of its pools, or offers.
//
// +kubebuilder:validation:XValidation:rule="has(self.pool) != has(self.offers)",message="must have one of pool and offers"
type ProviderRef struct {
	// The provider's id of the pool.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pool string `json:"pool,omitempty"`

	// Which of the provider's pools may be bought from: those that meet all that is said here, whatever is not said being
	// met by each. They share this object's bounds and price cap; one that is out of stock is passed over for the next best.
	// +optional
	Offers *Offers `json:"offers,omitempty"`
}

// Offers chooses among the pools that a provider sells.
type Offers struct {
	// The provider's ids of pools; one that ends in * is of all that begin so.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Pools []string `json:"pools,omitempty"`
	// The provider's names of machines.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Shapes []string `json:"shapes,omitempty"`
	// The zones, by the label topology.kubernetes.io/zone of what is sold.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Zones []string `json:"zones,omitempty"`
	// The capacity types (on-demand, spot), by the label LabelCapacityType or karpenter.sh/capacity-type of what is sold.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	CapacityTypes []string `json:"capacityTypes,omitempty"`
}

// Bounds is how many nodes there may be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || self.min <= self.max",fieldPath=.min,reason=FieldValueInvalid,message="must not be above nodes.max"
type Bounds struct {
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=15000
	Min int32 `json:"min,omitempty"`
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=15000
	Max int32 `json:"max"`
}

// Taint keeps pods off a node that do not tolerate it.
type Taint struct {
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Value string `json:"value,omitempty"`
	// +required
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect"`
}

// NodePoolStatus is what stands. A figure that is not known is absent.
type NodePoolStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// The nodes last asked for.
	// +optional
	Target *int32 `json:"target,omitempty"`
	// The nodes that there are.
	// +optional
	Nodes *int32 `json:"nodes,omitempty"`
	// The nodes that can take pods.
	// +optional
	Ready *int32 `json:"ready,omitempty"`
	// The nodes that are bought and not yet ready.
	// +optional
	Coming *int32 `json:"coming,omitempty"`
	// The price of one node and hour that is reckoned with.
	// +optional
	PricePerHour *float64 `json:"pricePerHour,omitempty"`
	// Why there are as many as there are.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}
