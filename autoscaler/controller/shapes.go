package controller

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// leastSwept is how many kinds of pods may be remembered before those that are gone are forgotten.
const leastSwept = 4096

// shapes lets equal pods share what they ask for: the core then knows most of them by one look at a pointer.
type shapes struct {
	byKey map[string]*fit.Pod
	swept int // how many were left when it was last swept
}

func (s *shapes) share(shape autoscaler.Shape) autoscaler.Shape {
	key := shape.Rules.Key()
	if s.byKey == nil {
		s.byKey = map[string]*fit.Pod{}
	}
	if known := s.byKey[key]; known != nil {
		shape.Rules = known
	} else {
		s.byKey[key] = shape.Rules
	}
	return shape
}

// sweep forgets what nothing uses any more, once that may be most of it.
func (s *shapes) sweep(w *world) {
	if len(s.byKey) < leastSwept+2*s.swept {
		return
	}
	used := map[*fit.Pod]bool{}
	for _, p := range w.pods {
		used[p.Shape.Rules] = true
	}
	for _, t := range w.targets {
		used[t.shape.Rules] = true
	}
	for _, d := range w.daemons {
		used[d.Shape.Rules] = true
	}
	for _, b := range w.headroom() {
		used[b.Shape.Rules] = true
	}
	maps.DeleteFunc(s.byKey, func(_ string, p *fit.Pod) bool { return !used[p] })
	s.swept = len(s.byKey)
}

// volumes are the objects that pods name and that say where these may run.
type volumes struct {
	claims     map[string]*corev1.PersistentVolumeClaim
	volumes    map[string]*corev1.PersistentVolume
	classes    map[string]*storagev1.StorageClass
	priorities map[string]*schedulingv1.PriorityClass
}

// lookup answers from what the informers have shown. The world's lock is held as long as it is used.
func (w *world) lookup() Lookup {
	v := &w.named
	return Lookup{
		Claim:  func(namespace, name string) *corev1.PersistentVolumeClaim { return v.claims[namespace+"/"+name] },
		Volume: func(name string) *corev1.PersistentVolume { return v.volumes[name] },
		Class:  func(name string) *storagev1.StorageClass { return v.classes[name] },
		Volumes: func(class string) []*corev1.PersistentVolume {
			var list []*corev1.PersistentVolume
			for _, name := range slices.Sorted(maps.Keys(v.volumes)) {
				if v.volumes[name].Spec.StorageClassName == class {
					list = append(list, v.volumes[name])
				}
			}
			return list
		},
		Priority: func(name string) *schedulingv1.PriorityClass {
			if name != "" {
				return v.priorities[name]
			}
			for _, n := range slices.Sorted(maps.Keys(v.priorities)) {
				if v.priorities[n].GlobalDefault {
					return v.priorities[n]
				}
			}
			return nil
		},
	}
}

// lookAgain looks at what is said by other objects, which may have changed: pods that wait with claims, and templates. The
// lock is held.
func (w *world) lookAgain() {
	look := w.lookup()
	for _, p := range w.pods {
		if p.claimed != nil && p.Node == "" {
			p.Shape = w.shapes.share(shapeOf(FitPod(p.claimed, look)))
		}
	}
	for _, t := range w.targets {
		if claims(&t.template.Spec) || t.template.Spec.PriorityClassName != "" {
			t.look(look)
			t.shape = w.shapes.share(t.shape)
		}
	}
	w.shapes.sweep(w)
}
