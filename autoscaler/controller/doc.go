// Package controller drives autoscaler.Plan on a Kubernetes cluster: it observes, translates, plans, checks and acts. It is
// the only package that knows both Kubernetes and the core, and it holds no cloud's credential: machines are asked of a
// cloudprovider.Provider, which is another process.
//
//	world      what the API server says, kept by informers, translated when it changes
//	adopt      which objects are workloads and pools of ours, and with which settings
//	pools      what the provider says, polled, and what it was asked for
//	snapshot   the two together as an autoscaler.Cluster
//	loop       observation or tick -> Memory -> Plan -> Check -> act
//	act, task  patches, evictions and orders, each with a deadline and a back-off, one at a time for each object
//	link       the gateways' streams: reports in, routes, endpoints and holds out
//	status     conditions and Events; metrics: Prometheus
//	run        flags' values in, everything started and ended; leader election
package controller
