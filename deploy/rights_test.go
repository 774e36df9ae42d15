package deploy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// most is what the README may claim: no peer of ours asks for fewer.
const most = 14

func objects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	all, err := Objects()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rules are those of all roles, each as "kind/name: group/resource verb".
func rules(t *testing.T) (rules []rbacv1.PolicyRule, lines []string) {
	t.Helper()
	for _, o := range objects(t) {
		if o.GetKind() != "ClusterRole" && o.GetKind() != "Role" {
			continue
		}
		var role rbacv1.ClusterRole // a Role has the same fields
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &role, true); err != nil {
			t.Fatal(err)
		}
		for _, r := range role.Rules {
			rules = append(rules, r)
			for _, g := range r.APIGroups {
				for _, res := range r.Resources {
					lines = append(lines, fmt.Sprintf("%s: %s %s", o.GetKind(), strings.TrimPrefix(g+"/"+res, "/"), strings.Join(r.Verbs, ",")))
				}
			}
		}
	}
	slices.Sort(lines)
	return rules, lines
}

func TestRightsAreTheGoldenOnes(t *testing.T) {
	rules, lines := rules(t)
	if len(rules) > most {
		t.Errorf("%d rules, more than %d", len(rules), most)
	}
	got := fmt.Sprintf("rules %d\n%s\n", len(rules), strings.Join(lines, "\n"))
	want, err := os.ReadFile("testdata/rights.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("rights changed; if that is meant, put this into testdata/rights.golden:\n%s", got)
	}
}

func TestNoRightCanTakeOverTheCluster(t *testing.T) {
	for _, r := range func() []rbacv1.PolicyRule { r, _ := rules(t); return r }() {
		if len(r.NonResourceURLs) > 0 {
			t.Errorf("%v: no URL is needed", r)
		}
		for _, list := range [][]string{r.APIGroups, r.Resources, r.Verbs} {
			for _, name := range list {
				if strings.Contains(name, "*") {
					t.Errorf("%v: a wildcard", r)
				}
			}
		}
		for _, verb := range r.Verbs {
			if slices.Contains([]string{"escalate", "bind", "impersonate", "approve", "sign", "deletecollection"}, verb) {
				t.Errorf("%v: verb %s", r, verb)
			}
			for _, resource := range r.Resources {
				if reason := takeOver(resource, verb); reason != "" {
					t.Errorf("%s %s: %s", verb, resource, reason)
				}
			}
		}
	}
}

func takeOver(resource, verb string) string {
	reads := slices.Contains([]string{"get", "list", "watch"}, verb)
	switch resource {
	case "secrets", "configmaps":
		return "reading it is to have what is in it"
	case "serviceaccounts", "serviceaccounts/token", "users", "groups":
		return "becomes somebody else"
	case "nodes/proxy", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "pods/ephemeralcontainers":
		return "runs commands in containers"
	case "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
		"validatingadmissionpolicybindings", "mutatingadmissionpolicies", "apiservices", "customresourcedefinitions":
		return "changes what the API server accepts"
	case "persistentvolumes":
		if !reads {
			return "mounts what it likes of a node"
		}
	case "certificatesigningrequests", "certificatesigningrequests/approval", "clusterroles",
		"clusterrolebindings", "roles", "rolebindings":
		return "is on the list of rights that lead to all rights"
	case "pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "podtemplates":
		// Patch on pods is for the deletion cost, and admission.yaml keeps it to that.
		if !reads && (resource != "pods" || verb != "patch") {
			return "creates or changes workloads, and so runs with any service account"
		}
	case "endpoints", "endpointslices", "services", "ingresses":
		if !reads {
			return "sends traffic elsewhere"
		}
	}
	return ""
}

// What RBAC cannot say stands in the policies, for the very account that the binding names.
func TestPoliciesAreBoundToTheControllersAccount(t *testing.T) {
	policies, bound := map[string]bool{}, map[string]bool{}
	for _, o := range objects(t) {
		switch o.GetKind() {
		case "ValidatingAdmissionPolicy":
			policies[o.GetName()] = true
			text := fmt.Sprint(o.Object)
			if !strings.Contains(text, "system:serviceaccount:wholescale-system:wholescale-controller") || !strings.Contains(text, "failurePolicy:Fail") {
				t.Errorf("%s must hold for the controller and fail closed", o.GetName())
			}
		case "ValidatingAdmissionPolicyBinding":
			name, _, err := unstructured.NestedString(o.Object, "spec", "policyName")
			if err != nil {
				t.Fatal(err)
			}
			bound[name] = true
		}
	}
	for name := range policies {
		if !bound[name] {
			t.Errorf("policy %s is not bound, so it does nothing", name)
		}
	}
	if len(policies) != 2 {
		t.Errorf("%d policies, want one for nodes and one for pods", len(policies))
	}
}

func TestObjectsComeInOrder(t *testing.T) {
	var kinds []string
	for _, o := range objects(t) {
		kinds = append(kinds, o.GetKind())
	}
	want := "CustomResourceDefinition CustomResourceDefinition Namespace ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding " +
		"ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
