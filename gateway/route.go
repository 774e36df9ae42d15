package gateway

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/api/wire"
)

// route is the settings of one workload, never changed once made.
type route struct {
	holdTimeout     time.Duration // above zero
	waitingPage     time.Duration // of a hold, after which a browser gets one; zero means never
	responseTimeout time.Duration // zero means none
	queueLimit      int           // above zero
	probePath       string        // empty means that a TCP connection is enough
	h2c             bool
}

// table finds the workload of a request: the exact host first, then the longest "*." suffix (which stands for one or
// more labels); in a host the longest path prefix, by whole segments. It is never changed once made.
type table struct {
	exact, wildcard map[string][]entry
}

type entry struct {
	prefix   []string // path segments, decoded; empty means all paths
	workload *workload
	route    *route
}

// newTable takes routes in the order of the wire (sorted by workload): of two with the same host and prefix the first wins.
func newTable(routes []*wire.Route, target func(*wire.Route) (*workload, *route)) *table {
	t := &table{exact: map[string][]entry{}, wildcard: map[string][]entry{}}
	for _, r := range routes {
		w, settings := target(r)
		prefixes := r.GetPathPrefixes()
		if len(prefixes) == 0 {
			prefixes = []string{"/"}
		}
		for _, host := range r.GetHosts() {
			into, name := t.exact, canonicalHost(host)
			if suffix, ok := strings.CutPrefix(name, "*."); ok {
				into, name = t.wildcard, suffix
			}
			if name == "" {
				continue
			}
			for _, p := range prefixes {
				into[name] = append(into[name], entry{prefix: segments(p, false), workload: w, route: settings})
			}
		}
	}
	for _, of := range []map[string][]entry{t.exact, t.wildcard} {
		for _, entries := range of {
			slices.SortStableFunc(entries, func(a, b entry) int { return len(b.prefix) - len(a.prefix) })
		}
	}
	return t
}

// find returns nil when no route fits.
func (t *table) find(host string, u *url.URL) *entry {
	host = canonicalHost(host)
	if e := match(t.exact[host], u); e != nil {
		return e
	}
	for len(t.wildcard) > 0 {
		_, rest, more := strings.Cut(host, ".")
		if !more {
			return nil
		}
		if e := match(t.wildcard[rest], u); e != nil {
			return e
		}
		host = rest
	}
	return nil
}

func match(entries []entry, u *url.URL) *entry {
	var path []string
	for i := range entries {
		prefix := entries[i].prefix
		if len(prefix) == 0 { // the usual case costs no splitting of the path
			return &entries[i]
		}
		if path == nil {
			path = requestSegments(u)
		}
		if len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix) {
			return &entries[i]
		}
	}
	return nil
}

// requestSegments splits before decoding, so that an encoded slash is no segment boundary, and resolves dot segments as
// a pod would, so that /a/../b is routed as /b. The path that is forwarded stays as it came.
func requestSegments(u *url.URL) []string {
	if u.RawPath != "" {
		return segments(u.RawPath, true)
	}
	return segments(u.Path, false)
}

func segments(path string, encoded bool) []string {
	out := make([]string, 0, 8)
	for s := range strings.SplitSeq(path, "/") {
		if encoded {
			if plain, err := url.PathUnescape(s); err == nil {
				s = plain
			}
		}
		switch s {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, s)
		}
	}
	return out
}

// canonicalHost is lower case, without port and without the root's dot. An IPv6 literal keeps its brackets.
func canonicalHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if strings.HasPrefix(host, "[") || strings.IndexByte(host, ':') == i {
			host = host[:i]
		}
	}
	host = strings.TrimSuffix(host, ".")
	for i := 0; i < len(host); i++ {
		if c := host[i]; 'A' <= c && c <= 'Z' {
			return strings.ToLower(host)
		}
	}
	return host
}
