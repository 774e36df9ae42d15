package trace

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// check reads what may be anything: either an error with a place, or rows that keep the promises of Row, which convert keeps.
func check(t *testing.T, text []byte, o Options) {
	o.ReorderMost = 8
	tr, err := Read(bytes.NewReader(text), "f.csv", o)
	if err != nil {
		placedError(t, err)
		return
	}
	defer tr.Close()
	last := time.Duration(0)
	err = tr.Each(func(r *Row) error {
		if r.Function < 0 || r.Function >= len(tr.Functions()) || r.At < 0 || r.Duration < 0 || r.ContextTokens < 0 || r.GeneratedTokens < 0 || r.BytesIn < 0 || r.BytesOut < 0 {
			t.Errorf("%+v", r)
		}
		if tr.Kind() == Requests && r.At < last {
			t.Errorf("%s after %s", r.At, last)
		}
		last = r.At
		if (tr.Kind() == Requests) != (len(r.Counts) == 0) {
			t.Errorf("%d counts of %s", len(r.Counts), tr.Kind())
		}
		for _, n := range r.Counts {
			if !(n >= 0) || math.IsInf(n, 0) {
				t.Errorf("count %g", n)
			}
		}
		return nil
	})
	if err != nil {
		placedError(t, err)
		return
	}
	if tr.Kind() == Counts && tr.Period() <= 0 {
		t.Errorf("period %s", tr.Period())
	}
	again, err := Read(bytes.NewReader(text), "f.csv", o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := Convert(&b, again); err != nil {
		t.Fatal(err)
	}
	back, err := Read(strings.NewReader(b.String()), "converted", Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	same, err := Read(bytes.NewReader(text), "f.csv", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameRows(same, back); err != nil {
		t.Errorf("%v in\n%s", err, b.String())
	}
}

func placedError(t *testing.T, err error) {
	var place *Error
	if !errors.As(err, &place) || place.File != "f.csv" || place.Line < 1 {
		t.Errorf("%v does not say where", err)
	}
}

// fuzz is the fuzzing of one reader, from the samples of its format and what commonly goes wrong.
func fuzz(f *testing.F, format Format) {
	for _, s := range samples {
		if s.format == format {
			f.Add([]byte(s.text))
			f.Add([]byte("\ufeff" + strings.ReplaceAll(s.text, "\n", "\r\n")))
			f.Add([]byte(s.text[:len(s.text)*2/3]))
			f.Add([]byte(strings.ReplaceAll(s.text, "1", "-1")))
			f.Add([]byte(strings.ReplaceAll(s.text, "0", "NaN")))
			f.Add([]byte(strings.ReplaceAll(s.text, "2", "99999999999999999999")))
			f.Add([]byte(packed(f, s.text)[:20]))
			f.Add(slices.Concat([]byte(s.text), []byte(s.text)))
		}
	}
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, text []byte) { check(t, text, Options{Format: format}) })
}

func FuzzWholescale(f *testing.F)   { fuzz(f, Wholescale) }
func FuzzAzure2019(f *testing.F)    { fuzz(f, Azure2019) }
func FuzzAzure2021(f *testing.F)    { fuzz(f, Azure2021) }
func FuzzAzureLLMRows(f *testing.F) { fuzz(f, AzureLLM) }
func FuzzHuawei2023(f *testing.F)   { fuzz(f, Huawei2023) }
func FuzzHuawei2025(f *testing.F)   { fuzz(f, Huawei2025) }
func FuzzAlibaba2021(f *testing.F)  { fuzz(f, Ali2021) }
func FuzzAlibaba2022(f *testing.F)  { fuzz(f, Ali2022) }
func FuzzCounts(f *testing.F)       { fuzz(f, CountFile) }
func FuzzPrometheus(f *testing.F)   { fuzz(f, Prometheus) }
func FuzzHAR(f *testing.F)          { fuzz(f, HAR) }
func FuzzAccessLog(f *testing.F)    { fuzz(f, AccessLog) }
func FuzzAccessJSON(f *testing.F)   { fuzz(f, AccessJSON) }
func FuzzALB(f *testing.F)          { fuzz(f, ALB) }
func FuzzSimKube(f *testing.F)      { fuzz(f, SimKube) }

// FuzzRecognise reads anything as whatever it looks like.
func FuzzRecognise(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { check(t, text, Options{}) })
}

// FuzzDurations reads the files beside Azure's invocations.
func FuzzDurations(f *testing.F) {
	f.Add([]byte(durations + "o,a,f,10,1,1,20,1,2,3,4,5,6,7\n"))
	f.Add([]byte("HashOwner,HashApp,SampleCount,AverageAllocatedMb\no,a,5,120\n"))
	f.Add([]byte("HashFunction,AverageAllocatedMb\no,NaN\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		source := func() (*source, error) { return unpack(bytes.NewReader(text), "f.csv") }
		s, err := source()
		if err != nil {
			placedError(t, err)
			return
		}
		all, err := readDurations([]file{{src: s, name: "f.csv"}})
		if err != nil {
			placedError(t, err)
		}
		for name, p := range all {
			if !p.durations.Known || p.durations.Mean < 0 || !slices.IsSorted(p.durations.Percentiles[:]) {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if s, err = source(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readMemory([]file{{src: s, name: "f.csv"}}); err != nil {
			placedError(t, err)
		}
	})
}
