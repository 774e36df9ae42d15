// Command wholescale is for people: it simulates, shows the loop at work, and measures it. It holds nothing but the
// kubeconfig of whoever calls it, and simulate not even that.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefuted = 3
)

// errUsage marks what the caller got wrong.
var errUsage = errors.New("usage")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage), errors.Is(err, errUnjudged):
		fmt.Fprintln(stderr, "wholescale:", err)
		return exitUsage
	case errors.Is(err, errRefuted):
		fmt.Fprintln(stderr, "wholescale:", err)
		return exitRefuted
	}
	fmt.Fprintln(stderr, "wholescale:", err)
	return exitFailed
}

// command is the whole tree of them.
func command() *cobra.Command {
	root := &cobra.Command{
		Use: "wholescale", Short: "One loop from requests to replicas to nodes",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(simulateCommand(), traceCommand(), recordCommand(), demoCommand(), benchCommand(), versionCommand())
	root.AddCommand(whyCommand(), whatifCommand(), stateCommand(), checkCommand())
	convention(root)
	return root
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
