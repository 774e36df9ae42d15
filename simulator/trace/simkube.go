package trace

import (
	"encoding/json"
)

// simkube reads SimKube's version 2: what was applied and deleted, and when. It has pods and no requests: a row is how many
// pods a workload should have from then on. What has no number of pods (a ConfigMap) is left out.
type simkube struct {
	*objects
	trace *Trace
	queue []simkubeChange
}

type simkubeChange struct {
	when     int64
	workload string
	pods     float64
}

func openSimKube(t *Trace, s *source) (raw, error) {
	k := &simkube{objects: newObjects(s), trace: t}
	version := 0.0
	err := k.enter([]string{"events"}, func(key string) (bool, error) {
		if key != "version" {
			return false, nil
		}
		if err := k.json.Decode(&version); err != nil {
			return true, k.fail(key, err)
		}
		if version != 2 {
			return true, k.failf(key, "%g; expected 2", version)
		}
		return true, nil
	})
	return k, err
}

type simkubeObject struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		Replicas    *float64 `json:"replicas"`
		Parallelism *float64 `json:"parallelism"`
	} `json:"spec"`
}

func (k *simkube) event(e *event) error {
	for len(k.queue) == 0 {
		if !k.json.More() {
			return k.leave(1)
		}
		if err := k.change(); err != nil {
			return err
		}
	}
	c := k.queue[0]
	k.queue = k.queue[1:]
	var err error
	if e.Function, err = k.trace.named([]byte(c.workload)); err != nil {
		return k.fail("metadata.name", err)
	}
	e.when, e.Counts = c.when, []float64{c.pods}
	return nil
}

// change reads one moment's changes.
func (k *simkube) change() error {
	var v struct {
		TS      json.Number     `json:"ts"`
		Applied []simkubeObject `json:"applied_objs"`
		Deleted []simkubeObject `json:"deleted_objs"`
	}
	if err := k.json.Decode(&v); err != nil {
		return k.fail("events", err)
	}
	at, err := moment([]byte(v.TS))
	if err != nil {
		return k.fail("ts", err)
	}
	for _, o := range v.Applied {
		pods := 1.0
		switch {
		case o.Spec.Replicas != nil:
			pods = *o.Spec.Replicas
		case o.Kind == "Job" && o.Spec.Parallelism != nil:
			pods = *o.Spec.Parallelism
		case o.Kind != "Pod" && o.Kind != "Job" && o.Kind != "Deployment" && o.Kind != "StatefulSet" && o.Kind != "ReplicaSet":
			k.trace.drop(&lines{source: k.source, line: k.line()}, "an object that says no number of pods")
			continue
		}
		if pods < 0 || pods > 1e7 {
			return k.failf("spec.replicas", "%g is not a number of pods", pods)
		}
		k.queue = append(k.queue, simkubeChange{at, simkubeName(o), pods})
	}
	for _, o := range v.Deleted {
		k.queue = append(k.queue, simkubeChange{at, simkubeName(o), 0})
	}
	return nil
}

func simkubeName(o simkubeObject) string {
	if o.Metadata.Namespace == "" {
		return "default/" + o.Metadata.Name
	}
	return o.Metadata.Namespace + "/" + o.Metadata.Name
}
