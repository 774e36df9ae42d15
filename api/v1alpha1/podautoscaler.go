package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PodAutoscaler scales one workload on the requests that are held for it and in flight.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=pa,categories=wholescale
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredReplicas`
// +kubebuilder:printcolumn:name="Ready-pods",type=integer,JSONPath=`.status.readyReplicas`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.status.queued`
// +kubebuilder:printcolumn:name="P99-wait",type=string,JSONPath=`.status.waitP99`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PodAutoscaler struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec PodAutoscalerSpec `json:"spec"`
	// +optional
	Status PodAutoscalerStatus `json:"status,omitempty"`
}

// PodAutoscalerList is a list of them.
//
// +kubebuilder:object:root=true
type PodAutoscalerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PodAutoscaler `json:"items"`
}

// PodAutoscalerSpec says what to scale, where its requests come in, and how.
type PodAutoscalerSpec struct {
	// The workload, in the same namespace.
	// +required
	TargetRef TargetRef `json:"targetRef"`

	// Host names whose requests go to this workload: lower case, without a port, exact or with one leading "*." label.
	// Without any, the name and namespace of the Service that selects the workload's pods are used.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`
	Hosts []string `json:"hosts,omitempty"`

	// Path prefixes, matched by whole segments. Without any, all paths.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:Pattern=`^/[^?#\s]*$`
	Paths []string `json:"paths,omitempty"`

	// The port of the pods, by number or by name. Without it, the Service's, or the only one that the pods have.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 && self <= 65535 : self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be a number from 1 to 65535 or the name of a port"
	Port *intstr.IntOrString `json:"port,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Concurrency Concurrency `json:"concurrency,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Replicas Replicas `json:"replicas,omitempty"`

	// The rules: wholescale has room for each request that is held or in flight at once and keeps replicas ahead of demand
	// for what its objective is worth; kpa is Knative's pod autoscaler, exactly.
	// +optional
	// +kubebuilder:default=wholescale
	Policy PolicyName `json:"policy,omitempty"`

	// What waiting is worth: the one knob of policy wholescale. It sets how many replicas are kept ahead of demand and how
	// long the last one stays.
	// +optional
	// +kubebuilder:default={}
	Objective Objective `json:"objective,omitempty"`

	// Other measures of demand than requests in flight; the largest wish wins.
	// +optional
	Signals Signals `json:"signals,omitempty"`

	// Least replicas by the clock. Replicas serve when a floor begins.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Schedule []Floor `json:"schedule,omitempty"`

	// When not all replicas of all workloads can be placed, the lowest priority goes without first.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority int32 `json:"priority,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Windows Windows `json:"windows,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Rates Rates `json:"rates,omitempty"`

	// How many requests more than now should find room at once; -1 is without limit.
	// +optional
	// +kubebuilder:default=211
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=1000000
	BurstCapacity *int32 `json:"burstCapacity,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Timeouts Timeouts `json:"timeouts,omitempty"`

	// +optional
	Probe Probe `json:"probe,omitempty"`

	// The pods speak HTTP/2 without TLS, as gRPC servers do; otherwise HTTP/1.1.
	// +optional
	H2C bool `json:"h2c,omitempty"`

	// The time from a pod's binding to its first answer that is assumed until it has been learned.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="must be from 0s to 1h"
	PodStart *metav1.Duration `json:"podStart,omitempty"`

	// Change nothing; report only.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// Objective is either a wait or a price; the price goes first where the pools' prices are known.
type Objective struct {
	// 99 of 100 requests should find a pod within this time.
	// +optional
	// +kubebuilder:default="300ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1ms') && duration(self) <= duration('1h')",message="must be from 1ms to 1h"
	Wait *metav1.Duration `json:"wait,omitempty"`
	// What a second of one request's waiting costs, in the unit of the pools' price per hour, such as "0.0001".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	Price string `json:"price,omitempty"`
}

// Signals are other measures of demand.
//
// +kubebuilder:validation:XValidation:rule="!has(self.custom) || !has(self.external) || !self.custom.exists(c, self.external.exists(e, e.name == c.name))",message="custom and external must not have a name in common"
type Signals struct {
	// The requests a second that one pod should get; 0 is off.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	RequestsPerSecond *float64 `json:"requestsPerSecond,omitempty"`
	// The CPU that pods should use, as a percentage of what they request (metrics.k8s.io). It asks for no replica beyond the
	// last one: whether that stays is for the requests to say.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	CPUPercentage *int32 `json:"cpuPercentage,omitempty"`
	// The memory that pods should use, as a percentage of what they request; as cpuPercentage.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MemoryPercentage *int32 `json:"memoryPercentage,omitempty"`
	// Metrics of the pods, or of another object in the namespace (custom.metrics.k8s.io). The controller needs the right to
	// get each: the chart's controller.metrics.custom.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Custom []CustomMetric `json:"custom,omitempty"`
	// Metrics of what is outside of the cluster (external.metrics.k8s.io), such as the length of a queue. Their sum is shared
	// among the pods. The controller needs the right to get each: the chart's controller.metrics.external.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	External []ExternalMetric `json:"external,omitempty"`
}

// CustomMetric is a metric of Kubernetes objects.
type CustomMetric struct {
	// What it is called in reasons.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['cpu', 'memory'])",message="must not be cpu or memory, which have settings of their own"
	Name string `json:"name"`
	// The metric's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Metric string `json:"metric"`
	// The object that it is of, whose value is shared among the pods. Without it, the metric is of each pod of the workload.
	// +optional
	Object *MetricObject `json:"object,omitempty"`
	// Which of the metric's series, when it has several.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// How much of it one pod should have: a quantity above 0, such as "500m" or "30".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity above 0"
	Target string `json:"target"`
}

// MetricObject names an object in the same namespace.
type MetricObject struct {
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ExternalMetric is a metric of no Kubernetes object.
type ExternalMetric struct {
	// What it is called in reasons.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['cpu', 'memory'])",message="must not be cpu or memory, which have settings of their own"
	Name string `json:"name"`
	// The metric's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Metric string `json:"metric"`
	// Which of the metric's series, when it has several.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// How much of it one pod should have: a quantity above 0, such as "500m" or "30".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity above 0"
	Target string `json:"target"`
}

// Floor is a least number of replicas by the clock.
type Floor struct {
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// When it begins: five fields as in crontab(5), "0 8 * * mon-fri".
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
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Replicas int32 `json:"replicas"`
}

// TargetRef names a workload with a scale subresource.
type TargetRef struct {
	// +optional
	// +kubebuilder:default="apps/v1"
	// +kubebuilder:validation:MaxLength=253
	APIVersion string `json:"apiVersion,omitempty"`
	// +optional
	// +kubebuilder:default=Deployment
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Concurrency is how many requests a pod should and can take at once.
//
// +kubebuilder:validation:XValidation:rule="!has(self.target) || !has(self.limit) || self.limit == 0 || self.target <= double(self.limit)",fieldPath=.target,reason=FieldValueInvalid,message="must not be above concurrency.limit"
type Concurrency struct {
	// The requests in flight that a pod should have at full use. Without it: the limit, or 100 when there is none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=1000000
	Target *float64 `json:"target,omitempty"`
	// Learn the target from throughput and latency, beginning with it and never above the limit; policy wholescale.
	// +optional
	Auto bool `json:"auto,omitempty"`
	// The most requests in flight that a pod is ever sent; 0 is without limit.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Limit int32 `json:"limit,omitempty"`
	// The percentage of the target to aim for, so that there is room while more pods come.
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Utilization int32 `json:"utilization,omitempty"`
}

// Replicas bounds the replicas.
//
// +kubebuilder:validation:XValidation:rule="!has(self.max) || self.max == 0 || !has(self.min) || self.min <= self.max",fieldPath=.min,reason=FieldValueInvalid,message="must not be above replicas.max"
// +kubebuilder:validation:XValidation:rule="!has(self.max) || self.max == 0 || !has(self.initial) || self.initial <= self.max",fieldPath=.initial,reason=FieldValueInvalid,message="must not be above replicas.max"
// +kubebuilder:validation:XValidation:rule="!has(self.max) || self.max == 0 || !has(self.activation) || self.activation <= self.max",fieldPath=.activation,reason=FieldValueInvalid,message="must not be above replicas.max"
type Replicas struct {
	// The least; 0 lets an idle workload go to zero.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Min int32 `json:"min,omitempty"`
	// The most; 0 is without limit.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Max int32 `json:"max,omitempty"`
	// The replicas of a workload that was just put under our care. Without it, those that it has.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Initial *int32 `json:"initial,omitempty"`
	// The least when there is any demand.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Activation int32 `json:"activation,omitempty"`
}

// PolicyName chooses the rules.
//
// +kubebuilder:validation:Enum=wholescale;kpa
type PolicyName string

// The policies.
const (
	PolicyWholescale PolicyName = "wholescale"
	PolicyKPA        PolicyName = "kpa"
)

// Windows are the times over which averages run and decisions wait.
type Windows struct {
	// The window of the calm average.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('6s') && duration(self) <= duration('1h')",message="must be from 6s to 1h"
	Stable *metav1.Duration `json:"stable,omitempty"`
	// The panic window as a percentage of the stable one.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	PanicPercentage *float64 `json:"panicPercentage,omitempty"`
	// The percentage of what the ready pods can take at which panic begins.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=110
	// +kubebuilder:validation:Maximum=1000
	PanicThreshold *float64 `json:"panicThreshold,omitempty"`
	// The largest wish of this long ago still holds.
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="must be from 0s to 1h"
	ScaleDownDelay *metav1.Duration `json:"scaleDownDelay,omitempty"`
	// The last replica stays this long beyond an idle stable window.
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be from 0s to 24h"
	ZeroRetention *metav1.Duration `json:"zeroRetention,omitempty"`
}

// Rates bound one step of the replicas.
type Rates struct {
	// At most this many times the ready pods.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=1000000
	Up *float64 `json:"up,omitempty"`
	// At least the ready pods divided by this.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=1000000
	Down *float64 `json:"down,omitempty"`
	// At most so many more replicas in a period of policy wholescale; without it there is no such bound.
	// +optional
	Ramp *Ramp `json:"ramp,omitempty"`
	// The percentage by which the wish may differ from the replicas without a change, in policy wholescale.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	TolerancePercentage int32 `json:"tolerancePercentage,omitempty"`
}

// Ramp is the most replicas that are added in a period.
type Ramp struct {
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Replicas int32 `json:"replicas"`
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be from 1s to 1h"
	Period metav1.Duration `json:"period"`
}

// Timeouts bound how long a request may take.
type Timeouts struct {
	// The longest that a request is held while capacity comes.
	// +optional
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be from 1s to 1h"
	Hold *metav1.Duration `json:"hold,omitempty"`
	// A browser that was held for so long is shown a page that says when to expect an answer, and asks again by itself.
	// Without it a browser is held like any other client.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="must be from 100ms to 1h"
	WaitingPage *metav1.Duration `json:"waitingPage,omitempty"`
	// From the release of a request to the first byte of the answer. Without it there is no bound.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10ms') && duration(self) <= duration('24h')",message="must be from 10ms to 24h"
	Response *metav1.Duration `json:"response,omitempty"`
}

// Probe is what the gateway asks of a new pod before the first request.
type Probe struct {
	// The path that must answer 2xx. Without it, a TCP connection is enough.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[^#\s]*$`
	Path string `json:"path,omitempty"`
}
