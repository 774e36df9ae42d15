package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadValuesAreRefused(t *testing.T) {
	for want, v := range map[string]object{
		"colour":                         {"colour": "red"},
		"replica":                        {"gateway": object{"replica": 3}},
		"/gateway/replicas":              {"gateway": object{"replicas": 0}},
		"/gateway/deny/0":                {"gateway": object{"deny": []any{"10.0.0.1"}}},
		"/gateway/drainDelay":            {"gateway": object{"drainDelay": "10"}},
		"/controller/metrics/custom/0":   {"controller": object{"metrics": object{"custom": []any{"pods/*"}}}},
		"/controller/metrics/external/0": {"controller": object{"metrics": object{"external": []any{"*"}}}},
		"/certificates/mode":             {"certificates": object{"mode": "magic"}},
		"/image/digest":                  {"image": object{"digest": "sha1:a"}},
		"/priorityClass/value":           {"priorityClass": object{"value": 2000000000}},
		"/provider/config":               {"provider": object{"enabled": true}},
		"/provider/config/pools":         {"provider": object{"enabled": true, "config": object{"pools": []any{}}}},
		"/controller/providerAddr":       {"controller": object{"providerAddress": "https://a.example"}},
	} {
		if _, err := Chart("wholescale", namespace, v); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), ".", "/"), want) {
			t.Errorf("%v: %v; want it to name %s", v, err, want)
		}
	}
	if _, err := Chart("wholescale-crds", namespace, object{"colour": "red"}); err == nil {
		t.Error("the chart of the kinds takes any value")
	}
}

// Each value has a place in the schema, and the schema has no other.
func TestSchemaIsOfTheValues(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(deploy, "helm/wholescale/values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, v := range values(t) {
		known[v.path] = true
	}
	var walk func(path string, s object)
	walk = func(path string, s object) {
		properties, _ := s["properties"].(object)
		for name, p := range properties {
			at := strings.TrimPrefix(path+"."+name, ".")
			if known[at] || at == "global" {
				delete(known, at)
				continue
			}
			if p := p.(object); p["additionalProperties"] != false {
				t.Errorf("%s is in the schema and not in values.yaml, or lets anything in", at)
			} else {
				walk(at, p)
			}
		}
	}
	walk("", schema)
	for path := range known {
		t.Errorf("%s is in values.yaml and not in the schema", path)
	}
}
