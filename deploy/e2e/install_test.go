// Package e2e installs deploy/install.yaml, which a test elsewhere holds equal to the chart, on a real API server, and
// runs the processes with the flags, the certificates and the accounts that stand in it. It is skipped with -short.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/test/devcluster"
)

const namespace = "wholescale-system"

// site is a cluster with install.yaml on it.
type site struct {
	t       *testing.T
	ctx     context.Context
	cluster *devcluster.Cluster
	admin   kubernetes.Interface
	bin     string
}

func TestInstall(t *testing.T) {
	cluster := devcluster.Start(t, devcluster.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	s := &site{t: t, ctx: ctx, cluster: cluster, admin: kubernetes.NewForConfigOrDie(cluster.RESTConfig()), bin: t.TempDir()}
	s.apply("../install.yaml")
	s.apply("../install.yaml") // a second time changes nothing, and above all is accepted
	s.apply("../helm/check/testdata/everything.yaml", metav1.DryRunAll)
	s.podsAreAdmitted()
	s.certificates()
	s.apply("../install.yaml")
	if step := s.certificatesRun(); step != "nothing" {
		t.Errorf("applying again lost the certificates: the next run %s", step)
	}
	s.nobodyGetsMore()
	s.serves()
}

// apply is `kubectl apply --server-side -f`, with unknown fields refused.
func (s *site) apply(path string, dryRun ...string) {
	s.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	config := rest.CopyConfig(s.cluster.RESTConfig())
	config.WarningHandler = rest.NewWarningWriter(failing{s.t}, rest.WarningWriterOptions{})
	client := dynamic.NewForConfigOrDie(config)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.admin.Discovery()))
	for _, text := range strings.Split(string(data), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			s.t.Fatal(err)
		}
		if len(o.Object) == 0 { // the comment at the top
			continue
		}
		kind := o.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			s.t.Fatal(err)
		}
		var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			resource = client.Resource(mapping.Resource).Namespace(o.GetNamespace())
		}
		body, err := o.MarshalJSON()
		if err != nil {
			s.t.Fatal(err)
		}
		yes := true
		if _, err := resource.Patch(s.ctx, o.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
			FieldManager: "install", Force: &yes, FieldValidation: "Strict", DryRun: dryRun,
		}); err != nil {
			s.t.Fatalf("%s %s: %v", kind.Kind, o.GetName(), err)
		}
	}
}

// failing makes what the API server warns of, such as a deprecated field, a failure.
type failing struct{ t *testing.T }

func (f failing) Write(text []byte) (int, error) {
	f.t.Errorf("the API server warns: %s", bytes.TrimSpace(text))
	return len(text), nil
}

// until asks until the answer is nil or the time is over.
func (s *site) until(what string, ask func() error) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-s.ctx.Done():
			s.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// podsAreAdmitted waits for the pods that the cluster itself makes of the Deployments and the Job: they have passed pod
// security, the priority class and the accounts.
func (s *site) podsAreAdmitted() {
	s.until("the pods are made", func() error {
		list, err := s.admin.CoreV1().Pods(namespace).List(s.ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		count := map[string]int{}
		for _, p := range list.Items {
			count[p.Labels["app.kubernetes.io/component"]]++
		}
		if got := fmt.Sprint(count); got != "map[certificates:1 controller:2 gateway:2]" {
			return fmt.Errorf("pods %s", got)
		}
		return nil
	})
	pod := s.deployment("gateway").Spec.Template
	pod.Spec.SecurityContext.RunAsNonRoot = nil
	_, err := s.admin.CoreV1().Pods(namespace).Create(s.ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "lax", Labels: pod.Labels}, Spec: pod.Spec,
	}, metav1.CreateOptions{DryRun: []string{"All"}})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "restricted") {
		s.t.Errorf("a pod that may be root is not refused: %v", err)
	}
}

func (s *site) deployment(component string) *appsv1.Deployment {
	s.t.Helper()
	d, err := s.admin.AppsV1().Deployments(namespace).Get(s.ctx, "wholescale-"+component, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// kubeconfig is a file with the account's own token and nothing else.
func (s *site) kubeconfig(account string) string {
	s.t.Helper()
	token, err := s.admin.CoreV1().ServiceAccounts(namespace).CreateToken(s.ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	admin := s.cluster.RESTConfig()
	c := clientcmdapi.NewConfig()
	c.Clusters["c"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthority: admin.CAFile, CertificateAuthorityData: admin.CAData}
	c.AuthInfos["a"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	c.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "a"}
	c.CurrentContext = "x"
	path := filepath.Join(s.t.TempDir(), account)
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// program builds a command of ours once.
func (s *site) program(name string) string {
	s.t.Helper()
	path := filepath.Join(s.bin, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if out, err := exec.CommandContext(s.ctx, "go", "build", "-o", path, "../../cmd/"+name).CombinedOutput(); err != nil {
		s.t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return path
}

// certificates runs what the Job runs, under the Job's account, and the Secrets hold what the pods mount.
func (s *site) certificates() {
	if step := s.certificatesRun(); step != "issued" {
		s.t.Fatalf("the first run: %s", step)
	}
	for _, component := range []string{"controller", "gateway", "provider"} {
		secret, err := s.admin.CoreV1().Secrets(namespace).Get(s.ctx, "wholescale-"+component+"-tls", metav1.GetOptions{})
		if err != nil || len(secret.Data["ca.crt"]) == 0 || len(secret.Data["tls.crt"]) == 0 || len(secret.Data["tls.key"]) == 0 {
			s.t.Errorf("the Secret of %s holds %d entries (%v)", component, len(secret.Data), err)
		}
	}
}

func (s *site) certificatesRun() string {
	s.t.Helper()
	list, err := s.admin.BatchV1().Jobs(namespace).List(s.ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		s.t.Fatalf("%d jobs (%v), want one", len(list.Items), err)
	}
	job := list.Items[0]
	c := job.Spec.Template.Spec.Containers[0]
	args := append(slices.Clone(c.Command[1:]), c.Args...)
	args = append(args, "--kubeconfig", s.kubeconfig(job.Spec.Template.Spec.ServiceAccountName))
	out, err := exec.CommandContext(s.ctx, s.program(filepath.Base(c.Command[0])), args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", c.Command[0], args, err, out)
	}
	_, rest, _ := strings.Cut(string(out), `"step":"`)
	step, _, _ := strings.Cut(rest, `"`)
	return step
}

// nobodyGetsMore asks the API server, with each account's token, for what a take-over of the cluster begins with.
func (s *site) nobodyGetsMore() {
	type ask struct{ verb, group, resource, sub, name, namespace string }
	for _, account := range []string{"wholescale-controller", "wholescale-gateway", "wholescale-certificates"} {
		config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig(account))
		if err != nil {
			s.t.Fatal(err)
		}
		stolen := kubernetes.NewForConfigOrDie(config)
		for _, a := range []ask{
			{"list", "", "secrets", "", "", namespace}, {"list", "", "secrets", "", "", ""}, {"get", "", "secrets", "", "other", namespace},
			{"create", "", "secrets", "", "", namespace}, {"delete", "", "secrets", "", "wholescale-gateway-tls", namespace},
			{"get", "", "secrets", "", "wholescale-gateway-tls", "default"},
			{"create", "", "pods", "", "", namespace}, {"create", "", "pods", "exec", "", namespace}, {"create", "batch", "jobs", "", "", namespace},
			{"create", "apps", "deployments", "", "", namespace}, {"patch", "apps", "deployments", "", "", namespace},
			{"create", "apps", "daemonsets", "", "", "default"}, {"create", "", "serviceaccounts", "token", "wholescale-controller", namespace},
			{"impersonate", "", "users", "", "", ""}, {"bind", "rbac.authorization.k8s.io", "clusterroles", "", "", ""},
			{"escalate", "rbac.authorization.k8s.io", "clusterroles", "", "", ""}, {"get", "", "nodes", "proxy", "", ""},
			{"create", "", "persistentvolumes", "", "", ""}, {"update", "certificates.k8s.io", "certificatesigningrequests", "approval", "", ""},
			{"create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "", ""},
			{"delete", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "wholescale-controller-nodes", ""},
			{"update", "apiextensions.k8s.io", "customresourcedefinitions", "", "", ""}, {"update", "", "services", "", "", namespace},
			{"update", "discovery.k8s.io", "endpointslices", "", "", namespace}, {"delete", "networking.k8s.io", "networkpolicies", "", "", namespace},
		} {
			if s.may(stolen, a) {
				s.t.Errorf("%s may %+v", account, a)
			}
		}
		for a, who := range map[ask]string{
			{"get", "", "secrets", "", "wholescale-gateway-tls", namespace}:      "wholescale-certificates",
			{"patch", "", "nodes", "", "", ""}:                                   "wholescale-controller",
			{"update", "coordination.k8s.io", "leases", "", "any", namespace}:    "wholescale-controller",
			{"list", "autoscaling.wholescale.dev", "podautoscalers", "", "", ""}: "wholescale-controller",
		} {
			if got := s.may(stolen, a); got != (who == account) {
				s.t.Errorf("may %s %+v? %v, and it is %s's", account, a, got, who)
			}
		}
	}
}

func (s *site) may(client kubernetes.Interface, a struct{ verb, group, resource, sub, name, namespace string }) bool {
	s.t.Helper()
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(s.ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: a.verb, Group: a.group, Resource: a.resource, Subresource: a.sub, Name: a.name, Namespace: a.namespace,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return review.Status.Allowed
}

// serves starts the processes as their pods would, with loopback addresses for the pods' own, and asks for an answer of a
// workload at no replicas. No provider runs, as in install.yaml: replicas are scaled, nodes are not.
func (s *site) serves() {
	links := []string{free(s.t), free(s.t)}
	account := s.kubeconfig("wholescale-controller")
	for _, link := range links {
		s.start("controller", map[string]string{"--link": link, "--admin": free(s.t)}, "--kubeconfig", account)
	}
	address := free(s.t)
	s.start("gateway", map[string]string{"--listen": address, "--admin": free(s.t), "--link": strings.Join(links, ",")}, "--allow-loopback-pods")

	// The cluster's own pods of Wholescale cannot run here, as there is no image: they do not tolerate this taint.
	taint := corev1.Taint{Key: "for", Value: "chat", Effect: corev1.TaintEffectNoSchedule}
	if _, err := s.cluster.AddNode(s.ctx, devcluster.NodeConfig{Name: "n1", Taints: []corev1.Taint{taint}}); err != nil {
		s.t.Fatal(err)
	}
	none, labels := int32(0), map[string]string{"app": "chat"}
	if _, err := s.admin.AppsV1().Deployments("default").Create(s.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Annotations: map[string]string{
			v1alpha1.AnnotationAutoscale: "true", v1alpha1.Group + "/host": "chat.example",
		}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Tolerations: []corev1.Toleration{{Key: "for", Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{
						Name: "app", Image: "demo", Command: []string{s.cluster.Binary(), "workload", "--listen", "$(POD_IP):8080"},
						Ports:     []corev1.ContainerPort{{ContainerPort: 8080}},
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
					}},
				},
			},
		},
	}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.until("a request is answered", func() error {
		request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://"+address+"/?ms=1", nil)
		if err != nil {
			return err
		}
		request.Host = "chat.example"
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %s", response.StatusCode, body)
		}
		return nil
	})
}

// start runs the command and the arguments of a Deployment's container, with other values for some flags, further ones
// behind, and /keys from the Secret that the pod mounts there.
func (s *site) start(component string, other map[string]string, more ...string) {
	s.t.Helper()
	pod := s.deployment(component).Spec.Template.Spec
	keys := s.t.TempDir()
	for _, v := range pod.Volumes {
		if v.Name != "keys" {
			continue
		}
		secret, err := s.admin.CoreV1().Secrets(namespace).Get(s.ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, item := range v.Secret.Items {
			if err := os.WriteFile(filepath.Join(keys, item.Path), secret.Data[item.Key], 0o600); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	c := pod.Containers[0]
	var args []string
	for _, a := range append(slices.Clone(c.Command[1:]), c.Args...) {
		flag, value, _ := strings.Cut(a, "=")
		if v, ok := other[flag]; ok {
			value = v
		}
		args = append(args, flag+"="+strings.ReplaceAll(value, "/keys/", keys+"/"))
	}
	log := &bytes.Buffer{}
	process := exec.Command(s.program(filepath.Base(c.Command[0])), append(args, more...)...)
	process.Stdout, process.Stderr = log, log
	process.Env = append(os.Environ(), s.cluster.Env()...) // so that the cluster's guard ends it if this test is killed
	if err := process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = process.Process.Signal(os.Interrupt)
		_ = process.Wait() // how it ended is in the log
		if s.t.Failed() {
			s.t.Logf("%s %v:\n%s", component, args, log)
		}
	})
}

// free is a loopback address that nobody listens on now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
