// Package packing holds the packer against instances with known bounds and against what others decide on them.
package packing

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// instance is one file of the instance folder; its README says what the fields mean.
type instance struct {
	Name   string
	Shapes []struct {
		Name                     string
		CPUMilli, MemoryMi, Pods int64
		Zones                    []string
		PricePerHour             float64
	}
	Nodes []struct {
		Name, Shape, Zone                    string
		UsedCPUMilli, UsedMemoryMi, UsedPods int64
	}
	Pods []podGroup
}

type podGroup struct {
	Group              string
	Count              int
	CPUMilli, MemoryMi int64
	Labels             map[string]string
	NodeSelector       map[string]string
	Spread             []struct {
		TopologyKey string
		MaxSkew     int
		Selector    map[string]string
	}
	Affinity, AntiAffinity []struct {
		TopologyKey string
		Selector    map[string]string
	}
}

// baseline is what others reach on an instance.
type baseline struct {
	LowerBound                                        float64
	BestKnown                                         float64
	Karpenter, FFDCheapestShape, FFDLargestThenShrink struct{ Price float64 }
}

func (b *baseline) cheapest() float64 {
	return min(b.Karpenter.Price, b.FFDCheapestShape.Price, b.FFDLargestThenShrink.Price)
}

func readJSON(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("unzip %s: %w", path, err)
		}
	}
	if err := json.NewDecoder(r).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// readFolder reads all instances of a folder, and its baseline if it is there.
func readFolder(dir string) ([]*instance, map[string]*baseline, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json*"))
	if err != nil {
		return nil, nil, err
	}
	var out []*instance
	var known struct{ Instances map[string]*baseline }
	for _, f := range files {
		if filepath.Base(f) == "baseline.json" {
			if err := readJSON(f, &known); err != nil {
				return nil, nil, err
			}
			continue
		}
		if !strings.HasSuffix(f, ".json") && !strings.HasSuffix(f, ".json.gz") {
			continue
		}
		in := &instance{}
		if err := readJSON(f, in); err != nil {
			return nil, nil, err
		}
		out = append(out, in)
	}
	return out, known.Instances, nil
}

const (
	host = 0
	zone = 1
	mega = 1 << 20
)

// problem says an instance in the packer's numbers.
func (in *instance) problem() *pack.Problem {
	var zones []string
	for _, s := range in.Shapes {
		for _, z := range s.Zones {
			if !slices.Contains(zones, z) {
				zones = append(zones, z)
			}
		}
	}
	slices.Sort(zones)
	p := &pack.Problem{Topologies: []pack.Topology{host: {Domains: len(in.Nodes), Fresh: true}, zone: {Domains: len(zones)}}}
	rooms := map[string]pack.Resources{}
	for _, s := range in.Shapes {
		room := pack.Resources{CPU: s.CPUMilli, Memory: s.MemoryMi * mega, Pods: s.Pods}
		rooms[s.Name] = room
		for _, z := range s.Zones {
			p.Offers = append(p.Offers, pack.Offer{Room: room, Price: s.PricePerHour, Limit: pack.Unlimited,
				Domains: []int{pack.FreshDomain, slices.Index(zones, z)}})
		}
	}
	for i, n := range in.Nodes {
		used := pack.Resources{CPU: n.UsedCPUMilli, Memory: n.UsedMemoryMi * mega, Pods: n.UsedPods}
		p.Bins = append(p.Bins, pack.Bin{Free: rooms[n.Shape].Minus(used), Domains: []int{i, slices.Index(zones, n.Zone)}})
	}
	in.groups(p)
	return p
}

func (in *instance) groups(p *pack.Problem) {
	var selectors []map[string]string
	id := func(sel map[string]string) int {
		for i, s := range selectors {
			if len(s) == len(sel) && matches(s, sel) {
				return i
			}
		}
		selectors = append(selectors, sel)
		return len(selectors) - 1
	}
	key := func(k string) int {
		if k == "zone" {
			return zone
		}
		return host
	}
	for i := range in.Pods {
		g := &in.Pods[i]
		out := pack.Group{Needs: pack.Resources{CPU: g.CPUMilli, Memory: g.MemoryMi * mega, Pods: 1}, Count: g.Count}
		for _, s := range g.Spread {
			out.Spreads = append(out.Spreads, pack.Spread{Topology: key(s.TopologyKey), Selector: id(s.Selector),
				MaxSkew: s.MaxSkew, Self: matches(g.Labels, s.Selector)})
		}
		for _, a := range g.Affinity {
			out.Affinity.Topologies = append(out.Affinity.Topologies, key(a.TopologyKey))
			out.Affinity.Selector, out.Affinity.Self = id(a.Selector), matches(g.Labels, a.Selector)
		}
		for _, a := range g.AntiAffinity {
			out.Anti = append(out.Anti, pack.Term{Topology: key(a.TopologyKey), Selector: id(a.Selector)})
		}
		p.Groups = append(p.Groups, out)
	}
	for i := range in.Pods {
		for s, sel := range selectors {
			if matches(in.Pods[i].Labels, sel) {
				p.Groups[i].Matches = append(p.Groups[i].Matches, s)
			}
		}
	}
}

func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
