package trace

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// periodRows is how many rows are looked at for the period: the smallest step among them.
const periodRows = 64

// runMost is how many counts are given in one row.
const runMost = 1440

// countFile is a table of a moment and a count. A step that is longer than the period leaves a gap, of which nothing is known.
type countFile struct {
	*table
	trace       *Trace
	when, count int
	function    int
	ahead       []stepped
	ended       bool
	run         []float64
	last        int64
	any         bool // last is a time
	beginning   bool // the period is not known yet
	one         bool // the only file: its runs follow one another
	block       int
}

type stepped struct {
	when  int64
	count float64
	line  int
}

// openCounts reads files of counts; a file of a folder is a function named as the file.
func openCounts(files []file) opener {
	return func(t *Trace, s *source) (raw, error) {
		table, err := newTable(s)
		if err != nil {
			return nil, err
		}
		c := &countFile{table: table, trace: t, when: table.find("period", "timestamp", "ts", "time"), count: table.find("count", "value", "requests")}
		if c.when < 0 {
			return nil, &Error{File: s.name, Line: 1, Column: "period", Err: errors.New("there is no such column; counts have period, timestamp or ts")}
		}
		if c.count < 0 {
			return nil, &Error{File: s.name, Line: 1, Column: "count", Err: errors.New("there is no such column; counts have count or value")}
		}
		name := "requests"
		if len(files) > 1 {
			name, _, _ = strings.Cut(filepath.Base(s.name), ".")
		}
		if c.function, err = t.function(name); err != nil {
			return nil, table.fail("", err)
		}
		c.one = len(files) == 1
		return c, c.begin()
	}
}

// begin reads ahead for the period.
func (c *countFile) begin() error {
	c.beginning = true
	if err := c.fill(periodRows); err != nil {
		return err
	}
	period := time.Duration(0)
	for i := 1; i < len(c.ahead); i++ {
		if d := time.Duration(c.ahead[i].when - c.ahead[i-1].when); period == 0 || d < period {
			period = d
		}
	}
	if len(c.ahead) == 1 {
		return c.failf(c.title(c.when), "one row alone has no period; expected two at least")
	}
	c.beginning = false
	if len(c.ahead) == 0 {
		return nil // event says that it is empty
	}
	if err := c.trace.steps(period); err != nil {
		return &Error{File: c.name, Line: 2, Column: c.title(c.when), Err: err}
	}
	for _, s := range c.ahead {
		if err := c.trace.tooMany(s.count); err != nil {
			return &Error{File: c.name, Line: s.line, Column: c.title(c.count), Err: err}
		}
	}
	return nil
}

// step reads a row.
func (c *countFile) step() (stepped, error) {
	if err := c.read(); err != nil {
		return stepped{}, err
	}
	if err := c.full(); err != nil {
		return stepped{}, err
	}
	at, err := moment(c.row[c.when])
	if err != nil {
		return stepped{}, c.fail(c.title(c.when), err)
	}
	step := at - c.last
	switch {
	case c.any && step < 0:
		return stepped{}, c.failf(c.title(c.when), "%s is before the row above; expected rising times", clip(c.row[c.when]))
	case c.any && step == 0:
		return stepped{}, c.failf(c.title(c.when), "%s stands twice; expected rising times", clip(c.row[c.when]))
	case c.any && c.trace.period > 0 && !c.beginning && step < int64(c.trace.period):
		return stepped{}, c.failf(c.title(c.when), "a step of %s; expected %s as above", time.Duration(step), c.trace.period)
	}
	c.any, c.last = true, at
	n, err := c.number(c.count, 0)
	if err != nil {
		return stepped{}, err
	}
	n *= c.trace.options.scale()
	if c.trace.period > 0 {
		if err := c.trace.tooMany(n); err != nil {
			return stepped{}, c.fail(c.title(c.count), err)
		}
	}
	return stepped{at, n, c.line}, nil
}

func (c *countFile) event(e *event) error {
	if err := c.fill(1); err != nil {
		return err
	}
	if len(c.ahead) == 0 {
		return io.EOF
	}
	if c.one {
		c.block++
	}
	e.Function, e.when, e.Block = c.function, c.ahead[0].when, c.block
	c.run = c.run[:0]
	for {
		now := c.ahead[0]
		c.run = append(c.run, now.count)
		c.ahead = slices.Delete(c.ahead, 0, 1)
		if err := c.fill(1); err != nil {
			return err
		}
		if len(c.ahead) == 0 || len(c.run) == runMost || c.ahead[0].when-now.when != int64(c.trace.period) {
			break
		}
	}
	e.Counts = c.run
	return nil
}

// fill reads ahead until n rows are there or none is left.
func (c *countFile) fill(n int) error {
	for len(c.ahead) < n && !c.ended {
		s, err := c.step()
		switch {
		case errors.Is(err, io.EOF):
			c.ended = true
		case err != nil:
			return err
		default:
			c.ahead = append(c.ahead, s)
		}
	}
	return nil
}
