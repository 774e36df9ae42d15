package autoscaler

import (
	"slices"
	"strings"

	"github.com/wholescale/wholescale/autoscaler/fit"
)

// The ways between this package's nodes and pods and those that package fit knows.

// Pod is what the scheduler looks at of a pod of the shape.
func (s *Shape) Pod() *fit.Pod {
	if s.Rules != nil {
		return s.Rules
	}
	return &fit.Pod{Needs: amounts(Resources{CPU: s.Needs.CPU, Memory: s.Needs.Memory}, nil)}
}

// amounts joins resources that have a field with those that have none, sorted by name.
func amounts(r Resources, extended fit.Amounts) fit.Amounts {
	list := make(fit.Amounts, 0, 3+len(extended))
	for _, a := range []fit.Amount{{Name: fit.CPU, Value: r.CPU}, {Name: fit.Memory, Value: r.Memory}, {Name: fit.Pods, Value: r.Pods}} {
		if a.Value != 0 {
			list = append(list, a)
		}
	}
	list = append(list, extended...)
	slices.SortFunc(list, func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// machineOf is a node as the scheduler sees it, or will once it is there.
func machineOf(n *Node) fit.Node {
	m := fit.Node{Name: string(n.ID), Labels: n.Labels, Taints: n.Taints, Unschedulable: n.Cordoned, Allocatable: amounts(n.Allocatable, n.Extended)}
	return named(&m, string(n.ID)) // each kubelet gives its node that label
}

// named is a machine with the host name that it has or will have.
func named(m *fit.Node, name string) fit.Node {
	out := *m
	out.Name = name
	out.Labels = m.Labels.Or(fit.LabelHostname, name)
	return out
}

func offerOf(p *Pool) fit.Node {
	return fit.Node{Labels: p.Labels, Taints: p.Taints, Allocatable: amounts(p.Allocatable, p.Extended)}
}

// runs says that nothing of a pod of the shape and the machine alone keeps them apart.
func runs(shape *Shape, machine *fit.Node) bool { return fit.Runs(shape.Pod(), machine) == fit.None }

// unseen is a pod of the shape that takes its room and that the rules of others do not see: a daemon counts for them once it runs.
func unseen(shape *Shape) fit.Pod {
	pod := *shape.Pod()
	pod.Labels = nil
	return pod
}

// indexed is the cluster as package fit knows it: nodes by their position, pods by class. It is made when it is first
// asked for, as most plans have nothing to place.
func (v *view) indexed(s *State) *fit.Cluster {
	if v.cluster != nil {
		return v.cluster
	}
	namespaces := make(map[string]fit.Labels, len(s.Namespaces))
	for _, n := range s.Namespaces {
		namespaces[n.Name] = n.Labels
	}
	v.cluster, v.classes, v.lastOf = fit.NewCluster(namespaces), make(map[*fit.Pod]int, len(s.Workloads)), make([]known, len(s.Workloads))
	v.cluster.Grow(len(v.machines), len(s.Workloads))
	for k := range s.Daemons {
		v.daemonClasses = append(v.daemonClasses, v.cluster.Class(unseen(&s.Daemons[k].Shape)))
	}
	for i := range v.machines {
		v.cluster.AddNode(v.machines[i])
	}
	for i := range s.Nodes {
		v.addPods(s, i)
		for k := range s.Daemons {
			if runs(&s.Daemons[k].Shape, &v.machines[i]) && !v.hasDaemon(s, i, s.Daemons[k].ID) {
				v.cluster.Add(v.daemonClasses[k], i, 1)
			}
		}
	}
	return v.cluster
}

// addPods puts the pods of a node into the cluster. In the order of their ids those of one class are mostly beside each other.
func (v *view) addPods(s *State, node int) {
	class, count := 0, 0
	for _, k := range v.podsOn[node] {
		if of := v.podClass(s, k); of != class {
			if count > 0 {
				v.cluster.Add(class, node, count)
			}
			class, count = of, 0
		}
		count++
	}
	if count > 0 {
		v.cluster.Add(class, node, count)
	}
}

// known is the class of the pods of a workload that were seen last.
type known struct {
	rules *fit.Pod
	class int
}

// podClass is the class of a pod: most are like the one of their workload before.
func (v *view) podClass(s *State, pod int32) int {
	shape, w := &s.Pods[pod].Shape, v.workloadOf[pod]
	if w < 0 || shape.Rules == nil {
		return v.classOf(s, shape)
	}
	last := &v.lastOf[w]
	if last.rules != shape.Rules {
		last.rules, last.class = shape.Rules, v.classOf(s, shape)
	}
	return last.class
}

// classOf is the class of a shape. Pods that are equal share what Rules points to, so that most are found by that.
func (v *view) classOf(s *State, shape *Shape) int {
	c := v.indexed(s)
	if shape.Rules == nil {
		return c.ClassOf(shape.Pod())
	}
	class, ok := v.classes[shape.Rules]
	if !ok {
		class = c.ClassOf(shape.Rules)
		v.classes[shape.Rules] = class
	}
	return class
}
