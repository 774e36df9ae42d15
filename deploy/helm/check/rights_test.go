package check

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

type object = map[string]any

// variants are installations that differ in what is made at all.
var variants = map[string]object{
	"default":      {},
	"provider":     {"provider": object{"enabled": true, "config": object{"pools": []any{object{"id": "a", "max": 3}}}, "credentials": object{"secretName": "cloud"}, "serviceAccountAnnotations": object{"a": "b"}}},
	"elsewhere":    {"controller": object{"providerAddress": "cloud.example:7443"}},
	"cert-manager": {"certificates": object{"mode": "certManager"}},
	"own issuer":   {"certificates": object{"mode": "certManager", "issuerRef": object{"name": "a", "kind": "ClusterIssuer", "group": "cert-manager.io"}}},
	"own Secrets":  {"certificates": object{"mode": "existing"}},
	"everything": {
		"namespace": object{"create": true}, "image": object{"digest": "sha256:" + strings.Repeat("a", 64)}, "imagePullSecrets": []any{object{"name": "a"}},
		"gateway": object{
			"autoscaling": object{"enabled": true}, "tls": object{"secretName": "users"}, "deny": []any{"10.0.0.0/8", "192.168.0.0/16"}, "trustForwarded": true,
			"service": object{"type": "LoadBalancer", "annotations": object{"a": "b"}, "loadBalancerSourceRanges": []any{"10.0.0.0/8"}},
		},
		"provider":      object{"enabled": true, "config": object{"pools": []any{object{"id": "a", "max": 3}}}, "state": object{"existingClaim": "a"}, "env": []any{object{"name": "A", "value": "b"}}, "podAnnotations": object{"a": "b"}},
		"networkPolicy": object{"metrics": []any{object{"namespaceSelector": object{}}}, "clients": []any{object{"ipBlock": object{"cidr": "10.0.0.0/8"}}}},
	},
	"monitoring": {"tracing": object{"endpoint": "http://otel.monitoring.svc:4318", "egress": []any{object{"ports": []any{object{"port": 4318}}}}}, "controller": object{"priceCap": 2.5, "priceCaps": []any{object{"name": "night", "perHour": 1.5, "begins": "0 20 * * *", "lasts": "10h", "timeZone": "Europe/Berlin"}}, "live": object{"enabled": false}, "decisionLog": object{"enabled": false}}, "monitoring": object{
		"podMonitor": object{"enabled": true, "labels": object{"release": "prometheus"}}, "prometheusRule": object{"enabled": true}, "dashboards": object{"enabled": true, "annotations": object{"folder": "Wholescale"}},
	}},
	"metrics": {"controller": object{"metrics": object{"custom": []any{"pods/jobs", "services/hits"}, "external": []any{"queue_length"}}}},
	"bare":    {"networkPolicy": object{"enabled": false}, "priorityClass": object{"create": false, "name": ""}},
}

func each(t *testing.T, namespace string, check func(*testing.T, []*unstructured.Unstructured)) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			objects, err := Chart("wholescale", namespace, v)
			if err != nil {
				t.Fatal(err)
			}
			check(t, objects)
		})
	}
}

func source(t *testing.T, name string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Split(string(data))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func without(o *unstructured.Unstructured) object {
	c := o.DeepCopy()
	c.SetLabels(nil)
	return c.Object
}

// What deploy/rbac.yaml and deploy/admission.yaml say, and nothing beside it but the account that writes certificates.
func TestRightsAreThoseOfTheSource(t *testing.T) {
	each(t, namespace, func(t *testing.T, objects []*unstructured.Unstructured) {
		want := map[string]object{}
		for _, o := range append(source(t, "rbac.yaml"), source(t, "admission.yaml")...) {
			if o.GetKind() != "Namespace" {
				want[key(o)] = without(o)
			}
		}
		var extra []string
		for _, o := range objects {
			if w, ok := want[key(o)]; ok {
				if !reflect.DeepEqual(w, without(o)) {
					t.Errorf("%s is not as in its source", key(o))
				}
				delete(want, key(o))
			} else if strings.Contains(o.GetAPIVersion(), "rbac") || strings.Contains(o.GetAPIVersion(), "admissionregistration") {
				extra = append(extra, key(o))
			}
		}
		for k := range want {
			t.Errorf("%s is missing", k)
		}
		slices.Sort(extra)
		if strings.HasSuffix(t.Name(), "/metrics") { // rights that were asked for by name
			if len(extra) < 2 || extra[0] != "ClusterRole /wholescale-controller-metrics" || extra[1] != "ClusterRoleBinding /wholescale-controller-metrics" {
				t.Fatalf("rights beyond the sources: %v", extra)
			}
			extra = extra[2:]
		}
		if got := strings.Join(extra, ", "); got != "" && got != "Role wholescale-system/wholescale-certificates, RoleBinding wholescale-system/wholescale-certificates" {
			t.Errorf("rights beyond the sources: %s", got)
		}
	})
}

// rights of each account, by the bindings, one line a rule.
func rights(t *testing.T, objects []*unstructured.Unstructured) string {
	rules := map[string][]rbacv1.PolicyRule{}
	accounts := map[string][]string{}
	for _, o := range objects {
		switch o.GetKind() {
		case "ServiceAccount":
			accounts[o.GetName()] = nil
		case "Role", "ClusterRole":
			var r rbacv1.ClusterRole
			into(t, o, &r)
			rules[o.GetKind()+"/"+o.GetName()] = r.Rules
		}
	}
	for _, o := range objects {
		if o.GetKind() != "RoleBinding" && o.GetKind() != "ClusterRoleBinding" {
			continue
		}
		var b rbacv1.ClusterRoleBinding
		into(t, o, &b)
		for _, s := range b.Subjects {
			if _, ok := accounts[s.Name]; !ok || s.Kind != "ServiceAccount" || s.Namespace == "" {
				t.Errorf("%s gives rights to %v, which is not an account of ours", o.GetName(), s)
			}
			for _, r := range rules[b.RoleRef.Kind+"/"+b.RoleRef.Name] {
				where := "everywhere"
				if o.GetKind() == "RoleBinding" {
					where = "in " + o.GetNamespace()
				}
				line := fmt.Sprintf("  %s: %s of %s", where, strings.Join(r.Verbs, ","), strings.Join(r.Resources, ","))
				if len(r.ResourceNames) > 0 {
					line += " named " + strings.Join(r.ResourceNames, ",")
				}
				accounts[s.Name] = append(accounts[s.Name], line)
			}
		}
	}
	text := ""
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for a := range accounts {
			if !yield(a) {
				return
			}
		}
	}) {
		text += fmt.Sprintf("%s: %d rules\n%s\n", name, len(accounts[name]), strings.Join(accounts[name], "\n"))
	}
	return text
}

func into(t *testing.T, o *unstructured.Unstructured, to any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, to, true); err != nil {
		t.Fatalf("%s: %v", key(o), err)
	}
}

func TestEachAccountsRightsAreTheGoldenOnes(t *testing.T) {
	objects, err := Chart("wholescale", namespace, variants["provider"])
	if err != nil {
		t.Fatal(err)
	}
	same(t, "helm/check/testdata/rights.golden", rights(t, objects))
}

// pods are all pod templates, by the object that makes them.
func pods(t *testing.T, objects []*unstructured.Unstructured) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for _, o := range objects {
		path := map[string][]string{
			"Deployment": {"spec", "template"}, "Job": {"spec", "template"}, "CronJob": {"spec", "jobTemplate", "spec", "template"},
		}[o.GetKind()]
		if path == nil {
			continue
		}
		text, _, err := unstructured.NestedMap(o.Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		var p corev1.PodTemplateSpec
		into(t, &unstructured.Unstructured{Object: text}, &p)
		found[o.GetKind()+" "+o.GetName()] = p
	}
	return found
}

func TestPodsAreConfined(t *testing.T) {
	each(t, "elsewhere", func(t *testing.T, objects []*unstructured.Unstructured) {
		accounts := map[string]bool{}
		for _, o := range objects {
			if o.GetKind() == "ServiceAccount" {
				accounts[o.GetName()] = true
				if token, ok, _ := unstructured.NestedBool(o.Object, "automountServiceAccountToken"); !ok || token {
					t.Errorf("%s gives its token to whoever runs as it", o.GetName())
				}
			}
			if ns := o.GetNamespace(); ns != "" && ns != "elsewhere" {
				t.Errorf("%s is not in the release's namespace", key(o))
			}
			if text := fmt.Sprint(o.Object); strings.Contains(text, "wholescale-system") {
				t.Errorf("%s names wholescale-system, and the release is elsewhere", key(o))
			}
		}
		for name, p := range pods(t, objects) {
			component := p.Labels["app.kubernetes.io/component"]
			s := p.Spec
			if !accounts[s.ServiceAccountName] || s.ServiceAccountName != "wholescale-"+component {
				t.Errorf("%s runs as %q", name, s.ServiceAccountName)
			}
			if token := s.AutomountServiceAccountToken; token == nil || *token != (component == "controller" || component == "certificates") {
				t.Errorf("%s: token %v", name, token)
			}
			if s.HostNetwork || s.HostPID || s.HostIPC || len(s.InitContainers) > 0 || len(s.Containers) != 1 {
				t.Errorf("%s shares the host's namespaces, or has other containers", name)
			}
			if c := s.SecurityContext; c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot || *c.RunAsUser == 0 || *c.RunAsGroup == 0 ||
				c.SeccompProfile == nil || c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: security context %v", name, c)
			}
			c := s.Containers[0].SecurityContext
			if c == nil || *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL" || len(c.Capabilities.Add) > 0 {
				t.Errorf("%s: container's security context %v", name, c)
			}
			if r := s.Containers[0].Resources; r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
				t.Errorf("%s: resources %v", name, r)
			}
			for _, v := range s.Volumes {
				if v.HostPath != nil || v.Projected != nil || (v.Secret != nil && v.Name == "keys" && v.Secret.SecretName != "wholescale-"+component+"-tls") {
					t.Errorf("%s mounts %v", name, v)
				}
			}
		}
	})
}

// Each pod has one policy, which holds for both directions.
func TestEachPodHasItsNetworkPolicy(t *testing.T) {
	each(t, namespace, func(t *testing.T, objects []*unstructured.Unstructured) {
		if strings.HasSuffix(t.Name(), "/bare") {
			return
		}
		for name, p := range pods(t, objects) {
			var hold []string
			for _, o := range objects {
				if o.GetKind() != "NetworkPolicy" {
					continue
				}
				var n networkingv1.NetworkPolicy
				into(t, o, &n)
				s, err := metav1.LabelSelectorAsSelector(&n.Spec.PodSelector)
				if err != nil {
					t.Fatal(err)
				}
				if s.Matches(labels.Set(p.Labels)) {
					hold = append(hold, n.Name)
				}
				if len(n.Spec.PolicyTypes) != 2 || len(n.Spec.Egress) == 0 {
					t.Errorf("%s: %v", n.Name, n.Spec)
				}
			}
			if len(hold) != 1 {
				t.Errorf("%s has the policies %v", name, hold)
			}
		}
	})
}

// Services, budgets and Deployments select pods that are there.
func TestSelectorsSelect(t *testing.T) {
	each(t, namespace, func(t *testing.T, objects []*unstructured.Unstructured) {
		all := pods(t, objects)
		for _, o := range objects {
			path := map[string][]string{"Service": {"spec", "selector"}, "PodDisruptionBudget": {"spec", "selector", "matchLabels"}, "Deployment": {"spec", "selector", "matchLabels"}}[o.GetKind()]
			if path == nil {
				continue
			}
			selector, _, err := unstructured.NestedStringMap(o.Object, path...)
			if err != nil || len(selector) == 0 {
				t.Fatalf("%s: %v %v", key(o), selector, err)
			}
			n := 0
			for _, p := range all {
				if labels.SelectorFromSet(selector).Matches(labels.Set(p.Labels)) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s selects %d of our pods", key(o), n)
			}
		}
	})
}

// What the pods run is in the image.
func TestTheImageHasTheCommands(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(deploy, "../Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for line := range strings.Lines(string(file)) {
		if words := strings.Fields(line); len(words) > 3 && words[0] == "COPY" && words[1] == "--from=build" {
			for _, w := range words[2 : len(words)-1] {
				there = append(there, words[len(words)-1]+filepath.Base(w))
			}
		}
	}
	each(t, namespace, func(t *testing.T, objects []*unstructured.Unstructured) {
		for name, p := range pods(t, objects) {
			if c := p.Spec.Containers[0].Command; len(c) == 0 || !slices.Contains(there, c[0]) {
				t.Errorf("%s runs %v, and the image has %v", name, c, there)
			}
		}
	})
}
