package tune

import (
	"cmp"
	"math"
	"slices"
)

// Tradeoff is what a point costs, in the two things that are weighed: money, and seconds of waiting.
type Tradeoff struct{ Money, Waited float64 }

// Frontier says of each whether no other is as good in both and better in one. Of equals all are.
func Frontier(list []Tradeoff) []bool {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(list[a].Money, list[b].Money), cmp.Compare(list[a].Waited, list[b].Waited))
	})
	on := make([]bool, len(list))
	least, money := math.Inf(1), math.Inf(-1)
	for _, i := range order {
		v := list[i]
		on[i] = v.Waited < least || v.Waited == least && v.Money == money
		if v.Waited < least {
			least, money = v.Waited, v.Money
		}
	}
	return on
}

// Choose is the best of some candidates, each of which was tried in the same worlds. fits, which may be nil, says which may
// be taken; of those it is the one with the least money. Without it money and waiting count alike, each as a share of the
// most in its world. It is -1 when none fits. Of equals it is the first.
func Choose(worlds [][]Tradeoff, fits []bool) int {
	if len(worlds) == 0 {
		return -1
	}
	best, least := -1, math.Inf(1)
	for i := range worlds[0] {
		if fits != nil && !fits[i] {
			continue
		}
		sum := 0.0
		for _, world := range worlds {
			if fits != nil {
				sum += world[i].Money
				continue
			}
			most := mostOf(world)
			sum += share(world[i].Money, most.Money) + share(world[i].Waited, most.Waited)
		}
		if sum < least {
			best, least = i, sum
		}
	}
	return best
}

func share(v, most float64) float64 {
	if most == 0 {
		return 0
	}
	return v / most
}

func mostOf(world []Tradeoff) (most Tradeoff) {
	for _, v := range world {
		most.Money, most.Waited = max(most.Money, v.Money), max(most.Waited, v.Waited)
	}
	return most
}
