// Package differential holds the core's idea of where a pod may run against the real scheduler's: the plugins of
// kube-scheduler v1.37, run over generated objects and compared node by node. It is a module of its own, so that neither
// the control plane's binary nor the programs depend on the other's modules.
package differential
