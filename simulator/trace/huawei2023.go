package trace

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// openHuawei2023 reads a line a period and a column a function.
func openHuawei2023(t *Trace, s *source) (raw, error) {
	table, err := newTable(s)
	if err != nil {
		return nil, err
	}
	h := &huawei2023{table: table, trace: t, day: table.find("day")}
	if h.time, err = table.need(Huawei2023, "time"); err != nil {
		return nil, err
	}
	for i, title := range table.titles {
		h.functions = append(h.functions, -1)
		if i == h.time || i == h.day || title == "" { // an index without a title is what pandas writes
			continue
		}
		if h.functions[i], err = t.named([]byte(title)); err != nil {
			return nil, table.fail(title, err)
		}
		h.width++
	}
	if h.width == 0 {
		return nil, table.failf("", "there is no column of a function beside the time")
	}
	return h, h.begin()
}

type huawei2023 struct {
	*table
	trace     *Trace
	day, time int
	functions []int // by column; -1 is none
	width     int
	column    int // the next of the row; at the end a new row is read
	at        int64
	first     [][]byte // a copy of the first row, read ahead for the period
	any       bool     // at is a time
	atFirst   int64
	lineFirst int
	counts    [1]float64 // of the row given last
	block     int
}

// begin reads two rows for the period.
func (h *huawei2023) begin() error {
	h.column = len(h.titles)
	if err := h.nextLine(); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // event says that it is empty
		}
		return err
	}
	for _, f := range h.row {
		h.first = append(h.first, bytes.Clone(f))
	}
	h.atFirst, h.lineFirst = h.at, h.lines.line
	switch err := h.nextLine(); {
	case errors.Is(err, io.EOF):
		return h.failf(h.title(h.time), "one row alone has no period; expected two at least")
	case err != nil:
		return err
	}
	step := time.Duration(h.at - h.atFirst)
	if err := h.trace.steps(step); err != nil {
		return h.fail(h.title(h.time), err)
	}
	h.column = 0
	return nil
}

// nextLine reads a line and its time.
func (h *huawei2023) nextLine() error {
	before := h.at
	if err := h.read(); err != nil {
		return err
	}
	if err := h.full(); err != nil {
		return err
	}
	at, err := offset(h.row[h.time])
	if err != nil {
		return h.fail(h.title(h.time), err)
	}
	// With a column day the time may be of the day.
	if h.day >= 0 && at < 86_400e9 {
		d, err := h.number(h.day, 0)
		if err != nil {
			return err
		}
		if d > 36_600 {
			return h.failf(h.title(h.day), "%g is more than a hundred years", d)
		}
		at += int64(d) * 86_400e9
	}
	if h.any && at <= before {
		return h.failf(h.title(h.time), "%s is not after the row above; expected rising times", bytes.TrimSpace(h.row[h.time]))
	}
	h.any, h.at = true, at
	return nil
}

func (h *huawei2023) event(e *event) error {
	for {
		row, at := h.row, h.at
		if h.first != nil {
			row, at = h.first, h.atFirst
		}
		if h.column == len(h.titles) {
			if h.first != nil {
				h.first, h.column = nil, 0 // the second row is there already
				h.block++
				continue
			}
			if err := h.nextLine(); err != nil {
				return err
			}
			h.column = 0
			h.block++
			continue
		}
		i := h.column
		h.column++
		if h.functions[i] < 0 {
			continue
		}
		if len(row[i]) == 0 || bytes.EqualFold(row[i], []byte("nan")) {
			h.trace.drop(&h.lines, "no value: nothing is known of the function in this period")
			continue
		}
		n, err := count(row[i])
		if err == nil {
			n *= h.trace.options.scale()
			err = h.trace.tooMany(n)
		}
		if err != nil && h.first != nil {
			return &Error{File: h.name, Line: h.lineFirst, Column: h.title(i), Err: err}
		}
		if err != nil {
			return h.fail(h.title(i), err)
		}
		h.counts[0] = n
		e.Function, e.when, e.Block, e.Counts = h.functions[i], at, h.block, h.counts[:]
		return nil
	}
}
