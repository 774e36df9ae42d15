package check

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/deploy/monitoring"
)

const rulesFile = "../../helm/wholescale/files/alerts.yaml"

// cases are in the form that `promtool test rules` reads too.
type cases struct {
	RuleFiles []string `json:"rule_files"`
	Every     string   `json:"evaluation_interval"`
	Tests     []struct {
		Name        string
		Interval    string
		InputSeries []struct{ Series, Values string } `json:"input_series"`
		AlertRules  []struct {
			EvalTime string `json:"eval_time"`
			Alert    string `json:"alertname"`
			Expect   []struct {
				Labels map[string]string `json:"exp_labels"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	}
}

func TestRulesAreValid(t *testing.T) {
	series := known(t)
	groups, errs := rulefmt.ParseFile(rulesFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if n := len(groups.Groups[0].Rules); n != len(monitoring.Alerts()) {
		t.Errorf("%d rules of %d alerts", n, len(monitoring.Alerts()))
	}
	for _, r := range groups.Groups[0].Rules {
		query(t, r.Alert, r.Expr, series)
	}
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	data, err := os.ReadFile("alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all cases
	if err := yaml.UnmarshalStrict(data, &all); err != nil {
		t.Fatal(err)
	}
	fired, silent := map[string]bool{}, map[string]bool{}
	for _, c := range all.Tests {
		t.Run(c.Name, func(t *testing.T) {
			load := "load " + c.Interval + "\n"
			for _, s := range c.InputSeries {
				if name, _, _ := strings.Cut(s.Series, "{"); known(t)[name] == nil {
					t.Errorf("%s is no series of ours", name)
				}
				load += "  " + s.Series + " " + s.Values + "\n"
			}
			storage := promqltest.LoadedStorage(t, load)
			engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
			for _, want := range c.AlertRules {
				got := play(t, rules.EngineQueryFunc(engine, storage), want.Alert, want.EvalTime)
				if len(got) != len(want.Expect) {
					t.Errorf("%s at %s: %d alerts %v, want %d", want.Alert, want.EvalTime, len(got), got, len(want.Expect))
					continue
				}
				for i, e := range want.Expect {
					for k, v := range e.Labels {
						if got[i].Labels.Get(k) != v {
							t.Errorf("%s: %v, want %s=%s", want.Alert, got[i].Labels, k, v)
						}
					}
				}
				for _, a := range got {
					if s := a.Annotations.Get("summary"); s == "" || strings.Contains(s, "<error") || strings.Contains(s, "{{") {
						t.Errorf("%s says %q", want.Alert, s)
					}
				}
				if len(got) > 0 {
					fired[want.Alert] = true
				} else {
					silent[want.Alert] = true
				}
			}
		})
	}
	for _, a := range monitoring.Alerts() {
		if !fired[a.Name] || !silent[a.Name] {
			t.Errorf("%s: no case in which it fires (%v) or none in which it does not (%v)", a.Name, fired[a.Name], silent[a.Name])
		}
	}
}

// play evaluates an alert each half minute up to a time, as Prometheus would, and returns those that fire.
func play(t *testing.T, ask rules.QueryFunc, name, until string) []*rules.Alert {
	t.Helper()
	var alert monitoring.Alert
	for _, a := range monitoring.Alerts() {
		if a.Name == name {
			alert = a
		}
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(alert.Expr)
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	hold, end := parse(t, alert.For), parse(t, until)
	rule := rules.NewAlertingRule(alert.Name, expr, hold, 0, labels.FromStrings("severity", alert.Severity),
		labels.FromStrings("summary", alert.Summary), labels.EmptyLabels(), "", false, slog.New(slog.DiscardHandler))
	for at := time.Duration(0); at <= end; at += 30 * time.Second {
		if _, err := rule.Eval(context.Background(), 0, time.Unix(0, 0).Add(at).UTC(), ask, nil, 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var firing []*rules.Alert
	for _, a := range rule.ActiveAlerts() {
		if a.State == rules.StateFiring {
			firing = append(firing, a)
		}
	}
	return firing
}

func parse(t *testing.T, text string) time.Duration {
	t.Helper()
	if text == "" {
		return 0
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(d)
}

var _ promql.QueryEngine // the engine's own interface, by which EngineQueryFunc takes it
