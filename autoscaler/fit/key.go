package fit

import "encoding/binary"

// keyWriter writes each part with its length before it, so that no two lists read the same.
type keyWriter struct{ buf []byte }

func (w *keyWriter) number(n int64) { w.buf = binary.AppendVarint(w.buf, n) }
func (w *keyWriter) count(n int)    { w.buf = binary.AppendUvarint(w.buf, uint64(n)) }

func (w *keyWriter) flag(b bool) {
	if b {
		w.buf = append(w.buf, 1)
		return
	}
	w.buf = append(w.buf, 0)
}

func (w *keyWriter) text(s string) {
	w.count(len(s))
	w.buf = append(w.buf, s...)
}

func (w *keyWriter) texts(list []string) {
	w.count(len(list))
	for _, s := range list {
		w.text(s)
	}
}

func (w *keyWriter) labels(l Labels) {
	w.count(len(l))
	for _, label := range l {
		w.text(label.Key)
		w.text(label.Value)
	}
}

func (w *keyWriter) requirements(list []Requirement) {
	w.count(len(list))
	for i := range list {
		w.text(list[i].Key)
		w.number(int64(list[i].Operator))
		w.texts(list[i].Values)
	}
}

func (w *keyWriter) selector(s *Selector) {
	w.flag(s.Nothing)
	w.requirements(s.Requirements)
}

func (w *keyWriter) nodeTerms(terms NodeTerms) {
	w.count(len(terms))
	for i := range terms {
		w.requirements(terms[i].Labels)
		w.texts(terms[i].Names)
		w.texts(terms[i].NotNames)
	}
}

func (w *keyWriter) terms(terms []Term) {
	w.count(len(terms))
	for i := range terms {
		t := &terms[i]
		w.text(t.Topology)
		w.texts(t.Namespaces)
		w.selector(&t.NamespaceSelector)
		w.selector(&t.Selector)
	}
}

func (w *keyWriter) spreads(list []Spread) {
	w.count(len(list))
	for i := range list {
		s := &list[i]
		w.text(s.Topology)
		w.number(int64(s.MaxSkew))
		w.number(int64(s.MinDomains))
		w.selector(&s.Selector)
		w.flag(s.AnyNode)
		w.flag(s.Untainted)
	}
}

func (w *keyWriter) tolerations(list []Toleration) {
	w.count(len(list))
	for _, t := range list {
		w.text(t.Key)
		w.text(t.Value)
		w.number(int64(t.Effect))
		w.flag(t.Exists)
	}
}

func (w *keyWriter) ports(list []Port) {
	w.count(len(list))
	for _, p := range list {
		w.text(p.IP)
		w.text(p.Protocol)
		w.number(int64(p.Number))
	}
}

func (w *keyWriter) places(list []NodeTerms) {
	w.count(len(list))
	for _, place := range list {
		w.nodeTerms(place)
	}
}
