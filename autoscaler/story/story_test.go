package story_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
	"github.com/wholescale/wholescale/autoscaler/story"
)

// TestStories runs testdata. The commands are
//
//	state   records of a new State; what was remembered and noted is forgotten
//	then    records that replace those of the same kind and name
//	plan    Plan; what is news is noted in the log and printed
//	why     name=NAME (not=more|fewer): the story of now
//	past    name=NAME at=TIME: the story of then, from the log
//	check   the findings
//
// `go test ./autoscaler/story -run Stories -rewrite` writes the outcomes anew: read the diff.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		r := teller{diary: story.NewDiary()}
		datadriven.RunTest(t, path, r.command)
	})
}

type teller struct {
	set   scenario.Scenario
	memo  *autoscaler.Memo
	diary *story.Diary
	log   []story.Entry
}

func (r *teller) state(t *testing.T) autoscaler.State {
	s, err := r.set.State()
	if err != nil {
		t.Fatal(err)
	}
	if r.memo != nil {
		s.Memo = *r.memo
	}
	return s
}

func (r *teller) command(t *testing.T, d *datadriven.TestData) string {
	name := func(key string) (value string) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &value)
		}
		return value
	}
	switch d.Cmd {
	case "state":
		*r = teller{diary: story.NewDiary()}
		fallthrough
	case "then":
		if err := r.set.Add(d.Input); err != nil {
			return err.Error()
		}
		return "ok"
	case "plan":
		return r.plan(t)
	case "why":
		q := map[string]story.Question{"more": story.NotMore, "fewer": story.NotFewer}[name("not")]
		told, err := story.NewTeller(r.state(t), r.log).Tell(name("name"), q)
		if err != nil {
			return err.Error()
		}
		return told.Text(nil)
	case "past":
		at, err := time.Parse(time.RFC3339, "2026-01-01T"+name("at")+"Z")
		if err != nil {
			t.Fatal(err)
		}
		told, err := story.Past(r.log, name("name"), at)
		if err != nil {
			return err.Error()
		}
		return told.Text(nil)
	case "check":
		var b strings.Builder
		for _, f := range story.NewTeller(r.state(t), nil).Check() {
			fmt.Fprintf(&b, "%s | %s | %s | %s\n", f.Subject, f.Code, f.Problem, f.Fix)
		}
		return b.String()
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

// plan notes a decision, and holds the log to be the same when it is written and read.
func (r *teller) plan(t *testing.T) string {
	d := autoscaler.Plan(r.state(t))
	r.memo = &d.Memo
	e, news := r.diary.Note(d, "tick")
	if !news {
		return "no news"
	}
	line, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	again, bad, err := story.Read(bytes.NewReader(append(line, '\n')))
	if err != nil || bad != 0 || len(again) != 1 {
		t.Fatalf("%d entries, %d bad, %v", len(again), bad, err)
	}
	if twice, _ := json.Marshal(again[0]); !bytes.Equal(line, twice) {
		t.Errorf("read back as\n%s\nnot\n%s", twice, line)
	}
	r.log = append(r.log, again...)
	var b bytes.Buffer
	for _, part := range []struct {
		name string
		list any
	}{{"scales", e.Scales}, {"placements", e.Placements}, {"orders", e.Orders}, {"drains", e.Drains}, {"holds", e.Holds}, {"over", e.Over}} {
		if text, _ := json.Marshal(part.list); string(text) != "null" {
			fmt.Fprintf(&b, "%s %s\n", part.name, text)
		}
	}
	return b.String()
}

func TestADiaryIsBoundedAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1500).Draw(t, "workloads")
		var d autoscaler.Decision
		for i := range n {
			id := autoscaler.WorkloadID(fmt.Sprintf("demo/%05d", i))
			d.Scales = append(d.Scales, autoscaler.Scale{Workload: id, To: rapid.IntRange(0, 3).Draw(t, "to"), Why: []autoscaler.Reason{{Rule: autoscaler.NoDemand}}})
		}
		diary, seen := story.NewDiary(), map[string]int{}
		for round := 0; ; round++ {
			e, news := diary.Note(d, "tick")
			if len(e.Scales) > 512 {
				t.Fatalf("%d parts in an entry", len(e.Scales))
			}
			for _, s := range e.Scales {
				seen[s.Workload]++
			}
			if !news {
				break
			}
			if round > 3 {
				t.Fatalf("still news in round %d", round)
			}
		}
		if len(seen) != n {
			t.Fatalf("%d of %d were noted", len(seen), n)
		}
		for id, times := range seen {
			if times != 1 {
				t.Fatalf("%s was noted %d times", id, times)
			}
		}
		gone := 0
		for e, news := diary.Note(autoscaler.Decision{}, "tick"); news; e, news = diary.Note(autoscaler.Decision{}, "tick") {
			gone += len(e.Over)
		}
		if gone != n {
			t.Fatalf("%d of %d were noted as over", gone, n)
		}
	})
}

// TestWhatAPartDoesNotSpeakOfStands: a decision about a few ends nothing of the others.
func TestWhatAPartDoesNotSpeakOfStands(t *testing.T) {
	why := []autoscaler.Reason{{Rule: autoscaler.NoDemand}}
	diary := story.NewDiary()
	diary.Note(autoscaler.Decision{Scales: []autoscaler.Scale{{Workload: "demo/a", Why: why}, {Workload: "demo/b", Why: why}}, Orders: []autoscaler.Order{{Pool: "p", Why: why}}}, "tick")
	part := autoscaler.Decision{Scales: []autoscaler.Scale{{Workload: "demo/b", To: 2, Why: why}}, Orders: []autoscaler.Order{{Pool: "p", To: 9, Why: why}}}
	e, news := diary.NoteSome(part, "queue")
	if !news || len(e.Scales) != 1 || e.Scales[0].Workload != "demo/b" || len(e.Orders) > 0 || len(e.Over) > 0 {
		t.Errorf("noted %+v", e)
	}
	if e, news = diary.NoteSome(part, "queue"); news {
		t.Errorf("noted again: %+v", e)
	}
}

func TestReadPassesOverWhatIsNoEntry(t *testing.T) {
	text := `{"at":"2026-01-01T10:00:00Z","scales":[{"workload":"a/b","from":1,"to":2,"why":null}]}` + "\n\nnonsense\n{}\n" + `{"at":"2026-01-01T10:00:01Z"}` + "\n" + `{"at":"2026-01-01T10:00:0`
	entries, bad, err := story.Read(strings.NewReader(text))
	if err != nil || len(entries) != 2 || bad != 3 {
		t.Errorf("%d entries, %d bad, %v", len(entries), bad, err)
	}
}

func TestStoriesKnowTheCoreAlone(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, dep := range strings.Fields(string(out)) {
		if path, ours := strings.CutPrefix(dep, "github.com/wholescale/wholescale/"); !ours || !strings.HasPrefix(path, "autoscaler") && path != "predictors" {
			t.Errorf("depends on %s: a story is of what the core says", dep)
		}
	}
}
