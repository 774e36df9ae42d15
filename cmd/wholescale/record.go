package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/simulator/trace"
)

// recordFlags are of record.
type recordFlags struct {
	gateways, out string
	length, every time.Duration
	most          int
}

func recordCommand() *cobra.Command {
	var f recordFlags
	c := &cobra.Command{
		Use: "record", Short: "Record what gateways are asked, as a trace for simulate",
		Long: `Reads the arrivals that gateways remember and writes them as a trace: of each request the time, the workload, how long a pod
was busy with it, and whether it was answered; no address, path, query, header or body. A gateway remembers them when it runs
with --arrivals NUMBER, and serves them on its --admin address, which is for operators: reach it with kubectl port-forward.
Requests whose answer has not ended when the recording does are not in it. What was overwritten before it was read is counted.`,
		Example: "  wholescale record --gateway 127.0.0.1:9090 --for 10m --out traffic.trace\n  wholescale simulate traffic.trace",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringVar(&f.gateways, "gateway", "127.0.0.1:9090", "admin address of a gateway; of several, with commas between them")
	flags.StringVar(&f.out, "out", "", "file to write (default: stdout)")
	flags.DurationVar(&f.length, "for", 0, "how long to record (default: until Ctrl-C, or at once with what is remembered if it is -1s)")
	flags.DurationVar(&f.every, "every", time.Second, "how often gateways are asked")
	flags.IntVar(&f.most, "most", 2_000_000, "requests to keep at most; the recording ends there")
	return c
}

func (f *recordFlags) run(c *cobra.Command) error {
	if f.every < 10*time.Millisecond || f.most <= 0 {
		return fmt.Errorf("%w: --every is 10ms at least, --most above 0", errUsage)
	}
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	r := recording{flags: f, after: map[string]uint64{}}
	if err := r.until(ctx); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := trace.WriteRecorded(&b, r.list); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "recorded %d requests", len(r.list))
	if r.lost > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "; %d were overwritten before they were read (a larger --arrivals at the gateway, or a smaller --every)", r.lost)
	}
	fmt.Fprintln(c.ErrOrStderr())
	switch {
	case len(r.list) == 0:
		return errors.New("no request ended while this recorded: there is nothing to write")
	case f.out != "":
		return replaceFile(f.out, b.Bytes())
	}
	if _, err := b.WriteTo(c.OutOrStdout()); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

// recording is what has been read so far.
type recording struct {
	flags *recordFlags
	after map[string]uint64 // by gateway
	list  []trace.Recorded
	lost  uint64
}

// until reads until the time is over, the list is full or the person has enough; what was read stands then.
func (r *recording) until(ctx context.Context) error {
	if r.flags.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.flags.length)
		defer cancel()
	}
	wait := time.NewTicker(r.flags.every)
	defer wait.Stop()
	for first := true; ; first = false {
		for gateway := range strings.SplitSeq(r.flags.gateways, ",") {
			if err := r.ask(gateway); err != nil && (first || !errors.Is(err, errUnanswered)) {
				return err // later, one that does not answer may be starting anew
			}
		}
		if r.flags.length < 0 || len(r.list) >= r.flags.most {
			return nil
		}
		select {
		case <-ctx.Done():
			if !first {
				return r.last()
			}
			return nil
		case <-wait.C:
		}
	}
}

// last asks once more for what has ended since.
func (r *recording) last() error {
	for gateway := range strings.SplitSeq(r.flags.gateways, ",") {
		if err := r.ask(gateway); err != nil && !errors.Is(err, errUnanswered) {
			return err
		}
	}
	return nil
}

// errUnanswered marks a gateway that did not answer.
var errUnanswered = errors.New("the gateway did not answer")

// recordTimeout bounds one question; recordBytes what is believed of its answer.
const (
	recordTimeout = 5 * time.Second
	recordBytes   = 256 << 20
)

// ask takes what has ended since the last question. It does not end with the recording's own time, so that the last one is
// whole.
func (r *recording) ask(gateway string) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	address := (&url.URL{Scheme: "http", Host: gateway, Path: "/arrivals", RawQuery: fmt.Sprintf("after=%d", r.after[gateway])}).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%w: --gateway %s: %w", errUsage, gateway, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnanswered, err)
	}
	defer response.Body.Close() // read to its end, or given up
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // what it says helps, and is all there is
		return fmt.Errorf("%s: %s: %s", address, response.Status, printable(strings.TrimSpace(string(text))))
	}
	for d := json.NewDecoder(io.LimitReader(response.Body, recordBytes)); ; {
		var v struct {
			Number   uint64 `json:"number"`
			Workload string `json:"workload"`
			UnixNano int64  `json:"arrivedUnixNano"`
			Service  int64  `json:"serviceNano"`
			Status   int    `json:"status"`
		}
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: %s: %w", errUnanswered, address, err)
		}
		if last := r.after[gateway]; v.Number > last+1 && last > 0 {
			r.lost += v.Number - last - 1
		}
		r.after[gateway] = v.Number
		r.list = append(r.list, trace.Recorded{
			At: time.Unix(0, v.UnixNano), Workload: v.Workload, Service: time.Duration(max(v.Service, 0)), Answered: v.Service > 0 && v.Status < http.StatusInternalServerError,
		})
	}
}
