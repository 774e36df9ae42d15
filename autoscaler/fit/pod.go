package fit

import (
	"slices"
	"strings"
)

// The names of the amounts that Kubernetes gives a meaning; others are extended resources by their own name.
const (
	CPU     = "cpu"    // millicores
	Memory  = "memory" // bytes
	Storage = "ephemeral-storage"
	Pods    = "pods"
)

// attach begins the names of volumes of one CSI driver that are attached to a node.
const attach = "attach/"

// Attached is the amount of volumes of a CSI driver. A node that does not say how many it can have has no limit, unlike of
// any other resource. A volume that two pods on a node share counts twice.
func Attached(driver string) string { return attach + driver }

// Amount is how much of a resource, in its unit: see the names.
type Amount struct {
	Name  string
	Value int64
}

// Amounts are sorted by name and hold each name once.
type Amounts []Amount

// Get is the amount of a name, 0 when there is none.
func (a Amounts) Get(name string) int64 {
	for i := range a {
		if a[i].Name == name {
			return a[i].Value
		}
	}
	return 0
}

// limits says that there is no more of a resource than the amounts say, be it nothing.
func (a Amounts) limits(name string) bool {
	return !strings.HasPrefix(name, attach) || slices.ContainsFunc(a, func(a Amount) bool { return a.Name == name })
}

// Pod is what the scheduler looks at of a pod. Equal pods have equal keys and make one class: neither a pod's name nor
// its node are in it.
type Pod struct {
	Namespace string
	Labels    Labels
	// Needs is what it asks for, without Pods, of which each pod takes one. Only what is above 0 is asked for.
	Needs Amounts
	Ports []Port
	// Selector is its nodeSelector: labels that the node has.
	Selector Labels
	// Affinity is its required node affinity; nil is none, and empty matches no node.
	Affinity    NodeTerms
	Tolerations []Toleration
	// Places are what its volumes ask of a node: each of them must match.
	Places []NodeTerms
	// Claims are "namespace/name" of volume claims that one pod alone may use.
	Claims []string
	// Near is required pod affinity, Away is required pod anti-affinity.
	Near, Away []Term
	Spread     []Spread
	Priority   int32
	// Meek: it never preempts.
	Meek bool
	// Leaving: it is being deleted. It takes room until it is gone, but is not counted by Spread.
	Leaving bool
	// Stuck, when not empty, is why no node can take it as things are, bought or not (a claim that is not there).
	Stuck string
	// Foreign, when not empty, is what of it is not understood here (a scheduler of its own): it is left alone.
	Foreign string
}

// Port is one port of the node that a pod takes.
type Port struct {
	// IP is the address it listens on; empty is all of them.
	IP       string
	Protocol string // TCP, UDP or SCTP
	Number   int32
}

// Toleration lets a pod bear a taint. An empty Key bears each key, AnyEffect each effect.
type Toleration struct {
	Key, Value string
	Effect     Effect
	// Exists: any value will do.
	Exists bool
}

// Term is pods, by namespace and label, and the topology in which they are counted.
type Term struct {
	Topology string // a label's key
	// Namespaces are sorted; a pod matches that is in one of them or in one that NamespaceSelector matches.
	Namespaces        []string
	NamespaceSelector Selector
	Selector          Selector
}

// Spread bounds the difference between the domains of a topology in pods that match.
type Spread struct {
	Topology string // a label's key
	MaxSkew  int
	// MinDomains: with fewer domains than that the least is 0; 1 when not given.
	MinDomains int
	// Selector counts pods of the pod's own namespace.
	Selector Selector
	// AnyNode: domains of nodes count that the pod's selector and affinity do not match, too.
	AnyNode bool
	// Untainted: domains of nodes whose taints the pod does not tolerate do not count.
	Untainted bool
}

// Key is the same for equal pods and differs for others.
func (p *Pod) Key() string {
	w := keyWriter{buf: make([]byte, 0, 512)}
	w.text(p.Namespace)
	w.labels(p.Labels)
	w.count(len(p.Needs))
	for _, a := range p.Needs {
		w.text(a.Name)
		w.number(a.Value)
	}
	w.ports(p.Ports)
	w.labels(p.Selector)
	w.flag(p.Affinity != nil)
	w.nodeTerms(p.Affinity)
	w.tolerations(p.Tolerations)
	w.places(p.Places)
	w.texts(p.Claims)
	w.terms(p.Near)
	w.terms(p.Away)
	w.spreads(p.Spread)
	w.number(int64(p.Priority))
	w.flag(p.Meek)
	w.flag(p.Leaving)
	w.text(p.Stuck)
	w.text(p.Foreign)
	return string(w.buf)
}
