package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
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
