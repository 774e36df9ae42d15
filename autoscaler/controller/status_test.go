package controller

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/autoscaler"
)

func telling() (*teller, func() []string) {
	recorder := events.NewFakeRecorder(1000)
	return &teller{events: recorder, sent: map[string]sentStatus{}, said: map[string]string{}, waits: &waits{}}, func() (list []string) {
		for len(recorder.Events) > 0 {
			list = append(list, <-recorder.Events)
		}
		return list
	}
}

// Events say why nothing happens, once for each reason, whatever the figures in it.
func TestWhyNothingHappensIsSaidOnce(t *testing.T) {
	tell, said := telling()
	a := &adopted{target: &target{id: "a/w"}}
	w := &autoscaler.Workload{ID: "a/w"}
	refuse := func(figure float64) autoscaler.Hold {
		return autoscaler.Hold{Refuse: true, Why: autoscaler.Reason{Rule: autoscaler.NothingArrives, Observed: figure}}
	}
	short := func(rule autoscaler.Rule, pool string, figure float64) *autoscaler.Placement {
		return &autoscaler.Placement{Unplaced: 1, Why: autoscaler.Reason{Rule: rule, Subject: pool, Bound: figure}}
	}
	for _, c := range []struct {
		name string
		do   func()
		want []string
	}{
		{"all is well", func() { tell.once(a, w, autoscaler.Hold{}, nil) }, nil},
		{"refused", func() { tell.once(a, w, refuse(1), nil) }, []string{"Warning NothingArrives no room is on its way"}},
		{"still, with other figures", func() { tell.once(a, w, refuse(2), nil) }, nil},
		{"and no room", func() { tell.once(a, w, refuse(3), short(autoscaler.PoolsFull, "m", 4)) }, []string{"Warning PoolsFull pool m is at its bound of 4 nodes"}},
		{"of another pool", func() { tell.once(a, w, refuse(3), short(autoscaler.PoolsFull, "n", 4)) }, []string{"Warning PoolsFull pool n is at its bound of 4 nodes"}},
		{"well again", func() { tell.once(a, w, autoscaler.Hold{}, nil) }, nil},
		{"refused anew", func() { tell.once(a, w, refuse(1), nil) }, []string{"Warning NothingArrives no room is on its way"}},
		{"blocked", func() { tell.once(a, &autoscaler.Workload{Blocked: "paused"}, refuse(1), nil) }, []string{"Warning Blocked paused"}},
		{"blocked otherwise", func() { tell.once(a, &autoscaler.Workload{Blocked: "no port"}, refuse(1), nil) }, []string{"Warning Blocked no port"}},
		{"a node is held", func() { tell.nodeOnce("n", autoscaler.Reason{Rule: autoscaler.EvictionHeld, Subject: "a/p: budget"}) }, []string{"Normal EvictionHeld a/p: budget"}},
		{"still", func() { tell.nodeOnce("n", autoscaler.Reason{Rule: autoscaler.EvictionHeld, Subject: "a/q: budget"}) }, nil},
		{"a node is in use", func() { tell.nodeOnce("n", autoscaler.Reason{Rule: autoscaler.NoRoomElsewhere}) }, nil},
	} {
		c.do()
		if got := said(); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDriftOfRequestsIsSaidOnce(t *testing.T) {
	tell, said := telling()
	tell.measures = newMeasures(nil, nil, zap.NewNop())
	a, w := &adopted{target: &target{id: "a/w"}}, &autoscaler.Workload{ID: "a/w"}
	size := &size{reason: "RequestsTooLow", drift: "a pod uses 900m"}
	tell.measures.sizes["a/w"] = size
	tell.once(a, w, autoscaler.Hold{}, nil)
	size.drift = "a pod uses 901m"
	tell.once(a, w, autoscaler.Hold{}, nil)
	if got := said(); len(got) != 1 || !strings.Contains(got[0], "900m") {
		t.Errorf("%q", got)
	}
}

func TestWhatWasSaidIsBounded(t *testing.T) {
	tell, said := telling()
	for i := range 5000 {
		tell.nodeOnce(fmt.Sprint("n", i), autoscaler.Reason{Rule: autoscaler.NotOurs})
		tell.forget(10)
		_ = said()
	}
	if len(tell.said) > 8*10+64+1 {
		t.Errorf("%d remarks are remembered for 10 objects", len(tell.said))
	}
}

var rewriteStatus = flag.Bool("rewrite", false, "write testdata/kstatus.json anew")

// kstatus reads Ready, and Reconciling and Stalled by their presence: one of the three says how it is. What kstatus itself makes of these
// conditions is asked in deploy/helm/check, which reads the file that this test holds to what we write.
func TestConditionsAreAsKstatusReadsThem(t *testing.T) {
	why := []autoscaler.Reason{{Rule: autoscaler.QueuedDemand}}
	arriving := autoscaler.Hold{Why: autoscaler.Reason{Rule: autoscaler.CapacityArriving, At: time.Unix(1, 0)}}
	refused := autoscaler.Hold{Refuse: true, Why: autoscaler.Reason{Rule: autoscaler.NothingArrives}}
	workload := func(blocked string, ready int, h autoscaler.Hold, conflict bool) func(*[]metav1.Condition) {
		return func(list *[]metav1.Condition) {
			workloadConditions(list, 7, &autoscaler.Workload{Blocked: blocked}, &autoscaler.Scale{To: 2, Why: why}, ready, h, conflict)
		}
	}
	pool := func(unknown string, coming, to int) func(*[]metav1.Condition) {
		return func(list *[]metav1.Condition) {
			order := &autoscaler.Order{From: 1, To: to, Why: []autoscaler.Reason{{Rule: autoscaler.PlacementShort}}}
			poolConditions(list, 7, &autoscaler.Pool{Unknown: unknown}, order, coming)
		}
	}
	var file []kstatusCase
	for _, c := range []struct {
		kind, name string
		says       func(*[]metav1.Condition)
		want       string
		status     string // in kstatus's words
	}{
		{"PodAutoscaler", "serves", workload("", 2, autoscaler.Hold{}, false), "Ready=True", "Current"},
		{"PodAutoscaler", "comes", workload("", 1, arriving, false), "Ready=False Reconciling=True", "InProgress"},
		{"PodAutoscaler", "refused", workload("", 1, refused, false), "Ready=False Stalled=True", "Failed"},
		{"PodAutoscaler", "paused", workload("paused", 2, autoscaler.Hold{}, false), "Ready=False Stalled=True", "Failed"},
		{"PodAutoscaler", "conflict", workload("an HPA", 2, autoscaler.Hold{}, true), "Conflicted=True Ready=False Stalled=True", "Failed"},
		{"NodePool", "rests", pool("", 0, 1), "Ready=True", "Current"},
		{"NodePool", "grows", pool("", 0, 2), "Ready=True Reconciling=True", "InProgress"},
		{"NodePool", "comes", pool("", 1, 1), "Ready=False Reconciling=True", "InProgress"},
		{"NodePool", "unknown", pool("no answer", 0, 1), "Ready=False Stalled=True", "Failed"},
	} {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			// Whatever was said before.
			list := []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: "True"}, {Type: v1alpha1.ConditionStalled, Status: "True"}}
			if c.kind == "PodAutoscaler" {
				list = append(list, metav1.Condition{Type: v1alpha1.ConditionConflicted, Status: "True"})
			}
			c.says(&list)
			got := ""
			for i := range list {
				list[i].LastTransitionTime = metav1.Time{}
			}
			for _, kind := range []string{v1alpha1.ConditionConflicted, v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
				if s := meta.FindStatusCondition(list, kind); s != nil {
					got += " " + kind + "=" + string(s.Status)
					if s.ObservedGeneration != 7 || s.Reason == "" {
						t.Errorf("%+v", s)
					}
				}
			}
			if strings.TrimSpace(got) != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			file = append(file, kstatusOf(c.kind, c.name, c.status, list))
		})
	}
	holdKstatus(t, file)
}

// holdKstatus holds testdata/kstatus.json to what is written now.
func holdKstatus(t *testing.T, now []kstatusCase) {
	t.Helper()
	data, err := json.MarshalIndent(now, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/kstatus.json"
	if *rewriteStatus {
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(old)) != string(data) {
		t.Errorf("%s is not what is written now (%v): go test ./autoscaler/controller -run Kstatus -rewrite", path, err)
	}
}

// kstatusCase is an object as we write it, and what kstatus is to make of it.
type kstatusCase struct {
	Name   string         `json:"name"`
	Status string         `json:"status"`
	Object map[string]any `json:"object"`
}

func kstatusOf(kind, name, status string, conditions []metav1.Condition) kstatusCase {
	return kstatusCase{Name: name, Status: status, Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind, "metadata": map[string]any{"name": name, "generation": 7},
		"status": map[string]any{"observedGeneration": 7, "conditions": conditions},
	}}
}
