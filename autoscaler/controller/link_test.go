package controller

import (
	"fmt"
	"math"
	"testing"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/autoscaler"
)

func TestTheGatewaysShareEachPodsSlotsAndNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLink(zap.NewNop(), nil, nil)
		limit := int32(rapid.IntRange(0, 20).Draw(t, "limit"))
		e := &endpoints{port: 80, limit: limit, pods: map[string]*podRecord{}}
		for k := range rapid.IntRange(0, 6).Draw(t, "pods") {
			e.pods[fmt.Sprint("p", k)] = &podRecord{ip: "127.0.0.1"}
		}
		l.endpoints["ns/w"] = e
		for k := range rapid.IntRange(1, 9).Draw(t, "gateways") {
			l.streams = append(l.streams, &stream{gateway: fmt.Sprint(k)})
		}
		sum := map[string]uint32{}
		for _, s := range l.streams {
			for _, p := range l.share("ns/w", s).GetPods() {
				if sum[p.GetPod()] += p.GetSlots(); limit > 0 && p.GetSlots() == 0 {
					t.Errorf("pod %s is named without a slot, which means without limit", p.GetPod())
				}
			}
		}
		for name := range e.pods {
			if sum[name] != uint32(limit) {
				t.Errorf("%d of the %d slots of %s are given", sum[name], limit, name)
			}
		}
	})
}

func TestFiguresThatCannotBeAreLeftOut(t *testing.T) {
	load := func(id string, c float64) *wire.WorkloadReport {
		return &wire.WorkloadReport{Workload: id, Concurrency: c}
	}
	got := loads(&wire.Report{Workloads: []*wire.WorkloadReport{
		load("ns/nan", math.NaN()), load("ns/b", 2), load("ns/negative", -1), load("ns/inf", math.Inf(1)), load("ns/a.statefulset", 1),
	}})
	if len(got) != 2 || got[0].ID != autoscaler.WorkloadID("ns/a.statefulset") || got[1].Concurrency != 2 {
		t.Errorf("%+v", got)
	}
}
