package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/wholescale/wholescale/autoscaler/live/plot"
)

// Map is runs in one world, by what they cost and how long requests waited.
type Map struct {
	// Title says what the world is like; it may be empty when there is one.
	Title string
	Spots []Spot
}

// Spot is one run on a Map.
type Spot struct {
	// Name is the policy; Label, which may be empty, the point of a sweep.
	Name, Label string
	Figures     Figures
	// Frontier: no other is as good in both and better in one. Chosen: this is the one to take.
	Frontier, Chosen bool
}

// Frontier writes one page with each map as a plot and a table. Like HTML it loads nothing, and the same maps give the same
// bytes. It fails, and writes nothing, when there is no spot or a figure is not finite.
func Frontier(w io.Writer, title string, maps []Map) error {
	fail := func(err error) error { return fmt.Errorf("write the frontier: %w", err) }
	spots := 0
	for _, m := range maps {
		for _, s := range m.Spots {
			spots++
			if v := s.Figures.Money + s.Figures.WaitSeconds; math.IsNaN(v) || math.IsInf(v, 0) {
				return fail(fmt.Errorf("%s %s: money or waiting is no finite number", s.Name, s.Label))
			}
		}
	}
	if spots == 0 {
		return fail(errors.New("there is no run"))
	}
	page, err := frontierPage(title, maps)
	if err != nil {
		return fail(err)
	}
	if _, err := w.Write(page); err != nil {
		return fail(err)
	}
	return nil
}

// spotData is a spot as the page's script wants it.
type spotData struct {
	Name     string  `json:"name"`
	Label    string  `json:"label"`
	Money    float64 `json:"money"`
	Waited   float64 `json:"waited"`
	Frontier bool    `json:"frontier"`
	Chosen   bool    `json:"chosen"`
}

type mapData struct {
	Title string     `json:"title"`
	Spots []spotData `json:"spots"`
}

func frontierPage(title string, maps []Map) ([]byte, error) {
	data := make([]mapData, len(maps))
	for i, m := range maps {
		data[i].Title = m.Title
		for _, s := range m.Spots {
			data[i].Spots = append(data[i].Spots, spotData{s.Name, s.Label, s.Figures.Money, s.Figures.WaitSeconds, s.Frontier, s.Chosen})
		}
	}
	// Marshal escapes <, >, & and the line separators: no name can end the element that it stands in.
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	library, style, script := plot.Script(), plot.Style(), asset("frontier.js")
	t, err := template.New("frontier").Parse(asset("frontier.gohtml"))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Title, Policy                string
		Style, Library, Script, Data template.HTML
		Maps                         []Map
	}{
		Title: title, Policy: policyFor(library, script, style),
		Style:   template.HTML("<style>" + style + "</style>"),
		Library: template.HTML("<script>" + library + "</script>"),
		Script:  template.HTML("<script>" + script + "</script>"),
		Data:    template.HTML(`<script type="application/json" id="maps">` + string(text) + "</script>"),
		Maps:    maps,
	})
	return out.Bytes(), err
}

// policyFor admits two scripts and a style by their hashes, and nothing else.
func policyFor(library, script, style string) string {
	return fmt.Sprintf("default-src 'none'; script-src %s %s; style-src %s; base-uri 'none'; form-action 'none'", hash(library), hash(script), hash(style))
}
