package fit

import "slices"

// portbook numbers host ports so that two that exclude each other share a number: a port on one address has the number of
// that address, a port on all addresses those of every address that somebody asks for, and one of its own.
type portbook map[portKey]*portAddresses

type portKey struct {
	protocol string
	number   int32
}

type portAddresses struct {
	all  int
	each map[string]int
}

func (b portbook) read(ports []Port) {
	for _, p := range ports {
		k := portKey{p.Protocol, p.Number}
		a := b[k]
		if a == nil {
			a = &portAddresses{all: len(b), each: map[string]int{}}
			b[k] = a
		}
		if p.IP != "" {
			if _, ok := a.each[p.IP]; !ok {
				a.each[p.IP] = len(a.each)
			}
		}
	}
}

// readSame reads those of the ports whose number and protocol somebody asks for already.
func (b portbook) readSame(ports []Port) {
	for _, p := range ports {
		if b[portKey{p.Protocol, p.Number}] != nil {
			b.read([]Port{p})
		}
	}
}

// maxAddresses keeps the numbers of one port's addresses apart from those of the next port.
const maxAddresses = 1 << 16

// ids are the numbers of the ports, once all have been read.
func (b portbook) ids(ports []Port) []int {
	var ids []int
	for _, p := range ports {
		a := b[portKey{p.Protocol, p.Number}]
		if a == nil {
			continue
		}
		if p.IP != "" {
			ids = append(ids, a.all*maxAddresses+1+a.each[p.IP])
			continue
		}
		ids = append(ids, a.all*maxAddresses)
		for _, address := range a.each {
			ids = append(ids, a.all*maxAddresses+1+address)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
