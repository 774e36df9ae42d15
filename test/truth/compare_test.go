package truth

import (
	"testing"

	"github.com/wholescale/wholescale/simulator/report"
)

// TestCompareTakesTheMedian: of 41 runs with 0 to 40 pod-seconds.
func TestCompareTakesTheMedian(t *testing.T) {
	var s Simulated
	for i := range chances {
		r := report.Run{Figures: &report.Figures{}}
		r.Summary.PodSeconds = float64((i * 7) % chances) // each once, in no order
		s.Runs = append(s.Runs, r)
	}
	for _, c := range []struct {
		measured, percent float64
		within            bool
	}{{20, 0, true}, {4, 400, true}, {32, -37.5, true}, {2.5, 700, false}, {40, -50, false}} {
		var m Measured
		m.Summary.PodSeconds = c.measured
		for _, row := range Compare("x", m, s).Rows {
			switch {
			case row.Figure == "pod-seconds":
				if row.Simulated != 20 || row.Low != 4 || row.High != 36 || row.ErrorPercent != c.percent || row.Within() != c.within {
					t.Errorf("%v: %+v, within %v", c.measured, row, row.Within())
				}
			case row.ErrorPercent != 0 || !row.Within():
				t.Errorf("nothing and nothing differ: %+v", row)
			}
		}
	}
	if typical := s.Typical(); typical.Summary.PodSeconds != 20 || typical.Figures != nil {
		t.Errorf("typical is %+v", typical.Summary)
	}
}
