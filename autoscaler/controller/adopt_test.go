package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/google/go-cmp/cmp"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

// deployment is ns/web with the one annotation and the siblings given as "name value".
func deployment(siblings ...string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", Annotations: map[string]string{v1alpha1.AnnotationAutoscale: "true"}}}
	for _, s := range siblings {
		name, value, _ := strings.Cut(s, " ")
		d.Annotations[v1alpha1.Group+"/"+name] = value
	}
	d.Spec.Template.Labels = map[string]string{"app": "web"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "admin", ContainerPort: 9000}}}}
	return d
}

// theOne is what is adopted of a world with ns/web alone.
func theOne(t *testing.T, w *world, d *appsv1.Deployment) adopted {
	t.Helper()
	w.putTarget(translateDeployment(d))
	list := w.adopt()
	if len(list) != 1 {
		t.Fatalf("%d adopted", len(list))
	}
	return list[0]
}

func TestTheOneAnnotationHasKnativesDefaults(t *testing.T) {
	a := theOne(t, newWorld(), deployment())
	want := autoscaler.Policy{
		Name: autoscaler.Wholescale, Target: 70, Total: 100, Activation: 1, StableWindow: time.Minute, PanicWindow: 6 * time.Second, PanicThreshold: 2,
		UpRate: 1000, DownRate: 2, BurstCapacity: 211, Objective: autoscaler.Objective{Wait: 300 * time.Millisecond},
	}
	if diff := cmp.Diff(want, a.policy); diff != "" || a.blocked != "" || a.port != 8080 {
		t.Errorf("blocked %q, port %d, policy:\n%s", a.blocked, a.port, diff)
	}
	if diff := cmp.Diff([]string{"web.ns"}, a.hosts); diff != "" {
		t.Error(diff)
	}
}

func TestSiblingsSayTheRest(t *testing.T) {
	a := theOne(t, newWorld(), deployment("limit 10", "utilization 50", "min 1", "max 5", "initial 2", "window 20s", "scale-down-delay 30s", "policy kpa",
		"host A.example, b.example", "path /x,/y", "port admin", "probe-path /ready", "h2c true", "hold 5s", "wait 2s"))
	want := autoscaler.Policy{
		Name: autoscaler.KPA, Target: 5, Total: 10, Slots: 10, Min: 1, Max: 5, Initial: 2, Activation: 1, StableWindow: 20 * time.Second,
		PanicWindow: 2 * time.Second, PanicThreshold: 2, UpRate: 1000, DownRate: 2, ScaleDownDelay: 30 * time.Second, BurstCapacity: 211,
		Objective: autoscaler.Objective{Wait: 2 * time.Second},
	}
	if diff := cmp.Diff(want, a.policy); diff != "" || a.blocked != "" || a.port != 9000 || !a.spec.H2C {
		t.Errorf("blocked %q, port %d, policy:\n%s", a.blocked, a.port, diff)
	}
	if diff := cmp.Diff([]string{"a.example", "b.example"}, a.hosts); diff != "" {
		t.Error(diff)
	}
}

func TestThePanicWindowHoldsMoreThanOneReport(t *testing.T) {
	for _, c := range []struct {
		window, policy string
		want           time.Duration
	}{{"10s", "wholescale", 2 * time.Second}, {"6s", "wholescale", 2 * time.Second}, {"40s", "wholescale", 4 * time.Second}, {"10s", "kpa", time.Second}} {
		a := theOne(t, newWorld(), deployment("window "+c.window, "policy "+c.policy))
		if a.policy.PanicWindow != c.want {
			t.Errorf("%+v: %s", c, a.policy.PanicWindow)
		}
	}
}

func TestASettingThatCannotBeReadStopsThatWorkloadAlone(t *testing.T) {
	for sibling, says := range map[string]string{
		"target many":         "it must be a number above 0",
		"target 0":            "spec.concurrency.target",
		"target NaN":          "spec.concurrency.target",
		"target -1":           "spec.concurrency.target",
		"limit 1.5":           "it must be a whole number",
		"limit -1":            "spec.concurrency.limit",
		"utilization 101":     "spec.concurrency.utilization",
		"min -1":              "spec.replicas.min",
		"max 1000000":         "spec.replicas.max",
		"window soon":         "it must be a duration such as 30s",
		"window 1s":           "spec.windows.stable",
		"scale-down-delay 2h": "spec.windows.scaleDownDelay",
		"hold 0s":             "spec.timeouts.hold",
		"policy best":         "spec.policy",
		"path x":              "spec.paths[0]",
		"host under_score":    "spec.hosts[0]",
		"h2c perhaps":         "invalid syntax",
		"port 70000":          "spec.port",
		"port nobody":         "no port is known",
	} {
		a := theOne(t, newWorld(), deployment(sibling))
		if !strings.Contains(a.blocked, says) || a.conflict {
			t.Errorf("%s: %q does not say %s", sibling, a.blocked, says)
		}
		if a.policy.Target <= 0 || a.policy.StableWindow < time.Second || a.policy.UpRate <= 1 {
			t.Errorf("%s: the core is shown %+v", sibling, a.policy)
		}
	}
	if a := theOne(t, newWorld(), deployment("min 5", "max 2")); !strings.Contains(a.blocked, "must not be above replicas.max, which is 2") {
		t.Error(a.blocked)
	}
}

func TestTwoThatWantOneTargetAreAConflict(t *testing.T) {
	w := newWorld()
	w.putRival(&autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "hpa"},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "web"}},
	})
	if a := theOne(t, w, deployment()); !a.conflict || !strings.Contains(a.blocked, "HorizontalPodAutoscaler ns/hpa scales the same target") {
		t.Errorf("%+v", a.blocked)
	}
	w = newWorld()
	for _, name := range []string{"first", "second"} {
		pa := &v1alpha1.PodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: v1alpha1.PodAutoscalerSpec{TargetRef: v1alpha1.TargetRef{Name: "web"}}}
		put(w, w.autoscalers, keyOf(pa), pa)
	}
	if a := theOne(t, w, deployment()); !a.conflict || !strings.Contains(a.blocked, "PodAutoscalers ns/first and ns/second have the same target") {
		t.Errorf("%+v", a.blocked)
	}
}

func TestHostsAndPortComeFromTheService(t *testing.T) {
	w := newWorld()
	w.putService(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("admin")}}},
	})
	w.putService(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "web"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}},
	})
	w.putService(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "away"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, Selector: map[string]string{"app": "web"}},
	})
	a := theOne(t, w, deployment())
	if diff := cmp.Diff([]string{"shop.ns", "shop.ns.svc", "shop.ns.svc.cluster.local"}, a.hosts); diff != "" || a.port != 9000 {
		t.Errorf("port %d, hosts:\n%s", a.port, diff)
	}
}

func TestAWorkloadWithoutTheAnnotationIsNotOurs(t *testing.T) {
	w, d := newWorld(), deployment()
	d.Annotations = nil
	w.putTarget(translateDeployment(d))
	if list := w.adopt(); len(list) != 0 {
		t.Errorf("%d adopted", len(list))
	}
}
