package trace

import (
	"encoding/json"
	"fmt"
)

// simkube reads SimKube's version 2 as JSON: what was applied and deleted, and when. It has pods and no requests: a row is how many
// pods a workload should have from then on. What has no number of pods (a ConfigMap) is left out.
type simkube struct {
	simkubeQueue
	*objects
}

// simkubeQueue is changes that were read and not given yet.
type simkubeQueue struct {
	trace  *Trace
	source *source
	queue  []simkubeChange
}

type simkubeChange struct {
	when     int64
	workload string
	pods     float64
}

// openSimKube tells JSON from MessagePack, of which no text can begin with the first byte.
func openSimKube(t *Trace, s *source) (raw, error) {
	if first, _ := s.bytes.Peek(1); isPacked(first) {
		return openSimKubePack(t, s)
	}
	k := &simkube{simkubeQueue: simkubeQueue{trace: t, source: s}, objects: newObjects(s)}
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

// isPacked is whether a file begins with a map or an array of MessagePack.
func isPacked(head []byte) bool {
	return len(head) > 0 && (head[0] >= 0x80 && head[0] < 0xa0 || head[0] >= 0xdc && head[0] <= 0xdf)
}

type simkubeEvent struct {
	TS      json.Number     `json:"ts"`
	Applied []simkubeObject `json:"applied_objs"`
	Deleted []simkubeObject `json:"deleted_objs"`
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

func (k *simkube) Close() error { return k.objects.Close() }

func (k *simkube) event(e *event) error {
	for len(k.queue) == 0 {
		if !k.json.More() {
			return k.leave(1)
		}
		var v simkubeEvent
		if err := k.json.Decode(&v); err != nil {
			return k.fail("events", err)
		}
		if column, err := k.add(v, k.line()); err != nil {
			return k.fail(column, err)
		}
	}
	if err := k.take(e); err != nil {
		return k.fail("metadata.name", err)
	}
	return nil
}

// add takes one moment's changes; an error comes with the field that it is about.
func (q *simkubeQueue) add(v simkubeEvent, line int) (column string, err error) {
	at, err := moment([]byte(v.TS))
	if err != nil {
		return "ts", err
	}
	for _, o := range v.Applied {
		pods := 1.0
		switch {
		case o.Spec.Replicas != nil:
			pods = *o.Spec.Replicas
		case o.Kind == "Job" && o.Spec.Parallelism != nil:
			pods = *o.Spec.Parallelism
		case o.Kind != "Pod" && o.Kind != "Job" && o.Kind != "Deployment" && o.Kind != "StatefulSet" && o.Kind != "ReplicaSet":
			q.trace.drop(&lines{source: q.source, line: line}, "an object that says no number of pods")
			continue
		}
		if pods < 0 || pods > 1e7 {
			return "spec.replicas", fmt.Errorf("%g is not a number of pods", pods)
		}
		q.queue = append(q.queue, simkubeChange{at, simkubeName(o), pods})
	}
	for _, o := range v.Deleted {
		q.queue = append(q.queue, simkubeChange{at, simkubeName(o), 0})
	}
	return "", nil
}

// take gives the next change.
func (q *simkubeQueue) take(e *event) error {
	c := q.queue[0]
	q.queue = q.queue[1:]
	var err error
	if e.Function, err = q.trace.named([]byte(c.workload)); err != nil {
		return err
	}
	e.when, e.Counts = c.when, []float64{c.pods}
	return nil
}

func simkubeName(o simkubeObject) string {
	if o.Metadata.Namespace == "" {
		return "default/" + o.Metadata.Name
	}
	return o.Metadata.Namespace + "/" + o.Metadata.Name
}
