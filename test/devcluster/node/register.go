package node

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	leaseEvery = 3 * time.Second
	leaseFor   = 10 * time.Second
	// statusEvery is how often the Ready condition is written though nothing changed; the lease is the heartbeat.
	statusEvery  = time.Minute
	registerWait = 500 * time.Millisecond
)

// register creates the Node, Ready from the start; it tries until it works, ctx ends or lostAfter passed.
func (a *agent) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lostAfter)
	defer cancel()
	for {
		err := a.registerOnce(ctx)
		if err == nil || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return err
		}
		a.Log.Warn("the node could not register yet", zap.Error(err))
		if !sleep(ctx, registerWait) {
			return err
		}
	}
}

func (a *agent) registerOnce(ctx context.Context) error {
	nodes := a.Client.CoreV1().Nodes()
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node := a.node()
	created, err := nodes.Create(call, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var old *corev1.Node
		if old, err = nodes.Get(call, a.Name, metav1.GetOptions{}); err != nil {
			return err
		}
		if old.Spec.ProviderID != a.ProviderID {
			return fmt.Errorf("the name is taken by a node with provider id %s", old.Spec.ProviderID)
		}
		// The same machine after a crash.
		created, err = nodes.Patch(call, a.Name, types.StrategicMergePatchType, a.statusPatch(node), metav1.PatchOptions{}, "status")
	}
	if err != nil {
		return err
	}
	a.uid = created.UID
	return a.renewLease(call)
}

func (a *agent) node() *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname: a.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
	}
	for key, value := range a.Labels {
		labels[key] = value
	}
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: a.CPU, corev1.ResourceMemory: a.Memory,
		corev1.ResourcePods:             *resource.NewQuantity(int64(a.Pods), resource.DecimalSI),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
	for name, n := range a.Further {
		capacity[corev1.ResourceName(name)] = *resource.NewQuantity(n, resource.DecimalSI)
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: a.Name, Labels: labels},
		Spec:       corev1.NodeSpec{ProviderID: a.ProviderID, Taints: a.Taints},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: capacity,
			Conditions: conditions(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: a.subnet.host().String()},
				{Type: corev1.NodeHostName, Address: a.Name},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: kubeletPort}},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: runtime.GOARCH, OperatingSystem: "linux", OSImage: "devcluster machine",
				KubeletVersion: "v1.37.2", ContainerRuntimeVersion: "devcluster://1",
			},
		},
	}
}

func conditions() []corev1.NodeCondition {
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	return []corev1.NodeCondition{
		condition(corev1.NodeReady, corev1.ConditionTrue, "MachineReady"),
		condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "MachineHasMemory"),
		condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "MachineHasDisk"),
		condition(corev1.NodePIDPressure, corev1.ConditionFalse, "MachineHasPIDs"),
	}
}

func (a *agent) statusPatch(node *corev1.Node) []byte {
	patch, err := json.Marshal(map[string]any{"status": node.Status})
	if err != nil {
		panic(err) // plain data
	}
	return patch
}

// heartbeat renews the lease until ctx ends, and ends the machine when the API server stays away.
func (a *agent) heartbeat(ctx context.Context) {
	answered, reported := time.Now(), time.Now()
	for sleep(ctx, leaseEvery) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		err := a.renewLease(call)
		if err == nil && time.Since(reported) > statusEvery {
			_, err = a.Client.CoreV1().Nodes().Patch(call, a.Name, types.StrategicMergePatchType, a.statusPatch(a.node()), metav1.PatchOptions{}, "status")
			reported = time.Now()
		}
		cancel()
		switch {
		case err == nil || apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
			answered = time.Now() // also a refusal is an answer
		case time.Since(answered) > lostAfter:
			a.stop(errLost)
		}
		if err != nil && ctx.Err() == nil {
			a.Log.Warn("the heartbeat failed", zap.Error(err))
		}
	}
}

func (a *agent) renewLease(ctx context.Context) error {
	leases := a.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now := metav1.NowMicro()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"renewTime": now}})
	if err != nil {
		panic(err) // plain data
	}
	_, err = leases.Patch(ctx, a.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	seconds := int32(leaseFor / time.Second)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: a.Name,
			// The collector removes it with the Node.
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: a.Name, UID: a.uid}},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &a.Name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
	_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	return err
}
