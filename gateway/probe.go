package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// prober asks a pod once whether it answers; nil means yes.
type prober func(ctx context.Context, address, path string) error

// probesAtOnce bounds the overlapping probes of one pod: when a first packet is lost, the next probe must not wait for
// its timeout, as the kernel sends it again only after a second.
const probesAtOnce = 3

// startProbe asks the pod again and again until it answers or goes. The caller holds the lock.
func (w *workload) startProbe(p *pod) {
	ctx, cancel := context.WithCancel(w.hub.probing)
	p.stopProbe = cancel
	w.hub.probes.Go(func() {
		defer cancel()
		if !w.probe(ctx, p.address) {
			return
		}
		now := time.Now()
		w.mu.Lock()
		defer w.mu.Unlock()
		if ctx.Err() == nil {
			if p.probed.IsZero() {
				w.hub.counts.coldStage(stageProbe, now.Sub(p.known))
			}
			w.slots.opened(p, now)
			w.dispatch(now)
		}
	})
}

// probe returns true when one probe passed, false when ctx ended. No goroutine outlives it.
func (w *workload) probe(ctx context.Context, address string) bool {
	c := w.hub.config
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan error, probesAtOnce)
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			<-results //nolint:errcheck // of probes that are cancelled
		}
	}()
	step := c.ProbeStep
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case err := <-results:
			running--
			w.hub.counts.probed(err)
			if err == nil {
				return true
			}
		case <-timer.C:
			if running < probesAtOnce {
				running++
				go func() { results <- w.probeOnce(ctx, address) }()
			}
			timer.Reset(step)
			step = min(step+step/2, c.ProbeStepMax)
		}
	}
}

// errUnrouted fails a probe as long as no route says how to ask.
var errUnrouted = errors.New("the workload has no route yet")

func (w *workload) probeOnce(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, w.hub.config.ProbeTimeout)
	defer cancel()
	rt := w.settings.Load()
	if rt == nil {
		return errUnrouted
	}
	with := w.hub.probeWith[0]
	if rt.h2c {
		with = w.hub.probeWith[1]
	}
	return with(ctx, address, rt.probePath)
}

// probeBy makes a prober: a TCP connection, or a GET when there is a path. Each probe uses a connection of its own, which
// says more of a new pod than one that is kept. Redirects are not followed; they pass, as 200 to 399 do.
func probeBy(transport *http.Transport) prober {
	dialer := net.Dialer{}
	return func(ctx context.Context, address, path string) error {
		if path == "" {
			conn, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return fmt.Errorf("probe by TCP: %w", err)
			}
			return conn.Close()
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return fmt.Errorf("probe %q: %w", path, err)
		}
		req.Header.Set("User-Agent", "wholescale-probe")
		req.Close = true
		res, err := transport.RoundTrip(req)
		if err != nil {
			return fmt.Errorf("probe %q: %w", path, err)
		}
		defer res.Body.Close()
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // the status is what counts; a body that breaks off says nothing
		if res.StatusCode < 200 || res.StatusCode > 399 {
			return fmt.Errorf("probe %q: status %d", path, res.StatusCode)
		}
		return nil
	}
}
