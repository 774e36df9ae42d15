package autoscaler_test

import (
	"slices"
	"testing"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/scenario"
)

// TestCheckKnowsWherePodsMayRun: what Plan does for a rule between a pod and a node is right, and what would be wrong is found.
func TestCheckKnowsWherePodsMayRun(t *testing.T) {
	in := fit.NodeTerms{{Labels: []fit.Requirement{{Key: "disk", Operator: fit.In, Values: []string{"ssd"}}}}}
	own := fit.Selector{Requirements: []fit.Requirement{{Key: "app", Operator: fit.In, Values: []string{"db"}}}}
	const runs, apart, full, spread = "pods are placed where they may run", "pods that must be apart are", "a node is not filled beyond its room", "pods are spread"
	one := func(node autoscaler.NodeID) []autoscaler.Spot { return []autoscaler.Spot{{Node: node, Count: 1}} }
	two := func(node autoscaler.NodeID) []autoscaler.Spot { return []autoscaler.Spot{{Node: node, Count: 2}} }
	bought := []autoscaler.Spot{{Pool: "plain", Count: 1}}
	for name, c := range map[string]struct {
		asks func(*fit.Pod)
		put  []autoscaler.Spot // there it is wrong
		says string
	}{
		"affinity":                   {func(p *fit.Pod) { p.Affinity = in }, one("n2"), runs},
		"affinity, on a new machine": {func(p *fit.Pod) { p.Affinity = in }, bought, runs},
		"affinity to none":           {func(p *fit.Pod) { p.Affinity = fit.NodeTerms{} }, one("n1"), runs},
		"a node by its name":         {func(p *fit.Pod) { p.Affinity = fit.NodeTerms{{Names: []string{"n1"}}} }, one("n2"), runs},
		"not a node by its name":     {func(p *fit.Pod) { p.Affinity = fit.NodeTerms{{NotNames: []string{"n2"}}} }, one("n2"), runs},
		"a node by its host name": {func(p *fit.Pod) {
			p.Affinity = fit.NodeTerms{{Labels: []fit.Requirement{{Key: fit.LabelHostname, Operator: fit.In, Values: []string{"n1"}}}}}
		}, one("n2"), runs},
		"a volume's place":         {func(p *fit.Pod) { p.Places = []fit.NodeTerms{in} }, one("n2"), runs},
		"a taint":                  {func(*fit.Pod) {}, one("n3"), runs},
		"a taint of a new machine": {func(*fit.Pod) {}, []autoscaler.Spot{{Pool: "apart", Count: 1}}, runs},
		"what no node has":         {func(p *fit.Pod) { p.Needs = fit.Amounts{{Name: "fpga", Value: 1}} }, one("n1"), runs},
		"more cards than are left": {func(p *fit.Pod) { p.Needs = fit.Amounts{{Name: "gpu", Value: 2}} }, two("n1"), full},
		"more volumes than fit":    {func(p *fit.Pod) { p.Needs = fit.Amounts{{Name: fit.Attached("disk"), Value: 1}} }, two("n1"), full},
		"a port twice":             {func(p *fit.Pod) { p.Ports = []fit.Port{{Protocol: "TCP", Number: 80}} }, two("n1"), apart},
		"a port of one that is there": {func(p *fit.Pod) { p.Ports = []fit.Port{{Protocol: "TCP", Number: 443, IP: "127.0.0.1"}} },
			one("n2"), apart},
		"a claim of two": {func(p *fit.Pod) { p.Claims = []string{"shop/disk"} }, two("n1"), apart},
		"a spread that counts nodes of its own alone": {func(p *fit.Pod) {
			p.Affinity = fit.NodeTerms{{Labels: []fit.Requirement{{Key: "disk", Operator: fit.Exists}}}}
			p.Spread = []fit.Spread{{Topology: "disk", MaxSkew: 1, MinDomains: 1, Selector: own}}
		}, two("n1"), spread},
		"a spread that leaves out nodes with taints": {func(p *fit.Pod) {
			p.Spread = []fit.Spread{{Topology: "disk", MaxSkew: 1, MinDomains: 1, Selector: own, Untainted: true}}
		}, two("n1"), spread},
	} {
		t.Run(name, func(t *testing.T) {
			s := written(t, `
pool plain nodes=0..9
pool apart nodes=0..9 taints=dedicated=gpu:NoSchedule price=9
node n1 plain ready labels=disk=ssd more=gpu:3,attach/disk:1
node n2 plain ready labels=disk=hdd
node n3 apart ready labels=disk=odd taints=dedicated=gpu:NoSchedule
workload shop/other target=10 slots=10 on=n2 ports=443
workload shop/db target=10 slots=10 replicas=1 labels=app=db
demand shop/db queued=1`)
			rules := fit.Pod{Namespace: "shop", Labels: fit.Labels{{Key: "app", Value: "db"}}}
			w := &s.Workloads[slices.IndexFunc(s.Workloads, func(w autoscaler.Workload) bool { return w.ID == "shop/db" })]
			c.asks(&rules)
			w.Shape.Rules = &rules
			w.Replicas = c.put[0].Count
			d := autoscaler.Plan(s)
			if found := autoscaler.Check(s, d); len(found) > 0 || len(d.Placements) != 1 {
				t.Fatalf("%v\n%s", found, autoscaler.Describe(d, true))
			}
			d.Placements[0].Spots, d.Placements[0].Unplaced = c.put, 0
			d.Placements[0].Spots[0].Due = s.Now
			if found := autoscaler.Check(s, d); !slices.ContainsFunc(found, func(v autoscaler.Violation) bool { return v.Rule == c.says }) {
				t.Errorf("not %q, but %v", c.says, found)
			}
		})
	}
}

func written(t *testing.T, text string) autoscaler.State {
	t.Helper()
	var set scenario.Scenario
	if err := set.Add(text); err != nil {
		t.Fatal(err)
	}
	s, err := set.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
