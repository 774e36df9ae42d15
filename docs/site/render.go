package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// source is where files of the repository that are no pages are shown.
const source = "https://github.com/wholescale/wholescale/blob/main/"

// site is all pages, in the order of reading.
type site struct {
	root   string
	pages  []page
	images []string // paths in the repository
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// render makes HTML of all texts, with links between them as between the pages.
func (s *site) render() error {
	for i := range s.pages {
		p := &s.pages[i]
		tree := markdown.Parser().Parse(text.NewReader(p.text))
		err := ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if !entering {
				return ast.WalkContinue, nil
			}
			switch n := n.(type) {
			case *ast.Heading:
				id, _ := n.AttributeString("id")
				h := heading{level: n.Level, id: string(id.([]byte)), text: words(n, p.text)}
				p.heads = append(p.heads, h)
				if p.title == "" {
					p.title = h.text
				}
			case *ast.Link:
				p.links = append(p.links, link{to: string(n.Destination)})
				n.Destination = []byte(s.target(p, string(n.Destination)))
			case *ast.Image:
				p.links = append(p.links, link{to: string(n.Destination), image: true})
				n.Destination = []byte("images/" + path.Base(string(n.Destination)))
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		var b bytes.Buffer
		if err := markdown.Renderer().Render(&b, p.text, tree); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		// A table wider than the page scrolls by itself, also for those who have only a keyboard.
		wide := strings.NewReplacer("<table>", `<div class="wide" tabindex="0" role="region" aria-label="Table"><table>`, "</table>", "</table></div>")
		p.html = []byte(wide.Replace(b.String()))
	}
	return nil
}

// words is the plain text of a heading.
func words(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // fails only when the function does
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(src))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// target is where a link of a text leads on the site.
func (s *site) target(from *page, to string) string {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "#") || strings.HasPrefix(to, "mailto:") {
		return to
	}
	file, anchor, _ := strings.Cut(to, "#")
	file = path.Join(path.Dir(from.path), file)
	if anchor != "" {
		anchor = "#" + anchor
	}
	if p := s.find(file); p != nil {
		return p.name + anchor
	}
	return source + file + anchor
}

func (s *site) find(path string) *page {
	for i := range s.pages {
		if s.pages[i].path == path {
			return &s.pages[i]
		}
	}
	return nil
}

//go:embed page.html
var frame string

//go:embed site.css
var style []byte

// view is what the frame shows.
type view struct {
	Page           *page
	Title          string
	Body           template.HTML
	Sections       []section
	Heads          []heading
	Previous, Next *page
}

type section struct {
	Name  string
	Pages []*page
}

// Title, Name and the rest are for the frame.
func (p *page) Title() string  { return p.title }
func (p *page) Name() string   { return p.name }
func (h heading) ID() string   { return h.id }
func (h heading) Text() string { return h.text }

// write puts all pages, the style and the pictures into a folder.
func (s *site) write(to string) error {
	t, err := template.New("page").Parse(frame)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "images"), 0o755); err != nil {
		return fmt.Errorf("making the site's folder: %w", err)
	}
	sections := s.sections()
	for i := range s.pages {
		p := &s.pages[i]
		v := view{Page: p, Title: p.title, Body: template.HTML(p.html), Sections: sections} //nolint:gosec // our own text
		for _, h := range p.heads {
			if h.level == 2 {
				v.Heads = append(v.Heads, h)
			}
		}
		if i > 0 {
			v.Previous = &s.pages[i-1]
		}
		if i+1 < len(s.pages) {
			v.Next = &s.pages[i+1]
		}
		var b bytes.Buffer
		if err := t.Execute(&b, v); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		if err := os.WriteFile(filepath.Join(to, p.name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	for _, image := range s.images {
		data, err := os.ReadFile(filepath.Join(s.root, image))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "images", path.Base(image)), data, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(to, "site.css"), style, 0o644)
}

// sections are the pages by section, in the order of the first of each.
func (s *site) sections() (list []section) {
	at := map[string]int{}
	for i := range s.pages {
		p := &s.pages[i]
		k, ok := at[p.section]
		if !ok {
			k = len(list)
			at[p.section] = k
			list = append(list, section{Name: p.section})
		}
		list[k].Pages = append(list[k].Pages, p)
	}
	return list
}
