package live

import (
	"flag"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wholescale/wholescale/test/browser"
)

var pictures = flag.String("pictures", "", "write screenshots of the page into this folder, to be looked at")

func serveSample(t *testing.T, change func(*Source)) string {
	t.Helper()
	s := sample()
	if change != nil {
		change(&s)
	}
	server := httptest.NewServer(Handler(s))
	t.Cleanup(server.Close)
	return server.URL
}

func TestThePageShowsTheLoopAndTellsWhy(t *testing.T) {
	b := browser.Open(t, serveSample(t, nil))
	b.Dark(false)
	b.Until(`document.querySelectorAll("#plots canvas").length === 4 && document.querySelector("#stage-money .figure").textContent !== "–"`)
	for id, want := range map[string]string{"stage-held": "49", "stage-replicas": "2 of 9", "stage-nodes": "1"} {
		if got := b.Eval(`document.querySelector("#` + id + ` .figure").textContent`); got != want {
			t.Errorf("%s shows %q, want %q", id, got, want)
		}
	}
	if got := b.Eval(`document.querySelectorAll("#workloads tbody tr").length + " " + document.querySelectorAll("#nodes tbody tr").length + " " + document.querySelectorAll("#pools tbody tr").length`); got != "4 3 2" {
		t.Errorf("rows: %s", got)
	}
	if got := b.Eval(`document.querySelectorAll("tbody b").length`); got != "0" {
		t.Error("a name was taken as HTML")
	}
	b.Picture(*pictures, "live-light.png")

	// With the mouse: why has this workload as many?
	b.Eval(`[...document.querySelectorAll("#workloads button")].find((x) => x.textContent === "shop/cart").click()`)
	if got := b.Eval(`document.getElementById("told").textContent`); !strings.Contains(got, "QueuedDemand: 85 held") || !strings.Contains(got, "Overruled") || !strings.Contains(got, "CapacityArriving") {
		t.Errorf("told %q", got)
	}
	// With the keyboard: a moment of the first plot, and what had been decided then.
	b.Eval(`document.querySelector("#plots .plot[tabindex]").focus()`)
	b.Key("End", 35)
	b.Key("ArrowLeft", 37)
	if got := b.Eval(`document.activeElement.getAttribute("aria-label")`); !strings.Contains(got, "at 11:59:59 UTC: held") {
		t.Errorf("a screen reader hears %q", got)
	}
	b.Key("Enter", 13)
	b.Until(`document.getElementById("moment-title").textContent.includes("11:59:59")`)
	if got := b.Eval(`document.getElementById("told").textContent`); !strings.Contains(got, "shop/cart: replicas 4 → 9 by QueuedDemand") || !strings.Contains(got, "pool spot: 2 → 3 by PlacementShort") {
		t.Errorf("told %q", got)
	}
	if got := b.Eval(`document.activeElement.id`); got != "moment-title" {
		t.Errorf("the focus is on %q, and the news is elsewhere", got)
	}
	b.Picture(*pictures, "live-why.png")
	b.Dark(true)
	b.Until(`getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)"`)
	b.Picture(*pictures, "live-dark.png")
	if len(b.Errors) > 0 {
		t.Errorf("on the console: %v", b.Errors)
	}
}

func TestThePageCanBeHeardAndWalkedByKeyboard(t *testing.T) {
	b := browser.Open(t, serveSample(t, nil))
	b.Until(`document.querySelectorAll("#plots canvas").length === 4 && document.querySelectorAll("#workloads tbody tr").length === 4`)
	for _, role := range []string{"button", "image", "img", "table", "region", "columnheader", "rowheader", "heading"} {
		for _, name := range b.Names(role) {
			if strings.TrimSpace(name) == "" || name == "<nil>" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	if buttons := strings.Join(b.Names("button"), "\n"); !strings.Contains(buttons, "Pause") || !strings.Contains(buttons, "Why: workload shop/cart") || !strings.Contains(buttons, "Why: node spot-2") {
		t.Errorf("buttons: %s", buttons)
	}
	// Tab goes through all that can be used, and each shows that it has the focus.
	seen := map[string]bool{}
	for range 40 {
		b.Key("Tab", 9)
		what := b.Eval(`(() => { const e = document.activeElement; if (!e || e === document.body) return ""; const s = getComputedStyle(e);
			return (s.outlineStyle === "none" ? "UNSEEN " : "") + (e.getAttribute("aria-label") || e.textContent).slice(0, 40); })()`)
		if strings.HasPrefix(what, "UNSEEN") {
			t.Errorf("the focus is not to be seen on %q", what)
		}
		seen[what] = true
	}
	for _, want := range []string{"Pause", "Why: workload shop/cart", "Why: node spot-1"} {
		if !seen[want] {
			t.Errorf("the keyboard does not come to %q: %v", want, seen)
		}
	}
	if got := b.Eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
		t.Error("the page is wider than its window")
	}
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true}, nil)
	if got := b.Eval(`new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r([...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")).map((e) => e.tagName + "." + e.className).slice(0, 5).join(" ")))))`); got != "" {
		t.Errorf("beside a narrow page: %s", got)
	}
	b.Picture(*pictures, "live-narrow.png")
}

func TestThePageSaysWhenNobodyLeads(t *testing.T) {
	var away atomic.Bool
	b := browser.Open(t, serveSample(t, func(s *Source) {
		now := s.Now
		s.Now = func() (Picture, bool) {
			if away.Load() {
				return Picture{}, false
			}
			return now()
		}
	}))
	b.Until(`document.getElementById("state").textContent.startsWith("decided at")`)
	away.Store(true)
	b.Until(`document.getElementById("state").textContent.includes("does not lead")`)
	if got := b.Eval(`document.getElementById("state").getAttribute("role") + document.getElementById("state").className`); got != "statusbad" {
		t.Errorf("said as %q", got)
	}
	away.Store(false)
	b.Until(`document.getElementById("state").textContent.startsWith("decided at")`)
	b.Eval(`document.getElementById("pause").click()`)
	away.Store(true)
	if got := b.Eval(`new Promise((r) => setTimeout(() => r(document.getElementById("state").textContent), 1500))`); !strings.HasPrefix(got, "decided at") {
		t.Errorf("a page that rests asked: %q", got)
	}
}
