// Package serve is the provider's process: it reads the configuration, opens the machines, keeps the limits, listens
// for the controller and keeps a record of orders.
package serve

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/cloudprovider/limit"
	"github.com/wholescale/wholescale/cloudprovider/local"
)

// maxFile bounds the configuration file; 1000 pools are some 300 KB.
const maxFile = 4 << 20

// File is what stands in the configuration file.
type File struct {
	local.Config `yaml:",inline"`
	// Limits hold whoever asks.
	Limits limit.Config `yaml:"limits"`
}

// Config is all that the process needs.
type Config struct {
	File File
	// Listen is where the controller calls; empty is 127.0.0.1:7443.
	Listen string
	// Keys are this process's certificate and key, and the CA to trust. Required.
	Keys identity.Files
	// Admin is where /metrics, /healthz and /orders are served, without a password: keep it on loopback. Empty is nowhere.
	Admin string
}

// Load reads a configuration file. state, when not empty, goes before the file's own. Errors name file, line and field.
func Load(path, state string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, fmt.Errorf("configuration: %w", err)
	}
	if info.Size() > maxFile {
		return File{}, fmt.Errorf("configuration %s has %d bytes, more than %d", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return File{}, fmt.Errorf("configuration: %w", err)
	}
	f, err := parse(data, state)
	if err != nil {
		return File{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return f, nil
}

func parse(data []byte, state string) (File, error) {
	var f File
	var tree yaml.Node
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return f, err
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return f, err
	}
	if state != "" {
		f.State = state
	}
	var errs []error
	for _, err := range split(errors.Join(f.Config.Validate(), f.Limits.Validate())) {
		field, _, _ := strings.Cut(err.Error(), ":")
		if line := lineOf(&tree, field); line > 0 {
			err = fmt.Errorf("line %d: %w", line, err)
		}
		errs = append(errs, err)
	}
	return f, errors.Join(errs...)
}

// split takes joined errors apart.
func split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var flat []error
	for _, e := range joined.Unwrap() {
		flat = append(flat, split(e)...)
	}
	return flat
}

// lineOf finds a field as in "pools[2].max", or the nearest parent that is there; 0 when none is.
func lineOf(n *yaml.Node, path string) int {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := 0
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next, line = n.Content[i+1], n.Content[i].Line
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
				next, line = n.Content[i], n.Content[i].Line
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}
