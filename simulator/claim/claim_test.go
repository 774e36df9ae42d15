package claim_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/simulator/claim"
	"github.com/wholescale/wholescale/simulator/report"
)

var policies = []string{"wholescale", "kpa+ca", "hpa", "oracle"}

func runs() []report.Run {
	return []report.Run{
		{Name: "wholescale", Figures: &report.Figures{Money: 2, WaitP99Ms: 400, Utilisation: 0.5, PodHours: 3, Errors: 0}},
		{Name: "kpa+ca", Figures: &report.Figures{Money: 3, WaitP99Ms: 900, Utilisation: 0.4}},
		{Name: "hpa", Figures: &report.Figures{Money: 4, WaitP99Ms: 100, Utilisation: 0.3}},
		{Name: "oracle", Figures: &report.Figures{Money: 1, Utilisation: 1}},
	}
}

func TestClaims(t *testing.T) {
	for _, c := range []struct {
		text  string
		holds bool
		says  string
	}{
		{"wait.p99<=500ms", true, "400ms <= 500ms"},
		{"wait.p99 < 0.4s", false, "400ms < 400ms"},
		{"waitP99Ms == 400", true, "400 == 400"},
		{"money<=rival.money*0.8", true, "2 <= 2.4"},
		{"money < rival.money * 50%", false, "2 < 1.5"},
		{"kpa+ca.money / money >= 1.5", true, "1.5 >= 1.5"},
		{"utilisation > rival.utilisation", true, "0.5 > 0.4"},
		{"money >= oracle.money * 2", true, "2 >= 2"},
		{"wait.p99 <= hpa.wait.p99 * 3", false, "400ms <= 300ms"},
		{"wait.p99 / rival.wait.p99 < 5", true, "4 < 5"},
		{"pod.time <= 3h", true, "10800s <= 10800s"},
		{"errors == 0", true, "0 == 0"},
		{"wait.sum <= 0", true, "0s <= 0s"},
		{"money / errors < 1", false, "+Inf < 1"},
	} {
		claim, err := claim.Parse(c.text, policies)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if v := claim.Judge(runs()); v.Holds != c.holds || v.Text != c.text+": "+c.says {
			t.Errorf("%s: %v, %q; expected %v, %q", c.text, v.Holds, v.Text, c.holds, c.says)
		}
	}
}

func TestClaimsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"money", "compares nothing"},
		{"money = 3", "compares nothing"},
		{"money <= ", "missing"},
		{"<= 3", "missing"},
		{"cost <= 3", "there are requests, answered"},
		{"rival.cost <= 3", "there are requests, answered"},
		{"karpenter.money <= 3", "no run of policy \"karpenter\""},
		{"wait.p99 <= 500", "a time has a unit"},
		{"wait.p99 * wait.p99 <= 1", "neither a time nor a number"},
		{"money / wait.p99 < 1", "neither a time nor a number"},
		{"money <= 3x", "no number"},
		{"money <= 1e999", "number"},
		{"money <= 3 <= 4", "no number"},
	} {
		if _, err := claim.Parse(c.text, policies); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; expected %q", c.text, err, c.says)
		}
	}
	if _, err := claim.Parse("money <= rival.money", []string{"wholescale", "oracle"}); err == nil || !strings.Contains(err.Error(), "there is no rival") {
		t.Errorf("without a rival: %v", err)
	}
}

// TestAnyTextIsReadOrRefused: what a person types ends nothing.
func TestAnyTextIsReadOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"money", "wait.p99", "rival.", "kpa+ca.", "3", "500ms", "%", "*", "/", "<=", "<", "!", "=", " ", ".", "é"}), 0, 8)
		text := strings.Join(words.Draw(t, "words"), "")
		if c, err := claim.Parse(text, policies); err == nil {
			if v := c.Judge(runs()); !strings.HasPrefix(v.Text, text+": ") {
				t.Fatalf("%q is judged as %q", text, v.Text)
			}
		}
	})
}
