package gateway

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// seriesBudget is what one gateway may show, whatever the number of workloads.
const seriesBudget = 10_000

func TestSeriesStayWithinTheirBudgetAt10000Workloads(t *testing.T) {
	h := newHub(Config{})
	for i := range 10_000 {
		h.workload(fmt.Sprintf("ns/w-%05d", i)).outcomes[outcomeAnswered].Add(1)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(h)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n, answered := 0, 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if b := m.GetHistogram(); b != nil {
				n += len(b.GetBucket()) + 3 // +Inf, sum and count
				continue
			}
			n++
			if f.GetName() == "wholescale_gateway_requests_total" {
				answered += m.GetCounter().GetValue()
			}
		}
	}
	t.Logf("%d series", n)
	if n > seriesBudget {
		t.Errorf("%d series, above %d", n, seriesBudget)
	}
	if answered != 10_000 {
		t.Errorf("%v requests in sum, want 10000: what is not named is told as other", answered)
	}
}
