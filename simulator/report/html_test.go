package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"html"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wholescale/wholescale/simulator/report"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// short is a run that a person can follow.
func short(name string) report.Run {
	return report.Run{
		Name: name,
		Summary: report.Summary{
			Requests: 3, Answered: 2, Errors: 1, HeldRequests: 1, WaitMs: report.Quantiles{P50: 0.2, P99: 4210}, RequestToScaleMs: report.Quantiles{P50: 7, P99: 9},
			RequestToBuyMs: report.Quantiles{P50: 6, P99: 8}, NodeJoinMs: 3900, PodStartMs: 480, FirstAnswerMs: 4500, ReplicasMax: 2, NodesMax: 1,
			PodSeconds: 12, NodeSeconds: 9, Cost: 0.0003,
		},
		Series: []report.Point{
			{At: 0, Arrivals: 3, Held: 1, Wanted: 2, NodesComing: 1},
			{At: time.Second, Arrivals: 0.5, InFlight: 2, Wanted: 2, Ready: 1, NodesReady: 1, Cost: 0.0001},
			{At: 2 * time.Second, Cost: 0.0003},
		},
	}
}

func render(t *testing.T, title string, runs ...report.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, title, runs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// element finds the text of elements such as <script>.
func elements(page, name string) (texts []string) {
	for _, m := range regexp.MustCompile(`(?s)<`+name+`(?: [^>]*)?>(.*?)</`+name+`>`).FindAllStringSubmatch(page, -1) {
		texts = append(texts, m[1])
	}
	return texts
}

// without takes scripts and styles away, which have tests of their own, so that the golden file shows the rest.
func without(page string) string {
	page = regexp.MustCompile(`(?s)<script>.*?</script>`).ReplaceAllString(page, "<script>…</script>")
	page = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(page, "<style>…</style>")
	return regexp.MustCompile(`sha256-(?:[A-Za-z0-9+/=]|&#43;)+`).ReplaceAllString(page, "sha256-…")
}

func TestHTMLIsAsAgreed(t *testing.T) {
	got := without(render(t, "From zero to zero", short("measured"), short("simulated")))
	golden := filepath.Join("testdata", "page.golden.html")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the page changed (-rewrite accepts it):\n%s", diff)
	}
}

func TestHTMLLoadsNothing(t *testing.T) {
	p := render(t, "a", short("measured"))
	for _, bad := range []string{` src=`, ` href=`, ` srcset=`, `url(`, `@import`, ` style="`, ` onclick=`, `fetch(`, `XMLHttpRequest`, `WebSocket`, `eval(`} {
		if strings.Contains(p, bad) {
			t.Errorf("the page has %q: it must load nothing and run nothing that its policy does not name", bad)
		}
	}
	// The one address is the name of the project in uPlot's licence line; it is in a comment.
	for _, url := range regexp.MustCompile(`https?://[^\s"'<>)]*`).FindAllString(p, -1) {
		if url != "https://github.com/leeoniya/uPlot" {
			t.Errorf("the page names the address %s", url)
		}
	}
}

func TestHTMLPolicyAdmitsWhatThePageHas(t *testing.T) {
	p := render(t, "a", short("measured"))
	policy := html.UnescapeString(regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(p)[1])
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q: nothing by default, nothing unsafe", policy)
	}
	scripts, styles := elements(p, "script"), elements(p, "style")
	if len(scripts) != 3 || len(styles) != 1 {
		t.Fatalf("%d scripts and %d styles; the page has data, the library, its own script, and one style", len(scripts), len(styles))
	}
	for _, text := range append(scripts[1:], styles...) {
		sum := sha256.Sum256([]byte(text))
		if h := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(policy, "'sha256-"+h+"'") {
			t.Errorf("policy %q does not admit %.40q", policy, text)
		}
	}
}

func TestHTMLEscapes(t *testing.T) {
	nasty := "</script></title><script>alert(1)</script>\u2028&amp;\"'"
	p := render(t, nasty, short(nasty))
	if strings.Contains(p, "<script>alert") || strings.Contains(p, "\u2028alert") {
		t.Error("a name ends the element that it stands in")
	}
	if len(elements(p, "script")) != 3 {
		t.Errorf("%d scripts in the page, not 3", len(elements(p, "script")))
	}
	if got := html.UnescapeString(elements(p, "title")[0]); got != nasty {
		t.Errorf("title %q, not %q", got, nasty)
	}
	series := elements(p, "script")[0]
	if strings.ContainsAny(series, "<>&\u2028\u2029") {
		t.Errorf("the data has characters that HTML or JavaScript reads otherwise: %s", series)
	}
	var data []struct{ Name string }
	if err := json.Unmarshal([]byte(series), &data); err != nil || data[0].Name != nasty {
		t.Errorf("the data says %v (error %v), not the name as it is", data, err)
	}
}

func TestHTMLIsDeterministic(t *testing.T) {
	first := render(t, "a", short("measured"), short("simulated"))
	if again := render(t, "a", short("measured"), short("simulated")); first != again {
		t.Error("the same runs give other bytes")
	}
}

func TestHTMLRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(*report.Run)
	}{
		{"a cost that is NaN", "point 1, at 1s: cost is NaN", func(r *report.Run) { r.Series[1].Cost = math.NaN() }},
		{"an endless rate", "point 0, at 0s: arrivals is +Inf", func(r *report.Run) { r.Series[0].Arrivals = math.Inf(1) }},
		{"an endless sum", "podSeconds is -Inf", func(r *report.Run) { r.Summary.PodSeconds = math.Inf(-1) }},
		{"a quantile that is NaN", "waitMs.p99 is NaN", func(r *report.Run) { r.Summary.WaitMs.P99 = math.NaN() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := short("measured")
			c.spoil(&r)
			var b bytes.Buffer
			err := report.HTML(&b, "a", short("good"), r)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"measured"`) {
				t.Errorf("error %v does not say %q and the run", err, c.want)
			}
			if b.Len() != 0 {
				t.Errorf("%d bytes of a page that cannot be", b.Len())
			}
		})
	}
	if err := report.HTML(&bytes.Buffer{}, "a"); err == nil {
		t.Error("a page about no run")
	}
}

// The page and the text are two forms of the same figures.
func TestHTMLShowsTheRowsOfText(t *testing.T) {
	var text bytes.Buffer
	if err := report.Text(&text, short("measured")); err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?s)<th scope="row">(.*?)</th><td>(.*?)</td>`).FindAllStringSubmatch(render(t, "a", short("measured")), -1)
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")[1:]
	if len(shown) != len(lines) {
		t.Fatalf("%d rows in the page, %d in the text", len(shown), len(lines))
	}
	for i, m := range shown {
		row := html.UnescapeString(m[1] + " " + m[2])
		if got := strings.Join(strings.Fields(row), " "); got != strings.Join(strings.Fields(lines[i]), " ") {
			t.Errorf("row %d: the page says %q, the text %q", i+1, got, lines[i])
		}
	}
}

func TestHTMLWithoutSeries(t *testing.T) {
	r := short("measured")
	r.Series = nil
	if p := render(t, "a", r); !strings.Contains(p, "wait p99") {
		t.Error("no figures when there is no series")
	}
}
