package tune_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/simulator/tune"
)

func kind(name string) (tune.Kind, error) {
	switch name {
	case "join":
		return tune.Time, nil
	case "price":
		return tune.Number, nil
	case "min":
		return tune.Whole, nil
	}
	return 0, errors.New("there are join, price, min")
}

func TestParseAxis(t *testing.T) {
	for text, want := range map[string]string{
		"join=20s,60s,180s":    "20s 1m 3m",
		"join=1s..100s/3":      "1s 10s 1m40s",
		"price=0.1..10":        "0.1 0.316 1 3.16 10",
		"price=1..3/3":         "1 2 3",
		"price=0..1/3":         "0 0.5 1",
		"min=1..4/2,8":         "1 4 8",
		"min=1..10/10":         "1 2 3 4 5 6 8 10", // whole steps of equal ratio, each once
		" price = 2 , 2 , 3.0": "2 3",
		"join=1h30m":           "1h30m",
	} {
		a, err := tune.ParseAxis(text, kind)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, v := range a.Values {
			got = append(got, v.Text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is %v, not %s", text, got, want)
		}
	}
	for text, says := range map[string]string{
		"join": "it is like", "join=": "it is like", "what=3": "there are join", "join=3": "no time", "min=1.5": "no whole", "price=x": "no number",
		"price=NaN": "no number", "price=3..1": "below its beginning", "price=1..2/1": "the steps", "join=-1s": "no time",
	} {
		if a, err := tune.ParseAxis(text, kind); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is read as %v, %v; expected %q", text, a, err, says)
		}
	}
}

func TestGrid(t *testing.T) {
	a, _ := tune.ParseAxis("min=1,2", kind)
	b, _ := tune.ParseAxis("join=1s,2s", kind)
	points, err := tune.Grid([]tune.Axis{a, b})
	var got []string
	for _, p := range points {
		got = append(got, p.String())
	}
	want := []string{"min=1 join=1s", "min=1 join=2s", "min=2 join=1s", "min=2 join=2s"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := tune.Grid([]tune.Axis{a, a}); err == nil {
		t.Error("an axis is there twice")
	}
	if none, err := tune.Grid(nil); err != nil || len(none) != 1 || len(none[0]) != 0 {
		t.Errorf("no axis: %v, %v", none, err)
	}
}

func TestFrontierIsWhatNothingBeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float64Range(0, 4)
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tune.Tradeoff {
			return tune.Tradeoff{Money: float64(int(number.Draw(t, "money"))), Waited: float64(int(number.Draw(t, "waited")))}
		}), 0, 12).Draw(t, "list")
		on := tune.Frontier(list)
		for i, v := range list {
			beaten := slices.ContainsFunc(list, func(o tune.Tradeoff) bool {
				return o.Money <= v.Money && o.Waited <= v.Waited && o != v
			})
			if on[i] == beaten {
				t.Fatalf("%v of %v: on the frontier %v, beaten %v", v, list, on[i], beaten)
			}
		}
	})
}

func TestChoose(t *testing.T) {
	worlds := [][]tune.Tradeoff{{{10, 0}, {4, 3}, {3, 400}}, {{20, 0}, {9, 9}, {8, 900}}}
	for _, c := range []struct {
		fits []bool
		want int
	}{{nil, 1}, {[]bool{true, false, false}, 0}, {[]bool{true, true, true}, 2}, {[]bool{false, false, false}, -1}} {
		if got := tune.Choose(worlds, c.fits); got != c.want {
			t.Errorf("of those that fit %v it is %d, not %d", c.fits, got, c.want)
		}
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	var done atomic.Int64
	wrong := errors.New("wrong")
	err := tune.Each(context.Background(), 100, 1, func(_ context.Context, i int) error {
		if i == 3 {
			return wrong
		}
		done.Add(1)
		return nil
	})
	if !errors.Is(err, wrong) || done.Load() != 3 {
		t.Errorf("%v after %d", err, done.Load())
	}
}
