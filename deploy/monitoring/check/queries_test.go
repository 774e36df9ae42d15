package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/wholescale/wholescale/deploy/monitoring"
)

// known are the series of our processes by name, with their labels.
func known(t *testing.T) map[string][]string {
	t.Helper()
	list, err := monitoring.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string][]string{}
	for _, m := range list {
		for _, name := range m.Series() {
			// Prometheus adds these of its own.
			series[name] = append(slices.Clone(m.Labels), "le", "instance", "job", "__name__")
		}
	}
	return series
}

// query parses, and all that it asks for is there; all that groups by a label groups by one that is there.
func query(t *testing.T, where, expr string, series map[string][]string) {
	t.Helper()
	// Grafana puts these in.
	expr = regexp.MustCompile(`\$__rate_interval`).ReplaceAllString(expr, "1m")
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
		return
	}
	found := 0
	labels := map[string]bool{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		found++
		names, ok := series[v.Name]
		if !ok {
			t.Errorf("%s: %s is no metric of ours", where, v.Name)
		}
		for _, m := range v.LabelMatchers {
			if !slices.Contains(names, m.Name) {
				t.Errorf("%s: %s has no label %s", where, v.Name, m.Name)
			}
		}
		for _, l := range names {
			labels[l] = true
		}
		return nil
	})
	if found == 0 {
		t.Errorf("%s: %s asks for nothing", where, expr)
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			for _, l := range a.Grouping {
				if !labels[l] {
					t.Errorf("%s: nothing in %s has the label %s", where, expr, l)
				}
			}
		}
		return nil
	})
}

func TestQueriesOfDashboards(t *testing.T) {
	series := known(t)
	files, err := filepath.Glob("../../helm/wholescale/files/dashboards/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v %v", files, err)
	}
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	uids := map[string]string{}
	for _, file := range files {
		var d struct {
			UID        string
			Templating struct {
				List []struct{ Name, Type, Definition string }
			}
			Panels []struct {
				ID      int
				Type    string
				Title   string
				GridPos struct{ X, Y, W, H int }
				Targets []struct{ Expr, LegendFormat string }
			}
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := filepath.Base(file)
		if other := uids[d.UID]; other != "" || d.UID == "" {
			t.Errorf("%s has the uid %q, as %s", name, d.UID, other)
		}
		uids[d.UID] = name
		variables := map[string]bool{}
		for _, v := range d.Templating.List {
			variables[v.Name] = true
			if v.Type == "query" {
				inner := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition)
				query(t, name+" variable "+v.Name, "sum by ("+inner[2]+") ("+inner[1]+")", series)
			}
		}
		for _, p := range d.Panels {
			where := fmt.Sprintf("%s %q", name, p.Title)
			if p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s has no title or lies beside the page", where)
			}
			if (p.Type == "row") != (len(p.Targets) == 0) {
				t.Errorf("%s asks for nothing", where)
			}
			for _, q := range p.Targets {
				query(t, where, q.Expr, series)
				for _, v := range regexp.MustCompile(`\$([a-z]\w*)`).FindAllStringSubmatch(q.Expr, -1) {
					if !variables[v[1]] {
						t.Errorf("%s: there is no variable %s", where, v[1])
					}
				}
				for _, l := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
					if e := q.Expr; !strings.Contains(e, l[1]) && !strings.Contains(e, "wholescale_workload_rule") {
						t.Errorf("%s: the legend names %s, which the result does not have", where, l[1])
					}
				}
			}
		}
	}
}

// Each metric of ours is of use to somebody: it stands on a dashboard or in an alert.
func TestEachMetricIsShown(t *testing.T) {
	text := ""
	for _, d := range monitoring.Dashboards() {
		data, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	for _, a := range monitoring.Alerts() {
		text += a.Expr
	}
	list, err := monitoring.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	hidden := map[string]bool{}
	for _, m := range list {
		if !regexp.MustCompile(m.Name + `(_bucket|_count|_sum)?\b`).MatchString(text) {
			hidden[m.Name] = true
		}
	}
	// What the gateway says of workloads is what the controller adds up, and what is looked at by hand when a gateway is in doubt.
	want := []string{"wholescale_gateway_held", "wholescale_gateway_held_all", "wholescale_gateway_in_flight", "wholescale_gateway_link_streams_total",
		"wholescale_gateway_probes_total", "wholescale_gateway_reports_total", "wholescale_gateway_routes"}
	if got := slices.Sorted(maps.Keys(hidden)); !slices.Equal(got, want) {
		t.Errorf("on no dashboard and in no alert: %v, want %v", got, want)
	}
}
