package report_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/wholescale/wholescale/simulator/report"
)

func TestFrontierPage(t *testing.T) {
	nasty := "</script><script>alert(1)</script>"
	maps := []report.Map{{Title: nasty, Spots: []report.Spot{
		{Name: "wholescale", Label: nasty, Figures: report.Figures{Money: 1, WaitSeconds: 3}, Frontier: true, Chosen: true},
		{Name: "kpa+ca", Figures: report.Figures{Money: 2, WaitSeconds: 4}},
	}}}
	var b bytes.Buffer
	if err := report.Frontier(&b, nasty, maps); err != nil {
		t.Fatal(err)
	}
	p := b.String()
	if strings.Contains(p, "<script>alert") || len(elements(p, "script")) != 3 {
		t.Error("a name ends the element that it stands in")
	}
	for _, bad := range []string{` src=`, ` href=`, `url(`, `@import`, ` style="`, ` onclick=`, `fetch(`, `eval(`} {
		if strings.Contains(p, bad) {
			t.Errorf("the page has %q: it must load nothing and run nothing that its policy does not name", bad)
		}
	}
	if !strings.Contains(p, "default-src &#39;none&#39;") {
		t.Error("the page has no policy")
	}
	maps[0].Spots[1].Figures.Money = math.NaN()
	b.Reset()
	if err := report.Frontier(&b, "x", maps); err == nil || b.Len() > 0 {
		t.Errorf("what is no number is shown: %v", err)
	}
	if err := report.Frontier(&b, "x", nil); err == nil {
		t.Error("a page about nothing")
	}
}
