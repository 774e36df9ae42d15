package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// simkubeFields are the fields of SimKube's export, in their order where it is written as an array.
var simkubeFields = []string{"version", "config", "events", "index", "pod_lifecycles"}

// simkubePack reads SimKube's own export, in MessagePack; its structs may be arrays or maps.
type simkubePack struct {
	simkubeQueue
	pack   msgpack
	events int // that are left
	read   int
	behind int // fields after the events
	named  bool
}

// openSimKubePack goes to the events. There are no lines: the place of an error is the event, counted from 1, as a column.
func openSimKubePack(t *Trace, s *source) (raw, error) {
	k := &simkubePack{simkubeQueue: simkubeQueue{trace: t, source: s}, pack: msgpack{from: s.bytes, left: mostValue}}
	top, err := k.pack.head()
	if err != nil {
		return nil, k.fail("", err)
	}
	if top.kind != packedMap && top.kind != packedArray || top.n > len(simkubeFields) {
		return nil, k.fail("", errors.New("expected SimKube's export: version, config, events, index and pod_lifecycles"))
	}
	k.named = top.kind == packedMap
	version := 0.0
	for i := range top.n {
		field := simkubeFields[i]
		if k.named {
			v, err := k.pack.next()
			name, ok := v.(string)
			if err == nil && !ok {
				err = errors.New("a key that is no text")
			}
			if err != nil {
				return nil, k.fail("", err)
			}
			field = name
		}
		if field == "events" {
			h, err := k.pack.head()
			if err == nil && h.kind != packedArray {
				err = errors.New("expected a list")
			}
			if err == nil && version != 2 {
				err = fmt.Errorf("the version before it is %g; expected 2", version)
			}
			if err != nil {
				return nil, k.fail("events", err)
			}
			k.events, k.behind = h.n, top.n-i-1
			return k, nil
		}
		v, err := k.pack.next()
		if err != nil {
			return nil, k.fail(field, err)
		}
		if field == "version" {
			version, _ = v.(float64)
		}
	}
	return nil, k.fail("events", errors.New("there is no such field"))
}

func (k *simkubePack) fail(column string, err error) error {
	if column == "" && k.read > 0 {
		column = fmt.Sprintf("events[%d]", k.read-1)
	}
	return &Error{File: k.source.name, Line: 1, Column: column, Err: err}
}

func (k *simkubePack) Close() error { return k.source.Close() }

func (k *simkubePack) event(e *event) error {
	for len(k.queue) == 0 {
		if k.events == 0 {
			return k.end()
		}
		k.events--
		k.read++
		v, err := k.pack.next()
		if err != nil {
			return k.fail("", err)
		}
		if list, ok := v.([]any); ok && len(list) == 3 {
			v = map[string]any{"ts": list[0], "applied_objs": list[1], "deleted_objs": list[2]}
		}
		// The same struct as of the JSON form, by way of JSON.
		text, err := json.Marshal(v)
		if err != nil {
			return k.fail("", err)
		}
		var changes simkubeEvent
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(&changes); err != nil {
			return k.fail("", err)
		}
		if column, err := k.add(changes, 1); err != nil {
			return k.fail(column, err)
		}
	}
	if err := k.take(e); err != nil {
		return k.fail("metadata.name", err)
	}
	return nil
}

// end passes over what is behind the events, so that a file that was cut off is an error.
func (k *simkubePack) end() error {
	values := k.behind
	if k.named {
		values *= 2
	}
	for range values {
		if _, err := k.pack.next(); err != nil {
			return k.fail("", err)
		}
	}
	k.behind = 0
	if _, err := k.pack.from.ReadByte(); !errors.Is(err, io.EOF) {
		return k.fail("", errors.New("something stands after the end"))
	}
	return io.EOF
}
