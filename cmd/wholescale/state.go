package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
	"github.com/wholescale/wholescale/autoscaler/story"
)

// source is where a State and a decision log come from: a controller that runs, or files.
type source struct {
	controller, state, decisions string
	timeout                      time.Duration
}

func (s *source) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.controller, "controller", "http://127.0.0.1:9091", "the leading controller's admin address")
	f.StringVar(&s.state, "state", "", "read the state from this file, not from the controller; - is stdin")
	f.DurationVar(&s.timeout, "timeout", 30*time.Second, "how long to wait for the controller")
}

func (s *source) logFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.decisions, "decisions", "", "read the decision log from this file; with --state and without this, there is none")
}

// mostRead bounds what is read of a controller or a file.
const mostRead = 1 << 30

// text is the State as it was given.
func (s *source) text(c *cobra.Command) ([]byte, error) {
	switch s.state {
	case "":
		return s.get(c.Context(), "/state")
	case "-":
		return readSome(c.InOrStdin())
	}
	return readFile(s.state)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	defer f.Close() // read only: nothing to lose
	return readSome(f)
}

func readSome(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, mostRead))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return text, nil
}

// read is the State. A text that is none is the caller's mistake, with its line.
func (s *source) read(c *cobra.Command) (autoscaler.State, error) {
	text, err := s.text(c)
	if err != nil {
		return autoscaler.State{}, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return autoscaler.State{}, fmt.Errorf("%w: the state is empty; wholescale state > FILE writes one", errUsage)
	}
	var records scenario.Scenario
	if err := records.Add(string(text)); err != nil {
		return autoscaler.State{}, fmt.Errorf("%w: the state: %w", errUsage, err)
	}
	state, err := records.State()
	if err != nil {
		return state, fmt.Errorf("%w: the state: %w", errUsage, err)
	}
	return state, nil
}

// log is the decision log; with a State from a file and no log, an empty one.
func (s *source) log(c *cobra.Command) ([]story.Entry, error) {
	var text []byte
	var err error
	switch {
	case s.decisions != "":
		text, err = readFile(s.decisions)
	case s.state != "":
		return nil, nil
	default:
		text, err = s.get(c.Context(), "/decisions")
	}
	if err != nil {
		return nil, err
	}
	entries, bad, err := story.Read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "wholescale: %d lines of the decision log are no decisions and are passed over\n", bad)
	}
	return entries, nil
}

// howToReach is what to do when nobody answers.
const howToReach = `  its admin address is on its own loopback: kubectl -n wholescale-system port-forward POD 9091, where POD is the leader
  (kubectl -n wholescale-system get lease wholescale-controller), or --controller URL, or --state FILE`

// get asks the controller.
func (s *source) get(ctx context.Context, path string) (text []byte, err error) {
	base, err := url.Parse(s.controller)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%w: --controller %s: it is a URL such as http://127.0.0.1:9091", errUsage, s.controller)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: --controller: %w", errUsage, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the controller: %w\n%s", err, howToReach)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := readSome(response.Body)
	if err != nil {
		return nil, fmt.Errorf("asking the controller for %s: %w", path, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusServiceUnavailable:
		return nil, fmt.Errorf("the controller at %s does not lead; ask the one that does (kubectl -n wholescale-system get lease wholescale-controller)", s.controller)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s has no %s: is it the admin address of a controller of this version?", s.controller, path)
	}
	return nil, fmt.Errorf("asking the controller for %s: %s: %s", path, response.Status, strings.TrimSpace(string(body[:min(len(body), 200)])))
}

func stateCommand() *cobra.Command {
	var from source
	c := &cobra.Command{
		Use: "state", Short: "The state of the last plan, in the form that replays it",
		Long: `Prints what the controller's last plan was made from: text of one record a line, which why, whatif and check read with
--state, and which replays the decision in a test (autoscaler/testdata/plan). It holds names of namespaces, workloads,
pods and nodes with their labels; no environment, no secrets.`,
		Example: "  wholescale state > bug.txt\n  wholescale check --state bug.txt",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			state, err := from.read(c)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(c.OutOrStdout(), scenario.Print(state)); err != nil {
				return fmt.Errorf("writing the state: %w", err)
			}
			return nil
		},
	}
	from.flags(c)
	return c
}
