package trace

import (
	"net/url"
	"strings"
)

// har reads log.entries of an HTTP archive. The time that a request was waited for is how long it kept a pod busy.
type har struct {
	*objects
	trace *Trace
}

func openHAR(t *Trace, s *source) (raw, error) {
	h := &har{objects: newObjects(s), trace: t}
	return h, h.enter([]string{"log", "entries"}, func(string) (bool, error) { return false, nil })
}

type harEntry struct {
	Started string   `json:"startedDateTime"`
	Time    *float64 `json:"time"`
	Request struct {
		URL      string  `json:"url"`
		BodySize float64 `json:"bodySize"`
	} `json:"request"`
	Response struct {
		Status   float64 `json:"status"`
		BodySize float64 `json:"bodySize"`
	} `json:"response"`
	Timings struct {
		Wait *float64 `json:"wait"`
	} `json:"timings"`
}

func (h *har) event(e *event) error {
	for {
		if !h.json.More() {
			return h.leave(2)
		}
		var entry harEntry
		if err := h.json.Decode(&entry); err != nil {
			return h.fail("log.entries", err)
		}
		took := entry.Timings.Wait
		if took == nil || *took < 0 {
			took = entry.Time
		}
		if took == nil || *took < 0 {
			h.trace.drop(&lines{source: h.source, line: h.line()}, "no duration (timings.wait and time)")
			continue
		}
		var err error
		e.column = "startedDateTime"
		if e.when, err = moment([]byte(entry.Started)); err != nil {
			return h.fail("startedDateTime", err)
		}
		if e.Duration, err = seconds(*took / 1e3); err != nil {
			return h.fail("timings.wait", err)
		}
		e.HasDuration = true
		e.BytesIn, e.BytesOut = size(entry.Request.BodySize), size(entry.Response.BodySize)
		e.Class = statusClass(int(entry.Response.Status))
		host := "requests"
		if u, err := url.Parse(entry.Request.URL); err == nil && u.Hostname() != "" {
			host = u.Hostname()
		}
		if e.Function, err = h.trace.named([]byte(strings.ToLower(host))); err != nil {
			return h.fail("request.url", err)
		}
		return nil
	}
}

// size is a number of bytes where it is one: -1 and nonsense are unknown.
func size(f float64) int64 {
	if f > 0 && f < 1e15 {
		return int64(f)
	}
	return 0
}

// statusClass is an HTTP status as 2xx; empty when it is none.
func statusClass(status int) string {
	if status < 100 || status > 599 {
		return ""
	}
	return string(rune('0'+status/100)) + "xx"
}
