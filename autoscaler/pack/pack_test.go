package pack_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

func amount(t *rapid.T, name string, least int) pack.Resources {
	n := func(what string) int64 { return int64(rapid.IntRange(least, 8).Draw(t, name+what)) }
	return pack.Resources{CPU: n(" cpu"), Memory: n(" memory"), Pods: n(" pods")}
}

func TestNextEqualsALinearSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var free []pack.Resources
		for range rapid.IntRange(0, 20).Draw(t, "bins") {
			free = append(free, amount(t, "free", -1))
		}
		b := pack.NewBins(free)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				r := amount(t, "added", -1)
				if i := b.Add(r); i != len(free) {
					t.Fatalf("added as %d, not %d", i, len(free))
				}
				free = append(free, r)
			case 1:
				if len(free) > 0 {
					i, r := rapid.IntRange(0, len(free)-1).Draw(t, "bin"), amount(t, "taken", -3)
					b.Take(i, r)
					free[i] = free[i].Minus(r)
				}
			}
			need, from := amount(t, "need", 0), rapid.IntRange(0, len(free)+1).Draw(t, "from")
			want := -1
			for i := from; i < len(free); i++ {
				if free[i].Holds(need) {
					want = i
					break
				}
			}
			if got := b.Next(need, from); got != want {
				t.Fatalf("%+v from %d: bin %d, not %d of %+v", need, from, got, want, free)
			}
		}
		if b.Len() != len(free) {
			t.Fatalf("%d bins, not %d", b.Len(), len(free))
		}
		for i := range free {
			if b.Free(i) != free[i] {
				t.Fatalf("bin %d has %+v, not %+v", i, b.Free(i), free[i])
			}
		}
	})
}

func TestNewBinsKeepsItsOwnCopy(t *testing.T) {
	free := []pack.Resources{{CPU: 5}}
	b := pack.NewBins(free)
	b.Take(0, pack.Resources{CPU: 5})
	if free[0].CPU != 5 {
		t.Error("taking from a bin changed the caller's list")
	}
}

func TestCountIsHowOftenItHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room, need, limit := amount(t, "room", -2), amount(t, "need", 0), rapid.IntRange(0, 12).Draw(t, "limit")
		want := 0
		for left := room; want < limit && left.Holds(need); want++ {
			left = left.Minus(need)
		}
		if got := room.Count(need, limit); got != want {
			t.Fatalf("%+v into %+v: %d, not %d", need, room, got, want)
		}
	})
}

func TestHoldsLooksAtWhatIsAskedForAlone(t *testing.T) {
	overfull := pack.Resources{CPU: -100, Memory: 10, Pods: 5}
	if !overfull.Holds(pack.Resources{Memory: 10, Pods: 1}) {
		t.Error("a node short of CPU has no room for a pod without a CPU request")
	}
	if overfull.Holds(pack.Resources{CPU: 1, Pods: 1}) {
		t.Error("a node short of CPU takes one that asks for CPU")
	}
}

func TestArithmetic(t *testing.T) {
	a, b := pack.Resources{CPU: 1, Memory: 2, Pods: 3}, pack.Resources{CPU: 10, Memory: 20, Pods: 30}
	if got := a.Plus(b).Minus(a); got != b {
		t.Errorf("%+v", got)
	}
	if got := a.Times(10); got != b {
		t.Errorf("%+v", got)
	}
}
