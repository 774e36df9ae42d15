package trace

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// accessLog reads lines in the common or combined format, with the service time behind them where the server was told to
// write it: with a point it is seconds (nginx's $request_time), without one microseconds (Apache's %D). The line is
// written when the request ends.
type accessLog struct {
	lines
	trace *Trace
	noted bool
	// A second's moment, which many lines share.
	stamp []byte
	when  int64
}

func openAccessLog(t *Trace, s *source) (raw, error) {
	return &accessLog{lines: lines{source: s}, trace: t}, nil
}

const combined = `expected host ident user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326 "referer" "agent"`

func (a *accessLog) event(e *event) error {
	for {
		line, err := a.next()
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return a.parse(line, e)
		}
	}
}

func (a *accessLog) parse(line []byte, e *event) error {
	who, rest, ok := bytes.Cut(line, []byte(" ["))
	stamp, rest, ok2 := bytes.Cut(rest, []byte("] \""))
	if !ok || !ok2 {
		return a.failf("time", "there is no [time] \"request\"; %s", combined)
	}
	if err := a.moment(stamp); err != nil {
		return err
	}
	e.when, e.column = a.when, "time"
	rest, err := afterQuote(rest)
	if err != nil {
		return a.fail("request", err)
	}
	fields := bytes.Fields(rest)
	if len(fields) < 2 {
		return a.failf("status", "status and size are missing; %s", combined)
	}
	status, err := strconv.Atoi(string(fields[0]))
	if err != nil || status < 100 || status > 599 {
		return a.failf("status", "%q is no HTTP status; %s", clip(fields[0]), combined)
	}
	e.Class = statusClass(status)
	if string(fields[1]) != "-" {
		n, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil || n < 0 {
			return a.failf("bytes", "%q is no number of bytes; %s", clip(fields[1]), combined)
		}
		e.BytesOut = n
	}
	// Apache's vhost_combined has the host asked for and its port before the rest.
	name := []byte("requests")
	if fields := bytes.Fields(who); len(fields) == 4 {
		name, _, _ = bytes.Cut(bytes.ToLower(fields[0]), []byte(":"))
	}
	if e.Function, err = a.trace.named(name); err != nil {
		return a.fail("host", err)
	}
	if err := a.took(line, e); err != nil {
		return err
	}
	if !e.HasDuration && !a.noted {
		a.noted = true
		a.trace.note("there is no duration behind the lines (nginx's $request_time, Apache's %%D): how long requests took is unknown")
	}
	return nil
}

// took takes the number at the end of the line, when there is one behind the agent.
func (a *accessLog) took(line []byte, e *event) error {
	end := bytes.LastIndexByte(line, '"')
	fields := bytes.Fields(line[end+1:])
	if i := bytes.IndexByte(line, '"'); bytes.Count(line[i+1:end], []byte{'"'}) == 0 && len(fields) > 0 {
		fields = fields[min(2, len(fields)):] // common: what follows the request is status and size
	}
	if len(fields) == 0 {
		return nil
	}
	last := fields[len(fields)-1]
	v, err := number(last, 0)
	if err != nil {
		return nil // another field of the server's own; the duration stays unknown
	}
	unit := 1.0
	if bytes.IndexByte(last, '.') < 0 {
		unit = 1e-6
	}
	if e.Duration, err = seconds(v * unit); err != nil {
		return a.fail("request time", err)
	}
	e.HasDuration = true
	e.when -= int64(e.Duration)
	return nil
}

func (a *accessLog) moment(stamp []byte) error {
	if bytes.Equal(stamp, a.stamp) {
		return nil
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(stamp))
	if err != nil || at.UTC().Year() < yearFirst || at.UTC().Year() > yearLast {
		return a.failf("time", "%q is not a time such as 10/Oct/2000:13:55:36 -0700", clip(stamp))
	}
	a.stamp, a.when = append(a.stamp[:0], stamp...), at.UnixNano()
	return nil
}

// afterQuote is what follows a quoted text, of which the first quote is gone. A quote within is written \".
func afterQuote(b []byte) ([]byte, error) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[i+1:], nil
		}
	}
	return nil, fmt.Errorf("its quote is not closed; %s", combined)
}

// alb reads logs of AWS application load balancers. A function is a domain name, else a target group.
type alb struct {
	lines
	trace  *Trace
	fields [][]byte
}

func openALB(t *Trace, s *source) (raw, error) {
	return &alb{lines: lines{source: s}, trace: t}, nil
}

// The fields, from 0, as AWS documents them for access log entries.
const (
	albTime, albWaited, albTook, albAnswered, albStatus, albReceived, albSent = 1, 5, 6, 7, 8, 10, 11
	albGroup, albDomain, albCreated                                           = 16, 18, 21
)

func (a *alb) event(e *event) error {
	for {
		line, err := a.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		if err := a.split(line); err != nil {
			return err
		}
		if len(a.fields) <= albSent {
			return a.failf("", "%d fields; expected those of an application load balancer's log, 12 at least", len(a.fields))
		}
		if keep, err := a.parse(e); keep || err != nil {
			return err
		}
	}
}

// split takes a line apart at spaces outside quotes.
func (a *alb) split(line []byte) error {
	a.fields = a.fields[:0]
	for len(line) > 0 {
		if line[0] != '"' {
			field, rest, _ := bytes.Cut(line, []byte(" "))
			a.fields, line = append(a.fields, field), rest
			continue
		}
		rest, err := afterQuote(line[1:])
		if err != nil {
			return a.failf(strconv.Itoa(len(a.fields)+1), "a quote is not closed")
		}
		a.fields = append(a.fields, line[1:len(line)-len(rest)-1])
		line = bytes.TrimPrefix(rest, []byte(" "))
	}
	return nil
}

func (a *alb) parse(e *event) (bool, error) {
	end, err := moment(a.fields[albTime])
	if err != nil {
		return false, a.fail("time", err)
	}
	var spans [3]float64
	for i, f := range []int{albWaited, albTook, albAnswered} {
		if spans[i], err = number(a.fields[f], -1); err != nil {
			return false, a.fail([]string{"request_processing_time", "target_processing_time", "response_processing_time"}[i], err)
		}
		if spans[i] < 0 {
			a.trace.drop(&a.lines, "no duration: the load balancer could not hand the request on (-1)")
			return false, nil
		}
	}
	if e.Duration, err = seconds(spans[1]); err != nil {
		return false, a.fail("target_processing_time", err)
	}
	whole, err := seconds(spans[0] + spans[1] + spans[2])
	if err != nil {
		return false, a.fail("request_processing_time", err)
	}
	e.HasDuration, e.when, e.column = true, end-int64(whole), "time"
	if len(a.fields) > albCreated {
		if at, err := moment(a.fields[albCreated]); err == nil {
			e.when = at
		}
	}
	status, _ := strconv.Atoi(string(a.fields[albStatus])) // "-" is none
	e.Class = statusClass(status)
	got, err := number(a.fields[albReceived], 0)
	if err != nil {
		return false, a.fail("received_bytes", err)
	}
	sent, err := number(a.fields[albSent], 0)
	if err != nil {
		return false, a.fail("sent_bytes", err)
	}
	e.BytesIn, e.BytesOut = size(got), size(sent)
	name := []byte("requests")
	for _, f := range []int{albGroup, albDomain} {
		if len(a.fields) > f && len(a.fields[f]) > 0 && string(a.fields[f]) != "-" {
			name = a.fields[f]
		}
	}
	if e.Function, err = a.trace.named(name); err != nil {
		return false, a.fail("domain_name", err)
	}
	return true, nil
}
