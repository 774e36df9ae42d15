package simulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
)

// afterwards is a request at a time, and what came of it with these changes to the configuration.
func afterwards(t *testing.T, at time.Duration, policy simulator.Policy, change func(*simulator.Config)) report.Figures {
	t.Helper()
	c := several(policy, []trace.Request{{At: at, Service: time.Second}})
	for i := range c.Pools {
		c.Pools[i].Join, c.Pools[i].PricePerHour = simulator.Delay{}, 1
	}
	change(&c)
	return *run(t, c).Figures
}

func TestNobodyDecidesWhileTheControlPlaneIsDown(t *testing.T) {
	for _, policy := range []simulator.Policy{simulator.Wholescale, "kpa+karpenter"} {
		for name, change := range map[string]func(*simulator.Config){
			"controller": func(c *simulator.Config) {
				c.ControlPlane.Down = []simulator.Span{{From: time.Second, Until: 30 * time.Second}}
			},
			"API server": func(c *simulator.Config) {
				c.ControlPlane.APIDown = []simulator.Span{{From: time.Second, Until: 30 * time.Second}}
			},
		} {
			well := afterwards(t, 5*time.Second, policy, func(*simulator.Config) {})
			ill := afterwards(t, 5*time.Second, policy, change)
			if late := ill.WaitSeconds - well.WaitSeconds; ill.Answered != 1 || late < 20 || late > 28 {
				t.Errorf("%s, without %s for 25 s more: answered %d, %.1f s later", policy, name, ill.Answered, late)
			}
		}
	}
}

// TestWhatRunsGoesOn while nobody decides.
func TestWhatRunsGoesOn(t *testing.T) {
	var requests []trace.Request
	for i := range 60 {
		requests = append(requests, trace.Request{At: time.Duration(i) * time.Second, Service: 500 * time.Millisecond})
	}
	c := several(simulator.Wholescale, requests)
	c.ControlPlane.Down = []simulator.Span{{From: 20 * time.Second, Until: 50 * time.Second}}
	if f := run(t, c).Figures; f.Answered != 60 || f.Errors != 0 || f.HeldAtEnd != 0 {
		t.Errorf("%+v", f)
	}
}

func TestSmallMachinesAreMore(t *testing.T) {
	promised := afterwards(t, 0, simulator.Wholescale, func(c *simulator.Config) {})
	small := afterwards(t, 0, simulator.Wholescale, func(c *simulator.Config) {
		c.Pools[0].Faults.SmallShare, c.Pools[0].Faults.SmallFactor = 1, 0.05
		c.Settle = time.Minute
	})
	if promised.Answered != 1 || small.Answered != 0 || small.NodesMax < 2 {
		t.Errorf("%+v; of machines on which no pod fits there are never enough: %+v", promised, small)
	}
}

func TestAProviderThatThrottlesIsAskedAgain(t *testing.T) {
	change := func(perMinute float64) func(*simulator.Config) {
		return func(c *simulator.Config) {
			c.Pools[0].Faults.OrdersPerMinute = perMinute
			c.Requests = nil
			for i := range 40 { // a pod of half a core each, two slots: one order after the other
				c.Requests = append(c.Requests, trace.Request{At: time.Duration(i) * 500 * time.Millisecond, Service: 50 * time.Second})
			}
		}
	}
	free, slow := afterwards(t, 0, simulator.Wholescale, change(0)), afterwards(t, 0, simulator.Wholescale, change(1))
	if free.OrdersThrottled != 0 || slow.OrdersThrottled == 0 || slow.Answered+slow.Errors != 40 || slow.WaitSeconds < free.WaitSeconds+10 {
		t.Errorf("free %+v\nthrottled %+v", free, slow)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	for says, change := range map[string]func(*simulator.Config){
		"controlPlane.down": func(c *simulator.Config) { c.ControlPlane.Down = []simulator.Span{{From: 2, Until: 1}} },
		"controlPlane.apiDown": func(c *simulator.Config) {
			c.ControlPlane.APIDown = []simulator.Span{{From: 1, Until: 9}, {From: 5, Until: 10}}
		},
		"smallShare":      func(c *simulator.Config) { c.Pools[0].Faults.SmallShare = 2 },
		"ordersPerMinute": func(c *simulator.Config) { c.Pools[0].Faults.OrdersPerMinute = -1 },
	} {
		c := several(simulator.Wholescale, nil)
		change(&c)
		if _, err := simulator.Run(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
