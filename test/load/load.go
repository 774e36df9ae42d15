// Package load sends requests at the times that a trace says, whether those before have been answered or not: an open
// loop, as users are. It counts one outcome for each request.
package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wholescale/wholescale/simulator/trace"
)

// Config is where to send what.
type Config struct {
	// URL is the gateway, such as http://127.0.0.1:8080; Host is whom the requests are for.
	URL, Host string
	Requests  []trace.Request
	// Timeout of one request. Default 2 min.
	Timeout time.Duration
	// Sent, when not nil, counts the requests sent so far.
	Sent *atomic.Int64
}

// Outcome is what became of one request.
type Outcome struct {
	// Sent is when it was sent, since the run began; Took is until the whole answer was there.
	Sent, Took time.Duration
	// Held is how long the gateway says that it held it.
	Held   time.Duration
	Status int // 0 when there was no answer
	Err    error
}

// OK says that the request was answered as it should be.
func (o Outcome) OK() bool { return o.Err == nil && o.Status == http.StatusOK }

// Run sends the requests and returns when each has its outcome, in the order of the requests. Those not sent when ctx ends
// have its error.
func Run(ctx context.Context, c Config) []Outcome {
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
	defer transport.CloseIdleConnections()
	s := sender{config: c, client: &http.Client{Transport: transport, Timeout: c.Timeout}, began: time.Now()}
	outcomes := make([]Outcome, len(c.Requests))
	var wg sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, r := range c.Requests {
		timer.Reset(time.Until(s.began.Add(r.At)))
		select {
		case <-ctx.Done():
			outcomes[i] = Outcome{Err: ctx.Err()}
			continue
		case <-timer.C:
		}
		if c.Sent != nil {
			c.Sent.Add(1)
		}
		wg.Go(func() { outcomes[i] = s.send(ctx, r) })
	}
	wg.Wait()
	return outcomes
}

type sender struct {
	config Config
	client *http.Client
	began  time.Time
}

func (s *sender) send(ctx context.Context, r trace.Request) Outcome {
	o := Outcome{Sent: time.Since(s.began)}
	url := fmt.Sprintf("%s/?ms=%d", s.config.URL, r.Service.Milliseconds())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		o.Err = err
		return o
	}
	request.Host = s.config.Host
	response, err := s.client.Do(request)
	if err != nil {
		o.Err, o.Took = err, time.Since(s.began)-o.Sent
		return o
	}
	_, o.Err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close() // read to its end
	o.Took = time.Since(s.began) - o.Sent
	o.Status = response.StatusCode
	if ms, err := strconv.ParseFloat(response.Header.Get("X-Wholescale-Held"), 64); err == nil {
		o.Held = time.Duration(ms * float64(time.Millisecond))
	}
	return o
}
