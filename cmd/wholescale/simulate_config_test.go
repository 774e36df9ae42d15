package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// applied are objects as they are applied, which say what the flags' defaults say, one by one.
const applied = `# a comment alone is no object
---
apiVersion: autoscaling.wholescale.dev/v1alpha1
kind: PodAutoscaler
metadata: {name: chat, namespace: web}
spec:
  targetRef: {name: chat}
  concurrency: {limit: 4}
  objective: {wait: 300ms}
  replicas: {max: 1000}
---
apiVersion: autoscaling.wholescale.dev/v1alpha1
kind: NodePool
metadata: {name: pool}
spec:
  provider: {pool: pool}
  nodes: {max: 1000}
  pricePerHour: 0.12
  idleAfter: 30s
  disruption: {consolidateAfter: 5m}
---
apiVersion: v1
kind: Service
metadata: {name: chat}
`

func TestSimulateTakesObjectsAsTheyAreApplied(t *testing.T) {
	path := write(t, "invocations.csv", table)
	byFlags, _, _ := simulated(t, path, "-o", "json", "--policy", "wholescale,kpa")
	byObjects, said, code := simulated(t, path, "-o", "json", "--policy", "wholescale,kpa", "--config", write(t, "all.yaml", applied))
	if code != 0 || byObjects != byFlags || !strings.Contains(said, "Service/chat") {
		t.Errorf("exit %d; what the objects say differs from the same by flags:\n%s\n%s\n%s", code, byObjects, byFlags, said)
	}
	atLeastThree := strings.Replace(applied, "{max: 1000}\n---", "{min: 3, max: 1000}\n---", 1)
	out, said, code := simulated(t, path, "-o", "json", "--for", "2m", "--config", write(t, "min.yaml", atLeastThree))
	var got map[string]map[string]float64
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got["wholescale"]["replicasMax"] < 3 {
		t.Errorf("exit %d, %v: replicas.min of the object does nothing: %s %s", code, err, out, said)
	}
}

func TestSimulateReadsSchedulesBudgetsAndDeployments(t *testing.T) {
	path := write(t, "invocations.csv", table)
	text := strings.Replace(applied, "  objective:", "  schedule: [{name: early, begins: \"2 0 * * *\", lasts: 2m, replicas: 7}]\n  objective:", 1)
	text = strings.Replace(text, "{consolidateAfter: 5m}", "{consolidateAfter: 1m, budgets: [{nodes: 50%}]}", 1)
	text = strings.Replace(text, "apiVersion: v1\nkind: Service\nmetadata: {name: chat}\n", `apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec:
  template: {spec: {containers: [{name: c, resources: {requests: {cpu: "2", memory: 1Gi}}}]}}
`, 1)
	out, said, code := simulated(t, path, "-o", "json", "--config", write(t, "all.yaml", text))
	var got map[string]map[string]float64
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("exit %d, %v, %s", code, err, said)
	}
	// Seven of two cores each, of both functions, on nodes of four.
	if f := got["wholescale"]; f["replicasMax"] < 14 || f["nodesMax"] < 7 || f["violations"] != 0 {
		t.Errorf("the floor at 00:02 or the Deployment's two cores do not show: %v", f)
	}
	later, _, _ := simulated(t, path, "-o", "json", "--begin", "2026-01-05T12:00:00Z", "--config", write(t, "all.yaml", text))
	if err := json.Unmarshal([]byte(later), &got); err != nil || got["wholescale"]["replicasMax"] >= 14 {
		t.Errorf("the floor holds at noon too: %s", later)
	}
}

func TestSimulateRefusesObjects(t *testing.T) {
	path := write(t, "invocations.csv", table)
	for _, c := range []struct{ old, new, says string }{
		{"limit: 4", "limits: 4", "unknown field \"limits\""},
		{"limit: 4", "limit: -4", "spec.concurrency.limit"},
		{"pool: pool", "pool: \"\"", "spec.provider.pool"},
		{"wait: 300ms", "wait: soon", "soon"},
		{"kind: NodePool", "kid: NodePool", "object 3: it has no kind"},
	} {
		out, said, code := simulated(t, path, "--config", write(t, "all.yaml", strings.Replace(applied, c.old, c.new, 1)))
		if code != exitUsage || out != "" || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit %d, %q; expected %q", c.new, code, said, c.says)
		}
	}
	if _, said, code := simulated(t, path, "--config", write(t, "none.yaml", "# nothing\n")); code != exitUsage || !strings.Contains(said, "neither a PodAutoscaler") {
		t.Errorf("exit %d, %s", code, said)
	}
}
