package trace

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shared is ../shared beside the module's root, where the published traces are; they are no part of the project.
func shared(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join("../../../shared/traces", path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("../shared is not beside this checkout: %v", err)
	}
	return full
}

func opened(t testing.TB, path string, o Options) *Trace {
	t.Helper()
	tr, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func read(t testing.TB, name, text string, o Options) *Trace {
	t.Helper()
	tr, err := Read(strings.NewReader(text), name, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func arrivals(t testing.TB, tr *Trace, o ArrivalOptions) []Request {
	t.Helper()
	a, err := tr.Arrivals(o)
	if err != nil {
		t.Fatal(err)
	}
	var list []Request
	for {
		var r Request
		switch err := a.Next(&r); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatal(err)
		}
		list = append(list, r)
	}
}

const twoFunctions = "HashFunction,1,2,3\nf,2,0,5\ng,1,3,0\n"

func TestArrivalsAreWithinTheirMinuteAndInOrder(t *testing.T) {
	for _, p := range []Placement{Uniform, Equidistant, Exponential} {
		list := arrivals(t, read(t, "f.csv", twoFunctions, Options{}), ArrivalOptions{Placement: p, Seed: 7})
		got := map[string][3]int{}
		last := time.Duration(0)
		for _, r := range list {
			if r.At < last {
				t.Errorf("%s: %s after %s", p, r.At, last)
			}
			last = r.At
			n := got[r.Workload]
			n[r.At/time.Minute]++
			got[r.Workload] = n
		}
		if got["f"] != [3]int{2, 0, 5} || got["g"] != [3]int{1, 3, 0} {
			t.Errorf("%s: %v", p, got)
		}
	}
}

func TestOneMoreFunctionDoesNotMoveTheOthers(t *testing.T) {
	for _, p := range []Placement{Uniform, Equidistant, Exponential} {
		few := arrivals(t, read(t, "f.csv", twoFunctions, Options{}), ArrivalOptions{Placement: p})
		more := arrivals(t, read(t, "f.csv", strings.Replace(twoFunctions, "f,", "a,9,9,9\nf,", 1), Options{}), ArrivalOptions{Placement: p})
		more = slices.DeleteFunc(more, func(r Request) bool { return r.Workload == "a" })
		if !slices.EqualFunc(few, more, func(a, b Request) bool { return a.At == b.At && a.Workload == b.Workload && a.Service == b.Service }) {
			t.Errorf("%s: %v\n%v", p, few, more)
		}
	}
}

func TestEquidistantIsAsFarApartAsCanBe(t *testing.T) {
	list := arrivals(t, read(t, "f.csv", "HashFunction,1\nf,4\n", Options{}), ArrivalOptions{Placement: Equidistant})
	for i := 1; i < len(list); i++ {
		if d := list[i].At - list[i-1].At; d < 15*time.Second-2 || d > 15*time.Second+2 {
			t.Errorf("%s apart", d)
		}
	}
}

func TestFractionsAreCarriedOn(t *testing.T) {
	list := arrivals(t, read(t, "f.csv", "ts,value\n1600000000,0.5\n1600000060,0.25\n1600000120,0.25\n1600000180,1.5\n1600000240,0.6\n", Options{}), ArrivalOptions{})
	var minutes []int
	for _, r := range list {
		minutes = append(minutes, int(r.At/time.Minute))
	}
	if !slices.Equal(minutes, []int{2, 3, 4}) {
		t.Error(minutes)
	}
}

// Rows whose times are no multiples of the period overlap the next one's.
func TestPeriodsOfTheirOwnPhaseStayInOrder(t *testing.T) {
	text := canonicalMagic + ` {"kind":"counts","period_ns":60000000000}` + "\n" + canonicalCounts + "\n30000000000,f,50 0 50\n0,g,50 50 50\n"
	list := arrivals(t, read(t, "f.csv", text, Options{}), ArrivalOptions{})
	if len(list) != 250 || !slices.IsSortedFunc(list, func(a, b Request) int { return int(a.At - b.At) }) {
		t.Errorf("%d requests, or not in order", len(list))
	}
	for _, r := range list {
		if r.Workload == "f" && (r.At < 30*time.Second || r.At >= 90*time.Second && r.At < 150*time.Second) {
			t.Errorf("f at %s", r.At)
		}
	}
}

func TestDurationsAreDrawnFromTheirPercentiles(t *testing.T) {
	tr := opened(t, shared(t, "azure2019/500"), Options{})
	a, err := tr.Arrivals(ArrivalOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	n, most, last := 0, 3_037_902, time.Duration(0)
	if testing.Short() {
		most = 100_000
	}
	var r Request
	for ; n < most+1 && a.Next(&r) == nil; n++ {
		d := tr.Functions()[r.Function].Durations
		if r.Service < d.Percentiles[0] || r.Service > d.Percentiles[6] || r.At < last {
			t.Fatalf("%s at %s after %s of %+v", r.Service, r.At, last, d)
		}
		last = r.At
	}
	if n != most && !testing.Short() {
		t.Errorf("%d requests", n)
	}
}

func BenchmarkArrivalsDaily1250(b *testing.B) {
	path := shared(b, "azure2019/daily1250")
	n := 0
	for b.Loop() {
		tr := opened(b, path, Options{})
		a, err := tr.Arrivals(ArrivalOptions{})
		if err != nil {
			b.Fatal(err)
		}
		var r Request
		for a.Next(&r) == nil {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/request")
}

func BenchmarkPeriodsDaily1250(b *testing.B) {
	path := shared(b, "azure2019/daily1250")
	for b.Loop() {
		tr := opened(b, path, Options{})
		p := tr.Periods()
		for {
			if _, _, err := p.Next(); err != nil {
				break
			}
		}
	}
}
