package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func zstandard(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// failure is the first error of reading a trace to its end.
func failure(text io.Reader, o Options) error {
	tr, err := Read(text, "f.csv", o)
	if err != nil {
		return err
	}
	defer tr.Close()
	return tr.Each(func(*Row) error { return nil })
}

func TestBadInputIsSaidWithItsPlace(t *testing.T) {
	azure := "HashFunction,1,2\nf,1,2\n"
	whole := packed(t, "HashFunction,1,2\n"+strings.Repeat("f,1,2\n", 1000))
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "f.csv:1: there is no request in it"},
		{"spaces", "\n \n", "f.csv:1: there is no request in it"},
		{"a BOM alone", "\ufeff", "f.csv:1: there is no request in it"},
		{"no format", "hello,world\n1,2\n", `f.csv:1: "hello,world" begins no format that is known`},
		{"a header alone", "HashFunction,1,2\n", "f.csv:1: there is no request in it"},
		{"cut off gzip", whole[:len(whole)-12], "the gzip data is cut off or damaged: unexpected EOF"},
		{"cut off zstd", zstandard(t, azure)[:12], "the zstd data is cut off or damaged"},
		{"NaN", azure + "g,NaN,1\n", `f.csv:3: column 1: "NaN" is not a number of 0 or more`},
		{"below 0", azure + "g,1,-5\n", `f.csv:3: column 2: "-5" is not a number of 0 or more`},
		{"infinite", azure + "g,1,1e999\n", `f.csv:3: column 2: "1e999" is not a number of 0 or more`},
		{"a billion a second", azure + "g,1,60000000000\n", "f.csv:3: column 2: 6e+10 requests in 1m0s; expected at most 6e+09 (100000000 a second)"},
		{"a column too few", azure + "g,1\n", "f.csv:3: 2 columns; expected 3 as in the header"},
		{"a column too many", azure + "g,1,2,3\n", "f.csv:3: 4 columns; expected 3 as in the header"},
		{"a minute is missing", "HashFunction,1,3\nf,1,2\n", "f.csv:1: minute 2 is missing between 1 and 3"},
		{"a minute twice", "HashFunction,1,minute_1\nf,1,2\n", "f.csv:1: column minute_1: minute 1 stands twice"},
		{"a column twice", "HashFunction,1,1\nf,1,2\n", "f.csv:1: column 1: stands twice in the header, as columns 2 and 3"},
		{"a strange column", "HashFunction,1,2,Price\nf,1,2,3\n", "f.csv:1: column Price: no such column is known"},
		{"no name", azure + ",1,2\n", "f.csv:3: column HashFunction: a function without a name"},
		{"an open quote", azure + "\"g,1,2\n", "f.csv:3: column HashFunction: a quote is not closed on its line"},
		{"a control character", azure + "g\x1b[2J,1,2\n", `f.csv:3: column HashFunction: "g\x1b[2J" has a control character`},
		{"time goes back", "ts,value\n60,1\n120,1\n90,1\n", "f.csv:4: column ts: 90 is before the row above; expected rising times"},
		{"time stands still", "ts,value\n60,1\n120,1\n120,1\n", "f.csv:4: column ts: 120 stands twice; expected rising times"},
		{"time goes back in a wide table", "time,0\n0,1\n60,2\n30,3\n", "f.csv:4: column time: 30 is not after the row above; expected rising times"},
		{"a bad first row of a wide table", "time,0\n0,x\n60,2\n", `f.csv:2: column 0: "x" is not a number of 0 or more`},
		{"one row", "ts,value\n60,1\n", "f.csv:2: column ts: one row alone has no period; expected two at least"},
		{"no time", "ts,value\nyesterday,1\n", `f.csv:2: column ts: "yesterday" is not a time such as 2023-11-16 18:15:46 or 1700158546`},
		{"a request goes back", header + "2023-11-16 18:15:46,1,1\n2023-11-16 18:15:45,1,1\n", "f.csv:3: column TIMESTAMP: 1s before the row above; expected the order of arrival"},
		{"a negative duration", "app,func,end_timestamp,duration\na,f,1,-1\n", `f.csv:2: column duration: "-1" is not a number of 0 or more`},
		{"rows that are all left out", "app,func,end_timestamp,duration\na,f,1,\n", "there is no request in it: 1 rows were left out: no duration (duration)"},
		{"no JSON", "{\"msec\":\n", "f.csv:1: column byte 8: expected one JSON object a line, of an access log: unexpected end of JSON input"},
		{"cut off JSON", `{"log":{"entries":[{"startedDateTime":`, "f.csv:1: column log.entries: unexpected EOF"},
		{"JSON with more behind it", `{"log":{"entries":[{"startedDateTime":"2024-01-01T00:00:00Z","time":1}]}} x`, "something stands after the end"},
		{"an instant vector", `{"status":"success","data":{"resultType":"vector","result":[]}}`, `f.csv:1: column resultType: "vector"; expected "matrix", the answer to query_range`},
		{"a pit", `{"log":{"a":` + strings.Repeat("[", 1000), "values lie more than 256 deep"},
		{"another version", "{\n\"version\":1,\n\"events\":[]}", "f.csv:2: column version: 1; expected 2"},
		{"half a log line", "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" abc 2326\n", `f.csv:1: column status: "abc" is no HTTP status`},
		{"a line of a megabyte", azure + strings.Repeat("x", mostLine+1), "f.csv:3: a line is longer than 1048576 bytes"},
		{"durations alone", "HashOwner,HashApp,HashFunction,Average,Count,percentile_Average_50\n", "f.csv:1: this is the durations of a trace; give the folder that has the invocations too"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := failure(strings.NewReader(c.text), Options{})
			var place *Error
			if err == nil || !strings.Contains(err.Error(), c.says) || !errors.As(err, &place) || place.File != "f.csv" || place.Line < 1 {
				t.Errorf("%v\nnot %s", err, c.says)
			}
		})
	}
}

// endless is a text again and again, a gigabyte of it.
type endless struct {
	text string
	at   int
	left int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	e.left -= int64(n)
	return n, nil
}

// growth is how much memory f made the program take from the system.
func growth(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if after.HeapSys < before.HeapSys {
		return 0
	}
	return after.HeapSys - before.HeapSys
}

func TestHugeLinesAndValuesTakeLittleMemory(t *testing.T) {
	const hundredMB, most = 100 << 20, 96 << 20
	for name, c := range map[string]struct{ head, says string }{
		"a line":       {"HashFunction,1,2\n", "a line is longer than"},
		"a header":     {"HashFunction,1,2,", "a line is longer than"},
		"a log line":   {`1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "`, "a line is longer than"},
		"a JSON line":  {`{"msec":"`, "a line is longer than"},
		"a JSON value": {`{"log":{"entries":[{"startedDateTime":"`, "one value is longer than"},
		"a JSON key":   {`{"log":{"`, "one value is longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "a line" {
				t.Skip("one is enough")
			}
			grown := growth(func() {
				err := failure(io.MultiReader(strings.NewReader(c.head), &endless{text: "xxxxxxxxxxxxxxxx", left: hundredMB}), Options{})
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v\nnot %s", err, c.says)
				}
			})
			if grown > most {
				t.Errorf("took %d MB", grown>>20)
			}
		})
	}
}

func TestABombIsSaidToBeOne(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 80 MB")
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	line := `1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326` + "\n"
	if _, err := io.Copy(z, &endless{text: line, left: 80 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := failure(&b, Options{}); err == nil || !strings.Contains(err.Error(), "this is no trace but a gzip bomb") {
		t.Error(err)
	}
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	dayOne    = "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,1,2\n"
	dayTwo    = "HashFunction,HashApp,HashOwner,1,2\ng,a,o,3,4\nf,a,o,5,6\n"
	durations = "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,percentile_Average_100\n"
)

func TestAFolderIsOneTrace(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "invocations_per_function_md.anon.d01.csv", dayOne)
	write(t, folder, "invocations_per_function_md.anon.d03.csv", packed(t, dayTwo))
	write(t, folder, "function_durations_percentiles.anon.d01.csv", durations+"o,a,f,10,1,1,20,1,2,3,4,5,6,7\no,a,g,0,1,0,0,0,0,0,0,0,0,0\n")
	write(t, folder, "app_memory_percentiles.anon.d01.csv", "HashOwner,HashApp,SampleCount,AverageAllocatedMb\no,a,5,120\n")
	write(t, folder, "LICENSE", "of a kind")
	write(t, folder, "README.md", "# data")
	tr := opened(t, folder, Options{})
	got := linesOf(t, tr)
	// d02 is missing: a day is left out.
	want := []string{"f 0 [1 2]", "g 172800000 [3 4]", "f 172800000 [5 6]"}
	if strings.Join(got, ";") != strings.Join(want, ";") {
		t.Errorf("%q", got)
	}
	f, g := tr.Functions()[0], tr.Functions()[1]
	if f.MemoryMB != 120 || f.Durations.Mean.Milliseconds() != 10 || f.Durations.Percentiles[6].Milliseconds() != 7 || f.Trigger != "http" {
		t.Errorf("%+v", f)
	}
	if !g.Durations.Known || g.Durations.Mean != 0 || g.Owner != "o" {
		t.Errorf("%+v", g)
	}
}

func TestAFolderWithStrangersIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, folder string)
		says string
	}{
		"another format":  {func(t *testing.T, f string) { write(t, f, "z.csv", "ts,value\n1,2\n2,3\n") }, "z.csv:1: this is counts among files of azure2019; a folder is one trace"},
		"no format":       {func(t *testing.T, f string) { write(t, f, "z.csv", "hello\n") }, `z.csv:1: "hello" begins no format that is known`},
		"binary":          {func(t *testing.T, f string) { write(t, f, "z.zip", "PK\x03\x04") }, "z.zip:1: \"PK\\x03\\x04\" begins no format that is known"},
		"empty":           {func(t *testing.T, f string) { write(t, f, "z.csv", "") }, "z.csv:1: there is no request in it"},
		"a folder":        {func(t *testing.T, f string) { _ = os.Mkdir(filepath.Join(f, "z"), 0o700) }, "z:1: no file; expected the files of one trace alone"},
		"a link":          {func(t *testing.T, f string) { _ = os.Symlink("/etc/passwd", filepath.Join(f, "z.csv")) }, "z.csv:1: a link; in a folder none is followed"},
		"a link upwards":  {func(t *testing.T, f string) { _ = os.Symlink("../../x", filepath.Join(f, "z.csv")) }, "z.csv:1: a link; in a folder none is followed"},
		"a link to a day": {func(t *testing.T, f string) { _ = os.Symlink("a.d01.csv", filepath.Join(f, "a.d02.csv")) }, "a.d02.csv:1: a link; in a folder none is followed"},
		"the same day":    {func(t *testing.T, f string) { write(t, f, "b.d01.csv", dayTwo) }, "b.d01.csv:1: day 1 comes after day 1; expected one file a day"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			write(t, folder, "a.d01.csv", dayOne)
			c.make(t, folder)
			tr, err := Open(folder, Options{})
			if err == nil {
				tr.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), folder) {
				t.Errorf("%v\nnot %s", err, c.says)
			}
		})
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "there is no trace in this folder") {
		t.Error(err)
	}
	if _, err := Open("/dev/zero", Options{}); err == nil || !strings.Contains(err.Error(), "is neither a file nor a folder") {
		t.Error(err)
	}
}

func TestRotatedLogsAreReadInTheirOrder(t *testing.T) {
	folder := t.TempDir()
	entry := func(s string) string {
		return `1.2.3.4 - - [10/Oct/2000:13:55:` + s + ` +0000] "GET / HTTP/1.0" 200 1` + "\n"
	}
	write(t, folder, "access.log", entry("30"))
	write(t, folder, "access.log.1", entry("20"))
	write(t, folder, "access.log.2.gz", packed(t, entry("10")))
	if got := linesOf(t, opened(t, folder, Options{})); strings.Join(got, ";") != "requests 0 ? 2xx;requests 10000 ? 2xx;requests 20000 ? 2xx" {
		t.Error(got)
	}
}

func TestAHuaweiDataSetIsItsRequests(t *testing.T) {
	folder := t.TempDir()
	for _, sub := range []string{"requests_minute", "cpu_usage_minute"} {
		if err := os.Mkdir(filepath.Join(folder, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(folder, "requests_minute"), "day_001.csv", "day,time,0\n1,86400,7\n1,86460,8\n")
	write(t, filepath.Join(folder, "requests_minute"), "day_000.csv", "day,time,0\n0,0,5\n0,60,6\n")
	tr := opened(t, folder, Options{})
	if got := linesOf(t, tr); strings.Join(got, ";") != "0 0 [5];0 60000 [6];0 86400000 [7];0 86460000 [8]" {
		t.Error(got)
	}
	if list := arrivals(t, opened(t, folder, Options{}), ArrivalOptions{}); len(list) != 26 {
		t.Errorf("%d requests", len(list))
	}
}
