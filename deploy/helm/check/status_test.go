package check

import (
	"encoding/json"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// What we write into the status of our objects is read by kstatus, as by kubectl's and Flux's waiting, as it is meant.
// autoscaler/controller holds the file to what it writes.
func TestKstatusReadsOurObjects(t *testing.T) {
	data, err := os.ReadFile("../../../autoscaler/controller/testdata/kstatus.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Status string
		Object       map[string]any
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for _, c := range cases {
		object := &unstructured.Unstructured{}
		text, err := json.Marshal(c.Object)
		if err != nil {
			t.Fatal(err)
		}
		if err := object.UnmarshalJSON(text); err != nil { // which makes its numbers whole
			t.Fatal(err)
		}
		got, err := status.Compute(object)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status.String() != c.Status {
			t.Errorf("%s %s is %s (%s), not %s", object.GetKind(), c.Name, got.Status, got.Message, c.Status)
		}
		if c.Status != "Current" {
			continue
		}
		object.SetGeneration(object.GetGeneration() + 1) // changed since
		if got, err := status.Compute(object); err != nil || got.Status != status.InProgressStatus {
			t.Errorf("%s %s, changed since: %v (%v)", object.GetKind(), c.Name, got, err)
		}
	}
}
