package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const logLines = `1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.0" 200 2326 "-" "agent" 0.250
1.2.3.4 - - [10/Oct/2000:13:55:38 +0000] "GET /a HTTP/1.0" 200 2326 "-" "agent" 0.500
`

func TestTraceCommandsPrintDataAloneAndTheSameAgain(t *testing.T) {
	logs, counts := fileWith(t, "access.log", logLines), fileWith(t, "counts.csv", minutes)
	for _, args := range [][]string{
		{"trace", "info", logs}, {"trace", "info", logs, "-o", "json"}, {"trace", "info", logs, "-o", "yaml"}, {"trace", "info", counts, "-o", "csv"},
		{"trace", "convert", logs}, {"trace", "convert", counts}, {"trace", "sample", counts, "--functions", "1"},
		{"trace", "fit", counts}, {"trace", "fit", counts, "-o", "json"}, {"trace", "synthesize", "--rate", "2", "--for", "1h", "--functions", "3"},
		{"simulate", "keepalive", logs, "-o", "csv"}, {"simulate", "keepalive", counts, "-o", "yaml", "--floor"},
	} {
		code, first, errs := call(args...)
		if code != 0 || first == "" || errs != "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, first, errs)
		}
		if _, second, _ := call(args...); second != first {
			t.Errorf("%v: %q\nand then %q", args, first, second)
		}
		if strings.Contains(first, filepath.Dir(logs)) || strings.Contains(first, "access.log") {
			t.Errorf("%v: a path in %q", args, first)
		}
	}
}

func TestTraceInfoSaysWhatWasLeftOut(t *testing.T) {
	path := fileWith(t, "a.csv", "app,func,end_timestamp,duration\na,f,1,0.5\na,f,2,\n")
	_, out, _ := call("trace", "info", path)
	if !strings.Contains(out, "1 rows: no duration (duration) (first in line 3)") {
		t.Error(out)
	}
	_, out, errs := call("trace", "convert", path)
	if want := "left out: 1 rows: no duration (duration) (first at " + path + ":3)\n"; errs != want || strings.Contains(out, "left out") {
		t.Errorf("%q\nnot %q", errs, want)
	}
}

func TestAConvertedFileIsThereWholeOrNotAtAll(t *testing.T) {
	folder := t.TempDir()
	good, bad := fileWith(t, "a.csv", minutes), fileWith(t, "b.csv", minutes+"g,1,x,1\n")
	to := filepath.Join(folder, "c.csv.gz")
	if code, out, errs := call("trace", "convert", bad, "--to", to); code != 2 || out != "" || !strings.Contains(errs, `b.csv:3: column minute_2: "x" is not a number of 0 or more`) {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if list, err := os.ReadDir(folder); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if code, out, errs := call("trace", "convert", good, "--to", to); code != 0 || out != "" || errs != "" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if list, err := os.ReadDir(folder); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	_, want, _ := call("simulate", "keepalive", good)
	if _, got, _ := call("simulate", "keepalive", to); got != want {
		t.Errorf("%s\nnot %s", got, want)
	}
}

func TestWhatFitFoundCanBeMade(t *testing.T) {
	_, shape, _ := call("trace", "fit", fileWith(t, "a.csv", minutes), "-o", "json")
	path := fileWith(t, "shape.json", shape)
	if code, out, errs := call("trace", "synthesize", "--shape", path); code != 0 || !strings.HasPrefix(out, "# wholescale trace v1") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	for _, args := range [][]string{
		{"trace", "synthesize", "--shape", fileWith(t, "s.json", `{"rate":1,"length_s":3600,"colour":3}`)}, {"trace", "synthesize", "--rate", "-1"},
		{"trace", "look"}, {"trace", "info"}, {"trace", "info", path}, {"trace", "info", path, "--scale", "0"}, {"trace", "info", path, "--values", "x"}, {"trace", "sample", path, "--functions", "0"},
	} {
		if code, out, errs := call(args...); code != 2 || out != "" || errs == "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
}
