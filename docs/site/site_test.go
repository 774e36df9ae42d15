package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository's.
const root = "../.."

// TestSite renders the real texts: each link leads somewhere, each text is in the contents.
func TestSite(t *testing.T) {
	pages, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := fieldPage(root)
	if err != nil {
		t.Fatal(err)
	}
	s := site{root: root, pages: bySection(append(pages, fields, page{section: "Reference", path: "docs/commands.md", name: "commands.html"}))}
	if err := s.render(); err != nil {
		t.Fatal(err)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
	to := t.TempDir()
	if err := s.write(to); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, p := range s.pages {
		if other := names[p.name]; other != "" {
			t.Errorf("%s and %s are both %s", p.path, other, p.name)
		}
		names[p.name] = p.path
		html, err := os.ReadFile(filepath.Join(to, p.name))
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.Contains(string(html), ".md\"") && !strings.Contains(string(html), source) {
			t.Errorf("%s links to a text instead of its page", p.name)
		}
	}
}

// TestBrokenTexts: what check is for.
func TestBrokenTexts(t *testing.T) {
	for text, want := range map[string]string{
		"[a](nowhere.md)":    "leads to no file",
		"[a](#nowhere)":      "leads to no heading",
		"[a](b.md#nowhere)":  "leads to no heading",
		"![a](nowhere.png)":  "leads to no file",
		"[a](b.md#its-head)": "",
		"[a](http://x/y)":    "",
	} {
		dir := t.TempDir()
		s := site{root: dir, pages: []page{{path: "docs/a.md", name: "a.html", text: []byte(text)}, {path: "docs/b.md", name: "b.html", text: []byte("# Its head")}}}
		if err := s.render(); err != nil {
			t.Fatal(err)
		}
		err := s.check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestCommandsOfTexts(t *testing.T) {
	p := programs{of: map[string]command{
		"wholescale":          {help: "Available Commands:\n", flags: map[string]bool{"--help": true}},
		"wholescale simulate": {flags: map[string]bool{"--policy": true, "-o": true}},
	}}
	for line, want := range map[string]string{
		"wholescale simulate a.csv --policy kpa -o json": "",
		"wholescale simulate --policy=kpa | sort --what": "",
		"wholescale simulate --polcy kpa":                "wholescale simulate has no flag --polcy",
		"wholescale simulat a.csv":                       `wholescale has no command "simulat"`,
		"wholescale --help":                              "",
	} {
		err := p.known(line)
		if got := ""; err != nil && err.Error() != want || err == nil && want != got {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	got := commandLines("text wholescale a\n\n    wholescale simulate \\\n      --policy kpa\n\n```sh\n$ kubectl wholescale why x\nwholescale  130  115\n```\n")
	if len(got) != 2 || got[3] != "wholescale simulate       --policy kpa" || got[7] != "wholescale why x" {
		t.Errorf("%v", got)
	}
}
