package differential

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// settings: DIFFERENTIAL_CASES and DIFFERENTIAL_SEED change them.
const (
	defaultCases = 24_000
	defaultSeed  = 37
	workers      = 2
	maxPrinted   = 3 // disagreements that are printed in full
)

// mustRefuse are plugins that have refused a node at the end: otherwise the generator tests nothing of them.
var mustRefuse = []string{
	"NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit", "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding",
	"VolumeZone", "PodTopologySpread", "InterPodAffinity",
}

// tally counts what was seen.
type tally struct {
	cases, foreign, nodes, fits, allFit, noneFit int
	theirs, ours                                 map[string]int
	disagreements                                []string
}

func newTally() *tally { return &tally{theirs: map[string]int{}, ours: map[string]int{}} }

func (t *tally) add(o *tally) {
	t.cases, t.foreign, t.nodes, t.fits = t.cases+o.cases, t.foreign+o.foreign, t.nodes+o.nodes, t.fits+o.fits
	t.allFit, t.noneFit = t.allFit+o.allFit, t.noneFit+o.noneFit
	for k, n := range o.theirs {
		t.theirs[k] += n
	}
	for k, n := range o.ours {
		t.ours[k] += n
	}
	t.disagreements = append(t.disagreements, o.disagreements...)
}

// compare is empty when both agree on each node, and else what they disagree on.
func compare(ctx context.Context, s *scheduler, c *testCase, seen *tally) (string, error) {
	j, err := s.judge(ctx, c)
	if err != nil {
		return "", err
	}
	o := judgeOurs(c)
	seen.cases++
	if o.pod.Foreign != "" {
		seen.foreign++
		for i, v := range o.verdicts {
			if v != fit.NotUnderstood || o.compiled[i] {
				return "a pod that is not understood is judged all the same", nil
			}
		}
		return "", nil
	}
	fits := 0
	for i, node := range c.Nodes {
		theirs, ours := j.verdicts[i], o.verdicts[i]
		seen.nodes++
		if theirs.plugin == "" {
			fits++
		} else {
			seen.theirs[theirs.plugin]++
			seen.ours[ours.String()]++
		}
		if (theirs.plugin == "") != (ours == fit.None) || (ours == fit.None) != o.compiled[i] {
			return fmt.Sprintf("node %s: the scheduler says %q, the index %q, the compiled problem fits=%v", node.Name, theirs, ours, o.compiled[i]), nil
		}
		if ours == fit.None || j.early {
			continue
		}
		if !slices.ContainsFunc(pluginsOf[ours], func(plugin string) bool { return s.refuses(ctx, c, j, plugin, node.Name) || theirs.plugin == plugin }) {
			return fmt.Sprintf("node %s: ours refuses by %q, which none of %v does; the scheduler says %q", node.Name, ours, pluginsOf[ours], theirs), nil
		}
	}
	seen.fits += fits
	switch fits {
	case 0:
		seen.noneFit++
	case len(c.Nodes):
		seen.allFit++
	}
	return "", nil
}

// compareTemplate says whether what is planned for a pod that is not there yet is what the API server then makes.
func compareTemplate(c *testCase) string {
	if c.Template == nil {
		return ""
	}
	look := lookup(c)
	planned, made := controller.FitTemplate(c.Pod.Namespace, c.Template, look), controller.FitPod(c.Pod, look)
	if slices.ContainsFunc(c.Pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil }) {
		return "" // its claim is made after the pod
	}
	if planned.Key() != made.Key() {
		return fmt.Sprintf("of the template we plan\n%+v\nbut of the pod that the API server makes\n%+v", planned, made)
	}
	return ""
}

func TestTheSchedulerAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("tens of thousands of cases: make differential")
	}
	cases, seed := setting(t, "DIFFERENTIAL_CASES", defaultCases), setting(t, "DIFFERENTIAL_SEED", defaultSeed)
	total := newTally()
	var mutex sync.Mutex
	var group sync.WaitGroup
	for worker := range workers {
		s := newScheduler(t)
		group.Go(func() {
			seen := newTally()
			for i := worker; i < cases; i += workers {
				if len(seen.disagreements) >= maxPrinted {
					break
				}
				seen.run(t, s, uint64(seed), uint64(i))
			}
			mutex.Lock()
			defer mutex.Unlock()
			total.add(seen)
		})
	}
	group.Wait()
	total.report(t)
}

func (t *tally) run(test *testing.T, s *scheduler, seed, i uint64) {
	c, err := generate(rand.New(rand.NewPCG(seed, i)))
	if err != nil {
		test.Errorf("case %d: the generator made what no API server takes: %v", i, err)
		return
	}
	why, err := compare(test.Context(), s, c, t)
	if err != nil {
		test.Errorf("case %d: %v", i, err)
		return
	}
	if why == "" {
		if why = compareTemplate(c); why == "" {
			return
		}
		t.disagreements = append(t.disagreements, fmt.Sprintf("case %d: %s\n%s", i, why, c))
		return
	}
	c.Template = nil
	c, why = minimise(test.Context(), s, c, why)
	t.disagreements = append(t.disagreements, fmt.Sprintf("case %d: %s\n%s", i, why, c))
}

func (t *tally) report(test *testing.T) {
	for _, d := range t.disagreements {
		test.Error(d)
	}
	test.Logf("differential: %d cases, %d nodes judged, %d fit; %d pods fit everywhere, %d nowhere, %d not understood; %d disagreements",
		t.cases, t.nodes, t.fits, t.allFit, t.noneFit, t.foreign, len(t.disagreements))
	for _, of := range []struct {
		who    string
		counts map[string]int
	}{{"the scheduler's plugins", t.theirs}, {"ours", t.ours}} {
		keys := slices.SortedFunc(maps.Keys(of.counts), func(a, b string) int { return cmp.Compare(of.counts[b], of.counts[a]) })
		var words []string
		for _, k := range keys {
			words = append(words, fmt.Sprintf("%s %d", k, of.counts[k]))
		}
		test.Logf("refused by %s: %s", of.who, strings.Join(words, ", "))
	}
	if t.cases < 1000 {
		return
	}
	for _, plugin := range mustRefuse {
		if t.theirs[plugin] < t.cases/500 {
			test.Errorf("plugin %s refused %d nodes: the generator hardly reaches it", plugin, t.theirs[plugin])
		}
	}
	for _, refusal := range fit.Refusals() {
		if refusal != fit.NotUnderstood && refusal != fit.Closing && t.ours[refusal.String()] < t.cases/500 {
			test.Errorf("%q was said of %d nodes: the generator hardly reaches it", refusal, t.ours[refusal.String()])
		}
	}
	if t.fits < t.nodes/5 || t.fits > t.nodes*4/5 || t.foreign == 0 {
		test.Errorf("of %d nodes %d fit, and %d pods were not understood: the cases are trivial", t.nodes, t.fits, t.foreign)
	}
}

func setting(t *testing.T, name string, value int) int {
	text := os.Getenv(name)
	if text == "" {
		return value
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

// TestFormerDisagreements replays the cases of testdata: each was one, or shows a rule that is easy to get wrong.
func TestFormerDisagreements(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	s := newScheduler(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := &testCase{}
			if err := yaml.UnmarshalStrict(text, c); err != nil {
				t.Fatal(err)
			}
			why, err := compare(t.Context(), s, c, newTally())
			if err != nil {
				t.Fatal(err)
			}
			if why = cmp.Or(why, compareTemplate(c)); why != "" {
				t.Error(why)
			}
		})
	}
}

// minimise leaves out what the disagreement does not need.
func minimise(ctx context.Context, s *scheduler, c *testCase, why string) (*testCase, string) {
	for again := true; again; {
		again = false
		for _, smaller := range shrink(c) {
			if now, err := compare(ctx, s, smaller, newTally()); err == nil && now != "" {
				c, why, again = smaller, now, true
				break
			}
		}
	}
	return c, why
}

func shrink(c *testCase) []*testCase {
	var list []*testCase
	add := func(change func(*testCase)) {
		smaller := c.copy()
		change(smaller)
		list = append(list, smaller)
	}
	for i := range c.Pods {
		add(func(d *testCase) { d.Pods = slices.Delete(d.Pods, i, i+1) })
	}
	for i := range c.Nodes {
		add(func(d *testCase) {
			d.Pods = slices.DeleteFunc(d.Pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == d.Nodes[i].Name })
			d.Nodes = slices.Delete(d.Nodes, i, i+1)
		})
		if n := c.Nodes[i]; len(n.Spec.Taints) > 0 || n.Spec.Unschedulable {
			add(func(d *testCase) { d.Nodes[i].Spec = corev1.NodeSpec{} })
		}
		for key := range c.Nodes[i].Labels {
			add(func(d *testCase) { delete(d.Nodes[i].Labels, key) })
		}
	}
	for _, used := range []int{len(c.Claims), len(c.Volumes), len(c.Classes), len(c.Namespaces)} {
		if used > 0 {
			add(func(d *testCase) {
				if len(d.Pod.Spec.Volumes) == 0 {
					d.Claims, d.Volumes, d.Classes = nil, nil, nil
				}
			})
			break
		}
	}
	for i := -1; i < len(c.Pods); i++ {
		for _, drop := range parts {
			p := podAt(c, i)
			if before := p.DeepCopy(); drop(before) {
				add(func(d *testCase) { drop(podAt(d, i)) })
			}
		}
	}
	return slices.DeleteFunc(list, func(d *testCase) bool { return len(d.Nodes) == 0 || d.size() >= c.size() })
}

func (c *testCase) size() int {
	text, err := json.Marshal(c)
	if err != nil {
		return 0
	}
	return len(text)
}

func podAt(c *testCase, i int) *corev1.Pod {
	if i < 0 {
		return c.Pod
	}
	return c.Pods[i]
}

// parts drop one part of a pod, and say whether there was one.
var parts = []func(*corev1.Pod) bool{
	func(p *corev1.Pod) bool { had := p.Spec.Affinity != nil; p.Spec.Affinity = nil; return had },
	func(p *corev1.Pod) bool {
		had := len(p.Spec.TopologySpreadConstraints) > 0
		p.Spec.TopologySpreadConstraints = nil
		return had
	},
	func(p *corev1.Pod) bool { had := len(p.Spec.Volumes) > 0; p.Spec.Volumes = nil; return had },
	func(p *corev1.Pod) bool { had := len(p.Spec.Tolerations) > 0; p.Spec.Tolerations = nil; return had },
	func(p *corev1.Pod) bool { had := len(p.Spec.NodeSelector) > 0; p.Spec.NodeSelector = nil; return had },
	func(p *corev1.Pod) bool {
		had := len(p.Spec.InitContainers) > 0
		p.Spec.InitContainers = nil
		return had
	},
	func(p *corev1.Pod) bool {
		had := len(p.Spec.Containers) > 1
		p.Spec.Containers = p.Spec.Containers[:1]
		return had
	},
	func(p *corev1.Pod) bool {
		had := len(p.Spec.Containers[0].Resources.Requests) > 0
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
		return had
	},
	func(p *corev1.Pod) bool { had := len(p.Labels) > 0; p.Labels = nil; return had },
}
