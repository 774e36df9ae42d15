package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSimulateSweeps(t *testing.T) {
	path := write(t, "invocations.csv", table)
	page, chosen := filepath.Join(t.TempDir(), "frontier.html"), filepath.Join(t.TempDir(), "chosen.yaml")
	args := []string{
		path, "-o", "json", "--policy", "wholescale,kpa+ca,oracle", "--sweep", "replicas.min=0,2", "--sweep", "node.join=20s,60s",
		"--sweep", "node.idleAfter=10s,2m", "--report", page, "--write", chosen, "--assert", "errors<=rival.errors", "--assert", "money<=10",
	}
	out, said, code := simulated(t, args...)
	again, _, _ := simulated(t, args...)
	if code != 0 || out != again {
		t.Fatalf("exit %d, or two runs differ: %s", code, said)
	}
	var got map[string]map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	// Two worlds, each with four points and two other policies.
	if len(got) != 2*(4+2) || got["oracle node.join=20s"]["frontier"] != false {
		t.Errorf("%d runs: %s", len(got), out)
	}
	taken := ""
	for name, f := range got {
		if f["chosen"] == true && strings.Contains(name, "node.join=1m") {
			taken = name
		}
	}
	if !strings.Contains(said, "chosen: ") || taken == "" || !strings.Contains(said, "holds  money<=10") {
		t.Fatalf("no point was chosen: %s", said)
	}
	// What was written is what was simulated.
	out, said, code = simulated(t, path, "-o", "json", "--node-join", "60s", "--config", chosen)
	var alone map[string]map[string]any
	if err := json.Unmarshal([]byte(out), &alone); err != nil || code != 0 {
		t.Fatalf("exit %d, %v, %s", code, err, said)
	}
	for name, v := range alone["wholescale"] {
		if got[taken][name] != v {
			t.Errorf("%s: %v in the sweep, %v with the file that it wrote", name, got[taken][name], v)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(text, []byte("node.join=20s")) || !bytes.Contains(text, []byte(`"chosen":true`)) {
		t.Errorf("the page has no frontier: %v", err)
	}
}

func TestSweepRefuses(t *testing.T) {
	path := write(t, "invocations.csv", table)
	for _, c := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"--sweep", "objective.weight=1,2"}, "there are concurrency.limit", exitUsage},
		{[]string{"--sweep", "node.join=soon"}, "no time", exitUsage},
		{[]string{"--sweep", "replicas.min=1,2", "--sweep", "replicas.min=3"}, "twice", exitUsage},
		{[]string{"--sweep", "replicas.min=1,2", "--aggregated"}, "--aggregated", exitUsage},
		{[]string{"--sweep", "concurrency.utilization=50,200"}, "spec.concurrency.utilization", exitUsage},
		{[]string{"--sweep", "replicas.min=0,1", "--assert", "money<=0"}, "none makes all of them hold", exitRefuted},
	} {
		file := filepath.Join(t.TempDir(), "none.yaml")
		_, said, code := simulated(t, append([]string{path, "--write", file}, c.args...)...)
		if code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%v: exit %d, %q; expected %d and %q", c.args, code, said, c.code, c.says)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%v: a file was written all the same", c.args)
		}
	}
}

func TestSettingsAreSorted(t *testing.T) {
	for i := 1; i < len(settings); i++ {
		if settings[i].name <= settings[i-1].name {
			t.Errorf("%s stands after %s", settings[i].name, settings[i-1].name)
		}
	}
}
