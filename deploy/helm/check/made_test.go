package check

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var update = flag.Bool("update", false, "write what the chart makes into the files that are held equal to it")

const madeBy = "# Made from deploy/helm by `make chart`; do not edit.\n"

// same holds a file equal to what is made, or, with -update, makes it so.
func same(t *testing.T, path, made string) {
	t.Helper()
	path = filepath.Join(deploy, path)
	if *update {
		if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	there, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(there) != made {
		t.Errorf("%s is not what the chart makes: run `make chart`\n%s", path, firstDifference(string(there), made))
	}
}

func firstDifference(there, made string) string {
	a, b := strings.Split(there, "\n"), strings.Split(made, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %q, made: %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, made: %d", len(a), len(b))
}

func TestManifestsAreTheCharts(t *testing.T) {
	text, err := Join(install(t))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "install.yaml", madeBy+text)
	same(t, "kustomize/wholescale.yaml", madeBy+text)
}

// What deploy/e2e asks a real API server about without making it: all that can be switched on.
func TestEverythingIsTheCharts(t *testing.T) {
	objects, err := Chart("wholescale", namespace, variants["everything"])
	if err != nil {
		t.Fatal(err)
	}
	provider, err := Chart("wholescale", namespace, variants["provider"])
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range provider { // the claim, which "everything" has of its own
		if o.GetKind() == "PersistentVolumeClaim" {
			objects = append(objects, o)
		}
	}
	text, err := Join(objects)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "helm/check/testdata/everything.yaml", madeBy+text)
}

func install(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := Install()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestKustomizeBuildsTheSame(t *testing.T) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(deploy, "kustomize"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Split(string(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*unstructured.Unstructured{}
	for _, o := range install(t) {
		want[key(o)] = o
	}
	for _, o := range objects {
		a, _ := o.MarshalJSON()
		b, err := want[key(o)].MarshalJSON()
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from install.yaml's", key(o))
		}
		delete(want, key(o))
	}
	for k := range want {
		t.Errorf("%s is not in what kustomize builds", k)
	}
}

func key(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

const (
	tableBegins = "<!-- values: made from values.yaml by `make chart` -->\n"
	tableEnds   = "<!-- end of values -->\n"
)

func TestReadmeHasTheValues(t *testing.T) {
	path := "helm/wholescale/README.md"
	data, err := os.ReadFile(filepath.Join(deploy, path))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for the table", path)
	}
	table := "| value | default | |\n| --- | --- | --- |\n"
	for _, v := range values(t) {
		table += fmt.Sprintf("| `%s` | `%s` | %s |\n", v.path, v.value, v.comment)
	}
	same(t, path, before+tableBegins+table+tableEnds+after)
}

// value is one row: a leaf of values.yaml, or an object that the user fills.
type value struct{ path, value, comment string }

func values(t *testing.T) (rows []value) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deploy, "helm/wholescale/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, v := path+n.Content[i].Value, n.Content[i+1]
			if v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 && len(v.Content) > 0 {
				walk(name+".", v)
				continue
			}
			comment := strings.ReplaceAll(strings.TrimPrefix(n.Content[i].HeadComment, "# "), "\n# ", " ")
			rows = append(rows, value{name, short(t, v), comment})
		}
	}
	walk("", tree.Content[0])
	return rows
}

// short is a value in one line.
func short(t *testing.T, n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		if n.Value == "" {
			return `""`
		}
		return n.Value
	}
	flow := *n
	flow.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&flow)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
