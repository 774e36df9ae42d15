package differential

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
	"sigs.k8s.io/yaml"
)

// testCase is a small cluster and one pod that waits in it. Its YAML is what testdata holds and what a disagreement prints.
type testCase struct {
	// Note is what the case is about.
	Note string      `json:"note,omitempty"`
	Pod  *corev1.Pod `json:"pod"`
	// Template is the pod as its workload describes it, before the API server has seen it; it may be left out.
	Template   *corev1.PodTemplateSpec         `json:"template,omitempty"`
	Nodes      []*corev1.Node                  `json:"nodes"`
	Pods       []*corev1.Pod                   `json:"pods,omitempty"`
	Namespaces []*corev1.Namespace             `json:"namespaces,omitempty"`
	Claims     []*corev1.PersistentVolumeClaim `json:"claims,omitempty"`
	Volumes    []*corev1.PersistentVolume      `json:"volumes,omitempty"`
	Classes    []*storagev1.StorageClass       `json:"classes,omitempty"`
	// Limits say how many volumes nodes can have.
	Limits []*storagev1.CSINode `json:"limits,omitempty"`
}

func (c *testCase) String() string {
	text, err := yaml.Marshal(c)
	if err != nil {
		return err.Error()
	}
	var lines []string
	dropped := []string{"architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion", "machineID", "operatingSystem", "osImage", "systemUUID"}
	for _, line := range strings.Split(string(text), "\n") {
		switch strings.TrimSpace(line) {
		case "status: {}", "resources: {}", "creationTimestamp: null", "strategy: {}", "daemonEndpoints:", "kubeletEndpoint:", "Port: 0", "nodeInfo:":
			continue
		}
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); value == ` ""` && slices.Contains(dropped, name) {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (c *testCase) copy() *testCase {
	d := *c
	d.Pod = c.Pod.DeepCopy()
	d.Nodes = copies(c.Nodes, (*corev1.Node).DeepCopy)
	d.Pods = copies(c.Pods, (*corev1.Pod).DeepCopy)
	d.Claims = copies(c.Claims, (*corev1.PersistentVolumeClaim).DeepCopy)
	d.Volumes = copies(c.Volumes, (*corev1.PersistentVolume).DeepCopy)
	return &d
}

func (c *testCase) limits(node string) *storagev1.CSINode {
	for _, l := range c.Limits {
		if l.Name == node {
			return l
		}
	}
	return nil
}

func copies[T any](list []*T, copy func(*T) *T) []*T {
	var out []*T
	for _, item := range list {
		out = append(out, copy(item))
	}
	return out
}

// admit is what the API server makes of a pod that is posted: its defaults, and the keys of labels merged into selectors.
func admit(p *corev1.Pod, validate bool) (*corev1.Pod, error) {
	p = p.DeepCopy()
	legacyscheme.Scheme.Default(p)
	var internal core.Pod
	if err := legacyscheme.Scheme.Convert(p, &internal, nil); err != nil {
		return nil, fmt.Errorf("convert pod %s: %w", p.Name, err)
	}
	nodeName, deleted, status := p.Spec.NodeName, p.DeletionTimestamp, p.Status
	ctx := genericapirequest.WithNamespace(context.Background(), p.Namespace)
	podregistry.Strategy.PrepareForCreate(ctx, &internal)
	if validate {
		if errs := podregistry.Strategy.Validate(ctx, &internal); len(errs) > 0 {
			return nil, fmt.Errorf("pod %s is not valid: %w", p.Name, asError(errs))
		}
	}
	out := &corev1.Pod{}
	if err := legacyscheme.Scheme.Convert(&internal, out, nil); err != nil {
		return nil, fmt.Errorf("convert pod %s back: %w", p.Name, err)
	}
	out.Spec.NodeName, out.DeletionTimestamp, out.Status = nodeName, deleted, status
	return out, nil
}

func asError(errs field.ErrorList) error { return errs.ToAggregate() }
