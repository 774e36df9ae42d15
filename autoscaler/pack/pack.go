// Package pack decides where pods go and which machines to buy for those that fit nowhere. It knows numbers only: a Problem
// holds groups of equal pods, bins, offers of machines, and the rules of placement with labels replaced by ids.
//
// Rules is the one definition of what may be placed where, with the semantics of kube-scheduler's filters. Solve finds a
// cheap plan and places every pod of it through Rules. Bins finds the first of many bins that has room: a tree of the
// largest free room, in which full bins are not looked at.
//
// Nothing here reads a clock or chance: the same problem gives the same plan, and work is bounded by counted steps.
package pack

// Resources is an amount of what pods ask for and nodes offer.
type Resources struct {
	CPU    int64 // millicores
	Memory int64 // bytes
	Pods   int64
}

// Plus is the sum.
func (r Resources) Plus(o Resources) Resources {
	return Resources{r.CPU + o.CPU, r.Memory + o.Memory, r.Pods + o.Pods}
}

// Minus is the difference; it may be negative in each size.
func (r Resources) Minus(o Resources) Resources {
	return Resources{r.CPU - o.CPU, r.Memory - o.Memory, r.Pods - o.Pods}
}

// Times is n of r.
func (r Resources) Times(n int) Resources {
	k := int64(n)
	return Resources{r.CPU * k, r.Memory * k, r.Pods * k}
}

// Holds says that r has room for o. A size that o does not ask for is not looked at, so that an overfull bin still
// takes what needs none of it, as the Kubernetes scheduler does.
func (r Resources) Holds(o Resources) bool {
	return (o.CPU <= 0 || o.CPU <= r.CPU) && (o.Memory <= 0 || o.Memory <= r.Memory) && (o.Pods <= 0 || o.Pods <= r.Pods)
}

// Count is how many of o fit into r, at most limit.
func (r Resources) Count(o Resources, limit int) int {
	n := int64(limit)
	if o.CPU > 0 {
		n = min(n, r.CPU/o.CPU)
	}
	if o.Memory > 0 {
		n = min(n, r.Memory/o.Memory)
	}
	if o.Pods > 0 {
		n = min(n, r.Pods/o.Pods)
	}
	return int(max(n, 0))
}

// Bins is a row of bins, each with its free room. Bins are found in the order in which they were added.
type Bins struct {
	free []Resources
	// most[i] is, size by size, the largest free room below node i of a complete binary tree whose leaves are the bins.
	most   []Resources
	leaves int
}

// NewBins makes a row of bins with the given free room.
func NewBins(free []Resources) *Bins {
	b := &Bins{free: append([]Resources(nil), free...)}
	b.build()
	return b
}

// Len is the number of bins.
func (b *Bins) Len() int { return len(b.free) }

// Free is the room left in bin i.
func (b *Bins) Free(i int) Resources { return b.free[i] }

// Add appends a bin and returns its index.
func (b *Bins) Add(free Resources) int {
	b.free = append(b.free, free)
	if len(b.free) > b.leaves {
		b.build()
	} else {
		b.set(len(b.free) - 1)
	}
	return len(b.free) - 1
}

// Take lessens the room of bin i; a negative amount gives it back.
func (b *Bins) Take(i int, r Resources) {
	b.free[i] = b.free[i].Minus(r)
	b.set(i)
}

// Next is the first bin at or after from that has room for need, or -1.
func (b *Bins) Next(need Resources, from int) int {
	if from >= len(b.free) {
		return -1
	}
	return b.next(1, 0, b.leaves, need, from)
}

func (b *Bins) next(node, low, high int, need Resources, from int) int {
	if high <= from || low >= len(b.free) || !b.most[node].Holds(need) {
		return -1
	}
	if high-low == 1 {
		return low
	}
	middle := (low + high) / 2
	if i := b.next(2*node, low, middle, need, from); i >= 0 {
		return i
	}
	return b.next(2*node+1, middle, high, need, from)
}

func (b *Bins) build() {
	b.leaves = 1
	for b.leaves < len(b.free) {
		b.leaves *= 2
	}
	b.most = make([]Resources, 2*b.leaves)
	for i := range b.most {
		b.most[i] = none
	}
	copy(b.most[b.leaves:], b.free)
	for i := b.leaves - 1; i >= 1; i-- {
		b.most[i] = largest(b.most[2*i], b.most[2*i+1])
	}
}

func (b *Bins) set(i int) {
	n := b.leaves + i
	b.most[n] = b.free[i]
	for n /= 2; n >= 1; n /= 2 {
		b.most[n] = largest(b.most[2*n], b.most[2*n+1])
	}
}

// none is the room of a bin that is not there: nothing fits, not even what asks for nothing but a pod slot.
var none = Resources{CPU: -1 << 62, Memory: -1 << 62, Pods: -1 << 62}

func largest(a, b Resources) Resources {
	return Resources{max(a.CPU, b.CPU), max(a.Memory, b.Memory), max(a.Pods, b.Pods)}
}
