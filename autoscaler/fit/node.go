package fit

// Effect is what a taint does to pods that do not tolerate it. PreferNoSchedule is a preference and is left out.
type Effect uint8

// AnyEffect is for tolerations only.
const (
	AnyEffect Effect = iota
	NoSchedule
	NoExecute
)

// Taint keeps pods off a node.
type Taint struct {
	Key, Value string
	Effect     Effect
}

// Node is a machine: one that is there, or one that could be bought.
type Node struct {
	// Name is empty for a machine that could be bought: no pod that asks for a node by its name runs there.
	Name   string
	Labels Labels
	Taints []Taint
	// Unschedulable: it is cordoned; only pods that tolerate TaintUnschedulable run there.
	Unschedulable bool
	// Closed: nothing more is to be placed there, though what runs there counts (it is being emptied).
	Closed bool
	// Allocatable is what pods may ask for in all. Pods bounds their number: without it there is room for none. Without an
	// amount of Attached there is room for any number.
	Allocatable Amounts
}

// TaintUnschedulable is the key that pods tolerate to run on a cordoned node.
const TaintUnschedulable = "node.kubernetes.io/unschedulable"

// The topology keys of Kubernetes.
const (
	LabelHostname = "kubernetes.io/hostname"
	LabelZone     = "topology.kubernetes.io/zone"
)

// Requirement on a node, and how terms of it are joined.
type (
	// NodeTerm matches a node that meets all of its parts.
	NodeTerm struct {
		Labels []Requirement
		// Names and NotNames are the field metadata.name: the node has each of Names and none of NotNames.
		Names, NotNames []string
	}
	// NodeTerms match a node that one of them matches; none match no node.
	NodeTerms []NodeTerm
)

// Match says that one of the terms matches the node.
func (t NodeTerms) Match(n *Node) bool {
	for i := range t {
		if t[i].match(n) {
			return true
		}
	}
	return false
}

func (t *NodeTerm) match(n *Node) bool {
	for _, name := range t.Names {
		if name != n.Name {
			return false
		}
	}
	for _, name := range t.NotNames {
		if name == n.Name {
			return false
		}
	}
	return meets(t.Labels, n.Labels)
}
