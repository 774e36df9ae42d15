package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/autoscaler/story"
)

func whyCommand() *cobra.Command {
	var from source
	var output, at string
	c := &cobra.Command{
		Use:   "why [not more|not fewer] WORKLOAD|NODE|POOL|POD",
		Short: "Why is it so? One story from requests to replicas to nodes to money",
		Long: `Tells of a workload, node, pool or pod: the numbers now, which rule decided and what it overruled, why there are not
more and not fewer, what is on its way and when, what a node is here for, and what was decided before.

It reads the controller's last state and plans it anew, which decides the same; what was before is from its decision log.
With --at it tells what the log has of that time, without a state. A name may leave its namespace out where that leaves no
doubt, and may have its kind before it: node/n1.`,
		Example: "  wholescale why demo/cart\n  wholescale why not fewer cart\n  wholescale why node/n1\n  wholescale why cart --at 14:05\n  wholescale why cart --state bug.txt",
		Args:    whyArgs,
		RunE: func(c *cobra.Command, args []string) error {
			told, err := tell(c, &from, args, at)
			if err != nil {
				return err
			}
			if output != "text" {
				return writeObject(c.OutOrStdout(), output, told)
			}
			if _, err := io.WriteString(c.OutOrStdout(), told.Text(paintFor(c.OutOrStdout()).bold)); err != nil {
				return fmt.Errorf("writing the story: %w", err)
			}
			return nil
		},
	}
	formatFlag(c, &output, "text", "json", "yaml")
	from.flags(c)
	from.logFlag(c)
	c.Flags().StringVar(&at, "at", "", "a time that is over: 15:04, 15:04:05 (of the log's last day, UTC), RFC 3339, or how long ago (10m)")
	return c
}

// whyArgs takes a name, with a form of asking before it or none.
func whyArgs(_ *cobra.Command, args []string) error {
	if len(args) == 1 || len(args) == 3 && args[0] == "not" && (args[1] == "more" || args[1] == "fewer") {
		return nil
	}
	return errors.New("ask why NAME, why not more NAME or why not fewer NAME")
}

func tell(c *cobra.Command, from *source, args []string, at string) (story.Story, error) {
	name, question := args[len(args)-1], story.Why
	if len(args) == 3 {
		question = map[string]story.Question{"more": story.NotMore, "fewer": story.NotFewer}[args[1]]
	}
	if at != "" {
		if question != story.Why {
			return story.Story{}, fmt.Errorf("%w: --at tells what the log has: why NAME --at TIME", errUsage)
		}
		return tellPast(c, from, name, at)
	}
	state, err := from.read(c)
	if err != nil {
		return story.Story{}, err
	}
	log, err := from.log(c)
	if err != nil {
		return story.Story{}, err
	}
	told, err := story.NewTeller(state, log).Tell(name, question)
	if err != nil {
		return told, fmt.Errorf("%w: %w", errUsage, err)
	}
	return told, nil
}

func tellPast(c *cobra.Command, from *source, name, at string) (story.Story, error) {
	if from.state != "" && from.decisions == "" {
		return story.Story{}, fmt.Errorf("%w: --at tells from the decision log: --decisions FILE, or the controller's", errUsage)
	}
	log, err := from.log(c)
	if err != nil {
		return story.Story{}, err
	}
	last := time.Now()
	if len(log) > 0 && from.decisions != "" {
		last = log[len(log)-1].At
	}
	when, err := parseAt(at, last)
	if err != nil {
		return story.Story{}, err
	}
	told, err := story.Past(log, name, when)
	if err != nil {
		return told, fmt.Errorf("%w: %w", errUsage, err)
	}
	return told, nil
}

// parseAt reads a time; a time of day is of last's day, or of the day before when that is not over.
func parseAt(text string, last time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return last.Add(-ago), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			day := last.UTC().Truncate(24 * time.Hour)
			at = day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second)
			if at.After(last) {
				at = at.Add(-24 * time.Hour)
			}
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: --at %s: it is a time such as 15:04, 15:04:05 or 2026-01-02T15:04:05Z, or how long ago, such as 10m", errUsage, text)
}
