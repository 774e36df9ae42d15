package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// FuzzScenario: any text is an error, or a State whose printed form reads back to one that is decided alike. Nothing
// panics, whatever the figures.
func FuzzScenario(f *testing.F) {
	for _, text := range append(shipped(f), odd...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := read(text)
		if err != nil {
			return
		}
		d := autoscaler.Plan(s)
		autoscaler.Check(s, d)
		printed := scenario.Print(s)
		again, err := read(printed)
		if err != nil {
			t.Fatalf("what was printed cannot be read: %v\n%s", err, printed)
		}
		if diff := cmp.Diff(autoscaler.Describe(d, true), autoscaler.Describe(autoscaler.Plan(again), true)); diff != "" {
			t.Errorf("read back, decided otherwise:\n%s\n%s", diff, printed)
		}
		if diff := cmp.Diff(printed, scenario.Print(again)); diff != "" {
			t.Errorf("read back, printed otherwise:\n%s", diff)
		}
	})
}

// odd are texts at the edges of the format.
var odd = []string{
	"", "\ufeffnow 10:00:00", "now 10:00:00\r\nnow 10:00:01\r\n", "now 2026-01-01T10:00:00+23:59",
	"pool p nodes=0..100000 cpu=1\nworkload w bounds=0..0 target=0.001 cpu=1\ndemand w 1e9",
	"workload w on=100000\nworkload v on=100000", "workload w on=n*-1", "demand w 5x99999999",
	"pool p labels=a=b taints=k=v:NoSchedule\nnode n p ready labels=- taints=-", `node n - ready keep="a \"quoted\" word" instance="a b"`,
	`workload w tolerates=*,k=v:NoExecute selector=a=b,c=d`, "pool -\nnode n - ready", "gone node n", "workload \u00a0 x",
	"pool p target=3\nnode n p coming due=10:00:10 since=09:00:00\nnode-memo n since=09:00:00", "workload w delay=30s\nmemo w peaks=850:3,851:2 panic=09:59:59 replicas=2",
}

// shipped are the first states of the scenarios that the core is tested with.
func shipped(f *testing.F) []string {
	files, err := filepath.Glob("../testdata/plan/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d scenarios: %v", len(files), err)
	}
	var all []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, state, _ := strings.Cut(string(text), "\nstate\n")
		state, _, _ = strings.Cut(state, "\n----\n")
		all = append(all, state)
	}
	return all
}

func read(text string) (autoscaler.State, error) {
	var set scenario.Scenario
	if err := set.Add(text); err != nil {
		return autoscaler.State{}, err
	}
	return set.State()
}

func TestRecordsThatAskForTooMuchAreRefused(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"workload w on=100000\nworkload v on=1", "workload v: more than 100000 pods in all"},
		{"workload w on=n*100001", "workload w: field on=n*100001: not between 0 and 100000 pods"},
		{"workload w replicas=1000001", "workload w: field replicas=1000001: not a whole number of 0 to 1000000"},
		{"workload w bounds=3..2", "workload w: its least of 3 replicas is above its most, 2"},
		{"pool p nodes=0..100001", "pool p: field nodes=0..100001: bounds are 100000 at most"},
		{"pool p nodes=5..3", "pool p: its least of 5 nodes is above its most, 3"},
		{"workload w\ndemand w 5x7201", `demand w: "5x7201" is not a series such as 5x50 or 28`},
		{"workload w\ndemand w -5", `demand w: "-5" is not a series such as 5x50 or 28`},
		{"pool p labels=a=b,a=c", "pool p: field labels=a=b,a=c: label a is given twice"},
		{"pool p mem=100Ti", "pool p: field mem=100Ti: not an amount of memory such as 512Mi"},
		{"now 0000-01-01T00:00:00Z", "now 0000-01-01T00:00:00Z: not a time such as 10:00:00"},
		{"pool -", "pool -: - is no pool: it marks nodes that are not ours"},
		{"gone pool p", "line 1: there is no pool p to take away"},
		{`pod "`, "line 1: a quote is not closed"},
	} {
		if _, err := read(c.text); err == nil || err.Error() != c.says {
			t.Errorf("%s\nsays %v\nnot  %s", c.text, err, c.says)
		}
	}
}
