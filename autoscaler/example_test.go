package autoscaler_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// TestTheWorkedExample: what docs/algorithm.md shows is what is decided.
func TestTheWorkedExample(t *testing.T) {
	text, err := os.ReadFile("../docs/algorithm.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```scenario\n(.*?)```.*?```decision\n(.*?)```").FindAllSubmatch(text, -1)
	if len(found) == 0 {
		t.Fatal("docs/algorithm.md has no example")
	}
	for _, example := range found {
		var set scenario.Scenario
		if err := set.Add(string(example[1])); err != nil {
			t.Fatal(err)
		}
		s, err := set.State()
		if err != nil {
			t.Fatal(err)
		}
		d := autoscaler.Plan(s)
		for _, v := range autoscaler.Check(s, d) {
			t.Error(v)
		}
		got := autoscaler.Describe(d, false)
		if diff := cmp.Diff(string(example[2]), got); diff != "" {
			t.Errorf("the page shows another decision:\n%s\nit is:\n%s", diff, got)
		}
	}
}
