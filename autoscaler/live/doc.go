// Package live is the page that shows the loop as it is now: requests, what is held of them, replicas, nodes, money, and why.
// It shows what it is given and changes nothing. It is served on loopback alone: whoever reaches it has come through the
// host, or through `kubectl port-forward`, which the cluster has authorised.
package live
