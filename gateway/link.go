package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wholescale/wholescale/api/wire"
)

// Bounds of the link. A controller that comes back is found within linkRetryMost.
const (
	linkRetryLeast = 20 * time.Millisecond
	linkRetryMost  = time.Second
	linkSilence    = 10 * time.Second      // sent bytes that stay unacknowledged for so long end the connection
	linkMessage    = 16 << 20              // bytes: Routes of 50,000 workloads are about 5 MiB
	goodbyeWait    = 2 * time.Second       // for the controller to end the stream after Goodbye
	reportShare    = 20                    // urgent reports take about one part in so many of a core,
	reportPause    = 20 * time.Millisecond // but none waits longer than this: a report that took long may only have waited for a core
)

// link keeps one stream to the controller. While there is none, the hub keeps its last routes and endpoints.
type link struct {
	hub      *hub
	since    time.Time     // end of the last report's interval
	finish   chan struct{} // closed when the last request ended: say Goodbye
	sequence uint64
}

// run opens the stream again and again until ctx ends or Goodbye was said.
func (l *link) run(ctx context.Context) {
	log := l.hub.config.Logger.With(zap.String("controller", l.hub.config.Link))
	conn, err := l.dial()
	if err != nil {
		log.Error("the link cannot be set up", zap.Error(err))
		return
	}
	defer conn.Close()
	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(linkRetryLeast), backoff.WithMaxInterval(linkRetryMost), backoff.WithMaxElapsedTime(0))
	told := uint64(0) // one warning for each loss, not for each try
	for first := true; ; first = false {
		err := l.session(ctx, wire.NewLinkClient(conn), wait.Reset)
		if err == nil || ctx.Err() != nil {
			return
		}
		if n := l.hub.counts.streams.Load(); first || n != told {
			told = n
			log.Warn("no stream to the controller; trying on, and serving from the last routes and endpoints", zap.Error(err))
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-l.finish: // nobody to say Goodbye to
			return
		case <-ctx.Done():
			return
		}
	}
}

func (l *link) dial() (*grpc.ClientConn, error) {
	c := l.hub.config
	creds := insecure.NewCredentials()
	if c.LinkTLS != nil {
		creds = credentials.NewTLS(c.LinkTLS)
	}
	dialer := &net.Dialer{Control: limitSilence, KeepAlive: 5 * time.Second}
	addresses := strings.Split(c.Link, ",")
	return grpc.NewClient("passthrough:///"+addresses[0],
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			// Of several controllers only the one that leads listens.
			var all error
			for _, address := range addresses {
				conn, err := dialer.DialContext(ctx, "tcp", address)
				if err == nil {
					return conn, nil
				}
				all = errors.Join(all, err)
			}
			return nil, all
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: linkRetryLeast, Multiplier: 1.6, Jitter: 0.2, MaxDelay: linkRetryMost},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(linkMessage)))
}

// session is one stream from Hello to its end; nil means that Goodbye was said. heard is called when the controller spoke.
func (l *link) session(ctx context.Context, client wire.LinkClient, heard func()) error {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.Connect(ctx)
	if err != nil {
		cancel()
		return fmt.Errorf("open the stream: %w", err)
	}
	received := make(chan error, 1)
	go func() { received <- l.receive(stream, heard) }()
	waited := false
	defer func() {
		cancel()
		if !waited {
			<-received //nolint:errcheck // why the stream ended was told already
		}
		l.hub.linked.Store(false)
	}()
	c := l.hub.config
	hello := &wire.ConnectRequest{Message: &wire.ConnectRequest_Hello{Hello: &wire.Hello{Gateway: c.Name, Version: c.Version}}}
	if err := stream.Send(hello); err != nil {
		return fmt.Errorf("send Hello: %w", errors.Join(err, l.why(received, &waited)))
	}
	l.hub.linked.Store(true)
	c.Logger.Info("stream to the controller is open", zap.String("controller", c.Link))
	l.hub.counts.streams.Add(1)
	l.sequence = 0
	return l.send(stream, received, &waited)
}

// why returns what the receiving side says of a broken stream, which is more than Send's io.EOF.
func (l *link) why(received <-chan error, waited *bool) error {
	*waited = true
	return <-received
}

// send reports each second, and at once when a request waits, until the stream breaks or Goodbye is said.
func (l *link) send(stream wire.Link_ConnectClient, received <-chan error, waited *bool) error {
	c := l.hub.config
	tick := time.NewTicker(c.ReportEvery)
	defer tick.Stop()
	again := time.NewTimer(0) // the first report goes at once
	defer again.Stop()
	var next time.Time // no urgent report before
	for {
		urgent := false
		select {
		case err := <-received:
			*waited = true
			return err
		case <-l.finish:
			return l.goodbye(stream, received, waited)
		case <-tick.C:
		case <-l.hub.wake:
			urgent = true
		case <-again.C:
			urgent = true
		}
		now := time.Now()
		if urgent && l.sequence > 0 {
			if left := next.Sub(now); left > 0 {
				again.Reset(left)
				continue
			}
			if wait, yes := l.hub.due(now, c.UrgentGap); !yes {
				if wait < c.UrgentGap {
					again.Reset(wait)
				}
				continue
			}
		}
		if err := l.report(stream, now, urgent); err != nil {
			return fmt.Errorf("send a report: %w", errors.Join(err, l.why(received, waited)))
		}
		next = now.Add(pauseAfter(time.Since(now)))
	}
}

// pauseAfter is how long the next urgent report waits after one that took so long.
func pauseAfter(took time.Duration) time.Duration { return min(reportShare*took, reportPause) }

func (l *link) report(stream wire.Link_ConnectClient, now time.Time, urgent bool) error {
	r, firsts := l.hub.report(l.since, now)
	l.sequence++
	r.Sequence, l.since = l.sequence, now
	sent := time.Now().UnixNano()
	if err := stream.Send(&wire.ConnectRequest{Message: &wire.ConnectRequest_Report{Report: r}}); err != nil {
		return err
	}
	for _, rec := range firsts {
		rec.write(func(s *stages) { s.QueuedReport = sent })
	}
	if urgent {
		l.hub.counts.urgentReports.Add(1)
	} else {
		l.hub.counts.reports.Add(1)
	}
	return nil
}

// goodbye sends the last figures, says that no more will come, and lets the controller end the stream.
func (l *link) goodbye(stream wire.Link_ConnectClient, received <-chan error, waited *bool) error {
	err := errors.Join(
		l.report(stream, time.Now(), false),
		stream.Send(&wire.ConnectRequest{Message: &wire.ConnectRequest_Goodbye{Goodbye: &wire.Goodbye{}}}),
		stream.CloseSend())
	if err != nil {
		l.hub.config.Logger.Warn("Goodbye did not reach the controller", zap.Error(err))
		return nil
	}
	select {
	case <-received: //nolint:errcheck // that it ended is what was asked for
		*waited = true
	case <-time.After(goodbyeWait):
	}
	return nil
}

// receive applies what the controller says until the stream ends; it never returns nil.
func (l *link) receive(stream wire.Link_ConnectClient, heard func()) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the controller ended the stream")
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		heard()
		switch m := m.GetMessage().(type) {
		case *wire.ConnectResponse_Routes:
			l.hub.setRoutes(m.Routes)
		case *wire.ConnectResponse_Endpoints:
			l.hub.setEndpoints(m.Endpoints, time.Now())
		case *wire.ConnectResponse_Hold:
			l.hub.setHold(m.Hold)
		}
	}
}
