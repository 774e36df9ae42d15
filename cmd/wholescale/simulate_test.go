package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// table is a small trace of counts of two functions.
const table = "HashOwner,HashApp,HashFunction,Trigger,1,2,3,4,5\no,a,f,http,30,0,90,2,0\no,a,g,timer,1,1,1,1,1\n"

func simulated(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"simulate"}, args...), &out, &errs)
	return out.String(), errs.String(), code
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSimulateGivesTheSameBytes(t *testing.T) {
	path := write(t, "invocations.csv", table)
	for _, format := range []string{"json", "yaml", "csv", "table"} {
		args := []string{path, "-o", format, "--policy", "wholescale,kpa,kpa+ca,kpa+karpenter,hpa,keepalive,hybrid,static,oracle"}
		first, _, code := simulated(t, args...)
		again, _, _ := simulated(t, args...)
		if code != 0 || first == "" || first != again {
			t.Fatalf("%s: exit %d; two runs give\n%s\n%s", format, code, first, again)
		}
		if strings.Contains(first, filepath.Dir(path)) {
			t.Errorf("%s: the path is in the data", format)
		}
		if format != "json" {
			continue
		}
		var got map[string]map[string]float64
		if err := json.Unmarshal([]byte(first), &got); err != nil {
			t.Fatal(err)
		}
		for policy, f := range got {
			if f["requests"] != 127 || f["answered"]+f["errors"]+f["heldAtEnd"] != 127 || f["violations"] != 0 {
				t.Errorf("%s: %v", policy, f)
			}
		}
		if len(got) != 9 || got["oracle"]["waitSeconds"] != 0 {
			t.Errorf("%d policies: %s", len(got), first)
		}
	}
}

func TestSimulateAggregated(t *testing.T) {
	path := write(t, "counts.csv", "timestamp,value\n2026-01-01 00:00:00,600\n2026-01-01 00:01:00,1200\n2026-01-01 00:02:00,600\n")
	out, said, code := simulated(t, path, "-o", "json", "--aggregated", "--policy", "wholescale,kpa+ca")
	if code != 0 || !strings.Contains(said, "aggregated against single requests") {
		t.Fatalf("exit %d, %s%s", code, out, said)
	}
	var got map[string]map[string]float64
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if f := got["wholescale"]; f["requests"] != 2400 || f["answered"] != 2400 || f["podHours"] <= 0 {
		t.Errorf("%v", f)
	}
}

func TestSimulateRefuses(t *testing.T) {
	path := write(t, "invocations.csv", table)
	pools := write(t, "pools.yaml", "pools:\n- name: a\n  cpus: 4\n")
	for _, c := range []struct{ args, says string }{
		{path + " --policy best", "policy \"best\""},
		{path + " --policy wholescale,,kpa", "there is no name"},
		{path + " --pod-start soon", "--pod-start"},
		{path + " --limit 0", "limit"},
		{path + " --pools " + pools, "cpus"},
		{path + " --pools " + pools + "x", "no such file"},
		{path + " --from 10h", "no request arrived"},
		{path + " --aggregated --policy oracle", "--aggregated"},
		{path + "x", "no such file"},
		{write(t, "empty.csv", ""), "no request"},
		{write(t, "cut.csv", strings.Replace(table, "30,0", "30,x", 1)), "cut.csv:2"},
	} {
		out, said, code := simulated(t, strings.Fields(c.args)...)
		if code != exitUsage || out != "" || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit %d, on stdout %q, on stderr %q; expected exit 2 and %q", c.args, code, out, said, c.says)
		}
	}
}

func TestSimulateWritesAReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	pools := write(t, "pools.yaml", "pools:\n- {name: spot, pricePerHour: 0.04, join: \"lognormal(40s,10s)\", idleAfter: 1m, faults: {reclaimsPerHour: 0.5}}\n- {name: solid, pricePerHour: 0.12}\n")
	_, said, code := simulated(t, "--for", "4m", "--policy", "wholescale,kpa+ca,oracle", "--report", path, "--pools", pools)
	page, err := os.ReadFile(path)
	if code != 0 || err != nil || !bytes.Contains(page, []byte("The longest waits")) || !bytes.Contains(page, []byte(`"moments":[{`)) {
		t.Errorf("exit %d, %v, %s", code, err, said)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".report-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestSimulateAsserts(t *testing.T) {
	path := write(t, "invocations.csv", table)
	args := []string{path, "-o", "json", "--policy", "wholescale,kpa+ca,oracle"}
	plain, _, _ := simulated(t, args...)
	out, said, code := simulated(t, append(args, "--assert", "errors==0", "--assert", "money<=rival.money*10")...)
	if code != 0 || out != plain || !strings.Contains(said, "holds  errors==0: 0 == 0") || !strings.Contains(said, "holds  money<=rival.money*10: ") {
		t.Errorf("exit %d, %s", code, said)
	}
	out, said, code = simulated(t, append(args, "--assert", "errors==0", "--assert", "wait.p99<=1ms")...)
	if code != exitRefuted || out != plain || !strings.Contains(said, "FAILS  wait.p99<=1ms: ") || !strings.Contains(said, "1 of 2 do not hold") {
		t.Errorf("exit %d, not %d: %s", code, exitRefuted, said)
	}
	out, said, code = simulated(t, append(args, "--assert", "cost<=1")...)
	if code != exitUsage || out != "" || !strings.Contains(said, "there are requests, answered, errors") {
		t.Errorf("exit %d, %s", code, said)
	}
}
