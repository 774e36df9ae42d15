package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Dashboard is one of Grafana's, as far as it is used here.
type Dashboard struct {
	UID, Title, Description string
	// Variables are chosen on top; each is a label of a metric.
	Variables []Variable
	Rows      []Row
}

// Variable is a label's values to choose from.
type Variable struct{ Name, Metric, Label string }

// Row is panels side by side under a heading.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is a plot over time, or one number.
type Panel struct {
	Title string
	// Help stands behind the panel's question mark.
	Help string
	// Unit is Grafana's name of it: short, s, percentunit, reqps, currencyUSD.
	Unit string
	// Number shows the last value alone.
	Number bool
	// Stack puts the plots on top of each other.
	Stack   bool
	Queries []Query
}

// Query is PromQL and what its result is called.
type Query struct{ Expr, Legend string }

// Dashboards lists them by the name of their file.
func Dashboards() map[string]Dashboard {
	return map[string]Dashboard{"loop": loop(), "workload": workload(), "nodes": nodes(), "health": health()}
}

func one(title, unit, help string, queries ...Query) Panel {
	return Panel{Title: title, Unit: unit, Help: help, Queries: queries}
}

func number(title, unit, expr string) Panel {
	return Panel{Title: title, Unit: unit, Number: true, Queries: []Query{{expr, ""}}}
}

func coldQuantiles(q string) Query {
	return Query{fmt.Sprintf("histogram_quantile(%s, sum by (le, stage) (rate(wholescale_cold_start_seconds_bucket[$__rate_interval])))", q), "{{stage}}"}
}

func loop() Dashboard {
	return Dashboard{
		UID: "wholescale-loop", Title: "Wholescale / The loop", Description: "Requests, what is held of them, replicas, nodes, money: one row each.",
		Rows: []Row{
			{"Now", []Panel{
				number("Requests a second", "reqps", "sum(wholescale_workload_requests_per_second)"),
				number("Held", "short", "sum(wholescale_workload_requests_held)"),
				number("In flight", "short", "sum(wholescale_workload_requests_in_flight)"),
				number("Replicas", "short", "sum(wholescale_workload_replicas_wanted)"),
				number("Nodes", "short", "sum(wholescale_pool_nodes)"),
				number("Money an hour", "short", "sum(wholescale_pool_price_per_hour)"),
			}},
			{"Requests", []Panel{
				{Title: "By outcome", Unit: "reqps", Stack: true, Help: "Each request has one outcome.", Queries: []Query{{"sum by (outcome) (rate(wholescale_gateway_requests_total[$__rate_interval]))", "{{outcome}}"}}},
				one("Held and in flight", "short", "Held requests wait in gateways for a pod with a free slot.",
					Query{"sum(wholescale_workload_requests_held)", "held"}, Query{"sum(wholescale_workload_requests_in_flight)", "in flight"}),
				one("How long held requests waited", "s", "",
					Query{"histogram_quantile(0.5, sum by (le) (rate(wholescale_gateway_hold_seconds_bucket[$__rate_interval])))", "half"},
					Query{"histogram_quantile(0.99, sum by (le) (rate(wholescale_gateway_hold_seconds_bucket[$__rate_interval])))", "99 of 100"}),
			}},
			{"Replicas and nodes", []Panel{
				one("Replicas", "short", "", Query{"sum(wholescale_workload_replicas_wanted)", "wanted"}, Query{"sum(wholescale_workload_replicas_ready)", "ready"},
					Query{"sum(wholescale_workload_replicas_unplaced)", "without room"}),
				{Title: "Nodes", Unit: "short", Stack: true, Queries: []Query{{"sum by (phase) (wholescale_pool_nodes)", "{{phase}}"}}},
				{Title: "Money an hour", Unit: "short", Stack: true, Help: "What of the price is of no use, by kind, and the rest.", Queries: []Query{
					{"sum by (kind) (wholescale_pool_waste_per_hour)", "{{kind}}"}, {"sum(wholescale_pool_price_per_hour) - sum(wholescale_pool_waste_per_hour)", "of use"}}},
			}},
			{"Cold starts", []Panel{
				one("By stage, half of them", "s", "Hold is the whole; the others are parts of it, and probe has the start in it.", coldQuantiles("0.5")),
				one("By stage, 99 of 100", "s", "", coldQuantiles("0.99")),
				one("Cold starts a second", "short", "", Query{`sum(rate(wholescale_cold_start_seconds_count{stage="hold"}[$__rate_interval]))`, "requests that waited for a new pod"}),
			}},
		},
	}
}

func workload() Dashboard {
	const of = `{namespace="$namespace", workload="$workload"}`
	const at = `{workload="$namespace/$workload"}`
	return Dashboard{
		UID: "wholescale-workload", Title: "Wholescale / Workload", Description: "One workload: its requests, replicas, the rule that decided, its money.",
		Variables: []Variable{{"namespace", "wholescale_workload_replicas_wanted", "namespace"}, {"workload", `wholescale_workload_replicas_wanted{namespace="$namespace"}`, "workload"}},
		Rows: []Row{
			{"Requests", []Panel{
				{Title: "By outcome", Unit: "reqps", Stack: true, Queries: []Query{{"sum by (outcome) (rate(wholescale_gateway_requests_total" + at + "[$__rate_interval]))", "{{outcome}}"}}},
				one("Held and in flight", "short", "", Query{"wholescale_workload_requests_held" + of, "held"}, Query{"wholescale_workload_requests_in_flight" + of, "in flight"},
					Query{"wholescale_workload_requests_average" + of, "average over the stable window"}),
				one("In flight that a pod is planned with", "short", "", Query{"wholescale_workload_concurrency_target" + of, "target"}),
			}},
			{"Replicas", []Panel{
				one("Replicas", "short", "", Query{"wholescale_workload_replicas_wanted" + of, "wanted"}, Query{"wholescale_workload_replicas_ready" + of, "ready"},
					Query{"wholescale_workload_replicas_unplaced" + of, "without room"}),
				{Title: "The rule that decided", Unit: "short", Stack: true, Queries: []Query{{"wholescale_workload_rule" + of, "{{rule}}"}}},
				one("Why nothing happens", "short", "", Query{"wholescale_workload_blocked" + of, "blocked"}, Query{"wholescale_workload_refused" + of, "requests refused"},
					Query{"wholescale_workload_signals_unknown" + of, "signals unknown"}),
			}},
			{"Money and time", []Panel{
				one("Money an hour", "short", "Its pods' share of the price of their nodes.", Query{"wholescale_workload_price_per_hour" + of, ""}),
				one("Time to start that is planned with", "s", "", Query{"wholescale_workload_start_seconds" + of, ""}),
				one("Pods in the gateways", "short", "", Query{"sum by (probed) (wholescale_gateway_pods" + at + ")", "probed {{probed}}"}),
			}},
		},
	}
}

func nodes() Dashboard {
	return Dashboard{
		UID: "wholescale-nodes", Title: "Wholescale / Nodes and money", Description: "Pools, what they cost, and what of it is of no use.",
		Variables: []Variable{{"pool", "wholescale_pool_target", "pool"}},
		Rows: []Row{
			{"All pools", []Panel{
				{Title: "Money an hour by pool", Unit: "short", Stack: true, Queries: []Query{{"sum by (pool) (wholescale_pool_price_per_hour)", "{{pool}}"}, {"max(wholescale_price_cap_per_hour) > 0", "cap"}}},
				{Title: "Of no use", Unit: "short", Stack: true, Queries: []Query{{"sum by (kind) (wholescale_pool_waste_per_hour)", "{{kind}}"}}},
				one("Share of no use", "percentunit", "", Query{"sum(wholescale_pool_waste_per_hour) / sum(wholescale_pool_price_per_hour)", ""}),
			}},
			{"Pool $pool", []Panel{
				{Title: "Nodes", Unit: "short", Stack: true, Queries: []Query{{`sum by (phase) (wholescale_pool_nodes{pool="$pool"})`, "{{phase}}"}}},
				one("Target and bound", "short", "", Query{`max(wholescale_pool_target{pool="$pool"})`, "target"}, Query{`max(wholescale_pool_nodes_max{pool="$pool"})`, "most"},
					Query{`sum(wholescale_provider_pool_target{pool="$pool"})`, "target at the provider"}),
				one("Leaving", "short", "", Query{`max(wholescale_pool_nodes_draining{pool="$pool"})`, "draining"}, Query{`max(wholescale_pool_nodes_empty{pool="$pool"})`, "empty"}),
				one("Why nothing is bought", "short", "", Query{`max(wholescale_pool_unknown{pool="$pool"})`, "unknown"}, Query{`max(wholescale_pool_out_of_stock{pool="$pool"})`, "out of stock"}),
			}},
			{"The way of an order", []Panel{
				one("Orders by rule", "short", "", Query{"sum by (direction, rule) (increase(wholescale_orders_total[$__rate_interval]))", "{{direction}} {{rule}}"}),
				one("Buying and joining, 9 of 10", "s", "", Query{`histogram_quantile(0.9, sum by (le, stage) (rate(wholescale_cold_start_seconds_bucket{stage=~"buy|join"}[$__rate_interval])))`, "{{stage}}"},
					Query{"max by (pool) (wholescale_pool_join_seconds)", "planned with, {{pool}}"}),
				one("Orders by result", "short", "", Query{"sum by (kind, result) (increase(wholescale_provider_orders_total[$__rate_interval]))", "{{kind}} {{result}}"},
					Query{"sum(increase(wholescale_provider_order_seconds_count[$__rate_interval]))", "all"}),
				one("Instances at the provider", "short", "", Query{"sum by (phase) (wholescale_provider_pool_instances)", "{{phase}}"}, Query{"min(wholescale_provider_pool_known)", "known"}),
			}},
		},
	}
}

func health() Dashboard {
	return Dashboard{
		UID: "wholescale-health", Title: "Wholescale / Health of the loop", Description: "Whether decisions are made, how fast, why, and what of them fails.",
		Rows: []Row{
			{"Decisions", []Panel{
				one("Since the last decision", "s", "", Query{"time() - max(wholescale_last_plan_timestamp_seconds)", ""}),
				one("How long a decision takes, 99 of 100", "s", "", Query{"histogram_quantile(0.99, sum by (le, cause) (rate(wholescale_plan_duration_seconds_bucket[$__rate_interval])))", "{{cause}}"}),
				one("Decisions not carried out", "short", "Each is a bug.", Query{"sum(increase(wholescale_check_violations_total[$__rate_interval]))", ""}),
				one("Workloads", "short", "", Query{"max(wholescale_workloads)", "scaled"}, Query{"sum(wholescale_workload_blocked)", "blocked"}, Query{"sum(wholescale_workload_refused)", "refused"}),
			}},
			{"Why", []Panel{
				{Title: "Rules that decide replicas", Unit: "short", Stack: true, Queries: []Query{{`sum by (rule) (wholescale_reasons{about="replicas", role="decided"})`, "{{rule}}"}}},
				{Title: "Rules about nodes", Unit: "short", Stack: true, Queries: []Query{{`sum by (rule) (wholescale_reasons{about=~"node|pool", role="decided"})`, "{{rule}}"}}},
				{Title: "Why pods have no room", Unit: "short", Stack: true, Queries: []Query{{`sum by (rule) (wholescale_reasons{about="placement"})`, "{{rule}}"}}},
				{Title: "Scales written, by rule", Unit: "short", Stack: true, Queries: []Query{{"sum by (direction, rule) (increase(wholescale_scales_total[$__rate_interval]))", "{{direction}} {{rule}}"}}},
			}},
			{"Its neighbours", []Panel{
				one("Gateways", "short", "", Query{"max(wholescale_gateways)", "connected, says the controller"}, Query{"sum(wholescale_gateway_link_connected)", "connected, say they"}, Query{"max(wholescale_demand_stale)", "demand stale"}),
				one("Writing scales, asking the provider: 99 of 100", "s", "", Query{"histogram_quantile(0.99, sum by (le) (rate(wholescale_scale_write_seconds_bucket[$__rate_interval])))", "report to scale"},
					Query{"histogram_quantile(0.99, sum by (le) (rate(wholescale_provider_call_seconds_bucket[$__rate_interval])))", "plan to provider's answer"}),
				one("What fails", "short", "", Query{"sum by (kind) (increase(wholescale_task_errors_total[$__rate_interval]))", "{{kind}}"},
					Query{"sum(increase(wholescale_gateway_redialled_total[$__rate_interval]))", "pods that could not be dialled"}, Query{"sum(increase(wholescale_gateway_endpoints_refused_total[$__rate_interval]))", "addresses refused"}),
				one("Turned away", "reqps", "Requests that belong to no workload.", Query{"sum by (reason) (rate(wholescale_gateway_turned_away_total[$__rate_interval]))", "{{reason}}"}),
			}},
		},
	}
}

type object = map[string]any

// JSON is the dashboard as Grafana reads it.
func (d Dashboard) JSON() ([]byte, error) {
	source := object{"type": "prometheus", "uid": "${datasource}"}
	variables := []any{object{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}}
	for _, v := range d.Variables {
		query := fmt.Sprintf("label_values(%s, %s)", v.Metric, v.Label)
		variables = append(variables, object{"name": v.Name, "label": strings.ToUpper(v.Name[:1]) + v.Name[1:], "type": "query", "datasource": source, "query": object{"query": query, "refId": v.Name}, "definition": query, "refresh": 2, "sort": 1})
	}
	const width = 24
	var panels []any
	y, id := 0, 1
	for _, row := range d.Rows {
		panels = append(panels, object{"id": id, "type": "row", "title": row.Title, "collapsed": false, "gridPos": object{"x": 0, "y": y, "w": width, "h": 1}, "panels": []any{}})
		y, id = y+1, id+1
		w, h := width/len(row.Panels), 8
		if row.Panels[0].Number {
			h = 4
		}
		for i, p := range row.Panels {
			panels = append(panels, p.json(id, source, object{"x": i * w, "y": y, "w": w, "h": h}))
			id++
		}
		y += h
	}
	return json.MarshalIndent(object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"wholescale"}, "schemaVersion": 39, "version": 1, "editable": true,
		"refresh": "10s", "time": object{"from": "now-1h", "to": "now"}, "graphTooltip": 1, "templating": object{"list": variables}, "panels": panels,
	}, "", " ")
}

func (p Panel) json(id int, source, at object) object {
	var targets []any
	for i, q := range p.Queries {
		t := object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.Expr}
		if q.Legend != "" {
			t["legendFormat"] = q.Legend
		}
		targets = append(targets, t)
	}
	custom := object{"fillOpacity": 10, "showPoints": "never"}
	if p.Stack {
		custom = object{"fillOpacity": 40, "showPoints": "never", "stacking": object{"mode": "normal"}}
	}
	kind, defaults := "timeseries", object{"unit": p.Unit, "min": 0, "custom": custom}
	if p.Number {
		kind, defaults = "stat", object{"unit": p.Unit}
	}
	out := object{"id": id, "type": kind, "title": p.Title, "gridPos": at, "datasource": source, "targets": targets, "fieldConfig": object{"defaults": defaults, "overrides": []any{}}}
	if p.Help != "" {
		out["description"] = p.Help
	}
	return out
}
