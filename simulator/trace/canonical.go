package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// canonicalMagic begins every file of the project's own format, wholescale trace v1. It is lines:
//
//	# wholescale trace v1 {"kind":"counts","period_ns":60000000000,"start":"2019-07-15T00:00:00Z","source":"azure2019"}
//	start_ns,workload,counts
//	# function {"name":"f","trigger":"http","memory_mb":58,"mean_ns":573000000,"percentiles_ns":[...]}
//	0,f,0 0 3 1
//	# block
//	86400000000000,f,2
//
// Counts are of the periods from start_ns on. Rows of requests are
// start_ns,workload,duration_ns,bytes_in,bytes_out,context_tokens,generated_tokens,class; duration_ns is empty when it is
// unknown. What is said of a function stands before its first row, and "# block" says that all rows after it are later.
const canonicalMagic = "# wholescale trace v1"

const (
	canonicalFunction = "# function "
	canonicalBlock    = "# block"
	canonicalRequests = "start_ns,workload,duration_ns,bytes_in,bytes_out,context_tokens,generated_tokens,class"
	canonicalCounts   = "start_ns,workload,counts"
)

type canonicalHeader struct {
	Kind     Kind       `json:"kind"`
	PeriodNS int64      `json:"period_ns,omitempty"`
	Start    *time.Time `json:"start,omitempty"`
	Source   string     `json:"source,omitempty"`
}

type canonicalProfile struct {
	Name        string    `json:"name"`
	App         string    `json:"app,omitempty"`
	Owner       string    `json:"owner,omitempty"`
	Trigger     string    `json:"trigger,omitempty"`
	MemoryMB    float64   `json:"memory_mb,omitempty"`
	MeanNS      *int64    `json:"mean_ns,omitempty"`
	Percentiles *[7]int64 `json:"percentiles_ns,omitempty"`
}

// canonical reads the format; it keeps the rows exactly as they were written.
type canonical struct {
	table
	trace  *Trace
	names  map[string]bool // said by a line of their own
	block  int
	counts []float64
	last   time.Duration
	rows   int
}

func newCanonical(t *Trace, s *source) (rowReader, error) {
	c := &canonical{table: table{lines: lines{source: s}}, trace: t, names: map[string]bool{}}
	line, err := c.lines.next()
	if err != nil {
		return nil, c.fail("", fmt.Errorf("reading the header: %w", err))
	}
	var h canonicalHeader
	rest, ok := bytes.CutPrefix(line, []byte(canonicalMagic))
	if !ok {
		return nil, c.failf("", "expected %s", canonicalMagic)
	}
	if err := json.Unmarshal(rest, &h); err != nil {
		return nil, c.failf("", "expected %s {\"kind\":...}: %w", canonicalMagic, err)
	}
	titles := canonicalCounts
	switch {
	case h.Kind == Requests:
		titles = canonicalRequests
	case h.Kind != Counts && h.Kind != Pods:
		return nil, c.failf("kind", "%q is not requests, counts or pods", clip([]byte(h.Kind)))
	case h.Kind == Counts && (h.PeriodNS <= 0 || h.PeriodNS > int64(mostDuration)):
		return nil, c.failf("period_ns", "%d; expected more than 0 and at most a year", h.PeriodNS)
	}
	t.kind, t.period = h.Kind, time.Duration(h.PeriodNS)
	if h.Start != nil {
		t.start = h.Start.UTC()
	}
	if line, err = c.lines.next(); err != nil || string(line) != titles {
		return nil, c.failf("", "expected %s", titles)
	}
	c.titles = strings.Split(titles, ",")
	return c, nil
}

func (c *canonical) next(row *Row) error {
	for {
		line, err := c.lines.next()
		switch {
		case errors.Is(err, io.EOF) && c.rows == 0:
			return &Error{File: c.name, Line: max(c.line, 1), Err: ErrEmpty}
		case err != nil:
			return err
		case len(line) == 0:
			continue
		case string(line) == canonicalBlock:
			c.block++
			continue
		case bytes.HasPrefix(line, []byte(canonicalFunction)):
			if err := c.function(line[len(canonicalFunction):]); err != nil {
				return err
			}
			continue
		case line[0] == '#':
			return c.failf("", "%q; expected # function, # block or a row", clip(line))
		}
		c.row = c.row[:0]
		if err := c.quoted(line); err != nil {
			return err
		}
		if err := c.full(); err != nil {
			return err
		}
		c.rows++
		return c.take(row)
	}
}

// function takes what is said of a function.
func (c *canonical) function(text []byte) error {
	var p canonicalProfile
	if err := json.Unmarshal(text, &p); err != nil {
		return c.fail("# function", err)
	}
	if p.MeanNS != nil && *p.MeanNS < 0 || p.MemoryMB < 0 {
		return c.failf("# function", "a mean or a memory below 0")
	}
	if c.names[p.Name] {
		return c.failf("# function", "%q stands twice", clip([]byte(p.Name)))
	}
	c.names[p.Name] = true
	i, err := c.trace.named([]byte(p.Name))
	if err != nil {
		return c.fail("# function", err)
	}
	f := Function{Name: p.Name, App: p.App, Owner: p.Owner, Trigger: p.Trigger, MemoryMB: p.MemoryMB}
	if p.MeanNS != nil {
		f.Durations = Durations{Known: true, Mean: time.Duration(*p.MeanNS)}
	}
	if p.Percentiles != nil && p.MeanNS != nil {
		for i, v := range p.Percentiles {
			if v < 0 || i > 0 && v < p.Percentiles[i-1] {
				return c.failf("# function", "percentiles_ns do not rise from 0")
			}
			f.Durations.Percentiles[i] = time.Duration(v)
		}
	}
	c.trace.functions[i] = f
	return nil
}

func (c *canonical) take(row *Row) error {
	at, err := c.whole(0)
	if err != nil {
		return err
	}
	*row = Row{At: time.Duration(at), Block: c.block}
	if row.Function, err = c.trace.named(c.row[1]); err != nil {
		return c.fail("workload", err)
	}
	if c.trace.kind != Requests {
		return c.takeCounts(row)
	}
	if row.At < c.last {
		return c.failf("start_ns", "%d is before the row above; expected the order of arrival", at)
	}
	c.last = row.At
	var fields [5]int64
	for i := range fields {
		if len(c.row[2+i]) == 0 {
			continue
		}
		if fields[i], err = c.whole(2 + i); err != nil {
			return err
		}
	}
	row.Duration, row.HasDuration = time.Duration(fields[0]), len(c.row[2]) > 0
	row.BytesIn, row.BytesOut = fields[1], fields[2]
	if max(fields[3], fields[4]) > mostTokens {
		return c.failf("context_tokens", "more than %d tokens", mostTokens)
	}
	row.ContextTokens, row.GeneratedTokens = int(fields[3]), int(fields[4])
	row.Class, err = c.text(7)
	return err
}

// takeCounts takes counts with a space between them.
func (c *canonical) takeCounts(row *Row) error {
	c.counts = c.counts[:0]
	for rest := c.row[2]; ; {
		field, more, found := bytes.Cut(rest, []byte(" "))
		n, err := count(field)
		if err == nil && c.trace.kind == Counts {
			err = c.trace.tooMany(n)
		}
		if err != nil {
			return c.fail("counts", err)
		}
		c.counts = append(c.counts, n)
		if !found {
			break
		}
		rest = more
	}
	if c.trace.kind == Pods && len(c.counts) != 1 {
		return c.failf("counts", "%d numbers; expected one number of pods", len(c.counts))
	}
	if time.Duration(len(c.counts)) > (100*mostDuration-row.At)/max(c.trace.period, 1) {
		return c.failf("counts", "%d periods of %s; expected them to end within a hundred years", len(c.counts), c.trace.period)
	}
	row.Counts = c.counts
	return nil
}

// whole is a field as a whole number of 0 or more.
func (c *canonical) whole(column int) (int64, error) {
	n, err := strconv.ParseInt(string(c.row[column]), 10, 64)
	if err != nil || n < 0 || n > 100*int64(mostDuration) {
		return 0, c.failf(c.titles[column], "%q is not a whole number of 0 to %d", clip(c.row[column]), 100*int64(mostDuration))
	}
	return n, nil
}

// Convert writes a trace in the project's own format and gives back how many rows it has. After an error what was written is
// of no use.
func Convert(w io.Writer, t *Trace) (rows int64, err error) {
	c := converter{to: bufio.NewWriterSize(w, bufferSize), trace: t}
	if err := t.Each(func(row *Row) error { rows++; return c.row(row) }); err != nil {
		return rows, err
	}
	return rows, c.to.Flush()
}

type converter struct {
	to    *bufio.Writer
	trace *Trace
	begun bool
	block int
	told  int // functions that were described
	line  []byte
}

func (c *converter) header() error {
	h := canonicalHeader{Kind: c.trace.kind, PeriodNS: int64(c.trace.period), Source: string(c.trace.format)}
	if !c.trace.start.IsZero() {
		h.Start = &c.trace.start
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	titles := canonicalCounts
	if c.trace.kind == Requests {
		titles = canonicalRequests
	}
	_, err = fmt.Fprintf(c.to, "%s %s\n%s\n", canonicalMagic, text, titles)
	return err
}

// describe says what is known of functions that are new. Those of which nothing is known need no line.
func (c *converter) describe() error {
	for ; c.told < len(c.trace.functions); c.told++ {
		f := c.trace.functions[c.told]
		p := canonicalProfile{Name: f.Name, App: f.App, Owner: f.Owner, Trigger: f.Trigger, MemoryMB: f.MemoryMB}
		if f.Durations.Known {
			mean := int64(f.Durations.Mean)
			p.MeanNS, p.Percentiles = &mean, &[7]int64{}
			for i, d := range f.Durations.Percentiles {
				p.Percentiles[i] = int64(d)
			}
		}
		if p == (canonicalProfile{Name: f.Name}) {
			continue
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.to, "%s%s\n", canonicalFunction, text); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) row(r *Row) error {
	if !c.begun {
		c.begun, c.block = true, r.Block
		if err := c.header(); err != nil {
			return err
		}
	}
	if r.Block != c.block {
		c.block = r.Block
		if _, err := c.to.WriteString(canonicalBlock + "\n"); err != nil {
			return err
		}
	}
	if err := c.describe(); err != nil {
		return err
	}
	b := strconv.AppendInt(c.line[:0], int64(r.At), 10)
	b = append(b, ',')
	b = appendField(b, c.trace.functions[r.Function].Name)
	b = append(b, ',')
	if c.trace.kind == Requests {
		b = appendRequest(b, r)
	} else {
		for i, n := range r.Counts {
			if i > 0 {
				b = append(b, ' ')
			}
			b = strconv.AppendFloat(b, n, 'f', -1, 64)
		}
	}
	c.line = append(b, '\n')
	_, err := c.to.Write(c.line)
	return err
}

func appendRequest(b []byte, r *Row) []byte {
	if r.HasDuration {
		b = strconv.AppendInt(b, int64(r.Duration), 10)
	}
	for _, n := range []int64{r.BytesIn, r.BytesOut, int64(r.ContextTokens), int64(r.GeneratedTokens)} {
		b = append(b, ',')
		if n != 0 {
			b = strconv.AppendInt(b, n, 10)
		}
	}
	b = append(b, ',')
	return appendField(b, r.Class)
}

// appendField quotes what needs it.
func appendField(b []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"") {
		return append(b, s...)
	}
	return append(append(append(b, '"'), strings.ReplaceAll(s, "\"", "\"\"")...), '"')
}
