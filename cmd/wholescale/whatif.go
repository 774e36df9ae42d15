package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/autoscaler/story"
)

func whatifCommand() *cobra.Command {
	var from source
	var output string
	var changes []story.Change
	c := &cobra.Command{
		Use: "whatif CHANGE...", Short: "What would be decided now if something were otherwise? Nothing is changed",
		Long: `Takes the controller's last state, changes it as the flags say (each may be given more than once; they are taken in
order), and plans both. It prints what would be decided otherwise, and machines and money an hour. It asks the controller
for nothing but its state, and changes nothing.`,
		Example: "  wholescale whatif --remove-node n1\n  wholescale whatif --add-replicas cart=20 --price-cap 3\n  wholescale whatif --wait cart=300ms --state bug.txt -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(changes) == 0 {
				return fmt.Errorf("%w: say what would be otherwise, such as --remove-node NODE or --add-replicas WORKLOAD=N (wholescale whatif --help lists all)", errUsage)
			}
			state, err := from.read(c)
			if err != nil {
				return err
			}
			answer, err := story.NewTeller(state, nil).WhatIf(changes...)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			if output != "text" {
				return writeObject(c.OutOrStdout(), output, answer)
			}
			return writeComparison(c, &answer)
		},
	}
	formatFlag(c, &output, "text", "json", "yaml")
	from.flags(c)
	for _, f := range changeFlags {
		c.Flags().Var(&changeFlag{of: f, to: &changes}, f.name, f.usage)
	}
	return c
}

// changeKind is a flag of whatif: how its value is read.
type changeKind struct {
	name, usage string
	parse       func(string) (story.Change, error)
}

var changeFlags = []changeKind{
	{"remove-node", "`NODE` is gone", func(s string) (story.Change, error) { return story.RemoveNode(s), nil }},
	{"add-replicas", "`WORKLOAD=N` more replicas than are decided now", ofCount(story.AddReplicas)},
	{"min", "`WORKLOAD=N` replicas at least", ofCount(func(w string, n int) story.Change { return story.Bounds(w, n, -1) })},
	{"max", "`WORKLOAD=N` replicas at most; 0 is no bound", ofCount(func(w string, n int) story.Change { return story.Bounds(w, -1, n) })},
	{"held", "`WORKLOAD=N` requests are held now", ofCount(story.Held)},
	{"price-of-waiting", "`WORKLOAD=PRICE` of a second of one request's waiting", ofPrice(story.WaitingPrice)},
	{"wait", "`WORKLOAD=DURATION` that 99 of 100 requests wait at most", ofDuration(story.Wait)},
	{"unblock", "`WORKLOAD` may be scaled", func(s string) (story.Change, error) { return story.Unblock(s), nil }},
	{"price-cap", "`PRICE` an hour that all pools together may cost; 0 is no cap", func(s string) (story.Change, error) {
		price, err := parsePrice(s)
		return story.PriceCap(price), err
	}},
	{"pool-min", "`POOL=N` machines at least", ofCount(story.PoolMin)},
	{"pool-max", "`POOL=N` machines at most", ofCount(story.PoolMax)},
	{"pool-price", "`POOL=PRICE` of a machine and hour", ofPrice(story.PoolPrice)},
	{"out-of-stock", "`POOL` has nothing to sell", func(s string) (story.Change, error) { return story.OutOfStock(s), nil }},
}

// changeFlag appends to one list, so that changes are made in the order in which they are given.
type changeFlag struct {
	of changeKind
	to *[]story.Change
}

func (f *changeFlag) String() string { return "" }
func (f *changeFlag) Type() string   { return "change" }

func (f *changeFlag) Set(text string) error {
	if text == "" {
		return errors.New("it needs a value")
	}
	change, err := f.of.parse(text)
	if err != nil {
		return err
	}
	*f.to = append(*f.to, change)
	return nil
}

// cutValue takes NAME=VALUE apart.
func cutValue(text string) (name, value string, err error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 || i == len(text)-1 {
		return "", "", errors.New("it is NAME=VALUE")
	}
	return text[:i], text[i+1:], nil
}

// mostChanged bounds a number that a person asks about.
const mostChanged = 100_000

func ofCount(change func(string, int) story.Change) func(string) (story.Change, error) {
	return func(text string) (story.Change, error) {
		name, value, err := cutValue(text)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > mostChanged {
			return nil, fmt.Errorf("%s is not a whole number of 0 to %d", value, mostChanged)
		}
		return change(name, n), nil
	}
}

func ofPrice(change func(string, float64) story.Change) func(string) (story.Change, error) {
	return func(text string) (story.Change, error) {
		name, value, err := cutValue(text)
		if err != nil {
			return nil, err
		}
		price, err := parsePrice(value)
		return change(name, price), err
	}
}

func parsePrice(text string) (float64, error) {
	price, err := strconv.ParseFloat(text, 64)
	if err != nil || !(price >= 0) || price > 1e9 {
		return 0, fmt.Errorf("%s is not a price of 0 or more", text)
	}
	return price, nil
}

func ofDuration(change func(string, time.Duration) story.Change) func(string) (story.Change, error) {
	return func(text string) (story.Change, error) {
		name, value, err := cutValue(text)
		if err != nil {
			return nil, err
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > time.Hour {
			return nil, fmt.Errorf("%s is not a duration such as 300ms, of 1h at most", value)
		}
		return change(name, d), nil
	}
}

func writeComparison(c *cobra.Command, a *story.Comparison) error {
	colour := paintFor(c.OutOrStdout())
	var b bytes.Buffer
	fmt.Fprintln(&b, colour.bold("if, at "+a.At.UTC().Format("15:04:05")))
	for _, words := range a.Changes {
		fmt.Fprintln(&b, " ", story.Printable(words))
	}
	fmt.Fprintln(&b, colour.bold("then"))
	if len(a.Diff) == 0 {
		fmt.Fprintln(&b, "  the same would be decided")
	}
	for _, d := range a.Diff {
		in := colour.red
		if d.Op == "+" {
			in = colour.green
		}
		fmt.Fprintln(&b, in(d.Op+" "+story.Printable(d.Line)))
	}
	fmt.Fprintln(&b, colour.bold("machines and money an hour"))
	table := sheet{columns: []column{{title: "pool"}, {title: "price"}, {title: "asked for"}, {title: "decided now"}, {title: "then"}}}
	for _, p := range a.Pools {
		price := "unknown"
		if p.Price > 0 {
			price = text(p.Price)
		}
		table.rows = append(table.rows, []string{p.Pool, price, text(p.Asked), text(p.Before), text(p.After)})
	}
	m := a.Money
	table.rows = append(table.rows, []string{"money", "", money(m.Asked), money(m.Before), money(m.After) + " (" + signed(m.After-m.Before) + ")"})
	if err := table.table(&b, true); err != nil {
		return err
	}
	for _, note := range a.Notes {
		fmt.Fprintln(&b, "note:", story.Printable(note))
	}
	if _, err := b.WriteTo(c.OutOrStdout()); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

func money(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

func signed(f float64) string {
	if s := money(f); s == "-0.00" || s == "0.00" {
		return "no change"
	} else if f > 0 {
		return "+" + s
	}
	return money(f)
}
