// Package check tests dashboards and alerts with Prometheus's own parser and engine. A module apart, so that Prometheus is
// no dependency of ours.
package check
