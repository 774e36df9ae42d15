package differential

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/daemon"

	"github.com/wholescale/wholescale/autoscaler/controller"
	"github.com/wholescale/wholescale/autoscaler/fit"
	"github.com/wholescale/wholescale/autoscaler/pack"
)

// planCase is a cluster, pods that are wanted, machines for sale and DaemonSets.
type planCase struct {
	*testCase
	wanted  []*corev1.Pod
	counts  []int
	offers  []*corev1.Node
	daemons []*appsv1.DaemonSet
}

func generatePlan(r *rand.Rand) (*planCase, error) {
	g := &generator{Rand: r, c: &testCase{}, focus: otherPods}
	p := &planCase{testCase: g.c}
	g.namespaces()
	g.c.Namespaces = append(g.c.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "system"}})
	for i := range 1 + g.IntN(3) {
		g.c.Nodes = append(g.c.Nodes, g.node(i))
	}
	for i := range g.IntN(5) {
		if pod := g.running(i); pod != nil {
			g.c.Pods = append(g.c.Pods, pod)
		}
	}
	for i := range 1 + g.IntN(4) {
		wanted, err := admit(g.pod(fmt.Sprintf("w%d", i), 3), true)
		if err != nil {
			return nil, err
		}
		p.wanted, p.counts = append(p.wanted, wanted), append(p.counts, 1+g.IntN(5))
	}
	for i := range 1 + g.IntN(5) {
		n := g.node(i)
		n.Name, n.Spec.Unschedulable = "", false
		delete(n.Labels, corev1.LabelHostname)
		p.offers = append(p.offers, n)
	}
	for i := range g.IntN(3) {
		p.daemons = append(p.daemons, g.daemon(i))
	}
	return p, g.err
}

func (g *generator) daemon(i int) *appsv1.DaemonSet {
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("d%d", i), Namespace: "system"}}
	c := corev1.Container{Name: "c", Image: "i"}
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantity("200m"), corev1.ResourceMemory: quantity("100Mi")}
	if g.in(2) {
		c.Ports = []corev1.ContainerPort{g.port()}
	}
	d.Spec.Template.Labels = g.labels()
	d.Spec.Template.Spec.Containers = []corev1.Container{c}
	d.Spec.Template.Spec.HostNetwork = g.in(4)
	if d.Spec.Template.Spec.HostNetwork && len(c.Ports) > 0 {
		c.Ports[0].HostPort, c.Ports[0].HostIP = 0, ""
	}
	if g.in(3) {
		d.Spec.Template.Spec.NodeSelector = map[string]string{"disk": pick(g, "ssd", "hdd")}
	}
	if g.in(3) {
		d.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}, PodAntiAffinity: &corev1.PodAntiAffinity{}}
		d.Spec.Template.Spec.Affinity.NodeAffinity = g.nodeAffinity()
		if g.in(3) {
			d.Spec.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = []corev1.PodAffinityTerm{
				{TopologyKey: corev1.LabelHostname, LabelSelector: g.selector()},
			}
		}
	}
	for range g.IntN(3) {
		d.Spec.Template.Spec.Tolerations = append(d.Spec.Template.Spec.Tolerations, g.toleration())
	}
	return d
}

// ask is the cluster as the packer gets it; false when a rule of a pod is about a daemon.
func (p *planCase) ask() (fit.Ask, bool) {
	namespaces := map[string]fit.Labels{}
	for _, n := range p.Namespaces {
		namespaces[n.Name] = fit.NewLabels(n.Labels)
	}
	look := lookup(p.testCase)
	ask := fit.Ask{Cluster: fit.NewCluster(namespaces)}
	byName := map[string]int{}
	for _, n := range p.Nodes {
		byName[n.Name] = ask.Cluster.AddNode(controller.FitNode(n, nil))
		ask.Open = append(ask.Open, byName[n.Name])
	}
	for _, pod := range p.Pods {
		ask.Cluster.Add(ask.Cluster.Class(controller.FitPod(pod, look)), byName[pod.Spec.NodeName], 1)
	}
	for i, pod := range p.wanted {
		ask.Want = append(ask.Want, fit.Want{Class: ask.Cluster.Class(controller.FitPod(pod, look)), Count: p.counts[i]})
	}
	wanted := ask.Cluster.Classes()
	for _, d := range p.daemons {
		ask.Daemons = append(ask.Daemons, ask.Cluster.Class(controller.FitDaemon(d, look)))
	}
	for class := range wanted {
		if slices.ContainsFunc(ask.Daemons, func(d int) bool { return meets(ask.Cluster.Pod(class), ask.Cluster.Pod(d), namespaces) }) {
			return ask, false
		}
	}
	return ask, true
}

// fill places what the nodes that are there can take, by the scheduler's own domains: those of machines for sale do not
// count yet. It lessens what is wanted.
func fill(ask fit.Ask) []pack.Step {
	compiled := fit.Compile(ask)
	solution := pack.Solve(&compiled.Problem)
	for _, step := range solution.Steps {
		ask.Want[step.Group].Count -= step.Count
		ask.Cluster.Add(ask.Want[step.Group].Class, compiled.Nodes[step.Place], step.Count)
	}
	return solution.Steps
}

// meets says that a rule of the pod is about the daemon, beyond the host. The packer does not know the pods that come with a
// machine, so such a plan may be wrong: it is left out.
func meets(p, daemon *fit.Pod, namespaces map[string]fit.Labels) bool {
	about := func(t fit.Term) bool {
		return (slices.Contains(t.Namespaces, daemon.Namespace) || t.NamespaceSelector.Matches(namespaces[daemon.Namespace])) && t.Selector.Matches(daemon.Labels)
	}
	return slices.ContainsFunc(p.Near, about) || slices.ContainsFunc(p.Away, func(t fit.Term) bool { return t.Topology != fit.LabelHostname && about(t) })
}

// buy makes the machines of the plan real: nodes, with the pods that the DaemonSet controller would make for them.
func (p *planCase) buy(solution pack.Solution) error {
	for m, offer := range solution.Machines {
		n := p.offers[offer].DeepCopy()
		n.Name = fmt.Sprintf("m%d", m)
		n.Labels[corev1.LabelHostname] = n.Name
		p.Nodes = append(p.Nodes, n)
		for _, d := range p.daemons {
			if runs, _ := daemon.NodeShouldRunDaemonPod(klog.Background(), n, d); !runs {
				continue
			}
			pod := daemon.NewPod(d, n.Name)
			pod.Name = d.Name + "-" + n.Name
			pod, err := admit(pod, false)
			if err != nil {
				return err
			}
			pod.Spec.NodeName = n.Name
			p.Pods = append(p.Pods, pod)
		}
	}
	return nil
}

// place binds the pods of the plan one after the other and says where the scheduler would not have had one.
func (p *planCase) place(ctx context.Context, s *scheduler, steps []pack.Step) (placed int, why string, err error) {
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && steps[0].InTurn && steps[n].InTurn && steps[n].Group == steps[0].Group {
			n++
		}
		block := slices.Clone(steps[:n])
		steps = steps[n:]
		for len(block) > 0 {
			best := -1
			last := verdict{}
			p.Pod = p.wanted[block[0].Group].DeepCopy()
			j, err := s.judge(ctx, p.testCase)
			if err != nil {
				return placed, "", err
			}
			for i, step := range block {
				if v := j.verdicts[step.Place]; v.plugin != "" {
					last = v
				} else if best < 0 || p.crowd(step.Place) < p.crowd(block[best].Place) {
					best = i
				}
			}
			if best < 0 {
				return placed, fmt.Sprintf("pod %s is planned on %v, of which the scheduler says %q", p.Pod.Name, block, last), nil
			}
			p.Pod.Name, p.Pod.Spec.NodeName = fmt.Sprintf("%s-%d", p.Pod.Name, len(p.Pods)), p.Nodes[block[best].Place].Name
			p.Pods = append(p.Pods, p.Pod)
			placed++
			if block[best].Count--; block[best].Count == 0 {
				block = slices.Delete(block, best, best+1)
			}
		}
	}
	return placed, "", nil
}

// couldStill says that the scheduler would put one more of these pods on a node that is there.
func (p *planCase) couldStill(ctx context.Context, s *scheduler, wanted int) (bool, error) {
	p.Pod = p.wanted[wanted].DeepCopy()
	j, err := s.judge(ctx, p.testCase)
	return slices.Contains(j.verdicts, verdict{}), err
}

// crowd is how many pods there are in the node's domain of those that the waiting pod spreads by, host names left out.
func (p *planCase) crowd(node int) int {
	count := 0
	for _, c := range p.Pod.Spec.TopologySpreadConstraints {
		selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
		if err != nil || c.WhenUnsatisfiable != corev1.DoNotSchedule || c.TopologyKey == corev1.LabelHostname {
			continue
		}
		count = 0
		for _, o := range p.Pods {
			i := slices.IndexFunc(p.Nodes, func(n *corev1.Node) bool { return n.Name == o.Spec.NodeName })
			if p.Nodes[i].Labels[c.TopologyKey] == p.Nodes[node].Labels[c.TopologyKey] && o.Namespace == p.Pod.Namespace && selector.Matches(labels.Set(o.Labels)) {
				count++
			}
		}
	}
	return count
}

// TestTheSchedulerPlacesWhatIsPlanned fills the nodes that are there, buys what the packer decides for the rest, and lets the scheduler judge each pod of the plan.
func TestTheSchedulerPlacesWhatIsPlanned(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of plans: make differential")
	}
	s := newScheduler(t)
	plans, seed := setting(t, "DIFFERENTIAL_PLANS", 1500), setting(t, "DIFFERENTIAL_SEED", defaultSeed)
	filled, needless, placed, unplaced, missed, machines, wrong := 0, 0, 0, 0, 0, 0, 0
	for i := 0; i < plans && wrong < maxPrinted; i++ {
		p, err := generatePlan(rand.New(rand.NewPCG(uint64(seed), uint64(i)<<32)))
		if err != nil {
			t.Fatalf("plan %d: %v", i, err)
		}
		ask, ok := p.ask()
		if !ok {
			continue
		}
		n, why, err := p.place(t.Context(), s, fill(ask))
		if err != nil {
			t.Fatalf("plan %d: %v", i, err)
		}
		filled += n
		for k, w := range ask.Want {
			if w.Count == 0 {
				continue
			}
			fits, err := p.couldStill(t.Context(), s, k)
			if err != nil {
				t.Fatalf("plan %d: %v", i, err)
			}
			if fits {
				needless++
			}
		}
		for k, offer := range p.offers {
			ask.Offers = append(ask.Offers, fit.Offer{Node: controller.FitNode(offer, nil), Price: float64(1 + k), Limit: pack.Unlimited})
		}
		solution := pack.Solve(&fit.Compile(ask).Problem)
		if err := p.buy(solution); err != nil {
			t.Fatalf("plan %d: %v", i, err)
		}
		if why == "" {
			n, why, err = p.place(t.Context(), s, solution.Steps)
		}
		if err != nil {
			t.Fatalf("plan %d: %v", i, err)
		}
		placed, machines = placed+n, machines+len(solution.Machines)
		for _, u := range solution.Unplaced {
			unplaced += u.Count
			fits, err := p.couldStill(t.Context(), s, u.Group)
			if err != nil {
				t.Fatalf("plan %d: %v", i, err)
			}
			if fits {
				missed += u.Count
			}
		}
		if why != "" {
			wrong++
			t.Errorf("plan %d: %s\n%s", i, why, p)
		}
	}
	t.Logf("differential: %d plans, %d pods placed on nodes (one more of %d kinds could be) and %d after machines were bought, %d not (of %d of those the scheduler would place one more), %d machines bought; the scheduler disagreed with %d plans",
		plans, filled, needless, placed, unplaced, missed, machines, wrong)
	if needless > plans/100 {
		t.Errorf("for %d kinds of pods machines are bought, or they wait, though a node could take one", needless)
	}
	if filled < plans/2 || placed < plans/2 || machines < plans/4 {
		t.Error("hardly anything is placed or bought: the plans are trivial")
	}
}

// TestDaemonsRunWhereTheDaemonSetControllerSays compares FitDaemon and Runs with the controller's own answer.
func TestDaemonsRunWhereTheDaemonSetControllerSays(t *testing.T) {
	runs, not := 0, 0
	for i := range 5000 {
		p, err := generatePlan(rand.New(rand.NewPCG(defaultSeed, uint64(i))))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.daemons {
			ours := controller.FitDaemon(d, lookup(p.testCase))
			for _, n := range p.Nodes {
				want, _ := daemon.NodeShouldRunDaemonPod(klog.Background(), n, d)
				node := controller.FitNode(n, nil)
				if got := fit.Runs(&ours, &node) == fit.None; got != want {
					t.Fatalf("case %d, daemon %s on node %s: %v, not %v\n%+v\n%+v", i, d.Name, n.Name, got, want, ours, node)
				}
				if want {
					runs++
				} else {
					not++
				}
			}
		}
	}
	if runs < 100 || not < 100 {
		t.Errorf("%d run, %d do not: the cases are trivial", runs, not)
	}
}
