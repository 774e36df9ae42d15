package check

import (
	"path/filepath"
	"reflect"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/chart/v2/util"
)

// A packaged chart holds what files/ links to, and makes the same objects.
func TestPackagedChartIsTheSame(t *testing.T) {
	for _, name := range []string{"wholescale-crds", "wholescale"} {
		unpacked, err := loader.LoadDir(filepath.Join(deploy, "helm", name))
		if err != nil {
			t.Fatal(err)
		}
		path, err := util.Save(unpacked, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		packed, err := loader.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Chart(name, namespace, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := render(packed, namespace, nil); err != nil || len(got) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d objects, unpacked %d (%v)", name, len(got), len(want), err)
		}
	}
}

func TestHelmLintIsContent(t *testing.T) {
	for name, values := range map[string]map[string]any{"wholescale-crds": nil, "wholescale": variants["everything"]} {
		for _, m := range lint.RunAll(filepath.Join(deploy, "helm", name), values, namespace).Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}
