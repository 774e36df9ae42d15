// Package story tells people why things are as they are: one way from requests to replicas to nodes to money, from a State
// (what is), the Decision that Plan makes of it (what would be done now) and a log of past decisions (what was done, and
// why). It decides nothing: each word comes from a State, a Decision or a Reason.
//
// The files read top to bottom: entry and diary (the log of decisions), story (what is told, and how it looks), workload,
// node, pool and past (who it is told of), whatif (another State beside the one that is), check (what is amiss).
package story
