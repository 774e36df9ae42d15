package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheWalkOfTuning runs each command of docs/tuning.md, in order, in one folder.
func TestTheWalkOfTuning(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "tuning.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			args, ok := strings.CutPrefix(line, "wholescale ")
			if !ok {
				t.Errorf("%q is no command of this program", line)
				continue
			}
			commands++
			out, said, code := walked(t, args)
			if code != 0 || !strings.Contains(out, "wholescale") {
				t.Errorf("%s: exit %d\n%s%s", line, code, out, said)
			}
		}
	}
	if commands < 6 {
		t.Errorf("%d commands on the page", commands)
	}
	for _, made := range []string{"report.html", "frontier.html", "chosen.yaml"} {
		if info, err := os.Stat(made); err != nil || info.Size() == 0 {
			t.Errorf("%s was not made: %v", made, err)
		}
	}
}

// walked runs a command line; words within single quotes stay together.
func walked(t *testing.T, line string) (stdout, stderr string, code int) {
	t.Helper()
	var args []string
	for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1) {
		args = append(args, strings.Trim(word, "'"))
	}
	if args[0] != "simulate" {
		t.Fatalf("%s: the walk is about simulate", line)
	}
	return simulated(t, args[1:]...)
}
