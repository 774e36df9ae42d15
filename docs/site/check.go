package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// check follows every link and picture within the repository. Links elsewhere are not asked for: that would make the build
// depend on other people's servers.
func (s *site) check() error {
	var errs []error
	for i := range s.pages {
		p := &s.pages[i]
		for _, l := range p.links {
			if err := s.follow(p, l); err != nil {
				errs = append(errs, fmt.Errorf("%s: the link to %q %w", p.path, l.to, err))
			}
		}
	}
	return errors.Join(append(errs, s.tests())...)
}

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*)\(`)
)

// tests looks whether the tests that the texts name exist.
func (s *site) tests() error {
	there := map[string]bool{}
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(data, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for tests: %w", err)
	}
	var errs []error
	for i := range s.pages {
		for _, m := range testName.FindAllSubmatch(s.pages[i].text, -1) {
			if !there[string(m[1])] {
				errs = append(errs, fmt.Errorf("%s: there is no test %s", s.pages[i].path, m[1]))
			}
		}
	}
	return errors.Join(errs...)
}

func (s *site) follow(p *page, l link) error {
	if strings.Contains(l.to, "://") || strings.HasPrefix(l.to, "mailto:") {
		return nil
	}
	file, anchor, _ := strings.Cut(l.to, "#")
	to := p
	if file != "" {
		file = path.Join(path.Dir(p.path), file)
		if to = s.find(file); to == nil {
			if _, err := os.Stat(filepath.Join(s.root, file)); err != nil {
				return errors.New("leads to no file of the repository")
			}
		}
	}
	if l.image {
		if same := slices.IndexFunc(s.images, func(i string) bool { return path.Base(i) == path.Base(file) }); same < 0 {
			s.images = append(s.images, file)
		} else if s.images[same] != file {
			return fmt.Errorf("has the name of another picture, %s", s.images[same])
		}
	}
	if anchor == "" {
		return nil
	}
	if to == nil || !slices.ContainsFunc(to.heads, func(h heading) bool { return h.id == anchor }) {
		return errors.New("leads to no heading there")
	}
	return nil
}
