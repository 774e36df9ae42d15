package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"

func packed(t testing.TB, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatCannotBeReadIsSaidWithItsPlace(t *testing.T) {
	good := "2023-11-16 18:15:46.6805900,10,5\n"
	whole := packed(t, header+strings.Repeat(good, 5000))
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "f.csv:1: there is no request in it"},
		{"a BOM alone", "\ufeff", "f.csv:1: there is no request in it"},
		{"a header alone", header, "f.csv:1: there is no request in it"},
		{"another format", "app,minute\n1,2\n", "f.csv:1: column TIMESTAMP: there is no such column; a trace in format azure-llm has one"},
		{"a column is missing", "TIMESTAMP,ContextTokens\n", "f.csv:1: column GeneratedTokens: there is no such column; a trace in format azure-llm has one"},
		{"too few columns", header + good + "2023-11-16 18:15:47,10\n", "f.csv:3: 2 columns; expected 3 as in the header"},
		{"time goes back", header + good + "2023-11-16 18:15:45,10,5\n", "f.csv:3: column TIMESTAMP: 1.68059s before the row above; expected the order of arrival"},
		{"no time", header + "NaN,10,5\n", `f.csv:2: column TIMESTAMP: "NaN" is not a time such as 2023-11-16 18:15:46 or 1700158546`},
		{"negative tokens", header + "2023-11-16 18:15:46,-1,5\n", `f.csv:2: column ContextTokens: "-1" is not a whole number of 0 to 100000000`},
		{"too many tokens", header + "2023-11-16 18:15:46,1,1000000000\n", `f.csv:2: column GeneratedTokens: "1000000000" is not a whole number of 0 to 100000000`},
		{"a quote is not closed", header + good + "\"2023\n", "f.csv:3: column TIMESTAMP: a quote is not closed on its line"},
		{"a truncated gzip", whole[:len(whole)-20], "unexpected EOF"},
		{"no gzip after all", "\x1f\x8bxyz", "f.csv:1: not a gzip file after all: unexpected EOF"},
		{"a huge line", packed(t, header+good+strings.Repeat("x", mostLine+1)), "f.csv:3: a line is longer than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := ReadAzureLLM(strings.NewReader(c.text), "f.csv", DefaultServiceModel)
			if err == nil || len(list) > 0 || !strings.HasPrefix(err.Error(), "f.csv:") || !strings.HasSuffix(err.Error(), c.says) {
				t.Errorf("%d requests, %v\nnot %s", len(list), err, c.says)
			}
		})
	}
}

func TestAllWaysToWriteATraceReadAlike(t *testing.T) {
	text := header + "2023-11-16 18:15:46.6805900,10,5\n2023-11-16 18:15:47.6805900,0,0\n"
	want := []Request{{Service: DefaultServiceModel.Of(10, 5)}, {At: time.Second, Service: DefaultServiceModel.Of(0, 0)}}
	for name, written := range map[string]string{
		"plain": text, "BOM": "\ufeff" + text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "gzip": packed(t, text), "no last end of line": strings.TrimSuffix(text, "\n"),
		"other order": "GeneratedTokens,timestamp, ContextTokens\n5,2023-11-16 18:15:46.6805900,10\n0,2023-11-16 18:15:47.6805900,0\n",
	} {
		if got, err := ReadAzureLLM(strings.NewReader(written), name, DefaultServiceModel); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestMoreRequestsThanFitAreRefused(t *testing.T) {
	tr := read(t, "f.csv", header+strings.Repeat("2023-11-16 18:15:46,1,1\n", 4), Options{})
	if _, err := azureLLMRequests(tr, DefaultServiceModel, 3); err == nil || err.Error() != "more than 3 requests; cut the trace into parts" {
		t.Error(err)
	}
}

func TestTheShippedSample(t *testing.T) {
	all, err := AzureLLMSample(DefaultServiceModel)
	if err != nil {
		t.Fatal(err)
	}
	if last := all[len(all)-1].At; len(all) != 8819 || last < 57*time.Minute || last >= 58*time.Minute {
		t.Errorf("%d requests over %s, not 8,819 over 57 minutes", len(all), last)
	}
}

func TestSlice(t *testing.T) {
	all := []Request{{At: 0}, {At: 5}, {At: 9}, {At: 10}}
	if got := Slice(all, 5, 5); !slices.Equal(got, []Request{{At: 0}, {At: 4}}) {
		t.Errorf("%v", got)
	}
}

func FuzzAzureLLM(f *testing.F) {
	for _, text := range []string{"", header, header + "2023-11-16 18:15:46.6805900,10,5\n", "\ufeff" + header + "x", header + "\"\n\"", "\x1f\x8b", packed(f, header)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ReadAzureLLM(bytes.NewReader(text), "f.csv", DefaultServiceModel)
		var place *Error
		if err != nil && (!errors.As(err, &place) || place.File != "f.csv" || place.Line < 1) {
			t.Errorf("%v does not say where", err)
		}
		last := time.Duration(0)
		for i, r := range list {
			if r.At < last || r.Service < 0 {
				t.Errorf("request %d at %s for %s, after %s", i, r.At, r.Service, last)
			}
			last = r.At
		}
	})
}
