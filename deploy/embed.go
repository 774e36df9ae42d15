// Package deploy is what is installed into a cluster: the CRDs, the controller's rights, and the admission policies that
// narrow them. The CRDs are generated from api/v1alpha1; do not edit them.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// FS holds crds/*.yaml, rbac.yaml and admission.yaml.
//
//go:embed crds/*.yaml rbac.yaml admission.yaml
var FS embed.FS

// Objects are all that is installed, in an order in which it can be: CRDs, rights, policies.
func Objects() ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(FS, "crds/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, name := range append(names, "rbac.yaml", "admission.yaml") {
		data, err := FS.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for i, text := range strings.Split("\n"+string(data), "\n---\n") {
			object := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(text), &object.Object); err != nil {
				return nil, fmt.Errorf("%s, object %d: %w", name, i+1, err)
			}
			if len(object.Object) > 0 {
				all = append(all, object)
			}
		}
	}
	return all, nil
}
