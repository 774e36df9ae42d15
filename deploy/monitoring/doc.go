// Package monitoring is what people watch Wholescale with: the list of its metrics, Grafana dashboards and alert rules, as
// code. Its test writes them out (-update) and holds what is written equal to them; the module check beside it parses each
// query and plays each alert.
package monitoring
