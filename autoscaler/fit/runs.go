package fit

// Refusal is why a pod may not run on a node: the first of a closed list that holds, in the scheduler's order.
type Refusal uint8

// None is not a refusal: the pod may run there.
const (
	None Refusal = iota
	// NotUnderstood: Pod.Foreign says what.
	NotUnderstood
	// NoNode: no node can take it as things are; Pod.Stuck says why.
	NoNode
	// Closing: Node.Closed is set.
	Closing
	// Cordoned: the node is unschedulable.
	Cordoned
	// Tainted: the node has a taint that the pod does not tolerate.
	Tainted
	// NodeMismatch: its nodeSelector or node affinity does not match the node.
	NodeMismatch
	// PortTaken: a pod on the node has one of its ports.
	PortTaken
	// NoRoom: the node has too little left of something it asks for.
	NoRoom
	// ClaimTaken: a pod somewhere has a volume claim that one pod alone may use.
	ClaimTaken
	// VolumeElsewhere: a volume of it cannot be reached from the node, or not be made there.
	VolumeElsewhere
	// NoDomain: the node lacks a topology's label that a spread rule of it counts by.
	NoDomain
	// Skewed: the node's domain has too many pods for a spread rule of it.
	Skewed
	// Alone: pods that it must be near are not in the node's domain.
	Alone
	// Apart: pods that it must be away from are in the node's domain.
	Apart
	// Repelled: a pod in the node's domain must be away from pods like it.
	Repelled
)

var refusalNames = [...]string{
	None: "fits", NotUnderstood: "not understood", NoNode: "no node can take it", Closing: "being emptied",
	Cordoned: "cordoned", Tainted: "taint not tolerated", NodeMismatch: "node affinity", PortTaken: "host port taken", NoRoom: "no room",
	ClaimTaken: "claim in use", VolumeElsewhere: "volume elsewhere", NoDomain: "topology label missing", Skewed: "spread",
	Alone: "pod affinity", Apart: "pod anti-affinity", Repelled: "anti-affinity of a pod there",
}

// String is a few words for people.
func (r Refusal) String() string { return refusalNames[r] }

// Refusals are all of them, None left out.
func Refusals() []Refusal {
	list := make([]Refusal, 0, len(refusalNames)-1)
	for r := None + 1; int(r) < len(refusalNames); r++ {
		list = append(list, r)
	}
	return list
}

// Runs says what of the pod and the node alone keeps them apart: NotUnderstood, NoNode, Closing, Cordoned, Tainted,
// NodeMismatch and VolumeElsewhere, or None. Neither room nor other pods are looked at.
func Runs(p *Pod, n *Node) Refusal {
	switch {
	case p.Foreign != "":
		return NotUnderstood
	case p.Stuck != "":
		return NoNode
	case n.Closed:
		return Closing
	case n.Unschedulable && !p.tolerates(&Taint{Key: TaintUnschedulable, Effect: NoSchedule}):
		return Cordoned
	case !p.toleratesAll(n.Taints):
		return Tainted
	case !p.selects(n):
		return NodeMismatch
	case !p.reaches(n):
		return VolumeElsewhere
	}
	return None
}

// selects says that the node has the labels and the name that the pod asks for.
func (p *Pod) selects(n *Node) bool {
	for _, want := range p.Selector {
		if value, ok := n.Labels.Get(want.Key); !ok || value != want.Value {
			return false
		}
	}
	return p.Affinity == nil || p.Affinity.Match(n)
}

func (p *Pod) reaches(n *Node) bool {
	for _, place := range p.Places {
		if !place.Match(n) {
			return false
		}
	}
	return true
}

func (p *Pod) toleratesAll(taints []Taint) bool {
	for i := range taints {
		if !p.tolerates(&taints[i]) {
			return false
		}
	}
	return true
}

func (p *Pod) tolerates(taint *Taint) bool {
	for i := range p.Tolerations {
		t := &p.Tolerations[i]
		if (t.Effect == AnyEffect || t.Effect == taint.Effect) && (t.Key == "" || t.Key == taint.Key) && (t.Exists || t.Value == taint.Value) {
			return true
		}
	}
	return false
}
