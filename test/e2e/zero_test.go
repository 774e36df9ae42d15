package e2e

import (
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type resourceName = schema.GroupVersionResource

func intPort(n int32) intstr.IntOrString { return intstr.FromInt32(n) }

// order and scaled are what the journals of provider and controller say.
type (
	order struct {
		Pool   string `json:"pool"`
		Target int    `json:"target"`
		Kind   string `json:"kind"`
		Result string `json:"result"`
	}
	done struct {
		Kind    string `json:"kind"`
		Subject string `json:"subject"`
		From    int    `json:"from"`
		To      int    `json:"to"`
		Rule    string `json:"rule"`
		Cause   string `json:"cause"`
		Planned string `json:"planned"`
		Done    string `json:"done"`
	}
)

// From nothing to an answer, and back to nothing: the main job.
func TestFromZeroToZero(t *testing.T) {
	w := newWorld(t, pool("spot", 3, "500ms"))
	w.deploy("chat", map[string]string{"limit": "4", "window": "6s", "host": "chat.example"})
	status, body, err := w.get("chat.example", "/?ms=10")
	if err != nil || status != http.StatusOK {
		t.Fatalf("the request was answered %d %q (%v), not 200", status, body, err)
	}
	w.untilPods(none)
	w.untilNodes(none)
	most := 0
	for _, o := range lines[order](t, w.Provider.Admin, "/orders") {
		most = max(most, o.Target)
	}
	if most != 1 {
		t.Errorf("up to %d machines were ordered for one request, not 1", most)
	}
}
