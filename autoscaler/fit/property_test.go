package fit

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

// answers are what a cluster says of each class on each node.
func answers(c *Cluster) []Refusal {
	var list []Refusal
	for class := range c.Classes() {
		for node := range c.Nodes() {
			list = append(list, c.Fits(class, node))
		}
	}
	return list
}

func TestClassesSayWhatPodsSayOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawn{t}.world()
		c := w.cluster()
		for class := range w.classes {
			for node := range w.nodes {
				if got, want := c.Fits(class, node), w.fits(class, node); (got == None) != want {
					t.Fatalf("class %d on node %d: %v, but one by one it fits=%v\n%+v\n%+v", class, node, got, want, w.classes[class], w.nodes)
				}
			}
		}
	})
}

func TestWhatIsCompiledSaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawn{t}.world()
		c := w.cluster()
		ask := Ask{Cluster: c}
		for node := len(w.nodes) - 1; node >= 0; node-- {
			ask.Open = append(ask.Open, node)
		}
		for class := range w.classes {
			ask.Want = append(ask.Want, Want{class, 1})
		}
		compiled := Compile(ask)
		rules := pack.NewRules(&compiled.Problem)
		for class := range w.classes {
			for bin, node := range compiled.Nodes {
				if got, want := rules.Allows(class, bin), c.Fits(class, node); (got == pack.Fits) != (want == None) {
					t.Fatalf("class %d on node %d: compiled %v, index %v", class, node, got, want)
				}
			}
		}
	})
}

func TestCompilingTwiceIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawn{t}.world()
		c := w.cluster()
		ask := Ask{Cluster: c}
		for class := range w.classes {
			ask.Want, ask.Daemons = append(ask.Want, Want{class, 1}), append(ask.Daemons, class)
		}
		for node := range w.nodes {
			ask.Offers = append(ask.Offers, Offer{Node: w.nodes[node], Price: 1, Limit: pack.Unlimited})
		}
		if a, b := Compile(ask).Problem, Compile(ask).Problem; !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

func TestAddThenRemoveLeavesAllAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn{t}
		w := d.world()
		c := w.cluster()
		before, on := answers(c), clone(c)
		for range d.number("changes", 1, 4) {
			class, node, n := d.number("of", 0, len(w.classes)-1), d.number("at", 0, len(w.nodes)-1), d.number("n", 1, 3)
			c.Add(class, node, n)
			for range n {
				c.Add(class, node, -1)
			}
		}
		if after := answers(c); !reflect.DeepEqual(before, after) {
			t.Fatalf("before %v, after %v", before, after)
		}
		if now := clone(c); !reflect.DeepEqual(on, now) {
			t.Fatalf("before %v, after %v", on, now)
		}
	})
}

func TestAnIndexThatWasChangedIsOneMadeAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn{t}
		w := d.world()
		c := w.cluster()
		answers(c)
		for range d.number("changes", 1, 5) {
			class, node := d.number("of", 0, len(w.classes)-1), d.number("at", 0, len(w.nodes)-1)
			c.Add(class, node, d.number("n", -2, 2))
			c.Preempts(class, node)
		}
		changed := answers(c)
		c.index = nil
		if anew := answers(c); !reflect.DeepEqual(changed, anew) {
			t.Fatalf("changed %v, anew %v", changed, anew)
		}
	})
}

func TestAPodPreemptsWhenItFitsWithoutTheLowerOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawn{t}.world()
		c := w.cluster()
		for class := range w.classes {
			for node := range w.nodes {
				less := *w
				less.pods = nil
				for _, p := range w.pods {
					if p.node != node || w.classes[p.class].Priority >= w.classes[class].Priority {
						less.pods = append(less.pods, p)
					}
				}
				want := len(less.pods) < len(w.pods) && less.fits(class, node) && !w.fits(class, node)
				if want && c.Fits(class, node) == Alone {
					want = false // the scheduler does not try
				}
				if got := c.Preempts(class, node); got != want {
					t.Fatalf("class %d on node %d preempts=%v, want %v", class, node, got, want)
				}
			}
		}
	})
}

func clone(c *Cluster) [][]Tally {
	var list [][]Tally
	for node := range c.Nodes() {
		list = append(list, append([]Tally{}, c.On(node)...))
	}
	return list
}
