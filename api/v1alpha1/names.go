package v1alpha1

// The annotations of the one-annotation path, on a Deployment or StatefulSet. Each sibling means what the field of
// PodAutoscaler named beside it means, and has the same default and bounds. A PodAutoscaler for the same target wins.
const (
	// AnnotationAutoscale is "true" on a workload that Wholescale should scale.
	AnnotationAutoscale = Group + "/autoscale"

	AnnotationHost           = Group + "/host"             // hosts, separated by commas
	AnnotationPath           = Group + "/path"             // paths, separated by commas
	AnnotationPort           = Group + "/port"             // port
	AnnotationTarget         = Group + "/target"           // concurrency.target
	AnnotationLimit          = Group + "/limit"            // concurrency.limit
	AnnotationUtilization    = Group + "/utilization"      // concurrency.utilization
	AnnotationMin            = Group + "/min"              // replicas.min
	AnnotationMax            = Group + "/max"              // replicas.max
	AnnotationInitial        = Group + "/initial"          // replicas.initial
	AnnotationPolicy         = Group + "/policy"           // policy
	AnnotationWait           = Group + "/wait"             // objective.wait
	AnnotationPriority       = Group + "/priority"         // priority
	AnnotationWindow         = Group + "/window"           // windows.stable
	AnnotationScaleDownDelay = Group + "/scale-down-delay" // windows.scaleDownDelay
	AnnotationHold           = Group + "/hold"             // timeouts.hold
	AnnotationWaitingPage    = Group + "/waiting-page"     // timeouts.waitingPage
	AnnotationProbePath      = Group + "/probe-path"       // probe.path
	AnnotationH2C            = Group + "/h2c"              // h2c
)

// The marks on nodes and pods. The admission policy in deploy lets the controller change no others.
const (
	// LabelPool is on a node that belongs to a pool; its value is the NodePool's name. Without it a node is not ours.
	LabelPool = Group + "/pool"
	// LabelCapacityType says of what a provider sells how it is sold: on-demand, spot.
	LabelCapacityType = Group + "/capacity-type"
	// TaintDraining keeps new pods off a node that is being emptied.
	TaintDraining = Group + "/draining"
	// AnnotationDrain is on a node that is being emptied: since when and why.
	AnnotationDrain = Group + "/drain"
	// AnnotationDoNotDisrupt is "true" on a pod or node that must not be moved.
	AnnotationDoNotDisrupt = Group + "/do-not-disrupt"
	// AnnotationDeletionCost is Kubernetes' own: the pods with the least go first when replicas are lowered.
	AnnotationDeletionCost = "controller.kubernetes.io/pod-deletion-cost"
)

// The types of condition in status.
const (
	// ConditionReady: what was asked for stands.
	ConditionReady = "Ready"
	// ConditionReconciling: on the way to what was asked for.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: nothing will happen until somebody changes something; the message says what.
	ConditionStalled = "Stalled"
	// ConditionConflicted: another writer (an autoscaler, a person) changes the same replicas, so we stopped.
	ConditionConflicted = "Conflicted"
	// ConditionRequestsDrifted: the pods use far more or far less than they request; absent when they do not.
	ConditionRequestsDrifted = "RequestsDrifted"
)
