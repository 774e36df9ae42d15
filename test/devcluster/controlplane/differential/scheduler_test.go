package differential

import (
	"context"
	"fmt"
	"testing"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/dynamic-resource-allocation/resourceslice/tracker"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	"k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"
)

// scheduler is the scheduler's framework with its default plugins. Informers are its data source and never started: each
// case is written into their stores.
type scheduler struct {
	framework framework.Framework
	informers informers.SharedInformerFactory
	lister    *switched
	plugins   map[string]fwk.Plugin
}

// switched lets one framework look at one snapshot after the other.
type switched struct{ fwk.SharedLister }

func newScheduler(t *testing.T) *scheduler {
	t.Helper()
	metrics.Register()
	ctx := klog.NewContext(t.Context(), klog.Background())
	s := &scheduler{
		informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0),
		lister:    &switched{SharedLister: schedulercache.NewEmptySnapshot()},
		plugins:   map[string]fwk.Plugin{},
	}
	config, err := latest.Default()
	if err != nil {
		t.Fatal(err)
	}
	registry := runtime.Registry{}
	for name, create := range plugins.NewInTreeRegistry() {
		registry[name] = func(ctx context.Context, args apiruntime.Object, h fwk.Handle) (fwk.Plugin, error) {
			p, err := create(ctx, args, h)
			s.plugins[name] = p
			return p, err
		}
	}
	s.framework, err = runtime.NewFramework(ctx, registry, &config.Profiles[0],
		runtime.WithInformerFactory(s.informers), runtime.WithSnapshotSharedLister(s.lister), runtime.WithParallelism(1),
		runtime.WithClientSet(fake.NewClientset()), runtime.WithSharedDRAManager(draManager(ctx, t, s.informers)),
		runtime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(s.informers.Storage().V1().CSINodes().Lister())),
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func draManager(ctx context.Context, t *testing.T, factory informers.SharedInformerFactory) fwk.SharedDRAManager {
	claims := assumecache.NewAssumeCache(klog.Background(), factory.Resource().V1().ResourceClaims().Informer(), "ResourceClaim", "", nil)
	options := tracker.Options{SliceInformer: factory.Resource().V1().ResourceSlices(), KubeClient: fake.NewClientset()}
	if utilfeature.DefaultFeatureGate.Enabled(features.DRADeviceTaintRules) {
		options.EnableDeviceTaintRules, options.TaintInformer = true, factory.Resource().V1().DeviceTaintRules()
	}
	slices, err := tracker.StartTracker(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicresources.NewDRAManager(ctx, claims, slices, factory)
}

// verdict is what the scheduler says of one node: nothing, or the plugin that refuses it and why.
type verdict struct{ plugin, why string }

func (v verdict) String() string {
	if v.plugin == "" {
		return "fits"
	}
	return v.plugin + ": " + v.why
}

// judgement is what the scheduler says of a case, node by node.
type judgement struct {
	verdicts []verdict
	state    fwk.CycleState
	skipped  func(plugin string) bool
	// early says that a plugin refused before it looked at any node.
	early bool
}

func (s *scheduler) load(c *testCase) error {
	core, storage := s.informers.Core().V1(), s.informers.Storage().V1()
	return firstError(
		replace(core.Namespaces().Informer().GetIndexer(), c.Namespaces),
		replace(core.PersistentVolumeClaims().Informer().GetIndexer(), c.Claims),
		replace(core.PersistentVolumes().Informer().GetIndexer(), c.Volumes),
		replace(storage.StorageClasses().Informer().GetIndexer(), c.Classes),
		replace(storage.CSINodes().Informer().GetIndexer(), c.Limits),
	)
}

func replace[T any](store cache.Indexer, list []*T) error {
	items := make([]any, len(list))
	for i := range list {
		items[i] = list[i]
	}
	return store.Replace(items, "")
}

func firstError(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// judge runs PreFilter and then Filter on each node, as the scheduler does.
func (s *scheduler) judge(ctx context.Context, c *testCase) (judgement, error) {
	if err := s.load(c); err != nil {
		return judgement{}, fmt.Errorf("store the objects of the case: %w", err)
	}
	s.lister.SharedLister = schedulercache.NewSnapshot(c.Pods, c.Nodes)
	state := framework.NewCycleState()
	j := judgement{verdicts: make([]verdict, len(c.Nodes)), state: state}
	only, status, _ := s.framework.RunPreFilterPlugins(ctx, state, c.Pod)
	if !status.IsSuccess() {
		j.early = true
		for i := range j.verdicts {
			j.verdicts[i] = verdict{status.Plugin(), status.Message()}
		}
		return j, nil
	}
	j.skipped = func(plugin string) bool { return state.GetSkipFilterPlugins().Has(plugin) }
	for i, n := range c.Nodes {
		if !only.AllNodes() && !only.NodeNames.Has(n.Name) {
			j.verdicts[i] = verdict{"NodeAffinity", "the pod asks for other nodes by name"}
			continue
		}
		info, err := s.lister.NodeInfos().Get(n.Name)
		if err != nil {
			return j, err
		}
		if status := s.framework.RunFilterPlugins(ctx, state, c.Pod, info); !status.IsSuccess() {
			j.verdicts[i] = verdict{status.Plugin(), status.Message()}
		}
	}
	return j, nil
}

// refuses says that the plugin alone refuses the node.
func (s *scheduler) refuses(ctx context.Context, c *testCase, j judgement, plugin, node string) bool {
	if j.skipped(plugin) {
		return false
	}
	filter, ok := s.plugins[plugin].(fwk.FilterPlugin)
	info, err := s.lister.NodeInfos().Get(node)
	return ok && err == nil && !filter.Filter(ctx, j.state, c.Pod, info).IsSuccess()
}

var _ fwk.SharedLister = (*switched)(nil)
