// Package devcluster starts a real Kubernetes control plane (etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler) on this machine, without containers and without root, for tests, the demo and benchmarks.
// Its nodes are processes too (package node): each takes the pods bound to it and runs their commands, on loopback
// addresses. Everything listens on 127.0.0.0/8 only. Linux only.
//
//	cluster := devcluster.Start(t, devcluster.Config{})
//	machine, err := cluster.AddNode(ctx, devcluster.NodeConfig{Name: "n1"})
//
// However the owner ends (return, panic, kill -9), a guardian process ends every process of the cluster.
package devcluster
