package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Cell is how many requests a function got in a period.
type Cell struct {
	Function int
	Count    int64
	// phase is how much later than the period the count's own begins, in rows whose times are no multiples of it.
	phase time.Duration
}

// Periods gives counts in order of time, whatever order the trace has them in: for each period with any request the
// functions that had some. It keeps one Block of the trace packed, a few bytes for each count that is not 0.
type Periods struct {
	trace *Trace
	ahead *Row // the first row of the next block; nil at the end
	began bool

	period time.Duration
	base   int64   // period that heads begins at
	heads  []int32 // by period, the first run that has something there; -1 is none
	at     int     // of heads
	runs   []packedRun
	carry  []float64 // by function, what is less than one request so far
	cells  []Cell
}

// packedRun is the counts of one row from here on: pairs of a step of periods and a count, as varints.
type packedRun struct {
	function int32
	after    int32 // the next run in the same period; -1 is none
	phase    time.Duration
	now      int64 // the period of its next count
	count    int64
	rest     []byte
}

// mostSpan bounds how many periods a block may span: 16 million minutes are 31 years.
const mostSpan = 1 << 24

// Periods reads counts in order of time. The trace must be of Kind Counts and not have been read from yet.
func (t *Trace) Periods() *Periods { return &Periods{trace: t, period: t.period} }

// Next is the next period in which any function was asked: its begin and who was asked, by index of function. Counts with
// fractions are made whole by carrying the rest on, function by function. The list is valid until the next call.
func (p *Periods) Next() (time.Duration, []Cell, error) {
	if p.trace.kind != Counts {
		return 0, nil, fmt.Errorf("the trace has %s and no counts", p.trace.kind)
	}
	for {
		for ; p.at < len(p.heads); p.at++ {
			if p.heads[p.at] < 0 {
				continue
			}
			p.collect()
			begin := time.Duration(p.base+int64(p.at)) * p.period
			p.at++
			return begin, p.cells, nil
		}
		if err := p.load(); err != nil {
			return 0, nil, err
		}
	}
}

// collect takes the cells of the period at hand, and moves their runs on.
func (p *Periods) collect() {
	p.cells = p.cells[:0]
	for i := p.heads[p.at]; i >= 0; {
		run := &p.runs[i]
		after := run.after
		p.cells = append(p.cells, Cell{int(run.function), run.count, run.phase})
		if run.advance() {
			p.hang(i)
		}
		i = after
	}
	slices.SortStableFunc(p.cells, func(a, b Cell) int { return a.Function - b.Function })
}

// advance goes to the next count of a run; false at its end.
func (r *packedRun) advance() bool {
	if len(r.rest) == 0 {
		return false
	}
	step, n := binary.Uvarint(r.rest)
	count, m := binary.Uvarint(r.rest[n:])
	r.now, r.count, r.rest = r.now+int64(step), int64(count), r.rest[n+m:]
	return true
}

// hang puts a run in the list of the period of its next count.
func (p *Periods) hang(i int32) {
	at := p.runs[i].now - p.base
	p.runs[i].after = p.heads[at]
	p.heads[at] = i
}

// load packs the next block.
func (p *Periods) load() error {
	if !p.began {
		p.began = true
		if err := p.pull(); err != nil {
			return err
		}
	}
	if p.ahead == nil {
		return io.EOF
	}
	done := p.base + int64(len(p.heads))
	p.runs = p.runs[:0]
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for block := p.ahead.Block; p.ahead != nil && p.ahead.Block == block; {
		first, last, any := p.pack(p.ahead)
		if any {
			low, high = min(low, first), max(high, last)
		}
		if err := p.pull(); err != nil {
			return err
		}
	}
	p.heads, p.at = p.heads[:0], 0
	if len(p.runs) == 0 {
		p.base = done
		return nil
	}
	if low < done && done > 0 {
		return fmt.Errorf("a block of rows begins at %s, before the end of the one before", time.Duration(low)*p.period)
	}
	if high-low >= mostSpan {
		return fmt.Errorf("the rows of a block span %d periods of %s; expected at most %d", high-low+1, p.period, mostSpan)
	}
	p.base = low
	for range high - low + 1 {
		p.heads = append(p.heads, -1)
	}
	for i := len(p.runs) - 1; i >= 0; i-- {
		p.hang(int32(i))
	}
	return nil
}

// pull reads a row ahead.
func (p *Periods) pull() error {
	var row Row
	switch err := p.trace.Next(&row); {
	case errors.Is(err, io.EOF):
		p.ahead = nil
		return nil
	case err != nil:
		return err
	}
	p.ahead = &row // its Counts stay valid: the next row is read only when it was packed
	return nil
}

// pack keeps the counts of a row; any is whether there were some, from period first to last.
func (p *Periods) pack(row *Row) (first, last int64, any bool) {
	for len(p.carry) <= row.Function {
		p.carry = append(p.carry, 0)
	}
	carry := p.carry[row.Function]
	begin := int64(row.At / p.period)
	run := packedRun{function: int32(row.Function), phase: row.At % p.period}
	for i, n := range row.Counts {
		if n == 0 {
			continue
		}
		whole := math.Floor(n + carry + 1e-9) // the sum of tenths is a little less than one
		carry = max(0, n+carry-whole)
		if whole == 0 {
			continue
		}
		now := begin + int64(i)
		if !any {
			first, any = now, true
			run.now, run.count = now, int64(whole)
		} else {
			run.rest = binary.AppendUvarint(binary.AppendUvarint(run.rest, uint64(now-last)), uint64(whole))
		}
		last = now
	}
	p.carry[row.Function] = carry
	if any {
		run.rest = slices.Clip(run.rest)
		p.runs = append(p.runs, run)
	}
	return first, last, any
}
