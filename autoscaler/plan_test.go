package autoscaler_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// TestScenarios runs testdata/plan: one idea a file. The commands are
//
//	state   records of a new State (autoscaler/scenario); what was remembered is forgotten
//	then    records that replace those of the same kind and name; what was remembered stays
//	plan    Plan, its Decision printed; all: with what stays as it is
//
// After each plan the Decision is checked, planned again, and planned from the State's printed form: all must agree.
// `go test ./autoscaler -run Scenarios -rewrite` writes the outcomes anew: read the diff.
func TestScenarios(t *testing.T) {
	seen := map[autoscaler.Rule]bool{}
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		run := scenarioRun{seen: seen}
		datadriven.RunTest(t, path, run.command)
		wellKept(t, path)
	})
	var missing []string
	for _, r := range autoscaler.Rules() {
		if !seen[r] {
			missing = append(missing, r.String())
		}
	}
	if len(missing) > 0 && !testing.Short() {
		t.Errorf("rules that no scenario shows: %s", strings.Join(missing, ", "))
	}
}

// memory is a record of what was remembered.
var memory = regexp.MustCompile(`(?m)^(memo|node-memo|bought) `)

type scenarioRun struct {
	seen map[autoscaler.Rule]bool
	// states are those that were planned.
	states []autoscaler.State
	set    scenario.Scenario
	// memo is what the last plan remembers; told that the records say it instead.
	memo autoscaler.Memo
	told bool
}

func (r *scenarioRun) command(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "state":
		r.set, r.told = scenario.Scenario{}, true
		return r.read(d.Input)
	case "then":
		r.told = memory.MatchString(d.Input)
		return r.read(d.Input)
	case "plan":
		return r.plan(t, d.HasArg("all"))
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (r *scenarioRun) read(text string) string {
	if err := r.set.Add(text); err != nil {
		return err.Error()
	}
	if _, err := r.set.State(); err != nil {
		return err.Error()
	}
	return "ok"
}

func (r *scenarioRun) plan(t *testing.T, all bool) string {
	s, err := r.set.State()
	if err != nil {
		t.Fatal(err)
	}
	if !r.told {
		s.Memo = r.memo
	}
	r.told = false
	d := autoscaler.Plan(s)
	for _, v := range autoscaler.Check(s, d) {
		t.Errorf("check: %s", v)
	}
	if diff := cmp.Diff(d, autoscaler.Plan(s)); diff != "" {
		t.Errorf("planned twice, decided otherwise:\n%s", diff)
	}
	var again scenario.Scenario
	if err := again.Add(scenario.Print(s)); err != nil {
		t.Fatalf("%v in\n%s", err, scenario.Print(s))
	}
	s2, err := again.State()
	if err != nil {
		t.Fatalf("%v in\n%s", err, scenario.Print(s))
	}
	if diff := cmp.Diff(autoscaler.Describe(d, true), autoscaler.Describe(autoscaler.Plan(s2), true)); diff != "" {
		t.Errorf("planned from the printed state, decided otherwise:\n%s\n%s", diff, scenario.Print(s))
	}
	r.memo = d.Memo
	r.states = append(r.states, s)
	r.note(d)
	return autoscaler.Describe(d, all)
}

func (r *scenarioRun) note(d autoscaler.Decision) {
	for _, s := range d.Scales {
		for _, why := range s.Why {
			r.seen[why.Rule] = true
		}
	}
	for _, o := range d.Orders {
		for _, why := range o.Why {
			r.seen[why.Rule] = true
		}
	}
	for _, p := range d.Placements {
		r.seen[p.Why.Rule] = true
	}
	for _, x := range d.Drains {
		r.seen[x.Why.Rule] = true
	}
	for _, c := range d.Costs {
		r.seen[c.Why.Rule] = true
	}
	for _, h := range d.Holds {
		r.seen[h.Why.Rule] = true
	}
}

// wellKept: a scenario says in a sentence what to see, and fits on a screen.
func wellKept(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# ") {
		t.Errorf("%s does not begin with a sentence that says what to see", path)
	}
	if lines := strings.Count(string(text), "\n"); lines > 60 {
		t.Errorf("%s has %d lines; 60 fit on a screen", path, lines)
	}
}

func TestEnoughScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.txt")
	if err != nil || len(files) < 80 {
		t.Errorf("%d scenarios (%v), at least 80 are promised", len(files), err)
	}

}
