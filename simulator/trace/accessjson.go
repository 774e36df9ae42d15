package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// accessJSON reads access logs of one JSON object a line: nginx with a log_format of the usual names, Caddy, Traefik and
// Envoy. A function is the host asked for.
type accessJSON struct {
	lines
	trace *Trace
}

func openAccessJSON(t *Trace, s *source) (raw, error) {
	return &accessJSON{lines: lines{source: s}, trace: t}, nil
}

// logged are the keys that are looked at. Keys are matched in any case, so that Duration is Caddy's, Traefik's and Envoy's,
// in units of their own.
type logged struct {
	// nginx
	Msec        scalar `json:"msec"`
	TimeISO     scalar `json:"time_iso8601"`
	TimeLocal   scalar `json:"time_local"`
	Timestamp   scalar `json:"@timestamp"`
	RequestTime scalar `json:"request_time"`
	Sent        scalar `json:"body_bytes_sent"`
	Received    scalar `json:"request_length"`
	HTTPHost    scalar `json:"http_host"`
	ServerName  scalar `json:"server_name"`
	// Caddy
	TS   scalar `json:"ts"`
	Size scalar `json:"size"`
	// Traefik
	StartUTC    scalar `json:"StartUTC"`
	RequestHost scalar `json:"RequestHost"`
	ServiceName scalar `json:"ServiceName"`
	Downstream  scalar `json:"DownstreamStatus"`
	// Envoy
	StartTime    scalar `json:"start_time"`
	ResponseCode scalar `json:"response_code"`
	Authority    scalar `json:"authority"`
	Cluster      scalar `json:"upstream_cluster"`
	BytesSent    scalar `json:"bytes_sent"`
	BytesGot     scalar `json:"bytes_received"`
	// several
	Host     scalar          `json:"host"`
	Status   scalar          `json:"status"`
	Duration scalar          `json:"duration"`
	Request  json.RawMessage `json:"request"`
}

// scalar is a string or a number, as text; empty when it is neither.
type scalar string

func (s *scalar) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*s = scalar(text)
		return nil
	}
	if len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') {
		*s = scalar(b)
	}
	return nil
}

func (a *accessJSON) event(e *event) error {
	for {
		line, err := a.next()
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var v logged
		if err := json.Unmarshal(line, &v); err != nil {
			var place *json.SyntaxError
			if errors.As(err, &place) {
				return a.failf(fmt.Sprintf("byte %d", place.Offset), "expected one JSON object a line, of an access log: %w", err)
			}
			return a.failf("", "expected one JSON object a line, of an access log: %w", err)
		}
		if keep, err := a.take(&v, e); keep || err != nil {
			return err
		}
	}
}

// dialect is what a server calls its moment and its duration.
type dialect struct {
	title, tookTitle string
	at, took         scalar
	unit             float64
	end              bool // the moment is when the request ended
}

func (v *logged) dialect() dialect {
	switch {
	case v.StartUTC != "":
		return dialect{"StartUTC", "Duration", v.StartUTC, v.Duration, 1e-9, false}
	case v.StartTime != "":
		return dialect{"start_time", "duration", v.StartTime, v.Duration, 1e-3, false}
	case v.TS != "":
		return dialect{"ts", "duration", v.TS, v.Duration, 1, true}
	case v.Msec != "":
		return dialect{"msec", "request_time", v.Msec, v.RequestTime, 1, true}
	case v.TimeISO != "":
		return dialect{"time_iso8601", "request_time", v.TimeISO, v.RequestTime, 1, true}
	case v.Timestamp != "":
		return dialect{"@timestamp", "request_time", v.Timestamp, v.RequestTime, 1, true}
	}
	return dialect{"time_local", "request_time", v.TimeLocal, v.RequestTime, 1, true}
}

func (a *accessJSON) take(v *logged, e *event) (bool, error) {
	d := v.dialect()
	if d.at == "" {
		return false, a.failf("time", "there is no time; expected msec, time_iso8601, time_local, @timestamp (nginx), ts (Caddy), StartUTC (Traefik) or start_time (Envoy)")
	}
	var err error
	e.column = d.title
	if e.when, err = moment([]byte(d.at)); err != nil {
		return false, a.fail(d.title, err)
	}
	if d.took == "" || d.took == "-" {
		a.trace.drop(&a.lines, "no duration ("+d.tookTitle+")")
		return false, nil
	}
	took, err := number([]byte(d.took), 0)
	if err != nil {
		return false, a.fail(d.tookTitle, err)
	}
	if e.Duration, err = seconds(took * d.unit); err != nil {
		return false, a.fail(d.tookTitle, err)
	}
	e.HasDuration = true
	if d.end {
		e.when -= int64(e.Duration)
	}
	status, _ := strconv.Atoi(string(first(v.Status, v.Downstream, v.ResponseCode))) // none is unknown
	e.Class = statusClass(status)
	e.BytesIn, e.BytesOut = first(v.Received, v.BytesGot).size(), first(v.Sent, v.Size, v.BytesSent).size()
	if e.Function, err = a.trace.named([]byte(v.host())); err != nil {
		return false, a.fail("host", err)
	}
	return true, nil
}

func (s scalar) size() int64 {
	n, err := number([]byte(s), 0)
	if err != nil {
		return 0
	}
	return size(n)
}

// first is the first that is there.
func first(list ...scalar) scalar {
	for _, s := range list {
		if s != "" && s != "-" {
			return s
		}
	}
	return ""
}

// host is the host asked for, without a port; else who answered.
func (v *logged) host() string {
	host := first(v.Host, v.RequestHost, v.Authority, v.HTTPHost)
	if len(v.Request) > 0 && v.Request[0] == '{' { // Caddy's
		var request struct {
			Host scalar `json:"host"`
		}
		if err := json.Unmarshal(v.Request, &request); err == nil {
			host = first(request.Host, host)
		}
	}
	name := string(first(host, v.ServerName, v.Cluster, v.ServiceName, "requests"))
	if i := strings.LastIndexByte(name, ':'); i > 0 && digits(name[i+1:]) == name[i+1:] && !strings.Contains(name[:i], ":") {
		name = name[:i]
	}
	return strings.ToLower(name)
}
