package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// page is one page of the site.
type page struct {
	section string
	path    string // of its text in the repository, with slashes; made pages have one that no file has
	name    string // of its HTML file
	title   string // the text's first heading
	text    []byte // Markdown

	html  []byte
	heads []heading
	links []link
}

// heading is one that can be linked to.
type heading struct {
	level    int
	id, text string
}

// link is one as it stands in the text: to another file of the repository, to a heading, or to somewhere else.
type link struct {
	to    string
	image bool
}

// contents is the order in which a reader meets the pages.
var contents = []struct {
	section string
	paths   []string
}{
	{"Start", []string{"README.md", "docs/start.md", "docs/install.md"}},
	{"Concepts", []string{"docs/architecture.md", "docs/algorithm.md", "docs/simulator.md"}},
	{"Tasks", []string{"docs/tuning.md", "docs/ask.md", "docs/operations.md", "docs/reliability.md", "docs/runbooks/"}},
	{"Reference", []string{"docs/annotations.md", "docs/signals.md", "docs/metrics.md"}},
	{"Judge it", []string{"docs/comparison.md", "docs/benchmarks.md", "docs/security.md", "SECURITY.md"}},
	{"Take part", []string{"CONTRIBUTING.md", "CHANGELOG.md"}},
}

// read takes the pages in. Each text under docs/ must be in contents: one that no reader can reach is an error.
func read(root string) ([]page, error) {
	var pages []page
	for _, c := range contents {
		for _, path := range c.paths {
			list, err := expand(root, path)
			if err != nil {
				return nil, err
			}
			for _, path := range list {
				text, err := os.ReadFile(filepath.Join(root, path))
				if err != nil {
					return nil, fmt.Errorf("a page of the contents in docs/site/pages.go: %w", err)
				}
				pages = append(pages, page{section: c.section, path: path, name: nameOf(path), text: text})
			}
		}
	}
	all, err := expand(root, "docs/")
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, path := range all {
		if !slices.ContainsFunc(pages, func(p page) bool { return p.path == path }) {
			errs = append(errs, fmt.Errorf("%s is in no section: add it to contents in docs/site/pages.go", path))
		}
	}
	return pages, errors.Join(errs...)
}

// expand is a path itself, or of a folder the texts in it, sorted; a folder that is not there has none.
func expand(root, path string) ([]string, error) {
	if !strings.HasSuffix(path, "/") {
		return []string{path}, nil
	}
	files, err := filepath.Glob(filepath.Join(root, path, "*.md"))
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		files[i] = path + filepath.Base(f)
	}
	return files, nil
}

// nameOf is a page's file: docs/a/b.md is a-b.html, the README the first page, and A.md beside it project-a.html.
func nameOf(path string) string {
	if path == "README.md" {
		return "index.html"
	}
	flat, below := strings.CutPrefix(path, "docs/")
	if !below {
		flat = "project-" + flat
	}
	flat = strings.ReplaceAll(flat, "/", "-")
	return strings.ToLower(strings.TrimSuffix(flat, ".md")) + ".html"
}

// bySection puts the pages in the order of contents, those that were made last in their section.
func bySection(pages []page) []page {
	place := func(p page) int {
		for i, c := range contents {
			if c.section == p.section {
				return i
			}
		}
		return len(contents)
	}
	slices.SortStableFunc(pages, func(a, b page) int { return place(a) - place(b) })
	return pages
}
