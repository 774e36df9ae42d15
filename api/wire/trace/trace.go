// Package trace tells how one held request came to its node: spans of one trace, made in the gateway and in the controller
// and sent to an OpenTelemetry collector (OTLP over HTTP, JSON). It is small on purpose: OpenTelemetry's own library brings
// a dozen modules into the process that faces the users' traffic, for six kinds of span.
package trace

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// Context names a span within its trace. The zero value is none.
type Context struct {
	Trace [16]byte
	Span  [8]byte
}

// Valid says that it names one.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Span != [8]byte{} }

// New begins a trace.
func New() Context {
	var c Context
	_, _ = rand.Read(c.Trace[:]) // never fails (crypto/rand)
	return c.Child()
}

// Child is another span of the same trace.
func (c Context) Child() Context {
	_, _ = rand.Read(c.Span[:]) // never fails (crypto/rand)
	return c
}

// Header is the context as W3C's traceparent, sampled.
func (c Context) Header() string {
	return "00-" + hex.EncodeToString(c.Trace[:]) + "-" + hex.EncodeToString(c.Span[:]) + "-01"
}

// Parse reads a traceparent. What is not one, or not sampled, is none: nobody waits for our spans of it.
func Parse(header string) (Context, bool) {
	var c Context
	parts := strings.Split(header, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 ||
		strings.ToLower(header) != header {
		return c, false
	}
	flags, err := hex.DecodeString(parts[3])
	if err != nil || flags[0]&1 == 0 {
		return c, false
	}
	if _, err := hex.Decode(c.Trace[:], []byte(parts[1])); err != nil {
		return Context{}, false
	}
	if _, err := hex.Decode(c.Span[:], []byte(parts[2])); err != nil {
		return Context{}, false
	}
	return c, c.Valid()
}

// Span is something that took from one time to another.
type Span struct {
	Name string
	Context
	// Parent is the span that caused it, in the same trace; zero for the first.
	Parent   [8]byte
	From, To time.Time
	// Words and Numbers are its attributes, by OpenTelemetry's names where there are such.
	Words   map[string]string
	Numbers map[string]int
	// Failed, when not empty, is why it failed.
	Failed string
}
