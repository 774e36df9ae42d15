// Package autoscaler decides, from one picture of a cluster, how many replicas each workload should have, on which nodes
// they have room, and which nodes to buy and to give back. It is one pure function with two drivers: the controller,
// which runs it on a cluster, and the simulator, which replays traffic through it.
//
// A driver does this, for ever:
//
//  1. Give each report of a gateway, and each start that was measured, to Memory.Observe.
//  2. When a queue forms, or a second has passed, take a picture of the cluster and call Memory.State.
//  3. d := Plan(state). The same State gives the same Decision, byte for byte.
//  4. If Check(state, d) finds anything, act on nothing and say so.
//  5. Carry out d: pod deletion costs before scales; scales and pool orders at the same time.
//  6. Memory.Keep(d): what Plan must remember comes back to it in the next State.
//
// Nothing here reads a clock, starts a goroutine, logs or knows Kubernetes' types; time comes in as State.Now. All lists
// are sorted by id, and no map is ranged over on the way to a decision. Each choice carries a Reason from a closed list
// (reason.go), with one printer (describe.go).
//
// The files read top to bottom: state, decision, reason, plan, replicas (with kpa), place, grow, shrink, drain, hold;
// check judges; memory remembers; describe prints.
package autoscaler
