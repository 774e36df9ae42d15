package trace

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Kind is what the rows of a trace are.
type Kind string

// The kinds.
const (
	Requests Kind = "requests" // one row is one request
	Counts   Kind = "counts"   // one row is how many requests one function got in some periods, one after the other
	Pods     Kind = "pods"     // one row is how many pods a workload should have from then on
)

// Row is one row of a trace. Which fields count depends on the trace's Kind.
type Row struct {
	// Function is an index into Trace.Functions.
	Function int
	// At is when the request arrived, or the first of the periods began, since Trace.Start. Rows of requests are in order of
	// At; rows of counts are in order for each function within a Block, and Blocks follow one another.
	At time.Duration
	// Duration is how long the request took to serve; it means something when HasDuration.
	Duration    time.Duration
	HasDuration bool
	// ContextTokens and GeneratedTokens are of LLM traces.
	ContextTokens, GeneratedTokens int
	// BytesIn and BytesOut are the sizes of the bodies; 0 when unknown.
	BytesIn, BytesOut int64
	// Class is what the format says beside: an HTTP status, a kind of call. It may be empty.
	Class string
	// Counts are the requests in each period from At on. They may have fractions: a rate times a period. The slice is the
	// reader's own and valid until the next call. For Kind Pods it has one number, the pods wanted.
	Counts []float64
	// Block counts up when the rows from here on are all later than those before (the next day's file): whoever orders rows
	// by time needs to keep one block.
	Block int
}

// Function is whom requests are for.
type Function struct {
	Name string
	// App, Owner and Trigger are as the format has them; they may be empty.
	App, Owner, Trigger string
	// Durations is how long its requests take; the zero value means unknown.
	Durations Durations
	// MemoryMB is its mean memory; 0 means unknown.
	MemoryMB float64
}

// Drop is what a reader left out, how often, and where first.
type Drop struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	File   string `json:"-"`
	Line   int    `json:"firstLine"`
}

// Options are how to read. The zero value recognises the format.
type Options struct {
	// Format overrides what is recognised; empty recognises.
	Format Format
	// Scale multiplies counts; 0 means 1. Alibaba's rates are normalised and need one.
	Scale float64
	// Values says what the numbers of a Prometheus export are; empty means ValuesAuto.
	Values Values
	// ReorderMost is how many requests are kept back to put them in order of arrival, in formats that are written in another
	// order; 0 means 65536. What comes later still is an error.
	ReorderMost int
	// Interrupted is asked now and then, when it is there; its error ends the reading.
	Interrupted func() error
}

func (o Options) validate() error {
	if o.Format != "" && !slices.Contains(Formats(), o.Format) {
		return fmt.Errorf("format %q: it is one of %s", o.Format, formatNames())
	}
	if o.Scale < 0 || o.Scale > 1e12 || o.Scale != o.Scale {
		return fmt.Errorf("scale %g: it is above 0", o.Scale)
	}
	if o.ReorderMost < 0 || o.ReorderMost > 1<<22 {
		return fmt.Errorf("reorderMost %d: it is 0 to %d", o.ReorderMost, 1<<22)
	}
	return o.Values.validate()
}

func (o Options) scale() float64 {
	if o.Scale == 0 {
		return 1
	}
	return o.Scale
}

func formatNames() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// mostFunctions bounds how many functions a trace may have: each is kept. The largest published has about 100,000.
const mostFunctions = 1 << 20

// mostRate bounds how many requests a second one function may get; a billion is a mistake in the file.
const mostRate = 100_000_000

// Trace is an opened trace, read once from beginning to end.
type Trace struct {
	format    Format
	kind      Kind
	period    time.Duration
	start     time.Time
	functions []Function
	byName    map[string]int
	drops     []Drop
	notes     []string
	rows      rowReader
	options   Options
	given     uint // rows
	err       error
}

// rowReader is one format. It fills row and says io.EOF after the last; it owns its files.
type rowReader interface {
	next(row *Row) error
	Close() error
}

// Format is what the trace was recognised as.
func (t *Trace) Format() Format { return t.format }

// Kind is what its rows are.
func (t *Trace) Kind() Kind { return t.kind }

// Period is the length of one period of counts; 0 for requests.
func (t *Trace) Period() time.Duration { return t.period }

// Start is the moment that rows count from; zero when the trace has no date.
func (t *Trace) Start() time.Time { return t.start }

// Functions are those met so far, in the order they were met.
func (t *Trace) Functions() []Function { return t.functions }

// Drops are what was left out so far, most first.
func (t *Trace) Drops() []Drop {
	list := slices.Clone(t.drops)
	slices.SortFunc(list, func(a, b Drop) int {
		if a.Count != b.Count {
			return int(min(max(b.Count-a.Count, -1), 1))
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return list
}

// Notes are what the reader assumed, in plain words.
func (t *Trace) Notes() []string { return t.notes }

// Next fills row with the next row. It is io.EOF after the last, and an *Error with a place when something cannot be read;
// after an error it keeps saying the same.
func (t *Trace) Next(row *Row) error {
	if t.err != nil {
		return t.err
	}
	const often = 256 // rows: a row of counts may be a day of a function
	if t.given++; t.options.Interrupted != nil && t.given%often == 0 {
		if err := t.options.Interrupted(); err != nil {
			t.err = fmt.Errorf("reading the trace: %w", err)
			return t.err
		}
	}
	if err := t.rows.next(row); err != nil {
		t.err = err
		return err
	}
	return nil
}

// Close closes the files.
func (t *Trace) Close() error {
	if t.err == nil {
		t.err = errors.New("the trace is closed")
	}
	return t.rows.Close()
}

// function is the index of a name; it is made when it is new.
func (t *Trace) function(name string) (int, error) {
	if i, ok := t.byName[name]; ok {
		return i, nil
	}
	if len(t.functions) == mostFunctions {
		return 0, fmt.Errorf("more than %d functions", mostFunctions)
	}
	t.byName[name] = len(t.functions)
	t.functions = append(t.functions, Function{Name: name})
	return len(t.functions) - 1, nil
}

// named is function for bytes, without an allocation when it is known.
func (t *Trace) named(name []byte) (int, error) {
	if i, ok := t.byName[string(name)]; ok {
		return i, nil
	}
	if err := checkName(name); err != nil {
		return 0, err
	}
	return t.function(string(name))
}

// drop counts a row that is left out.
func (t *Trace) drop(l *lines, reason string) {
	for i := range t.drops {
		if t.drops[i].Reason == reason {
			t.drops[i].Count++
			return
		}
	}
	t.drops = append(t.drops, Drop{Reason: reason, Count: 1, File: l.name, Line: l.line})
}

// note says something once.
func (t *Trace) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(t.notes, s) {
		t.notes = append(t.notes, s)
	}
}

// steps sets the length of a period, once.
func (t *Trace) steps(period time.Duration) error {
	switch {
	case period <= 0 || period > mostDuration:
		return fmt.Errorf("a step of %s; expected more than 0 and at most a year", period)
	case t.period != 0 && t.period != period:
		return fmt.Errorf("a step of %s, but %s before; expected one step in a trace", period, t.period)
	}
	t.period = period
	return nil
}

// tooMany says when a count is beyond mostRate.
func (t *Trace) tooMany(n float64) error {
	if most := mostRate * t.period.Seconds(); n > most {
		return fmt.Errorf("%g requests in %s; expected at most %g (%d a second)", n, t.period, most, mostRate)
	}
	return nil
}

// Each calls f for every row; it stops at f's first error, and gives back that or the reader's.
func (t *Trace) Each(f func(*Row) error) error {
	var row Row
	for {
		switch err := t.Next(&row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := f(&row); err != nil {
			return err
		}
	}
}
