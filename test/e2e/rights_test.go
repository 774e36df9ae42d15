package e2e

import (
	"os"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wholescale/wholescale/test/stack"
)

// The controller's own token, used from outside: it may do what it must and nothing else. Gateway and provider have none.
func TestEachProcessHoldsItsOwnRightsOnly(t *testing.T) {
	w := newWorld(t, pool("spot", 2, "0s"))
	config, err := clientcmd.BuildConfigFromFlags("", w.ControllerKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb, group, resource, sub string
		may                        bool
	}{
		{"list", "", "pods", "", true},
		{"create", "", "pods", "eviction", true},
		{"patch", "apps", "deployments", "scale", true},
		{"delete", "", "nodes", "", true},
		{"list", "", "secrets", "", false},
		{"get", "", "secrets", "", false},
		{"create", "", "pods", "", false},
		{"delete", "", "pods", "", false},
		{"create", "", "pods", "exec", false},
		{"patch", "apps", "deployments", "", false},
		{"create", "apps", "deployments", "", false},
		{"create", "apps", "daemonsets", "", false},
		{"create", "batch", "jobs", "", false},
		{"create", "", "serviceaccounts", "token", false},
		{"impersonate", "", "users", "", false},
		{"bind", "rbac.authorization.k8s.io", "clusterroles", "", false},
		{"escalate", "rbac.authorization.k8s.io", "clusterroles", "", false},
		{"create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", false},
		{"get", "", "nodes", "proxy", false},
		{"create", "", "persistentvolumes", "", false},
		{"update", "certificates.k8s.io", "certificatesigningrequests", "approval", false},
		{"get", "", "configmaps", "", false},
	} {
		review, err := stolen.AuthorizationV1().SelfSubjectAccessReviews().Create(w.ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: c.verb, Group: c.group, Resource: c.resource, Subresource: c.sub, Namespace: "default",
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != c.may {
			t.Errorf("may the controller %s %s/%s? %v, and it should be %v", c.verb, c.resource, c.sub, review.Status.Allowed, c.may)
		}
	}
	// RBAC cannot limit fields: the admission policy does. A pod's image is not ours to change, nor a node's labels.
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "victim"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "good"}}}}
	if _, err := w.Client.CoreV1().Pods("default").Create(w.ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	evil := []byte(`{"spec":{"containers":[{"name":"a","image":"evil"}]}}`)
	if _, err := stolen.CoreV1().Pods("default").Patch(w.ctx, "victim", types.StrategicMergePatchType, evil, metav1.PatchOptions{}); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("the controller's token changed a pod's image (%v)", err)
	}
	w.noToken()
}

// noToken: neither the gateway nor the provider was started with a kubeconfig or a token.
func (w *world) noToken() {
	w.t.Helper()
	for _, p := range []*stack.Process{w.Gateway, w.Provider} {
		command, err := os.ReadFile(p.ProcFile("cmdline"))
		if err != nil {
			w.t.Fatal(err)
		}
		if s := string(command); strings.Contains(s, "kubeconfig") || strings.Contains(s, "token") {
			w.t.Errorf("%s was started with %q", p.Name, s)
		}
	}
}
