package fit

import (
	"cmp"
	"slices"
)

// Tally is a number of pods of one class.
type Tally struct{ Class, Count int }

// Cluster is nodes and what runs on them. Pods are known by the number of their class: equal pods are one class, so that
// 150,000 pods of 5,000 kinds cost what 5,000 cost. The zero value is not usable; see NewCluster.
type Cluster struct {
	namespaces map[string]Labels
	ids        map[string]int
	classes    []*Pod
	needs      [][]need // by class; they stand together in memory, as they are read for each pod
	spare      []need
	nodes      []Node
	there      []bool
	pods       [][]Tally
	// resources are numbered; by node, used is how much of each its pods ask for, and held how many they are.
	resources map[string]int
	used      [][]int64
	held      []int
	// index answers Fits; nil when a class or a node was added or removed since it was made.
	index *index
}

// need is how much of a numbered resource a pod asks for.
type need struct {
	resource int
	value    int64
}

// NewCluster is a cluster without nodes. Namespaces are all that there are, with their labels: a term's namespace selector
// matches none that is not among them.
func NewCluster(namespaces map[string]Labels) *Cluster {
	return &Cluster{namespaces: namespaces, ids: map[string]int{}, resources: map[string]int{CPU: 0, Memory: 1}}
}

// Grow makes room for so many more nodes and classes, which then need not be made bit by bit.
func (c *Cluster) Grow(nodes, classes int) {
	if len(c.ids) == 0 {
		c.ids = make(map[string]int, classes)
	}
	c.classes, c.needs = slices.Grow(c.classes, classes), slices.Grow(c.needs, classes)
	c.nodes, c.there, c.pods = slices.Grow(c.nodes, nodes), slices.Grow(c.there, nodes), slices.Grow(c.pods, nodes)
	c.used, c.held = slices.Grow(c.used, nodes), slices.Grow(c.held, nodes)
}

// Class is ClassOf a pod that nobody else has.
func (c *Cluster) Class(p Pod) int { return c.ClassOf(&p) }

// ClassOf is the number of the pod's class; the first time it makes one. It keeps p, which nobody may change.
func (c *Cluster) ClassOf(p *Pod) int {
	key := p.Key()
	if id, ok := c.ids[key]; ok {
		return id
	}
	id := len(c.classes)
	c.ids[key] = id
	c.classes = append(c.classes, p)
	if len(c.spare) < len(p.Needs) {
		c.spare = make([]need, max(128, len(p.Needs)))
	}
	needs := c.spare[:len(p.Needs):len(p.Needs)]
	c.spare = c.spare[len(p.Needs):]
	for i, a := range p.Needs {
		if _, ok := c.resources[a.Name]; !ok {
			c.resources[a.Name] = len(c.resources)
		}
		needs[i] = need{c.resources[a.Name], a.Value}
	}
	c.needs = append(c.needs, needs)
	c.index = nil
	return id
}

// Pod is what the pods of a class are.
func (c *Cluster) Pod(class int) *Pod { return c.classes[class] }

// Classes is how many classes there are: they are numbered from 0.
func (c *Cluster) Classes() int { return len(c.classes) }

// AddNode adds a node without pods and returns its number. It keeps what n points to.
func (c *Cluster) AddNode(n Node) int {
	c.nodes, c.there, c.pods = append(c.nodes, n), append(c.there, true), append(c.pods, nil)
	c.used, c.held = append(c.used, nil), append(c.held, 0)
	c.index = nil
	return len(c.nodes) - 1
}

// RemoveNode takes a node away with all its pods. Its number is not used again.
func (c *Cluster) RemoveNode(node int) {
	c.there[node], c.pods[node], c.used[node], c.held[node] = false, nil, nil, 0
	c.index = nil
}

// Node is the node of that number.
func (c *Cluster) Node(node int) *Node { return &c.nodes[node] }

// Nodes is how many numbers of nodes there are, those that were removed among them.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// On are the pods on a node, by class.
func (c *Cluster) On(node int) []Tally { return c.pods[node] }

// Add puts n pods of a class on a node, whether or not they fit; below 0 it takes them away, no more than are there.
func (c *Cluster) Add(class, node, n int) {
	if !c.there[node] || n == 0 {
		return
	}
	i, ok := slices.BinarySearchFunc(c.pods[node], class, func(t Tally, class int) int { return cmp.Compare(t.Class, class) })
	switch {
	case !ok && n < 0:
		return
	case !ok:
		if c.pods[node] == nil {
			c.pods[node] = make([]Tally, 0, 8)
		}
		c.pods[node] = slices.Insert(c.pods[node], i, Tally{Class: class})
	default:
		n = max(n, -c.pods[node][i].Count)
	}
	if c.pods[node][i].Count += n; c.pods[node][i].Count == 0 {
		c.pods[node] = slices.Delete(c.pods[node], i, i+1)
	}
	c.use(class, node, n)
	if c.index != nil {
		c.index.add(class, node, n)
	}
}

func (c *Cluster) use(class, node, n int) {
	c.held[node] += n
	for _, a := range c.needs[class] {
		if len(c.used[node]) <= a.resource {
			c.used[node] = append(make([]int64, 0, len(c.resources)), c.used[node]...)[:len(c.resources)]
		}
		c.used[node][a.resource] += a.value * int64(n)
	}
}

// Room is how many more pods of the class, at most most, the amounts on a node are enough for. Nothing else is looked at.
func (c *Cluster) Room(class, node, most int) int {
	n := &c.nodes[node]
	most = min(most, int(n.Allocatable.Get(Pods))-c.held[node])
	for _, a := range c.classes[class].Needs {
		if a.Value <= 0 || !n.Allocatable.limits(a.Name) {
			continue
		}
		most = min(most, int((n.Allocatable.Get(a.Name)-c.inUse(node, c.resources[a.Name]))/a.Value))
	}
	return max(most, 0)
}

// inUse is how much of a resource the pods on a node ask for.
func (c *Cluster) inUse(node, resource int) int64 {
	if resource < len(c.used[node]) {
		return c.used[node][resource]
	}
	return 0
}

// AddDaemons puts one pod of each of the classes on the node where nothing of the two alone is against it: what the pods
// of DaemonSets will take of a node that is coming.
func (c *Cluster) AddDaemons(node int, classes []int) {
	for _, class := range classes {
		if Runs(c.classes[class], &c.nodes[node]) == None {
			c.Add(class, node, 1)
		}
	}
}

// Fits says why one more pod of the class may not run on the node, or None. After a change of classes or nodes it makes
// the index anew, which costs as much as there are classes on nodes; after Add it does not.
func (c *Cluster) Fits(class, node int) Refusal {
	if !c.there[node] {
		return NoNode
	}
	if why := Runs(c.classes[class], &c.nodes[node]); why != None {
		return why
	}
	return c.indexed().fits(class, node)
}

// Preempts says that the pod does not fit, but would if the pods of lower priority left the node: the scheduler then makes
// room by itself. As the scheduler does, it holds that no pod's going away helps one that must be near others. Disruption
// budgets are not looked at.
func (c *Cluster) Preempts(class, node int) bool {
	p := c.classes[class]
	if p.Meek || !c.there[node] || Runs(p, &c.nodes[node]) != None {
		return false
	}
	index := c.indexed()
	switch index.fits(class, node) {
	case None, Alone, NoDomain:
		return false
	}
	var lower []Tally
	for _, t := range c.pods[node] {
		if c.classes[t.Class].Priority < p.Priority {
			lower = append(lower, t)
		}
	}
	if len(lower) == 0 {
		return false
	}
	for _, t := range lower {
		index.add(t.Class, node, -t.Count)
	}
	fits := index.fits(class, node) == None
	for _, t := range lower {
		index.add(t.Class, node, t.Count)
	}
	return fits
}

func (c *Cluster) indexed() *index {
	if c.index == nil {
		c.index = newIndex(c)
	}
	return c.index
}

// matches says that a term of a pod is about pods like p.
func (c *Cluster) matches(t *Term, p *Pod) bool {
	return (slices.Contains(t.Namespaces, p.Namespace) || c.within(&t.NamespaceSelector, p.Namespace)) && t.Selector.Matches(p.Labels)
}

func (c *Cluster) within(s *Selector, namespace string) bool {
	if s.Nothing {
		return false
	}
	if len(s.Requirements) == 0 {
		return true
	}
	labels, known := c.namespaces[namespace]
	return known && s.Matches(labels)
}
