package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// call runs the command and gives back its exit code, stdout and stderr.
func call(args ...string) (int, string, string) {
	var out, err bytes.Buffer
	code := run(args, &out, &err)
	return code, out.String(), err.String()
}

func fileWith(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const minutes = "HashFunction,minute_1,minute_2,minute_3\nf,1,0,2\n"

func TestKeepalivePrintsOneObjectKeyedByPolicy(t *testing.T) {
	code, out, errs := call("simulate", "keepalive", fileWith(t, "a.csv", minutes), "-o", "json")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var got map[string]map[string]float64
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"fixed5m", "fixed10m", "fixed20m", "fixed60m", "fixed120m", "fixed240m", "hybrid4h_noARIMA"}
	if len(got) != len(want) {
		t.Errorf("%d policies", len(got))
	}
	for _, name := range want {
		fields := []string{}
		for f := range got[name] {
			fields = append(fields, f)
		}
		slices.Sort(fields)
		if !slices.Equal(fields, []string{"always_cold_pct", "idle_min", "mean", "norm_waste_vs_fixed10", "p50", "p75"}) {
			t.Errorf("%s: %v", name, fields)
		}
	}
}

func TestBadInputExitsWithTwoAndPrintsNothing(t *testing.T) {
	path := fileWith(t, "a.csv", minutes+"g,1,-2,3\n")
	for _, args := range [][]string{
		{"simulate", "keepalive", path}, {"simulate", "keepalive", path, "-o", "json"}, {"simulate", "keepalive", path + "x"},
		{"simulate", "keepalive", path, "-o", "xml"}, {"simulate", "keepalive"}, {"simulate", "keepalive", path, "--format", "no"},
	} {
		if code, out, errs := call(args...); code != 2 || out != "" || errs == "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
	_, _, errs := call("simulate", "keepalive", path)
	if want := path + `:3: column minute_2: "-2" is not a number of 0 or more`; !strings.Contains(errs, want) {
		t.Errorf("%s\nnot %s", errs, want)
	}
}
