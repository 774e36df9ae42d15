package gateway

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// wantsPage says that the request comes from a browser that shows a page to a person, and that its route has a page for one.
func (x *exchange) wantsPage() bool {
	r := x.in
	return x.route.waitingPage > 0 && r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" && acceptsHTML(r.Header.Get("Accept"))
}

// acceptsHTML says that text/html is named: "*/*" is what programs send.
func acceptsHTML(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(kind), "text/html") {
			return true
		}
	}
	return false
}

// The page asks again after this long. It is held again then, so that the pod that comes answers it at once.
const (
	soonestAgain = time.Second
	latestAgain  = 5 * time.Second
)

//go:embed page.html
var pageText string

var waitingPage = template.Must(template.New("page").Parse(pageText))

// writePage is the answer of a request that is shown a page instead of being held longer.
func writePage(w http.ResponseWriter, why *refusal) {
	left := time.Duration(0)
	if !why.by.IsZero() {
		left = time.Until(why.by)
	}
	again := min(max(left, soonestAgain), latestAgain)
	var b bytes.Buffer
	if err := waitingPage.Execute(&b, map[string]any{"Again": int(math.Ceil(again.Seconds())), "Left": inWords(left)}); err != nil {
		panic(fmt.Sprintf("the waiting page: %v", err)) // its text is ours and has one string and one number in it
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(why.status)
	_, _ = w.Write(b.Bytes()) // a client that is gone needs no answer
}

// inWords is how long it will take, as one would say it; empty when it is not known.
func inWords(left time.Duration) string {
	switch {
	case left <= 0:
		return ""
	case left < 10*time.Second:
		return "in a few seconds"
	case left < 90*time.Second:
		return fmt.Sprintf("in about %d seconds", int(math.Ceil(left.Seconds()/10))*10)
	}
	return fmt.Sprintf("in about %d minutes", int(math.Ceil(left.Minutes())))
}
