package local

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/wholescale/wholescale/cloudprovider"
	"github.com/wholescale/wholescale/test/devcluster"
)

// TestMachinesBecomeNodes runs real machines of a real control plane, across a restart of the provider.
func TestMachinesBecomeNodes(t *testing.T) {
	cluster := devcluster.Start(t, devcluster.Config{})
	client := kubernetes.NewForConfigOrDie(cluster.RESTConfig())
	c := Config{MachineCommand: cluster.MachineCommand(), State: t.TempDir(), Pools: []PoolConfig{{
		ID: "small", CPU: "2", Memory: "4Gi", Pods: 20, Max: 3, BootDelay: "10ms",
		Labels: map[string]string{"tier": "spot"}, Taints: []string{"only=web:NoSchedule"},
	}}}
	sweep(t, c)
	p := open(t, c)
	defer func() { p.Close() }()
	if err := set(t, p, "small", 2, "a"); err != nil {
		t.Fatal(err)
	}
	var nodes []corev1.Node
	ready := func(want int) func() bool {
		return func() bool {
			list, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{LabelSelector: poolLabel + "=small"})
			if err != nil {
				return false
			}
			nodes = slices.DeleteFunc(list.Items, func(n corev1.Node) bool {
				return !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
					return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
				})
			})
			return len(nodes) == want
		}
	}
	await(t, "two Ready nodes", ready(2))
	var ids []string
	for _, n := range nodes {
		ids = append(ids, n.Spec.ProviderID)
		if n.Labels["tier"] != "spot" || n.Status.Allocatable.Cpu().String() != "2" ||
			!slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == "only" && t.Value == "web" }) {
			t.Errorf("node %s is not as the pool says: %+v, %+v", n.Name, n.Labels, n.Spec)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, c)
	var listed []string
	for _, i := range known(t, p, "small").Instances {
		if i.Phase != cloudprovider.Running {
			t.Errorf("%+v", i)
		}
		listed = append(listed, i.ProviderID)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, listed) {
		t.Fatalf("nodes %v, instances %v", ids, listed)
	}
	if _, err := p.Delete(t.Context(), cloudprovider.Change{Pool: "small", Target: 1, Instances: ids[:1], Token: "b"}); err != nil {
		t.Fatal(err)
	}
	await(t, "one node less", ready(1))
	if nodes[0].Spec.ProviderID != ids[1] {
		t.Errorf("%s is left, want %s", nodes[0].Spec.ProviderID, ids[1])
	}
	await(t, "one instance less", func() bool { return len(known(t, p, "small").Instances) == 1 })
}
