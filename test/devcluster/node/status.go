package node

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// status is what the object should say now.
func (p *pod) status() *corev1.PodStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := &corev1.PodStatus{
		ObservedGeneration: p.latest.Generation,
		Phase:              p.phase(),
		Reason:             p.failure,
		HostIP:             p.agent.subnet.host().String(),
		HostIPs:            []corev1.HostIP{{IP: p.agent.subnet.host().String()}},
		StartTime:          &p.start,
	}
	if p.ip.IsValid() {
		status.PodIP = p.ip.String()
		status.PodIPs = []corev1.PodIP{{IP: p.ip.String()}}
	}
	for _, c := range p.inits {
		status.InitContainerStatuses = append(status.InitContainerStatuses, c.status())
	}
	ready := len(p.mains) > 0
	for _, c := range p.mains {
		status.ContainerStatuses = append(status.ContainerStatuses, c.status())
		ready = ready && c.ready
	}
	for _, c := range p.inits {
		ready = ready && (!c.sidecar() || c.ready)
	}
	status.Conditions = p.conditions(ready)
	return status
}

// phase needs mu.
func (p *pod) phase() corev1.PodPhase {
	if p.failure != "" {
		return corev1.PodFailed
	}
	for _, c := range p.inits {
		if c.over && !c.sidecar() && c.state.Terminated != nil && c.state.Terminated.ExitCode != 0 {
			return corev1.PodFailed
		}
	}
	begun, over, failed := false, len(p.mains) > 0, false
	for _, c := range p.mains {
		begun = begun || c.state.Running != nil || c.last.Terminated != nil
		over = over && c.over
		failed = failed || c.last.Terminated == nil || c.last.Terminated.ExitCode != 0
	}
	switch {
	case over && failed:
		return corev1.PodFailed
	case over:
		return corev1.PodSucceeded
	case begun:
		return corev1.PodRunning
	case p.worked:
		return corev1.PodFailed // told to end before it began
	}
	return corev1.PodPending
}

// conditions needs mu. A condition that others own is not touched: the patch merges by type.
func (p *pod) conditions(containersReady bool) []corev1.PodCondition {
	ready := containersReady
	for _, gate := range p.latest.Spec.ReadinessGates {
		ready = ready && conditionTrue(p.latest.Status.Conditions, gate.ConditionType)
	}
	var list []corev1.PodCondition
	for _, now := range []struct {
		kind   corev1.PodConditionType
		holds  bool
		reason string
	}{
		{corev1.PodScheduled, true, ""},
		{corev1.PodInitialized, p.initialized, "ContainersNotInitialized"},
		{corev1.ContainersReady, containersReady, "ContainersNotReady"},
		{corev1.PodReady, ready, "ContainersNotReady"},
	} {
		condition := corev1.PodCondition{Type: now.kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), ObservedGeneration: p.latest.Generation}
		if !now.holds {
			condition.Status, condition.Reason = corev1.ConditionFalse, now.reason
		}
		before := p.latest.Status.Conditions
		if p.written != nil {
			before = p.written.Conditions
		}
		for _, old := range before {
			if old.Type == now.kind && old.Status == condition.Status {
				condition.LastTransitionTime = old.LastTransitionTime
			}
		}
		list = append(list, condition)
	}
	return list
}

func conditionTrue(list []corev1.PodCondition, kind corev1.PodConditionType) bool {
	for _, condition := range list {
		if condition.Type == kind {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// status needs mu of the pod.
func (c *container) status() corev1.ContainerStatus {
	started := c.started
	status := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image,
		State: c.state, RestartCount: c.restarts, Ready: c.ready, Started: &started,
	}
	if c.init && !c.sidecar() {
		status.Ready = c.state.Terminated != nil && c.state.Terminated.ExitCode == 0
	}
	if c.state.Waiting == nil {
		status.ContainerID = c.id()
	}
	if c.state.Terminated == nil {
		status.LastTerminationState = c.last
	}
	return status
}

func sameStatus(a, b *corev1.PodStatus) bool { return equality.Semantic.DeepEqual(a, b) }

func statusPatch(uid types.UID, status *corev1.PodStatus) []byte {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "status": status})
	if err != nil {
		panic(err) // plain data
	}
	return patch
}
