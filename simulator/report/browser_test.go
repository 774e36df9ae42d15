package report_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/trace"
	"github.com/wholescale/wholescale/test/browser"
)

var pictures = flag.String("pictures", "", "write screenshots of the pages into this folder, to be looked at")

// twoRuns are of the shipped trace.
func twoRuns(t *testing.T) []report.Run {
	t.Helper()
	all, err := trace.AzureLLMSample(trace.DefaultServiceModel)
	if err != nil {
		t.Fatal(err)
	}
	var runs []report.Run
	for i, name := range []string{"slow machines", "quick machines"} {
		r, err := simulator.Run(simulator.Config{
			Workloads: []simulator.Workload{{
				Workload: autoscaler.Workload{
					ID: "demo/chat", Shape: autoscaler.Shape{Needs: autoscaler.Resources{CPU: 1000, Memory: 1 << 30, Pods: 1}},
					Policy: autoscaler.Policy{
						Name: autoscaler.Wholescale, Target: 2.8, Total: 4, Slots: 4, Max: 40, StableWindow: 10 * time.Second, PanicWindow: time.Second,
						PanicThreshold: 2, UpRate: 1000, DownRate: 2,
					},
				},
				PodStart: simulator.Delay{Mean: 500 * time.Millisecond, Deviation: 100 * time.Millisecond},
			}},
			Pools: []simulator.Pool{{
				Pool: autoscaler.Pool{ID: "spot", Allocatable: autoscaler.Resources{CPU: 4000, Memory: 16 << 30, Pods: 20}, Max: 10, PricePerHour: 0.12, IdleAfter: 5 * time.Second},
				Join: simulator.Delay{Mean: []time.Duration{8 * time.Second, 3 * time.Second}[i], Deviation: time.Second},
			}},
			Requests: trace.Slice(all, 5*time.Minute, 80*time.Second),
			Seed:     uint64(i + 1),
			Moments:  100,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Run.Name = name
		runs = append(runs, r.Run)
	}
	return runs
}

func serve(t *testing.T, page string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page)) // fails only when the browser is gone
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// loaded is what the page has asked the network for, beside itself.
const loaded = `performance.getEntriesByType("resource").filter((r) => !r.name.endsWith("/favicon.ico")).map((r) => r.name).join(" ")`

func TestAMomentOfTheReportTellsWhy(t *testing.T) {
	b := browser.Open(t, serve(t, render(t, "The shipped trace, 5:00 to 6:20", twoRuns(t)...)))
	b.Dark(false)
	b.Until(`document.querySelectorAll("#plots canvas").length >= 4`)
	b.Picture(*pictures, "report-light.png")
	// With the mouse, in the middle of the first plot.
	b.Click(`#plots .u-over`)
	b.Until(`document.querySelectorAll("#moment h4").length === 2`)
	if got := b.Eval(`document.getElementById("moment").textContent`); !strings.Contains(got, "slow machines at ") || !strings.Contains(got, "demo/chat") {
		t.Errorf("told %q", got)
	}
	// With the keyboard, at the end.
	b.Eval(`document.querySelector("#plots div[tabindex]").focus()`)
	b.Key("End", 35)
	b.Key("Enter", 13)
	b.Until(`document.getElementById("moment").textContent.includes("→") || document.getElementById("moment").textContent.includes("->")`)
	for _, role := range []string{"image", "img", "region", "table", "heading"} {
		for _, name := range b.Names(role) {
			if strings.TrimSpace(name) == "" || name == "<nil>" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	b.Dark(true)
	b.Until(`getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)"`)
	b.Picture(*pictures, "report-dark.png")
	if got := b.Eval(loaded); got != "" {
		t.Errorf("the page loads %s", got)
	}
	if len(b.Errors) > 0 {
		t.Errorf("on the console: %v", b.Errors)
	}
}

func TestTheFrontierIsDrawn(t *testing.T) {
	var page strings.Builder
	maps := []report.Map{{Title: "node.join = 20s", Spots: []report.Spot{
		{Name: "wholescale", Label: "wait 50ms", Figures: report.Figures{Money: 1.5, WaitSeconds: 3}, Frontier: true},
		{Name: "wholescale", Label: "wait 500ms", Figures: report.Figures{Money: 1, WaitSeconds: 30}, Frontier: true, Chosen: true},
		{Name: "kpa+ca", Figures: report.Figures{Money: 2, WaitSeconds: 40}},
	}}}
	if err := report.Frontier(&page, "Money against waiting", maps); err != nil {
		t.Fatal(err)
	}
	b := browser.Open(t, serve(t, page.String()))
	b.Until(`document.querySelectorAll("#plots canvas, #plots svg").length > 0`)
	if names := strings.Join(b.Names("image", "img"), "\n"); !strings.Contains(names, "Money against waiting") {
		t.Errorf("a screen reader hears %q", names)
	}
	b.Picture(*pictures, "frontier.png")
	if got := b.Eval(loaded); got != "" || len(b.Errors) > 0 {
		t.Errorf("the page loads %q; on the console: %v", got, b.Errors)
	}
}
