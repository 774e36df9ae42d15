package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/wholescale/wholescale/autoscaler/live/plot"
)

//go:embed assets/page.gohtml assets/page.js assets/frontier.gohtml assets/frontier.js
var assets embed.FS

// HTML writes one page with the figures of runs side by side and their series over time. The page needs nothing else: it
// loads nothing and works from a file. The first run is drawn solid, those after it dashed. The same runs give the same bytes.
//
// It fails, and writes nothing, when there is no run or when a figure is not finite.
func HTML(w io.Writer, title string, runs ...Run) error {
	if len(runs) == 0 {
		return errors.New("write the report: it needs at least one run")
	}
	data := make([]seriesData, len(runs))
	for i, r := range runs {
		if err := finite(r); err != nil {
			return fmt.Errorf("write the report: run %q: %w", r.Name, err)
		}
		data[i] = columns(r)
	}
	page, err := assemble(title, runs, data)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if _, err := w.Write(page); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// seriesData is a run as the page's script wants it: a column for each figure.
type seriesData struct {
	Name        string    `json:"name"`
	At          []float64 `json:"at"` // seconds
	Arrivals    []float64 `json:"arrivals"`
	Held        []int     `json:"held"`
	InFlight    []int     `json:"inFlight"`
	Wanted      []int     `json:"wanted"`
	Ready       []int     `json:"ready"`
	NodesComing []int     `json:"nodesComing"`
	NodesReady  []int     `json:"nodesReady"`
	Cost        []float64 `json:"cost"`
	Waited      []float64 `json:"waited,omitempty"` // seconds of all requests so far; null when it was not taken down
	// Moments are decisions, by the second.
	Moments []moment `json:"moments,omitempty"`
}

type moment struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
}

func columns(r Run) seriesData {
	d := seriesData{Name: r.Name}
	for _, p := range r.Series {
		d.At = append(d.At, Milliseconds(p.At)/1000)
		d.Arrivals = append(d.Arrivals, p.Arrivals)
		d.Held, d.InFlight = append(d.Held, p.Held), append(d.InFlight, p.InFlight)
		d.Wanted, d.Ready = append(d.Wanted, p.Wanted), append(d.Ready, p.Ready)
		d.NodesComing, d.NodesReady = append(d.NodesComing, p.NodesComing), append(d.NodesReady, p.NodesReady)
		d.Cost = append(d.Cost, p.Cost)
		if r.Figures != nil {
			d.Waited = append(d.Waited, p.Waited)
		}
	}
	for _, m := range r.Moments {
		d.Moments = append(d.Moments, moment{At: Milliseconds(m.At) / 1000, Text: m.Text})
	}
	return d
}

// finite refuses what neither JSON nor a plot can show, and names it.
func finite(r Run) error {
	type figure struct {
		name  string
		value float64
	}
	s := r.Summary
	for _, f := range []figure{
		{"waitMs.p50", s.WaitMs.P50}, {"waitMs.p99", s.WaitMs.P99},
		{"requestToScaleMs.p50", s.RequestToScaleMs.P50}, {"requestToScaleMs.p99", s.RequestToScaleMs.P99},
		{"requestToBuyMs.p50", s.RequestToBuyMs.P50}, {"requestToBuyMs.p99", s.RequestToBuyMs.P99},
		{"nodeJoinMs", s.NodeJoinMs}, {"podStartMs", s.PodStartMs}, {"firstAnswerMs", s.FirstAnswerMs},
		{"podSeconds", s.PodSeconds}, {"nodeSeconds", s.NodeSeconds}, {"cost", s.Cost},
	} {
		if math.IsNaN(f.value) || math.IsInf(f.value, 0) {
			return fmt.Errorf("%s is %v, which is no finite number", f.name, f.value)
		}
	}
	if f := r.Figures; f != nil {
		for name, v := range map[string]float64{
			"waitSeconds": f.WaitSeconds, "podHours": f.PodHours, "nodeHours": f.NodeHours, "money": f.Money, "utilisation": f.Utilisation, "thrash": f.Thrash,
		} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%s is %v, which is no finite number", name, v)
			}
		}
	}
	for i, p := range r.Series {
		for _, f := range []figure{{"arrivals", p.Arrivals}, {"cost", p.Cost}, {"waited", p.Waited}} {
			if math.IsNaN(f.value) || math.IsInf(f.value, 0) {
				return fmt.Errorf("point %d, at %v: %s is %v, which is no finite number", i, p.At, f.name, f.value)
			}
		}
	}
	return nil
}

// assemble fills the template. Scripts and styles are admitted by their hashes, so that nothing else in the page can run.
func assemble(title string, runs []Run, data []seriesData) ([]byte, error) {
	// Marshal escapes <, >, & and the line separators: no name can end the element that it stands in.
	series, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	library, style, script := plot.Script(), plot.Style(), asset("page.js")
	t, err := template.New("page").Parse(asset("page.gohtml"))
	if err != nil {
		return nil, err
	}
	page := struct {
		Title, Policy          string
		Style, Library, Script template.HTML
		Series                 template.HTML
		Runs                   []Run
		Groups                 []group
		Worst                  []worst
		Moments                bool
	}{
		Title:   title,
		Policy:  policyFor(library, script, style),
		Style:   template.HTML("<style>" + style + "</style>"),
		Library: template.HTML("<script>" + library + "</script>"),
		Script:  template.HTML("<script>" + script + "</script>"),
		Series:  template.HTML(`<script type="application/json" id="series">` + string(series) + "</script>"),
		Runs:    runs,
		Groups:  groups(runs),
		Worst:   worstOf(runs),
		Moments: slices.ContainsFunc(runs, func(r Run) bool { return len(r.Moments) > 0 }),
	}
	var out bytes.Buffer
	if err := t.Execute(&out, page); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// asset is an embedded file. Line ends are as HTML parsers leave them, or the hashes would not match.
func asset(name string) string {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
