package trace

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
)

// Sample picks n functions of those named, each as likely as any other. A function's rank is made of its name and the seed, so
// that the same functions are picked when others come to the trace, but for those that the newcomers push out.
func Sample(functions []Function, n int, seed uint64) (map[string]bool, error) {
	if n < 1 {
		return nil, fmt.Errorf("a sample of %d functions; it is 1 at least", n)
	}
	type ranked struct {
		rank uint64
		name string
	}
	list := make([]ranked, 0, len(functions))
	for _, f := range functions {
		h := fnv.New64a()
		_ = binary.Write(h, binary.LittleEndian, seed) // a hash takes anything
		_, _ = h.Write([]byte(f.Name))
		list = append(list, ranked{mix(h.Sum64()), f.Name})
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.name, b.name)) })
	picked := map[string]bool{}
	for _, r := range list[:min(n, len(list))] {
		picked[r.name] = true
	}
	return picked, nil
}

// mix spreads a hash of similar names over all bits (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Select is the trace of these functions alone. It reads t, which must not have been read from yet, and owns it.
func Select(t *Trace, names map[string]bool) *Trace {
	s := &Trace{format: t.format, kind: t.kind, period: t.period, byName: map[string]int{}, options: t.options}
	s.rows = &selected{from: t, to: s, names: names}
	return s
}

type selected struct {
	from, to *Trace
	names    map[string]bool
	index    []int // in to, by index in from; -1 is left out
}

func (s *selected) next(row *Row) error {
	for {
		err := s.from.Next(row)
		s.to.start, s.to.period, s.to.drops, s.to.notes = s.from.start, s.from.period, s.from.drops, s.from.notes
		if err != nil {
			return err
		}
		for len(s.index) < len(s.from.functions) {
			f, i := s.from.functions[len(s.index)], -1
			if s.names[f.Name] {
				if i, err = s.to.function(f.Name); err != nil {
					return err
				}
				s.to.functions[i] = f
			}
			s.index = append(s.index, i)
		}
		if row.Function = s.index[row.Function]; row.Function >= 0 {
			return nil
		}
	}
}

func (s *selected) Close() error { return s.from.Close() }
