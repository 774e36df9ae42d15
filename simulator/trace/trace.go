// Package trace reads recorded traffic, in the formats that Formats lists. Readers stream in constant memory, say which line
// and column they cannot read, and lose nothing silently: see Trace.Drops.
//
// A trace is of one Kind. Requests come one by one, with a duration or what one can be made of. Counts say how many requests
// a function got in each period. Trace.Next gives the rows as the files have them; Trace.Arrivals makes single requests of
// either, in order of time; Trace.Periods gives counts in order of time:
//
//	t, err := trace.Open("azurefunctions-dataset2019", trace.Options{}) // a file or a folder
//	a, err := t.Arrivals(trace.ArrivalOptions{Seed: 7})
//	var r trace.Request
//	for err = a.Next(&r); err == nil; err = a.Next(&r) { ... t.Functions()[r.Function] ... }
//	// io.EOF at the end
//
// Convert writes any trace in the project's own format; Sample, Synthesize, Fit and Describe are what wholescale trace does.
package trace

import (
	"errors"
	"fmt"
	"time"
)

// Request is one request of a trace.
type Request struct {
	// At is when it arrived: since the trace's first request, or, of counts, since the first period began.
	At time.Duration
	// Workload is whom it was for; empty when the trace has one alone.
	Workload string
	// Function is the same as an index into Trace.Functions.
	Function int
	// Service is how long it kept a pod busy.
	Service time.Duration
}

// Error is a place in a file that cannot be read.
type Error struct {
	File   string
	Line   int    // from 1
	Column string // its name; empty when the whole line is meant
	Err    error
}

func (e *Error) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d: column %s: %v", e.File, e.Line, e.Column, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrEmpty is a trace without a request.
var ErrEmpty = errors.New("there is no request in it")

// Slice is the requests that arrived within length of from, with times counted from from.
func Slice(all []Request, from, length time.Duration) []Request {
	var cut []Request
	for _, r := range all {
		if r.At >= from && r.At < from+length {
			r.At -= from
			cut = append(cut, r)
		}
	}
	return cut
}
