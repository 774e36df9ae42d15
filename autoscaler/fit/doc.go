// Package fit says where a pod may run, as the Kubernetes scheduler of v1.37 would: a closed list of refusals, for a node
// that is there and for a machine that could be bought.
//
// What concerns one pod and one node alone (name, cordon, taints, selector and affinity, the places of volumes) is Runs.
// What concerns the pods around it (room, ports, affinity, anti-affinity both ways, spread) needs a Cluster: an index by
// classes of equal pods, so that it costs what the classes cost and not what the pods cost.
//
// To place pods: put nodes and what runs on them into a Cluster, Compile what is wanted without offers and let package pack
// solve it, which fills the nodes as the scheduler would at once; put that into the Cluster, and Compile the rest with
// offers. With offers the zones and hosts that could be bought count as empty domains, so that a pod which spreads is kept
// for them: right for what is bought, wrong for a node that has room now.
//
// Preferences are not here: they never keep a pod off a node. What the package does not understand is not guessed: such a
// pod carries the reason in Pod.Foreign and fits nowhere.
package fit
