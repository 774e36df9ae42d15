package keepalive

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wholescale/wholescale/simulator/trace"
)

// shared is ../shared beside the module's root, where the published traces are; they are no part of the project.
func shared(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join("../../../shared", path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("../shared is not beside this checkout: %v", err)
	}
	return full
}

func evaluate(t testing.TB, path string, bounds bool) []Result {
	t.Helper()
	in, err := trace.Open(path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	list, err := Evaluate(in, bounds)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestNumbersEqualThoseOfOtherCode(t *testing.T) {
	var golden map[string]map[string]float64
	text, err := os.ReadFile(shared(t, "traces/golden/keepalive.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	list := evaluate(t, shared(t, "traces/azure2019/500"), false)
	if len(list) != len(golden) {
		t.Errorf("%d policies, not %d", len(list), len(golden))
	}
	for _, r := range list {
		want := golden["azure2019/500/"+r.Policy]
		text, err := json.Marshal(r.Rounded())
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]float64
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("%s: fields %v, not %v", r.Policy, got, want)
		}
		for field, w := range want {
			if got[field] != w {
				t.Errorf("%s %s: %v, not %v", r.Policy, field, got[field], w)
			}
		}
	}
}

// counts is a trace of one function by what came in each minute.
func counts(t testing.TB, minutes ...string) *trace.Trace {
	t.Helper()
	titles := []string{"HashFunction"}
	for i := range minutes {
		titles = append(titles, fmt.Sprintf("minute_%d", i+1))
	}
	in, err := trace.Read(strings.NewReader(strings.Join(titles, ",")+"\nf,"+strings.Join(minutes, ",")+"\n"), "f.csv", trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestGapsByHand(t *testing.T) {
	// Events in minutes 0, 6 and 8, of 3, 1 and 2 invocations; ten minutes in all.
	list, err := Evaluate(counts(t, "3", "0", "0", "0", "0", "0", "1", "0", "2", "0"), true)
	if err != nil {
		t.Fatal(err)
	}
	five, ten := list[0], list[1]
	// fixed5m: cold at 0 and 6; idle 5 + 2 + the 2 that are left. Its one warm start ends the gap of 2; the mean gap is 4.
	if five.IdleMin != 9 || five.Mean != 100*2./6 || five.FloorIdleMin != 4 || five.OracleIdleMin != 2 {
		t.Errorf("fixed5m: %+v", five)
	}
	// fixed10m: cold at 0 alone; idle 6 + 2 + 2.
	if ten.IdleMin != 10 || ten.Mean != 100*1./6 || ten.FloorIdleMin != 8 || ten.OracleIdleMin != 8 {
		t.Errorf("fixed10m: %+v", ten)
	}
	if five.NormWaste != 0.9 {
		t.Errorf("waste %v", five.NormWaste)
	}
}

func BenchmarkDaily1250AllPolicies(b *testing.B) {
	path := shared(b, "traces/azure2019/daily1250")
	for b.Loop() {
		evaluate(b, path, false)
	}
}

func BenchmarkDaily1250WithBounds(b *testing.B) {
	path := shared(b, "traces/azure2019/daily1250")
	for b.Loop() {
		evaluate(b, path, true)
	}
}
