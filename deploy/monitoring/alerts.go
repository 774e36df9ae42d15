package monitoring

import (
	"cmp"
	"fmt"

	"sigs.k8s.io/yaml"
)

// Alert is one rule. Its runbook is docs/runbooks/<Name>.md.
type Alert struct {
	Name string
	// Expr is PromQL; an element of its result is an alert once it has been there for For.
	Expr, For string
	// Severity is critical (requests suffer, or nothing is decided), warning (they will) or info (money).
	Severity string
	// Summary is one line, Description what it means; both may use Prometheus's templates.
	Summary, Description string
}

// Runbooks is where runbook_url leads.
const Runbooks = "https://github.com/wholescale/wholescale/blob/main/docs/runbooks/"

// Alerts lists the rules, the most serious first.
func Alerts() []Alert {
	return []Alert{
		{"WholescaleNoDecisions", `absent(wholescale_last_plan_timestamp_seconds) or time() - max(wholescale_last_plan_timestamp_seconds) > 60`, "2m", "critical",
			"Nothing is decided", "No controller leads, or the one that does has carried out no decision for a minute: nothing is scaled and no node is bought."},
		{"WholescaleCheckViolation", `sum(increase(wholescale_check_violations_total[10m])) > 0`, "", "critical",
			"A decision broke an invariant and was not carried out", "The controller decided what must never be done, noticed, and did nothing. It is a bug; its log has the State that replays it."},
		{"WholescaleNoGateway", `max(wholescale_gateways) < 1`, "1m", "critical",
			"No gateway is connected to the controller", "Requests are not seen: nothing is scaled up from zero."},
		{"WholescaleRequestsExpired", ratio("expired") + ` > 0.01`, "5m", "critical",
			"{{ $value | humanizePercentage }} of the requests of {{ $labels.workload }} wait in vain", "Their hold ended before a pod had a free slot (504)."},
		{"WholescaleRequestsRefused", ratio("refused") + ` > 0.05`, "5m", "critical",
			"{{ $value | humanizePercentage }} of the requests of {{ $labels.workload }} are refused", "The queue is full, or no room can come (503)."},
		{"WholescaleReplicasUnplaced", `max by (namespace, workload) (wholescale_workload_replicas_unplaced) > 0`, "10m", "warning",
			"{{ $value }} replicas of {{ $labels.namespace }}/{{ $labels.workload }} have room nowhere", "No node has room for them and none can be bought."},
		{"WholescaleColdStartSlow", quantile("0.99", `wholescale_cold_start_seconds_bucket{stage="hold"}`, "15m") + ` > 30`, "10m", "warning",
			"One cold start in a hundred takes {{ $value | humanizeDuration }}", "Requests wait that long for a pod that comes for them."},
		{"WholescaleNodeJoinSlow", quantile("0.9", `wholescale_cold_start_seconds_bucket{stage="join"}`, "1h") + ` > 300`, "15m", "warning",
			"One node in ten takes {{ $value | humanizeDuration }} to join", "From the instance's creation to the ready node."},
		{"WholescaleProviderUnknown", `max by (pool) (wholescale_pool_unknown) > 0`, "2m", "warning",
			"The figures of pool {{ $labels.pool }} are not known", "The provider does not answer for it: nothing is bought and nothing ends there."},
		{"WholescaleOutOfStock", `max by (pool) (wholescale_pool_out_of_stock) > 0`, "10m", "warning",
			"Pool {{ $labels.pool }} is out of stock", "Nothing can be bought from it; other pools that fit are used."},
		{"WholescaleOrdersFail", `sum by (result) (increase(wholescale_provider_orders_total{result!~"ok|old-epoch"}[10m])) > 3`, "", "warning",
			"Orders fail: {{ $labels.result }}", "The provider could not carry out several orders."},
		{"WholescaleTasksFail", `sum by (kind) (increase(wholescale_task_errors_total[10m])) > 5`, "5m", "warning",
			"Writes fail: {{ $labels.kind }}", "What was decided could not be carried out within its time, again and again."},
		{"WholescaleDemandStale", `max(wholescale_demand_stale) > 0`, "2m", "warning",
			"A gateway's report is overdue", "Nothing is lowered meanwhile, as nobody knows the demand."},
		{"WholescaleGatewayCutOff", `min by (instance) (wholescale_gateway_link_connected) < 1`, "2m", "warning",
			"Gateway {{ $labels.instance }} is not connected to the controller", "It serves by the last routes and pods that it knows."},
		{"WholescalePlanSlow", quantile("0.99", `wholescale_plan_duration_seconds_bucket`, "10m") + ` > 1`, "10m", "warning",
			"One decision in a hundred takes {{ $value | humanizeDuration }}", "A queue that forms waits for it."},
		{"WholescaleSignalUnknown", `max by (namespace, workload) (wholescale_workload_signals_unknown) > 0`, "10m", "warning",
			"Signals of {{ $labels.namespace }}/{{ $labels.workload }} have no fresh value", "They lower nothing meanwhile."},
		{"WholescalePriceCapNear", `sum(wholescale_pool_price_per_hour) > 0.9 * max(wholescale_price_cap_per_hour) and max(wholescale_price_cap_per_hour) > 0`, "10m", "warning",
			"The price cap is nearly reached", "At the cap nothing more is bought, and pods go without room."},
		{"WholescaleWorkloadBlocked", `max by (namespace, workload) (wholescale_workload_blocked{workload!="other"}) > 0`, "1h", "info",
			"{{ $labels.namespace }}/{{ $labels.workload }} is not scaled", "It is paused, has a setting that cannot be, or another autoscaler has it."},
		{"WholescaleWaste", `sum(wholescale_pool_waste_per_hour) / (sum(wholescale_pool_price_per_hour) > 0) > 0.6`, "1h", "info",
			"{{ $value | humanizePercentage }} of the money for nodes is of no use", "Empty nodes, room that nobody requests, and pods without requests."},
	}
}

func ratio(outcome string) string {
	return fmt.Sprintf(`sum by (workload) (rate(wholescale_gateway_requests_total{outcome="%s"}[5m])) / (sum by (workload) (rate(wholescale_gateway_requests_total[5m])) > 0)`, outcome)
}

func quantile(q, series, over string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s[%s])))", q, series, over)
}

// Rules is the file of rules for Prometheus.
func Rules() ([]byte, error) {
	type rule struct {
		Alert       string            `json:"alert"`
		Expr        string            `json:"expr"`
		For         string            `json:"for,omitempty"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	}
	var list []rule
	for _, a := range Alerts() {
		list = append(list, rule{
			Alert: a.Name, Expr: a.Expr, For: a.For, Labels: map[string]string{"severity": cmp.Or(a.Severity, "warning")},
			Annotations: map[string]string{"summary": a.Summary, "description": a.Description, "runbook_url": Runbooks + a.Name + ".md"},
		})
	}
	return yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "wholescale", "rules": list}}})
}
