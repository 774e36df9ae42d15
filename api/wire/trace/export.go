package trace

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// waiting bounds the spans that wait to be sent; what is beyond is dropped and counted.
	waiting = 2048
	// batch is the most spans in one message, and every how long one waits for more.
	batch = 512
	every = 2 * time.Second
	// patience bounds one message, and parting what is sent at the end.
	patience = 5 * time.Second
	parting  = 2 * time.Second
)

// Exporter sends spans to a collector. A nil one takes none. Send is safe for several goroutines; Run is called once.
type Exporter struct {
	endpoint, service string
	spans             chan Span
	dropped           atomic.Uint64
	client            http.Client
}

// NewExporter makes one for a collector's OTLP/HTTP endpoint, such as http://127.0.0.1:4318; service is what the spans are
// of. Without an endpoint it is nil.
func NewExporter(endpoint, service string) (*Exporter, error) {
	if endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("the OTLP endpoint %q must be a URL such as http://127.0.0.1:4318", endpoint)
	}
	if !strings.HasSuffix(u.Path, "/v1/traces") {
		u = u.JoinPath("v1/traces")
	}
	return &Exporter{
		endpoint: u.String(), service: service, spans: make(chan Span, waiting),
		client: http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Send takes a span; it never waits.
func (e *Exporter) Send(s Span) {
	if e == nil || !s.Valid() {
		return
	}
	select {
	case e.spans <- s:
	default:
		e.dropped.Add(1)
	}
}

// Dropped is how many spans were not sent: there were too many, or the collector did not take them.
func (e *Exporter) Dropped() uint64 {
	if e == nil {
		return 0
	}
	return e.dropped.Load()
}

// Run sends until ctx ends, and then what is left. complain is told of each message that the collector did not take.
func (e *Exporter) Run(ctx context.Context, complain func(error)) {
	if e == nil {
		return
	}
	defer e.client.CloseIdleConnections()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var list []Span
	flush := func(ctx context.Context) {
		if len(list) == 0 {
			return
		}
		if err := e.post(ctx, list); err != nil {
			e.dropped.Add(uint64(len(list)))
			complain(err)
		}
		list = list[:0]
	}
	for {
		select {
		case s := <-e.spans:
			if list = append(list, s); len(list) == batch {
				flush(ctx)
			}
		case <-tick.C:
			flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
			defer cancel()
			for len(e.spans) > 0 {
				list = append(list, <-e.spans)
			}
			flush(last)
			return
		}
	}
}

func (e *Exporter) post(ctx context.Context, list []Span) error {
	body, err := Encode(e.service, list)
	if err != nil {
		return fmt.Errorf("writing spans: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sending spans to %s: %w", e.endpoint, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.client.Do(request)
	if err != nil {
		return fmt.Errorf("sending spans (does a collector listen there?): %w", err)
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	if response.StatusCode/100 != 2 {
		return errors.Join(fmt.Errorf("sending spans to %s: the collector answered %s", e.endpoint, response.Status), err)
	}
	return nil
}

type attribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

type wireSpan struct {
	TraceID    string         `json:"traceId"`
	SpanID     string         `json:"spanId"`
	Parent     string         `json:"parentSpanId,omitempty"`
	Name       string         `json:"name"`
	Kind       int            `json:"kind"`
	From       string         `json:"startTimeUnixNano"`
	To         string         `json:"endTimeUnixNano"`
	Attributes []attribute    `json:"attributes,omitempty"`
	Status     map[string]any `json:"status,omitempty"`
}

// Encode is a message of OTLP as JSON (opentelemetry.io/docs/specs/otlp): ids are hex, times and whole numbers are strings.
func Encode(service string, list []Span) ([]byte, error) {
	const internal, failed = 1, 2
	spans := make([]wireSpan, 0, len(list))
	for _, s := range list {
		w := wireSpan{
			TraceID: hex.EncodeToString(s.Trace[:]), SpanID: hex.EncodeToString(s.Span[:]), Name: s.Name, Kind: internal,
			From: strconv.FormatInt(s.From.UnixNano(), 10), To: strconv.FormatInt(max(s.From.UnixNano(), s.To.UnixNano()), 10),
		}
		if s.Parent != [8]byte{} {
			w.Parent = hex.EncodeToString(s.Parent[:])
		}
		for _, key := range slices.Sorted(maps.Keys(s.Words)) {
			w.Attributes = append(w.Attributes, attribute{key, map[string]any{"stringValue": s.Words[key]}})
		}
		for _, key := range slices.Sorted(maps.Keys(s.Numbers)) {
			w.Attributes = append(w.Attributes, attribute{key, map[string]any{"intValue": strconv.Itoa(s.Numbers[key])}})
		}
		if s.Failed != "" {
			w.Status = map[string]any{"code": failed, "message": s.Failed}
		}
		spans = append(spans, w)
	}
	return json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource":   map[string]any{"attributes": []attribute{{"service.name", map[string]any{"stringValue": service}}}},
		"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "wholescale"}, "spans": spans}},
	}}})
}
