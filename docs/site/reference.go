package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// references are the pages that are made of what the project's other parts say of themselves.
func references(root string, p programs) ([]page, error) {
	fields, err := fieldPage(root)
	if err != nil {
		return nil, err
	}
	return []page{fields, p.page()}, nil
}

// definition is the part of a CustomResourceDefinition that a reader wants.
type definition struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind       string   `json:"kind"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Scope    string `json:"scope"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				Root schema `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

type schema struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Default     any               `json:"default"`
	Enum        []any             `json:"enum"`
	Minimum     *float64          `json:"minimum"`
	Maximum     *float64          `json:"maximum"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Rules       []struct {
		Rule    string `json:"rule"`
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

// fieldPage is the API reference, from the CRDs.
func fieldPage(root string) (page, error) {
	files, err := filepath.Glob(filepath.Join(root, "deploy", "crds", "*.yaml"))
	if err != nil {
		return page{}, err
	}
	var b strings.Builder
	b.WriteString("# Fields of the API\n\nMade from the CustomResourceDefinitions: what the API server accepts, and what it says when it does not. ")
	b.WriteString("[Annotations and fields](annotations.md) tells what to do with them.\n")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return page{}, err
		}
		var d definition
		if err := yaml.Unmarshal(data, &d); err != nil {
			return page{}, fmt.Errorf("%s: %w", file, err)
		}
		for _, v := range d.Spec.Versions {
			fmt.Fprintf(&b, "\n## %s\n\n`%s/%s`, %s, short `%s`.\n\n%s\n\n", d.Spec.Names.Kind, d.Spec.Group, v.Name, strings.ToLower(d.Spec.Scope),
				strings.Join(d.Spec.Names.ShortNames, "`, `"), plain(v.Schema.Root.Description))
			for _, part := range []string{"spec", "status"} {
				fmt.Fprintf(&b, "### %s %s\n\n| Field | Type | Default | Meaning and rules |\n| --- | --- | --- | --- |\n", d.Spec.Names.Kind, part)
				rows(&b, part, v.Schema.Root.Properties[part])
				b.WriteString("\n")
			}
		}
	}
	return page{section: "Reference", path: "docs/fields.md", name: "fields.html", text: []byte(b.String())}, nil
}

// rows writes a field and those below it.
func rows(b *strings.Builder, path string, s schema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[name]
		at, kind := path+"."+name, f.Type
		below := f
		if f.Items != nil {
			at, kind, below = at+"[]", "list of "+f.Items.Type, *f.Items
			below.Rules = append(f.Rules[:len(f.Rules):len(f.Rules)], below.Rules...)
			if below.Description == "" {
				below.Description = f.Description
			}
		}
		value := ""
		if f.Default != nil && len(f.Properties) == 0 { // those of an object stand with its fields
			value = fmt.Sprintf("`%v`", f.Default)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", at, kind, value, cell(f.Description, below))
		rows(b, at, below)
	}
}

// cell is what a field means and what it may be.
func cell(description string, s schema) string {
	parts := []string{strings.TrimSuffix(plain(description), ".")}
	for _, v := range s.Enum {
		parts = append(parts, fmt.Sprintf("`%v`", v))
	}
	if s.Minimum != nil {
		parts = append(parts, fmt.Sprintf("at least %v", *s.Minimum))
	}
	if s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("at most %v", *s.Maximum))
	}
	for _, r := range s.Rules {
		parts = append(parts, "refused otherwise: "+plain(r.Message))
	}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "; ")
}

// plain is a text for a table's cell.
func plain(s string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;").Replace(strings.TrimSpace(s))
}

// page is the reference of all commands and flags, as the programs tell it.
func (p *programs) page() page {
	var b strings.Builder
	b.WriteString("# Commands and flags\n\nMade from what the programs say with `--help`.\n")
	for _, name := range p.order {
		if strings.Contains(name, " completion") {
			continue // the same for every program
		}
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s\n```\n", name, strings.TrimSpace(p.of[name].help))
	}
	return page{section: "Reference", path: "docs/commands.md", name: "commands.html", text: []byte(b.String())}
}
