// Package check renders the chart with Helm's own library, makes of it what is committed beside it (install.yaml, the
// kustomize base, the table of values), and holds all of them together in its tests:
//
//	go test ./...          # is all as the chart makes it?
//	go test ./... -update  # make it so
package check

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// deploy is the folder that holds everything, from here.
const deploy = "../.."

// Chart renders one of the charts into objects as `helm template` would, sorted as Helm installs them.
func Chart(name, namespace string, values map[string]any) ([]*unstructured.Unstructured, error) {
	chart, err := loader.LoadDir(filepath.Join(deploy, "helm", name))
	if err != nil {
		return nil, err
	}
	return render(chart, namespace, values)
}

func render(chart *chart.Chart, namespace string, values map[string]any) ([]*unstructured.Unstructured, error) {
	capabilities := common.DefaultCapabilities.Copy()
	options := common.ReleaseOptions{Name: "wholescale", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, options, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(file) != ".yaml" {
			continue
		}
		found, err := Split(files[file])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		objects = append(objects, found...)
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return objects, nil
}

// Split reads the objects of a YAML stream.
func Split(text string) (objects []*unstructured.Unstructured, err error) {
	for i, one := range strings.Split("\n"+text, "\n---") {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(one), &object.Object); err != nil {
			return nil, fmt.Errorf("object %d: %w\n%s", i+1, err, one)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// order is that in which objects can be made, so that `kubectl apply` needs one pass: what others name comes first.
var order = []string{
	"CustomResourceDefinition", "Namespace", "PriorityClass", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap",
	"PersistentVolumeClaim", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ValidatingAdmissionPolicy",
	"ValidatingAdmissionPolicyBinding", "Issuer", "Certificate", "Service", "Deployment", "HorizontalPodAutoscaler", "Job", "CronJob",
}

func rank(o *unstructured.Unstructured) int {
	if i := slices.Index(order, o.GetKind()); i >= 0 {
		return i
	}
	return len(order)
}

// Join writes objects as a YAML stream.
func Join(objects []*unstructured.Unstructured) (string, error) {
	var text strings.Builder
	for _, o := range objects {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			return "", err
		}
		text.WriteString("---\n")
		text.Write(data)
	}
	return text.String(), nil
}

// Install is what deploy/install.yaml holds: both charts with default values, and the namespace.
func Install() ([]*unstructured.Unstructured, error) {
	kinds, err := Chart("wholescale-crds", namespace, nil)
	if err != nil {
		return nil, err
	}
	rest, err := Chart("wholescale", namespace, map[string]any{"namespace": map[string]any{"create": true}})
	if err != nil {
		return nil, err
	}
	all := append(kinds, rest...)
	for _, o := range all {
		plain(o)
	}
	return all, nil
}

// namespace is where install.yaml puts everything.
const namespace = "wholescale-system"

// plain takes away what only Helm reads.
func plain(o *unstructured.Unstructured) {
	edit := func(drop string, get func() map[string]string, set func(map[string]string)) {
		kept := map[string]string{}
		for k, v := range get() {
			if !strings.HasPrefix(k, drop) {
				kept[k] = v
			}
		}
		if len(kept) == 0 {
			kept = nil
		}
		set(kept)
	}
	edit("helm.sh/", o.GetAnnotations, o.SetAnnotations)
	edit("helm.sh/", o.GetLabels, o.SetLabels)
	if o.GetLabels()["app.kubernetes.io/managed-by"] == "Helm" {
		labels := o.GetLabels()
		delete(labels, "app.kubernetes.io/managed-by")
		o.SetLabels(labels)
	}
}
