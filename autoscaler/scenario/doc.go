// Package scenario is the text form of a State: what tests are written in, what a bug report holds, and what a failing
// simulation prints. One record a line; a record that is given again replaces the one of the same kind and name.
//
//	now      10:00:00                     or RFC 3339; a time of day is on 2026-01-01 UTC
//	pool     spot  cpu=4 mem=16Gi nodes=0..10 target=1 price=0.12 join=50s idle=30s labels=a=b taints=k=v:NoSchedule
//	node     n1    spot ready             a node of pool spot with the pool's size, labels and taints
//	node     n2    spot coming due=10:00:40
//	node     x     -    ready cpu=4 mem=16Gi       not ours
//	workload cart  cpu=1 mem=1Gi target=7 slots=10 replicas=3 bounds=0..40 start=4s on=n1*3 starting=n2 pending=1
//	demand   cart  5x50 28 42 queued=12 inflight=9,8,10     one value a second, the last one second ago
//	daemon   logs  cpu=100m mem=64Mi
//	pod      db    node=n1 cpu=1 mem=1Gi keep="a budget allows no eviction"
//	gone     node  n1                     takes a record away
//
// Errors name line and field. The text that Print makes reads back to the same State.
package scenario
