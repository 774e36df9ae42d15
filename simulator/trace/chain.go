package trace

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// event is a row with the moment that it is of, before it is known what the trace counts time from.
type event struct {
	Row
	when int64 // nanoseconds since 1970, or since the format's own zero
	// column is where the moment stands, for errors.
	column string
}

// raw is one file of a format: it fills e with the next row in the order of the file, and says io.EOF after the last.
type raw interface {
	event(e *event) error
	// fail is err with the place of the event that was read last.
	fail(column string, err error) error
	Close() error
}

// opener begins to read a file in a format. What it returns owns s; after an error the caller closes s.
type opener func(t *Trace, s *source) (raw, error)

// chain is one file after the other.
type chain struct {
	trace *Trace
	files []file
	open  opener
	now   raw
	rows  int // of the file at hand
	base  int // what its Blocks begin at
	block int // the last
}

// newChain begins with the file whose first row is the earliest. Rotated logs are named in any order.
func newChain(t *Trace, files []file, open opener) (*chain, error) {
	c := &chain{trace: t, files: files, open: open}
	if len(files) > 1 {
		if err := c.sort(); err != nil {
			return nil, err
		}
	}
	return c, c.advance()
}

// sort orders files by their first rows, which it reads with a trace that is thrown away.
func (c *chain) sort() error {
	first := make(map[string]int64, len(c.files))
	for _, f := range c.files {
		scratch := &Trace{format: c.trace.format, byName: map[string]int{}, options: c.trace.options}
		s, err := f.source()
		if err != nil {
			return err
		}
		r, err := c.open(scratch, s)
		if err != nil {
			return errors.Join(err, s.Close())
		}
		var e event
		switch err := r.event(&e); {
		case errors.Is(err, io.EOF):
			first[f.name] = math.MinInt64
		case err != nil:
			return errors.Join(err, r.Close())
		default:
			first[f.name] = e.when
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(c.files, func(a, b file) int { return cmp.Compare(first[a.name], first[b.name]) })
	return nil
}

// advance opens the next file.
func (c *chain) advance() error {
	s, err := c.files[0].source()
	if err != nil {
		return err
	}
	if c.now, err = c.open(c.trace, s); err != nil {
		c.now = nil
		return errors.Join(err, s.Close())
	}
	c.files, c.rows = c.files[1:], 0
	if c.block > c.base { // a file that is one block may overlap the next
		c.base = c.block + 1
	}
	return nil
}

func (c *chain) event(e *event) error {
	for {
		*e = event{}
		err := c.now.event(e)
		if err == nil {
			c.rows++
			e.Block += c.base
			c.block = e.Block
			return nil
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		if c.rows == 0 {
			return c.now.fail("", c.empty())
		}
		if len(c.files) == 0 {
			return io.EOF
		}
		if err := c.now.Close(); err != nil {
			return err
		}
		if err := c.advance(); err != nil {
			return err
		}
	}
}

// empty is ErrEmpty, with what was left out.
func (c *chain) empty() error {
	if d := c.trace.Drops(); len(d) > 0 {
		return fmt.Errorf("%w: %d rows were left out: %s", ErrEmpty, d[0].Count, d[0].Reason)
	}
	return ErrEmpty
}

func (c *chain) Close() error {
	if c.now == nil {
		return nil
	}
	err := c.now.Close()
	c.now = nil
	return err
}

// dated says whether a moment is a date; formats with a zero of their own have none.
type dated bool

// ordered gives requests in order of arrival. It keeps back some of what it reads: logs are written when a request ends.
type ordered struct {
	*chain
	dated   dated
	most    int
	heap    []heaped
	rows    []Row
	free    []int32
	n       int64
	started bool
	first   int64
	last    int64
	ended   bool
}

type heaped struct {
	when, n int64
	row     int32
}

func (h heaped) before(o heaped) bool { return h.when < o.when || h.when == o.when && h.n < o.n }

// reorderMost is Options.ReorderMost when it is not given.
const reorderMost = 1 << 16

// newOrdered reads requests that are written in about the order of their arrival; strict ones exactly so.
func newOrdered(t *Trace, files []file, open opener, date dated, strict bool) (rowReader, error) {
	t.kind = Requests
	c, err := newChain(t, files, open)
	if err != nil {
		return nil, err
	}
	o := &ordered{chain: c, dated: date, most: reorderMost}
	if t.options.ReorderMost > 0 {
		o.most = t.options.ReorderMost
	}
	if strict {
		o.most = 1
	}
	return o, nil
}

func (o *ordered) next(row *Row) error {
	var e event
	for !o.ended && len(o.heap) < o.most {
		err := o.event(&e)
		if errors.Is(err, io.EOF) {
			o.ended = true
			break
		}
		if err != nil {
			return err
		}
		if o.started && e.when < o.last {
			return o.now.fail(e.column, o.late(time.Duration(o.last-e.when)))
		}
		o.push(&e)
	}
	if len(o.heap) == 0 {
		return io.EOF
	}
	h := o.pop()
	*row = o.rows[h.row]
	if !o.started {
		o.started, o.first = true, h.when
		if o.dated {
			o.trace.start = time.Unix(0, h.when).UTC()
		}
	}
	o.last = h.when
	row.At = time.Duration(h.when - o.first)
	if row.At > mostDuration {
		return o.now.fail("", fmt.Errorf("it arrived %s after the first; expected a year at most", row.At))
	}
	return nil
}

// late is a request that arrived before one that was given already.
func (o *ordered) late(by time.Duration) error {
	if o.most == 1 {
		return fmt.Errorf("%s before the row above; expected the order of arrival", by)
	}
	return fmt.Errorf("%s before a request far above; expected about the order of arrival (%d requests are kept back to put them in order)", by, o.most)
}

func (o *ordered) push(e *event) {
	var slot int32
	if n := len(o.free); n > 0 {
		slot, o.free = o.free[n-1], o.free[:n-1]
	} else {
		slot = int32(len(o.rows))
		o.rows = append(o.rows, Row{})
	}
	o.rows[slot] = e.Row
	o.n++
	o.heap = append(o.heap, heaped{e.when, o.n, slot})
	for i := len(o.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !o.heap[i].before(o.heap[up]) {
			break
		}
		o.heap[i], o.heap[up] = o.heap[up], o.heap[i]
		i = up
	}
}

func (o *ordered) pop() heaped {
	top, n := o.heap[0], len(o.heap)-1
	o.heap[0] = o.heap[n]
	o.heap = o.heap[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && o.heap[child+1].before(o.heap[child]) {
			child++
		}
		if !o.heap[child].before(o.heap[i]) {
			break
		}
		o.heap[i], o.heap[child] = o.heap[child], o.heap[i]
		i = child
	}
	o.free = append(o.free, top.row)
	return top
}

// unordered gives counts (or pods) as they come; they count time from the first.
type unordered struct {
	*chain
	dated   dated
	started bool
	first   int64
}

func newUnordered(t *Trace, kind Kind, files []file, open opener, date dated) (rowReader, error) {
	t.kind = kind
	c, err := newChain(t, files, open)
	if err != nil {
		return nil, err
	}
	return &unordered{chain: c, dated: date}, nil
}

func (u *unordered) next(row *Row) error {
	var e event
	if err := u.event(&e); err != nil {
		return err
	}
	if !u.started {
		u.started, u.first = true, e.when
		if u.dated {
			u.trace.start = time.Unix(0, e.when).UTC()
		}
	}
	if e.when < u.first {
		return u.now.fail("", errors.New("it is before the first row of the trace; expected the earliest first"))
	}
	*row = e.Row
	row.At = time.Duration(e.when - u.first)
	if row.At > 100*mostDuration {
		return u.now.fail("", fmt.Errorf("it is %s after the first; expected a hundred years at most", row.At))
	}
	return nil
}
