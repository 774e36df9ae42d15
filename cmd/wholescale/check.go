package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/autoscaler/story"
)

// errFound ends check with 1: what it found stands on stdout.
var errFound = errors.New("found")

func checkCommand() *cobra.Command {
	var from source
	var output string
	c := &cobra.Command{
		Use: "check", Short: "What is amiss in this cluster's set-up, and what to do about it",
		Long: `Judges the controller's last state: workloads that no pool can hold, pools that are full, capped, out of stock or
unknown, pods that are not understood, workloads that are left alone and why, nodes that cannot leave, and more
(docs/ask.md lists the codes). Each line has a fix. The exit code is 0 when nothing is found, 1 when something is, and 2
when it could not be judged.`,
		Example: "  wholescale check\n  wholescale check --state bug.txt -o wide\n  wholescale check -o json | jq -r '.[].code' | sort | uniq -c",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			state, err := from.read(c)
			if err != nil {
				return unjudged(err)
			}
			found := story.NewTeller(state, nil).Check()
			if err := findings(found).write(c.OutOrStdout(), output); err != nil {
				return unjudged(err)
			}
			if len(found) == 0 {
				fmt.Fprintln(c.ErrOrStderr(), "nothing is amiss")
				return nil
			}
			return fmt.Errorf("%w %d, each with its fix above", errFound, len(found))
		},
	}
	formatFlag(c, &output, sheetFormats...)
	from.flags(c)
	return c
}

// unjudged keeps 1 for what was found.
func unjudged(err error) error {
	if errors.Is(err, errUsage) {
		return err
	}
	return fmt.Errorf("%w%w", errUnjudged, err)
}

// errUnjudged is a failure that exits as a usage error does, without its word.
var errUnjudged = errors.New("")

func findings(list []story.Finding) *sheet {
	s := &sheet{columns: []column{{title: "subject"}, {title: "code", wide: true}, {title: "problem"}, {title: "fix"}}, data: list}
	if list == nil {
		s.data = []story.Finding{}
	}
	for _, f := range list {
		s.rows = append(s.rows, []string{f.Subject, f.Code, f.Problem, f.Fix})
		s.names = append(s.names, strings.Replace(f.Subject, " ", "/", 1))
	}
	s.names = slices.Compact(s.names) // findings are sorted by subject
	return s
}
