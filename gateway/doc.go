// Package gateway is the process that requests pass through: it knows by host and path which workload a request is for,
// sends it to a pod with a free slot, and holds it in a bounded queue while there is none.
//
// One request, in the order of the files:
//
//	route.go     host and path -> workload
//	slots.go     the pod with the fewest requests in flight among those that passed a probe and have a free slot
//	queue.go     otherwise wait: first in, first out in a workload; bounded in each and in all, fair between them
//	workload.go  the one lock under which slots, queue and meter of a workload change together
//	meter.go     time-averaged concurrency (held + in flight), arrivals, service time
//	report.go    the figures of all active workloads as one wire.Report
//	link.go      the stream to the controller: reports go up, routes, endpoints and holds come down
//	probe.go     a new pod is asked by the gateway itself until it answers; only then is a request released to it
//	proxy.go     the forwarding, and refuse.go the answer when there is none
//	run.go       listeners, readiness, and the drain that loses no request
//
// Invariants, each with a test of its name: a pod never has more requests in flight from this gateway than its slots;
// each accepted request gets exactly one outcome, which is counted; a request is sent again only when no byte of it was
// sent; a client that gives up no longer counts; the loss of the controller changes nothing for requests that can still
// be served from the last routes and endpoints.
package gateway
