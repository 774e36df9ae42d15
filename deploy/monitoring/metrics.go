package monitoring

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/cloudprovider/serve"
	"github.com/wholescale/wholescale/gateway"
)

// Metric is one that a process of ours shows.
type Metric struct {
	Process string // controller, gateway or provider
	Name    string
	Type    string // counter, gauge or histogram
	Labels  []string
	Help    string
}

// Series are the names under which Prometheus keeps it.
func (m Metric) Series() []string {
	if m.Type == "histogram" {
		return []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
	}
	return []string{m.Name}
}

// Metrics lists all metrics of the three processes, but those of Go and of the operating system, by process and name.
func Metrics() ([]Metric, error) {
	var list []Metric
	for _, p := range []struct {
		name   string
		sample prometheus.Gatherer
	}{{"controller", controller.MetricsSample()}, {"gateway", gateway.MetricsSample()}, {"provider", serve.MetricsSample()}} {
		families, err := p.sample.Gather()
		if err != nil {
			return nil, fmt.Errorf("gathering the metrics of the %s: %w", p.name, err)
		}
		for _, f := range families {
			labels := map[string]bool{}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = true
				}
			}
			list = append(list, Metric{Process: p.name, Name: f.GetName(), Type: strings.ToLower(f.GetType().String()), Labels: slices.Sorted(maps.Keys(labels)), Help: f.GetHelp()})
		}
	}
	return list, nil
}

// Document is docs/metrics.md.
func Document(list []Metric) string {
	var b strings.Builder
	b.WriteString(`# Metrics

Made from the code by ` + "`go test ./deploy/monitoring -update`" + `; do not edit. Each process serves these at ` + "`/metrics`" + ` of its admin
address, with those of Go and of the process. All have the prefix ` + "`wholescale_`" + `, base units, and labels whose values are bounded:
at most 1000 workloads have series of their own, and what the others have in sum is told as workload ` + "`other`" + `. One controller
shows at most 16,000 series whatever the size of the cluster, and one gateway 10,000; tests count them at 10,000 workloads.

The stages of ` + "`wholescale_cold_start_seconds`" + `: *decide*, from the report that showed the queue to the acknowledged scale; *buy*, from
the plan to the provider's acknowledgement; *join*, from the instance's creation to its ready node; *pull*, from the pod's node to its
running containers; *start*, from there to its readiness; *probe*, from the pod's address to its first answer to the gateway, which has
the start in it; *hold*, all that a request waited that went to a pod which came for it.
`)
	process := ""
	for _, m := range list {
		if m.Process != process {
			process = m.Process
			fmt.Fprintf(&b, "\n## %s%s\n| metric | type | labels | |\n| --- | --- | --- | --- |\n", strings.ToUpper(process[:1]), process[1:])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}
