package trace

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawnRows are rows as a reader might give them.
type drawnRows struct {
	rows []Row
	at   int
}

func (d *drawnRows) next(row *Row) error {
	if d.at == len(d.rows) {
		return io.EOF
	}
	*row = d.rows[d.at]
	d.at++
	return nil
}

func (d *drawnRows) Close() error { return nil }

func (d *drawnRows) trace(kind Kind, period time.Duration, names []string) *Trace {
	t := &Trace{format: "drawn", kind: kind, period: period, byName: map[string]int{}, rows: &drawnRows{rows: d.rows}}
	for _, n := range names {
		t.functions = append(t.functions, Function{Name: n})
	}
	return t
}

func draw(t *rapid.T) (*drawnRows, Kind, time.Duration, []string) {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z",# ]{0,5}[a-z]`), 1, 4, rapid.ID).Draw(t, "names")
	kind := rapid.SampledFrom([]Kind{Requests, Counts}).Draw(t, "kind")
	period := time.Duration(0)
	if kind == Counts {
		period = rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 7 * time.Second}).Draw(t, "period")
	}
	d := &drawnRows{}
	at, used := time.Duration(0), map[int]bool{}
	for range rapid.IntRange(1, 30).Draw(t, "rows") {
		at += time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "gap"))
		row := Row{Function: rapid.IntRange(0, min(len(used), len(names)-1)).Draw(t, "function"), At: at}
		used[row.Function] = true
		if kind == Counts {
			row.Counts = rapid.SliceOfN(rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 1e6), rapid.Map(rapid.IntRange(0, 100), func(n int) float64 { return float64(n) })), 1, 20).Draw(t, "counts")
			at += time.Duration(len(row.Counts)) * period
		} else {
			row.HasDuration = rapid.Bool().Draw(t, "timed")
			if row.HasDuration {
				row.Duration = time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "duration"))
			}
			row.ContextTokens, row.BytesOut = rapid.IntRange(0, 1000).Draw(t, "tokens"), rapid.Int64Range(0, 1e9).Draw(t, "bytes")
			row.Class = rapid.StringMatching(`([a-z",]{1,5})?`).Draw(t, "class")
		}
		d.rows = append(d.rows, row)
	}
	return d, kind, period, names[:len(used)]
}

// Whatever a reader gives, converting it and reading it back gives the same.
func TestConvertKeepsAllThatAReaderGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, kind, period, names := draw(t)
		var b strings.Builder
		if _, err := Convert(&b, d.trace(kind, period, names)); err != nil {
			t.Fatal(err)
		}
		back, err := Read(strings.NewReader(b.String()), "f", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := sameRows(d.trace(kind, period, names), back); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
	})
}

// As many requests arrive as were counted, to within one for each function whose counts have fractions, each in a period that
// has some; and the same whatever the placement.
func TestArrivalsAreAsManyAsWereCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c"}
		d := &drawnRows{}
		want := map[string]float64{}
		for f := range names {
			for block := range 2 {
				counts := rapid.SliceOfN(rapid.Float64Range(0, 5), 4, 4).Draw(t, "counts")
				d.rows = append(d.rows, Row{Function: f, At: time.Duration(block*4) * time.Minute, Counts: counts, Block: block})
				for _, n := range counts {
					want[names[f]] += n
				}
			}
		}
		slices.SortStableFunc(d.rows, func(a, b Row) int { return a.Block - b.Block })
		for _, p := range []Placement{Uniform, Equidistant, Exponential} {
			got := map[string]float64{}
			a, err := d.trace(Counts, time.Minute, names).Arrivals(ArrivalOptions{Placement: p, Seed: rapid.Uint64().Draw(t, "seed")})
			if err != nil {
				t.Fatal(err)
			}
			last := time.Duration(0)
			var r Request
			for err = a.Next(&r); err == nil; err = a.Next(&r) {
				got[r.Workload]++
				if r.At < last || r.At >= 8*time.Minute {
					t.Fatalf("%s after %s", r.At, last)
				}
				last = r.At
			}
			for name, n := range want {
				if got[name] > n+1e-6 || got[name] < n-1 {
					t.Fatalf("%s: %g requests of %g, %s", name, got[name], n, p)
				}
			}
		}
	})
}
