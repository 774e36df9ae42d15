package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/api/v1alpha1"
)

// writeObjects writes the objects of a run, as they would be applied: those of --config with the flags that were given and
// the point that was chosen, or what the flags alone say.
func (f *simulateFlags) writeObjects(path, why string, m *model) error {
	var b bytes.Buffer
	for line := range strings.Lines(why) {
		fmt.Fprintf(&b, "# %s\n", strings.TrimRight(line, "\n"))
	}
	autoscalers, pools := m.objects.autoscalers, m.objects.pools
	if len(autoscalers) == 0 {
		var p v1alpha1.PodAutoscaler
		p.Name, p.Namespace = "chat", "demo"
		p.Spec = f.spec(nil)
		autoscalers = []v1alpha1.PodAutoscaler{p}
	}
	if len(pools) == 0 {
		pools = []v1alpha1.NodePool{f.nodePool(nil, cmp.Or(f.nodeMost, m.either(100, 1000)))}
	}
	for i := range autoscalers {
		p := autoscalers[i].DeepCopy()
		if i < len(m.objects.autoscalers) {
			p.Spec = f.spec(p)
		}
		if p.Spec.Replicas.Max == 0 {
			p.Spec.Replicas.Max = int32(m.either(100, 1000)) // as the run had it
		}
		p.APIVersion, p.Kind = v1alpha1.Group+"/v1alpha1", "PodAutoscaler"
		if err := object(&b, p); err != nil {
			return err
		}
	}
	for i := range pools {
		p := f.nodePool(&pools[i], int(pools[i].Spec.Nodes.Max))
		p.APIVersion, p.Kind = v1alpha1.Group+"/v1alpha1", "NodePool"
		if err := object(&b, &p); err != nil {
			return err
		}
	}
	return replaceFile(path, b.Bytes())
}

// object writes one without its status, which nobody applies.
func object(b *bytes.Buffer, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing an object: %w", err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("writing an object: %w", err)
	}
	delete(fields, "status")
	prune(fields)
	if text, err = yaml.Marshal(fields); err != nil {
		return fmt.Errorf("writing an object: %w", err)
	}
	b.WriteString("---\n")
	b.Write(text)
	return nil
}

// prune takes out objects that say nothing.
func prune(fields map[string]any) {
	for name, v := range fields {
		if inner, ok := v.(map[string]any); ok {
			if prune(inner); len(inner) == 0 {
				delete(fields, name)
			}
		}
		if v == nil {
			delete(fields, name)
		}
	}
}

// replaceFile writes beside and renames, so that an interrupted run leaves no half a file.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".wholescale-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
