package story_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
	"github.com/wholescale/wholescale/autoscaler/story"
)

// TestEveryScenarioCanBeAskedAbout asks everything of each State of the core's own scenarios: whatever is decided there must
// be told, without a hole in a sentence, and must stay as it is when nothing is otherwise.
func TestEveryScenarioCanBeAskedAbout(t *testing.T) {
	states := 0
	datadriven.Walk(t, "../testdata/plan", func(t *testing.T, path string) {
		var set scenario.Scenario
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "state":
				set = scenario.Scenario{}
				_ = set.Add(d.Input) // some are bad on purpose
			case "then":
				_ = set.Add(d.Input)
			case "plan":
				if s, err := set.State(); err == nil {
					states++
					askAll(t, s)
				}
			}
			return d.Expected
		})
	})
	if states < 80 {
		t.Errorf("%d states were asked about", states)
	}
}

// hole is what a sentence has where a word is missing.
var hole = regexp.MustCompile(`%!|\{[a-z]+\}|Rule\(|: $|\s$|  of |\(\)`)

func askAll(t *testing.T, s autoscaler.State) {
	t.Helper()
	diary := story.NewDiary()
	var log []story.Entry
	if e, news := diary.Note(autoscaler.Plan(s), "tick"); news {
		log = append(log, e)
	}
	teller := story.NewTeller(s, log)
	tell := func(name string, questions ...story.Question) {
		for _, q := range questions {
			told, err := teller.Tell(name, q)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if len(told.Parts) == 0 || told.Summary == "" {
				t.Errorf("%s: nothing is told: %+v", name, told)
			}
			for _, p := range told.Parts {
				for _, l := range p.Lines {
					if hole.MatchString(l) {
						t.Errorf("%s, %s: %q", name, p.Title, l)
					}
				}
			}
		}
	}
	for i := range s.Workloads {
		tell("workload/"+string(s.Workloads[i].ID), story.Why, story.NotMore, story.NotFewer)
	}
	for i := range s.Pools {
		tell("pool/"+string(s.Pools[i].ID), story.Why, story.NotMore)
	}
	for i := range s.Nodes {
		tell("node/"+string(s.Nodes[i].ID), story.Why)
	}
	for i := range s.Pods {
		tell("pod/"+string(s.Pods[i].ID), story.Why)
	}
	for _, f := range teller.Check() {
		if f.Code == "" || f.Fix == "" || hole.MatchString(f.Problem) || !strings.Contains(f.Subject+" cluster", " ") {
			t.Errorf("%+v", f)
		}
	}
	same, err := teller.WhatIf()
	if err != nil || len(same.Diff) != 0 {
		t.Errorf("nothing is otherwise, and %v, %v", same.Diff, err)
	}
	for i := range s.Nodes {
		answer, err := teller.WhatIf(story.RemoveNode(string(s.Nodes[i].ID)))
		if err != nil {
			t.Error(err)
		}
		for _, note := range answer.Notes {
			if strings.HasPrefix(note, "this would not be carried out") {
				t.Errorf("without %s: %s", s.Nodes[i].ID, note)
			}
		}
	}
	if again := autoscaler.Describe(autoscaler.Plan(s), true); again != autoscaler.Describe(story.NewTeller(s, nil).Decision(), true) {
		t.Error("asking changed the state")
	}
}

func TestNothingFromOutsideMovesTheCursor(t *testing.T) {
	var set scenario.Scenario
	if err := set.Add(`pool spot unknown="\x1b[2Jgone"`); err != nil {
		t.Fatal(err)
	}
	s, err := set.State()
	if err != nil {
		t.Fatal(err)
	}
	told, err := story.NewTeller(s, nil).Tell("spot", story.Why)
	if err != nil {
		t.Fatal(err)
	}
	if text := told.Text(nil); strings.Contains(text, "\x1b") || !strings.Contains(text, "[2Jgone") {
		t.Errorf("%q", text)
	}
}

func BenchmarkNoteWithoutNews(b *testing.B) {
	var d autoscaler.Decision
	for i := range 10_000 {
		id := autoscaler.WorkloadID("demo/" + strings.Repeat("w", i%7) + string(rune('a'+i%26)) + strings.Repeat("x", i%11) + string(rune(i+200)))
		d.Scales = append(d.Scales, autoscaler.Scale{Workload: id, Why: []autoscaler.Reason{{Rule: autoscaler.NoDemand}}})
	}
	diary := story.NewDiary()
	for news := true; news; _, news = diary.Note(d, "tick") {
	}
	for b.Loop() {
		diary.Note(d, "tick")
	}
}
