// Package simulator replays traffic through autoscaler.Plan on a virtual clock: the same Memory, Plan and Check that the
// controller runs, with a model in place of the cluster. It answers what a policy would have done, what it would have
// cost and who would have waited.
//
// Time is an event queue: nothing happens between two events, and while there is nothing (no request, no pod, no node)
// there is no tick either. Chance comes from one seeded stream for each entity, so that one more node does not change
// what happens to the others. The same Config gives the same Result, byte for byte.
//
// The model leaves out what docs/simulator.md lists; docs/benchmarks.md says how far it is from a real run.
package simulator
