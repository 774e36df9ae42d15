package keepalive

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// Minutes may be called otherwise and stand anywhere, the trigger may be missing, and the file need not be packed.
func TestSpellingAndOrderOfColumnsDoNotMatter(t *testing.T) {
	want := evaluate(t, shared(t, "traces/azure2019/500"), true)
	packed, err := os.Open(shared(t, "traces/azure2019/500/invocations.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		f := strings.Split(lines.Text(), ",")
		if n == 0 {
			for i, title := range f[4:] {
				f[4+i] = title + "_minute"
			}
			f[2] = "hash_function"
		}
		f = append(f[:3], f[4:]...)
		slices.Reverse(f)
		b.WriteString(strings.Join(f, ",") + "\r\n")
	}
	in, err := trace.Read(strings.NewReader(b.String()), "f.csv", trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Evaluate(in, true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v\nnot %+v", got, want)
	}
}

// A folder of day files is one trace: gaps reach over midnight.
func TestGapsReachOverMidnight(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"a.d01.csv": "HashFunction,1440\nf,1\ng,1\n", "a.d02.csv": "HashFunction,1,2\ng,0,1\nf,1,1\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// f comes in three minutes one after the other, g in the first and the third.
	five := evaluate(t, folder, true)[0]
	if five.IdleMin != (1+1+1)+(2+1) || math.Abs(five.Mean-(100./3+50)/2) > 1e-9 || five.OracleIdleMin != 4 {
		t.Errorf("%+v", five)
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
