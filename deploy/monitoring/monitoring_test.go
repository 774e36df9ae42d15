package monitoring

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files anew")

const chart = "../helm/wholescale/files/"

// The files are what the code makes.
func TestFilesAreMade(t *testing.T) {
	list, err := Metrics()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"../../docs/metrics.md": []byte(Document(list)), chart + "alerts.yaml": rules}
	for name, d := range Dashboards() {
		if files[chart+"dashboards/"+name+".json"], err = d.JSON(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range files {
		if *update {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the code makes: run `go test ./deploy/monitoring -update` and commit (%v)", name, err)
		}
	}
	there, err := filepath.Glob(chart + "dashboards/*.json")
	if err != nil || len(there) != len(Dashboards()) {
		t.Errorf("%v: a file without a dashboard, or none for one (%v)", there, err)
	}
}

// Each alert has a runbook that says what it means, how to look and what to do, and each runbook has an alert.
func TestEachAlertHasItsRunbook(t *testing.T) {
	names := map[string]bool{}
	for _, a := range Alerts() {
		if names[a.Name] {
			t.Errorf("%s is there twice", a.Name)
		}
		names[a.Name] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Severity) || a.Summary == "" || a.Description == "" || !strings.HasPrefix(a.Name, "Wholescale") {
			t.Errorf("%s is not complete", a.Name)
		}
		text, err := os.ReadFile("../../docs/runbooks/" + a.Name + ".md")
		if err != nil {
			t.Errorf("%s has no runbook: %v", a.Name, err)
			continue
		}
		for _, part := range []string{"# " + a.Name + "\n", "## What it means\n", "## Look\n", "## Do\n"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("the runbook of %s has no %q", a.Name, strings.TrimSpace(part))
			}
		}
	}
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".md"); !names[name] && name != "README" {
			t.Errorf("%s belongs to no alert", f)
		}
	}
}

// A metric is of one type and has the same labels in whichever process it is.
func TestMetricsOfOneNameAreOne(t *testing.T) {
	list, err := Metrics()
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]Metric{}
	for _, m := range list {
		if f, ok := first[m.Name]; ok && (f.Type != m.Type || !slices.Equal(f.Labels, m.Labels) || f.Help != m.Help) {
			t.Errorf("%s differs between %s and %s", m.Name, f.Process, m.Process)
		}
		first[m.Name] = m
	}
	if processes := slices.Sorted(maps.Keys(func() map[string]bool {
		p := map[string]bool{}
		for _, m := range list {
			p[m.Process] = true
		}
		return p
	}())); !slices.Equal(processes, []string{"controller", "gateway", "provider"}) {
		t.Errorf("%v", processes)
	}
}
