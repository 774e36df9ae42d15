package e2e

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A pod that asks for a device is bought a machine that has one, though another pool is cheaper, and from no machine at all: what a
// machine will have is the provider's to say.
func TestADeviceIsBoughtFromZero(t *testing.T) {
	cards := pool("cards", 3, "500ms")
	cards.PricePerHour, cards.Further = new(2.5), map[string]int64{"example.com/gpu": 2}
	w := newWorld(t, pool("plain", 3, "500ms"), cards)
	d := w.deployment("model", map[string]string{"limit": "1", "window": "6s", "host": "model.example"})
	of := d.Spec.Template.Spec.Containers[0].Resources
	of.Limits = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
	of.Requests["example.com/gpu"] = resource.MustParse("1")
	of.Requests[corev1.ResourceEphemeralStorage] = resource.MustParse("1Gi")
	d.Spec.Template.Spec.Containers[0].Resources = of
	w.apply(d)
	status, body, err := w.get("model.example", "/?ms=10")
	if err != nil || status != http.StatusOK {
		t.Fatalf("the request was answered %d %q (%v), not 200", status, body, err)
	}
	w.untilNodes(none)
	for _, o := range lines[order](t, w.Provider.Admin, "/orders") {
		if o.Pool != "cards" || o.Target > 1 {
			t.Errorf("ordered: %+v", o)
		}
	}
}
