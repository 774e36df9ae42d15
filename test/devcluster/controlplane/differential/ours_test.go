package differential

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// ours is what package fit says of a case, node by node.
type ours struct {
	pod fit.Pod
	// verdicts come from the index of the cluster, compiled from the numbers that the packer gets.
	verdicts []fit.Refusal
	compiled []bool
}

func lookup(c *testCase) controller.Lookup {
	return controller.Lookup{
		Claim: func(namespace, name string) *corev1.PersistentVolumeClaim {
			for _, claim := range c.Claims {
				if claim.Namespace == namespace && claim.Name == name {
					return claim
				}
			}
			return nil
		},
		Volume: func(name string) *corev1.PersistentVolume {
			for _, v := range c.Volumes {
				if v.Name == name {
					return v
				}
			}
			return nil
		},
		Class: func(name string) *storagev1.StorageClass {
			for _, class := range c.Classes {
				if class.Name == name {
					return class
				}
			}
			return nil
		},
		Volumes: func(class string) []*corev1.PersistentVolume {
			var list []*corev1.PersistentVolume
			for _, v := range c.Volumes {
				if v.Spec.StorageClassName == class {
					list = append(list, v)
				}
			}
			return list
		},
	}
}

func judgeOurs(c *testCase) ours {
	namespaces := map[string]fit.Labels{}
	for _, n := range c.Namespaces {
		namespaces[n.Name] = fit.NewLabels(n.Labels)
	}
	look := lookup(c)
	cluster := fit.NewCluster(namespaces)
	byName := map[string]int{}
	var open []int
	for _, n := range c.Nodes {
		byName[n.Name] = cluster.AddNode(controller.FitNode(n, c.limits(n.Name)))
		open = append(open, byName[n.Name])
	}
	for _, p := range c.Pods {
		cluster.Add(cluster.Class(controller.FitPod(p, look)), byName[p.Spec.NodeName], 1)
	}
	o := ours{pod: controller.FitPod(c.Pod, look)}
	class := cluster.Class(o.pod)
	compiled := fit.Compile(fit.Ask{Cluster: cluster, Want: []fit.Want{{Class: class, Count: 1}}, Open: open})
	rules := pack.NewRules(&compiled.Problem)
	for i, node := range open {
		o.verdicts = append(o.verdicts, cluster.Fits(class, node))
		o.compiled = append(o.compiled, rules.Allows(0, i) == pack.Fits)
	}
	return o
}

// pluginsOf are the plugins that may be behind a refusal of ours.
var pluginsOf = map[fit.Refusal][]string{
	fit.Cordoned: {"NodeUnschedulable"}, fit.Tainted: {"TaintToleration"}, fit.NodeMismatch: {"NodeAffinity"}, fit.PortTaken: {"NodePorts"},
	fit.NoRoom: {"NodeResourcesFit", "NodeVolumeLimits"}, fit.ClaimTaken: {"VolumeRestrictions"}, fit.VolumeElsewhere: {"VolumeBinding", "VolumeZone"},
	fit.NoDomain: {"PodTopologySpread"}, fit.Skewed: {"PodTopologySpread"}, fit.Alone: {"InterPodAffinity"},
	fit.Apart: {"InterPodAffinity", "VolumeRestrictions"}, fit.Repelled: {"InterPodAffinity"},
	// No node can take it: what the plugins find before they look at nodes, or at each node alike.
	fit.NoNode: {"VolumeBinding", "VolumeZone", "VolumeRestrictions", "NodeVolumeLimits"},
}
