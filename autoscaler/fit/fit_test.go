package fit

import (
	"slices"
	"testing"

	"github.com/wholescale/wholescale/autoscaler/pack"
)

func in(key string, values ...string) Requirement {
	return Requirement{Key: key, Operator: In, Values: values}
}

func TestRequirements(t *testing.T) {
	l := NewLabels(map[string]string{"app": "web", "size": "10", "word": "ten", "empty": ""})
	for _, c := range []struct {
		requirement Requirement
		want        bool
	}{
		{in("app", "db", "web"), true},
		{in("app", "db"), false},
		{in("none", ""), false},
		{in("empty", ""), true},
		{Requirement{"app", NotIn, []string{"db"}}, true},
		{Requirement{"app", NotIn, []string{"web"}}, false},
		{Requirement{"none", NotIn, []string{"web"}}, true},
		{Requirement{"app", Exists, nil}, true},
		{Requirement{"none", Exists, nil}, false},
		{Requirement{"app", Absent, nil}, false},
		{Requirement{"none", Absent, nil}, true},
		{Requirement{"size", Greater, []string{"9"}}, true},
		{Requirement{"size", Greater, []string{"10"}}, false},
		{Requirement{"size", Less, []string{"11"}}, true},
		{Requirement{"size", Less, []string{"-1"}}, false},
		{Requirement{"word", Less, []string{"11"}}, false},
		{Requirement{"none", Less, []string{"11"}}, false},
		{Requirement{"size", Less, []string{"many"}}, false},
		{Requirement{"size", 0, []string{"10"}}, false},
	} {
		if got := c.requirement.Matches(l); got != c.want {
			t.Errorf("%+v: %v", c.requirement, got)
		}
	}
}

func TestRuns(t *testing.T) {
	node := func(change func(*Node)) *Node {
		n := &Node{Name: "n", Labels: NewLabels(map[string]string{LabelZone: "z1", "disk": "ssd"})}
		change(n)
		return n
	}
	plain := node(func(*Node) {})
	cordoned := node(func(n *Node) { n.Unschedulable = true })
	tainted := node(func(n *Node) { n.Taints = []Taint{{"dedicated", "gpu", NoSchedule}, {"dedicated", "gpu", NoExecute}} })
	closed := node(func(n *Node) { n.Closed = true })
	toBuy := node(func(n *Node) { n.Name = "" })
	for _, c := range []struct {
		name string
		pod  Pod
		node *Node
		want Refusal
	}{
		{"a plain pod", Pod{}, plain, None},
		{"another scheduler's", Pod{Foreign: "its scheduler is other", Stuck: "too"}, plain, NotUnderstood},
		{"stuck", Pod{Stuck: "no claim"}, plain, NoNode},
		{"being emptied", Pod{}, closed, Closing},
		{"cordoned", Pod{}, cordoned, Cordoned},
		{"cordoned, borne", Pod{Tolerations: []Toleration{{Key: TaintUnschedulable, Exists: true}}}, cordoned, None},
		{"cordoned, all borne", Pod{Tolerations: []Toleration{{Exists: true}}}, cordoned, None},
		{"tainted", Pod{}, tainted, Tainted},
		{"one effect borne", Pod{Tolerations: []Toleration{{Key: "dedicated", Value: "gpu", Effect: NoSchedule}}}, tainted, Tainted},
		{"another value borne", Pod{Tolerations: []Toleration{{Key: "dedicated", Value: "db"}}}, tainted, Tainted},
		{"both borne", Pod{Tolerations: []Toleration{{Key: "dedicated", Value: "gpu"}}}, tainted, None},
		{"selected", Pod{Selector: Labels{{"disk", "ssd"}}}, plain, None},
		{"not selected", Pod{Selector: Labels{{"disk", "hdd"}}}, plain, NodeMismatch},
		{"no term of affinity matches", Pod{Affinity: NodeTerms{{Labels: []Requirement{in("disk", "hdd")}}, {Names: []string{"m"}}}}, plain, NodeMismatch},
		{"one does", Pod{Affinity: NodeTerms{{Labels: []Requirement{in("disk", "hdd")}}, {Names: []string{"n"}}}}, plain, None},
		{"affinity without terms", Pod{Affinity: NodeTerms{}}, plain, NodeMismatch},
		{"a machine to buy has no name", Pod{Affinity: NodeTerms{{Names: []string{"n"}}}}, toBuy, NodeMismatch},
		{"and so is none that it must not be", Pod{Affinity: NodeTerms{{NotNames: []string{"n"}}}}, toBuy, None},
		{"a volume elsewhere", Pod{Places: []NodeTerms{{{}}, {{Labels: []Requirement{in(LabelZone, "z2")}}}}}, plain, VolumeElsewhere},
		{"a volume here", Pod{Places: []NodeTerms{{{Labels: []Requirement{in(LabelZone, "z1", "z2")}}}}}, plain, None},
	} {
		if got := Runs(&c.pod, c.node); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestEachRefusalHasWords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Refusals() {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("refusal %d reads %q", r, r)
		}
		seen[r.String()] = true
	}
}

func TestPortsThatExcludeEachOtherShareANumber(t *testing.T) {
	all := []Port{{"", "TCP", 80}, {"1", "TCP", 80}, {"2", "TCP", 80}, {"", "UDP", 80}, {"1", "UDP", 80}, {"", "TCP", 81}, {"1", "SCTP", 82}}
	book := portbook{}
	book.read(all)
	for _, a := range all {
		for _, b := range all {
			shared := false
			for _, x := range book.ids([]Port{a}) {
				for _, y := range book.ids([]Port{b}) {
					shared = shared || x == y
				}
			}
			if want := portsConflict([]Port{a}, []Port{b}); shared != want {
				t.Errorf("%v and %v share a number: %v, exclude each other: %v", a, b, shared, want)
			}
		}
	}
}

// shop is a cluster without nodes, one class wanted, and machines to buy in two zones.
type shop struct {
	daemons []Pod
	pod     Pod
	running []Pod // on a node in zone z1
}

func (s shop) compile() (*Cluster, *Compiled) {
	c := NewCluster(nil)
	zoned := func(name, zone string) Node {
		labels := map[string]string{LabelZone: zone}
		if name != "" {
			labels[LabelHostname] = name
		}
		return Node{Name: name, Labels: NewLabels(labels), Allocatable: Amounts{{CPU, 1000}, {"gpu", 1}, {Memory, 100}, {Pods, 5}}}
	}
	node := c.AddNode(zoned("n", "z1"))
	for _, p := range s.running {
		c.Add(c.Class(p), node, 1)
	}
	ask := Ask{Cluster: c, Want: []Want{{c.Class(s.pod), 3}}}
	for _, d := range s.daemons {
		ask.Daemons = append(ask.Daemons, c.Class(d))
	}
	for _, zone := range []string{"z1", "z2"} {
		ask.Offers = append(ask.Offers, Offer{Node: zoned("", zone), Price: 1, Limit: pack.Unlimited})
	}
	return c, Compile(ask)
}

// takes says for the node, and for a new machine in each zone, what is against the first pod.
func (s shop) takes() []Refusal {
	_, c := s.compile()
	rules := pack.NewRules(&c.Problem)
	var list []Refusal
	for _, place := range []int{0, rules.Open(0), rules.Open(1)} {
		list = append(list, c.Why(0, rules.Allows(0, place)))
	}
	return list
}

func TestMachinesToBuy(t *testing.T) {
	web := NewLabels(map[string]string{"app": "web"})
	like := func(topology string) Term {
		return Term{Topology: topology, Namespaces: []string{"a"}, NamespaceSelector: Selector{Nothing: true}, Selector: Selector{Requirements: []Requirement{in("app", "web")}}}
	}
	agent := Pod{Namespace: "a", Labels: web, Needs: Amounts{{CPU, 300}, {"gpu", 1}}, Ports: []Port{{"", "TCP", 9100}}}
	for _, c := range []struct {
		name string
		shop shop
		want [3]Refusal // on the node, which is not open; in z1; in z2
	}{
		{"anything fits", shop{pod: Pod{Needs: Amounts{{CPU, 1000}}}}, [3]Refusal{Closing, None, None}},
		{"too large", shop{pod: Pod{Needs: Amounts{{CPU, 1001}}}}, [3]Refusal{Closing, NoRoom, NoRoom}},
		{"what daemons leave", shop{pod: Pod{Needs: Amounts{{CPU, 700}}}, daemons: []Pod{agent}}, [3]Refusal{Closing, None, None}},
		{"more than they leave", shop{pod: Pod{Needs: Amounts{{CPU, 701}}}, daemons: []Pod{agent}}, [3]Refusal{Closing, NoRoom, NoRoom}},
		{"a device that a daemon takes", shop{pod: Pod{Needs: Amounts{{"gpu", 1}}}, daemons: []Pod{agent}}, [3]Refusal{Closing, NoRoom, NoRoom}},
		{"a daemon that does not run there", shop{pod: Pod{Needs: Amounts{{CPU, 1000}}}, daemons: []Pod{{Needs: agent.Needs, Selector: Labels{{"os", "windows"}}}}}, [3]Refusal{Closing, None, None}},
		{"a daemon of one zone", shop{pod: Pod{Needs: Amounts{{CPU, 1000}}}, daemons: []Pod{{Needs: agent.Needs, Selector: Labels{{LabelZone, "z2"}}}}}, [3]Refusal{Closing, None, NoRoom}},
		{"a port that a daemon has", shop{pod: Pod{Ports: []Port{{"1", "TCP", 9100}}}, daemons: []Pod{agent}}, [3]Refusal{PortTaken, PortTaken, PortTaken}},
		{"apart from a daemon", shop{pod: Pod{Namespace: "a", Away: []Term{like(LabelHostname)}}, daemons: []Pod{agent}}, [3]Refusal{Apart, Apart, Apart}},
		{"apart by zone from a daemon", shop{pod: Pod{Namespace: "a", Away: []Term{like(LabelZone)}}, daemons: []Pod{agent}}, [3]Refusal{Apart, Apart, Apart}},
		{"a daemon that keeps away", shop{pod: Pod{Namespace: "a", Labels: web}, daemons: []Pod{{Away: []Term{like(LabelHostname)}}}}, [3]Refusal{Repelled, Repelled, Repelled}},
		{"the zone of a volume", shop{pod: Pod{Places: []NodeTerms{{{Labels: []Requirement{in(LabelZone, "z2")}}}}}}, [3]Refusal{VolumeElsewhere, VolumeElsewhere, None}},
		{"apart by zone from a pod there", shop{pod: Pod{Namespace: "a", Away: []Term{like(LabelZone)}}, running: []Pod{{Namespace: "a", Labels: web}}}, [3]Refusal{Closing, Apart, None}},
		{"near by zone", shop{pod: Pod{Namespace: "a", Near: []Term{like(LabelZone)}}, running: []Pod{{Namespace: "a", Labels: web}}}, [3]Refusal{Closing, None, Alone}},
		{"near on the host", shop{pod: Pod{Namespace: "a", Near: []Term{like(LabelHostname)}}, running: []Pod{{Namespace: "a", Labels: web}}}, [3]Refusal{Closing, Alone, Alone}},
		{"repelled by a pod there", shop{pod: Pod{Namespace: "a", Labels: web}, running: []Pod{{Namespace: "a", Away: []Term{like(LabelZone)}}}}, [3]Refusal{Closing, Repelled, None}},
		{"spread over zones", shop{pod: Pod{Namespace: "a", Labels: web, Spread: []Spread{{Topology: LabelZone, MaxSkew: 1, MinDomains: 1, Selector: like("").Selector}}},
			running: []Pod{{Namespace: "a", Labels: web}}}, [3]Refusal{Closing, Skewed, None}},
		{"spread by a label that no machine has", shop{pod: Pod{Spread: []Spread{{Topology: "rack", MaxSkew: 1}}}}, [3]Refusal{Closing, NoDomain, NoDomain}},
		{"not understood", shop{pod: Pod{Foreign: "x"}}, [3]Refusal{NotUnderstood, NotUnderstood, NotUnderstood}},
		{"a host name of its own", shop{pod: Pod{Affinity: NodeTerms{{Labels: []Requirement{in(LabelHostname, "n")}}}}}, [3]Refusal{NodeMismatch, NodeMismatch, NodeMismatch}},
		{"any host name but one", shop{pod: Pod{Affinity: NodeTerms{{Labels: []Requirement{{Key: LabelHostname, Operator: NotIn, Values: []string{"n"}}}}}}}, [3]Refusal{Closing, None, None}},
		{"a claim that is in use", shop{pod: Pod{Claims: []string{"a/c"}}, running: []Pod{{Claims: []string{"a/c"}}}}, [3]Refusal{Closing, ClaimTaken, ClaimTaken}},
	} {
		got := c.shop.takes()
		for i, where := range []string{"on the node", "in z1", "in z2"} {
			// What keeps a group off a class of nodes is said once for all classes.
			if (got[i] == None) != (c.want[i] == None) || got[i] != c.want[i] && c.want[i] != Closing && got[i] != NodeMismatch {
				t.Errorf("%s, %s: %q, not %q", c.name, where, got[i], c.want[i])
			}
		}
	}
}

func TestPodsThatKeepApartGetMachinesOfTheirOwn(t *testing.T) {
	web := NewLabels(map[string]string{"app": "web"})
	alone := Term{Topology: LabelHostname, Namespaces: []string{"a"}, NamespaceSelector: Selector{Nothing: true}, Selector: Selector{Requirements: []Requirement{in("app", "web")}}}
	_, c := shop{pod: Pod{Namespace: "a", Labels: web, Away: []Term{alone}}}.compile()
	rules := pack.NewRules(&c.Problem)
	first, second := rules.Open(0), rules.Open(0)
	rules.Place(0, first, 1)
	if got := rules.Allows(0, first); got != pack.AntiAffinity {
		t.Errorf("a second pod on the first machine: %v", got)
	}
	if got := rules.Allows(0, second); got != pack.Fits {
		t.Errorf("on a second machine: %v", got)
	}
}

func TestDaemonsOfANodeThatIsComing(t *testing.T) {
	c := NewCluster(nil)
	node := c.AddNode(Node{Name: "n", Labels: Labels{{"os", "linux"}}, Allocatable: Amounts{{CPU, 1000}, {Pods, 5}}})
	here, elsewhere := c.Class(Pod{Needs: Amounts{{CPU, 300}}, Selector: Labels{{"os", "linux"}}}), c.Class(Pod{Needs: Amounts{{CPU, 300}}, Selector: Labels{{"os", "windows"}}})
	c.AddDaemons(node, []int{here, elsewhere})
	if on := c.On(node); len(on) != 1 || on[0] != (Tally{here, 1}) {
		t.Errorf("on the node: %v", on)
	}
	if got := c.Fits(c.Class(Pod{Needs: Amounts{{CPU, 701}}}), node); got != NoRoom {
		t.Errorf("more than what the daemon leaves: %v", got)
	}
}

func TestAClusterThatChanges(t *testing.T) {
	c := NewCluster(nil)
	room := Amounts{{CPU, 1000}, {Pods, 5}}
	node := c.AddNode(Node{Name: "n", Allocatable: room})
	half := c.Class(Pod{Needs: Amounts{{CPU, 500}}})
	if again := c.Class(Pod{Needs: Amounts{{CPU, 500}}}); again != half || c.Classes() != 1 {
		t.Fatalf("an equal pod is of class %d, not %d", again, half)
	}
	c.Add(half, node, 2)
	if got := c.Fits(half, node); got != NoRoom {
		t.Errorf("a third half: %v", got)
	}
	c.Add(half, node, -5)
	if on := c.On(node); len(on) != 0 {
		t.Errorf("more were taken away than were there: %v", on)
	}
	if got := c.Fits(half, node); got != None {
		t.Errorf("on the empty node: %v", got)
	}
	c.RemoveNode(node)
	c.Add(half, node, 1)
	if got := c.Fits(half, node); got != NoNode || len(c.On(node)) != 0 {
		t.Errorf("on a node that is gone: %v, %v", got, c.On(node))
	}
}

func TestKeysDiffer(t *testing.T) {
	term := Term{Topology: "t", Namespaces: []string{"a"}, Selector: Selector{Requirements: []Requirement{in("k", "v")}}}
	pods := []Pod{
		{}, {Namespace: "a"}, {Labels: Labels{{"a", "b"}}}, {Labels: Labels{{"ab", ""}}}, {Selector: Labels{{"a", "b"}}}, {Needs: Amounts{{CPU, 1}}}, {Needs: Amounts{{CPU, 2}}},
		{Ports: []Port{{"", "TCP", 80}}}, {Ports: []Port{{"", "UDP", 80}}}, {Affinity: NodeTerms{}}, {Affinity: NodeTerms{{}}}, {Affinity: NodeTerms{{Names: []string{"n"}}}},
		{Affinity: NodeTerms{{NotNames: []string{"n"}}}}, {Tolerations: []Toleration{{}}}, {Tolerations: []Toleration{{Exists: true}}}, {Tolerations: []Toleration{{Effect: NoExecute}}},
		{Places: []NodeTerms{{}}}, {Places: []NodeTerms{{}, {}}}, {Places: []NodeTerms{{{}}}}, {Claims: []string{"c"}}, {Near: []Term{term}}, {Away: []Term{term}}, {Near: []Term{{Topology: "t"}}},
		{Spread: []Spread{{Topology: "t"}}}, {Spread: []Spread{{Topology: "t", MaxSkew: 1}}}, {Spread: []Spread{{Topology: "t", MinDomains: 1}}}, {Spread: []Spread{{Topology: "t", AnyNode: true}}},
		{Spread: []Spread{{Topology: "t", Untainted: true}}}, {Spread: []Spread{{Topology: "t", Selector: Selector{Nothing: true}}}}, {Priority: 1}, {Priority: -1}, {Meek: true}, {Leaving: true},
		{Stuck: "a"}, {Foreign: "a"},
	}
	seen := map[string]int{}
	for i := range pods {
		if other, ok := seen[pods[i].Key()]; ok {
			t.Errorf("%+v and %+v have one key", pods[other], pods[i])
		}
		seen[pods[i].Key()] = i
	}
}

func TestLabelsOr(t *testing.T) {
	labels := NewLabels(map[string]string{"a": "1", "c": "3"})
	if got := labels.Or("b", "2"); !slices.Equal(got, NewLabels(map[string]string{"a": "1", "b": "2", "c": "3"})) || len(labels) != 2 {
		t.Errorf("one more: %v of %v", got, labels)
	}
	if got := labels.Or("a", "2"); !slices.Equal(got, labels) {
		t.Errorf("one that is there: %v", got)
	}
}
