package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wholescale/wholescale/cloudprovider"
)

// maxTokens bounds the orders remembered for each pool. A leader retries one order at a time, so a repeat that comes
// after so many others is not one.
const maxTokens = 1024

// state is all that a pool must not forget; it is one JSON file.
type state struct {
	Target int `json:"target"`
	// Epoch is the highest seen by this pool.
	Epoch          uint64     `json:"epoch"`
	Orders         []order    `json:"orders"` // oldest first
	Instances      []instance `json:"instances"`
	StockOutSince  time.Time  `json:"stockOutSince,omitzero"`
	StockOutReason string     `json:"stockOutReason,omitempty"`
}

// order is a change that was carried out, and its answer.
type order struct {
	Token     string   `json:"token"`
	Kind      string   `json:"kind"`
	Target    int      `json:"target"`
	Instances []string `json:"instances,omitempty"` // sorted
	Answer    int      `json:"answer"`
}

type instance struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Process has PID 0 from when the start was decided to when it happened.
	Process  process `json:"process"`
	Deleting bool    `json:"deleting,omitempty"`
	// Stopped: it was asked to end and will be started again; its process has PID 0 once it has ended. Resumed: it was.
	Stopped bool `json:"stopped,omitempty"`
	Resumed bool `json:"resumed,omitempty"`
	// Failed is why the machine ended by itself or never started.
	Failed string `json:"failed,omitempty"`
}

// unstarted says that the machine was decided and is still to be started.
func (i instance) unstarted() bool {
	return i.Process.PID == 0 && i.Failed == "" && !i.Deleting && !i.Stopped
}

// rests says that the machine is stopped and could resume.
func (i instance) rests() bool { return i.Stopped && i.Process.PID == 0 && !i.Deleting }

func newOrder(kind string, c cloudprovider.Change) order {
	return order{Token: c.Token, Kind: kind, Target: c.Target, Instances: slices.Sorted(slices.Values(c.Instances))}
}

// answered finds the answer to an order that was carried out before.
func (s *state) answered(o order) (int, bool, error) {
	at := slices.IndexFunc(s.Orders, func(old order) bool { return old.Token == o.Token })
	if at < 0 {
		return 0, false, nil
	}
	old := s.Orders[at]
	if old.Kind != o.Kind || old.Target != o.Target || !slices.Equal(old.Instances, o.Instances) {
		return 0, false, fmt.Errorf("%w: token %q was used to %s target %d", cloudprovider.ErrInvalid, o.Token, old.Kind, old.Target)
	}
	return old.Answer, true, nil
}

func (s *state) remember(o order, answer int) {
	o.Answer = answer
	s.Orders = append(s.Orders, o)
	if extra := len(s.Orders) - maxTokens; extra > 0 {
		s.Orders = slices.Delete(s.Orders, 0, extra)
	}
}

// standing is how many instances are there and not on their way out. A failed one counts until it is deleted, as in a
// cloud: to replace it silently would hide that machines fail.
func (s *state) standing() int {
	n := 0
	for _, i := range s.Instances {
		if !i.Deleting && !i.Stopped {
			n++
		}
	}
	return n
}

func (s *state) find(id string) int {
	return slices.IndexFunc(s.Instances, func(i instance) bool { return i.ID == id })
}

func readState(path string) (state, error) {
	var s state
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s is damaged; look what machines run before you remove it: %w", path, err)
	}
	return s, nil
}

// write replaces the file in one step and waits until the disk has it.
func (s *state) write(path string) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
