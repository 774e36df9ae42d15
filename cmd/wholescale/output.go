package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// The convention of all commands (docs/ask.md): data alone on stdout, in the format that -o names; all else on stderr; exit
// codes 0, 1 and 2; colours on a terminal alone and not with NO_COLOR.

// convention makes usage errors of what cobra would not call so: wrong arguments, and a subcommand that is not there.
func convention(c *cobra.Command) {
	if len(c.Commands()) > 0 && c.Run == nil && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			var names []string
			for _, sub := range c.Commands() {
				if !sub.Hidden {
					names = append(names, sub.Name())
				}
			}
			return fmt.Errorf("%w: %s has no command %q; it has %s", errUsage, c.CommandPath(), args[0], strings.Join(names, ", "))
		}
	} else if given := c.Args; given != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := given(c, args); err != nil {
				return fmt.Errorf("%w: %w (%s)", errUsage, err, c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		convention(sub)
	}
}

// formatFlag is -o with these formats; the first is the default.
func formatFlag(c *cobra.Command, to *string, formats ...string) {
	words := strings.Join(formats[:len(formats)-1], ", ") + " or " + formats[len(formats)-1]
	c.Flags().StringVarP(to, "output", "o", formats[0], "what stands on stdout: "+words)
	c.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, *to) {
			return fmt.Errorf("%w: -o %s: it is %s", errUsage, *to, words)
		}
		return nil
	}
}

// sheetFormats are those of a sheet.
var sheetFormats = []string{"table", "wide", "json", "yaml", "csv", "name"}

// sheet is rows of text, and the same as data.
type sheet struct {
	columns []column
	rows    [][]string
	names   []string // of each row, for -o name
	data    any      // for json and yaml
}

// column has a title; a wide one stands in wide and csv alone.
type column struct {
	title string
	wide  bool
}

// write prints all at once, so that an error leaves nothing half printed.
func (s *sheet) write(w io.Writer, format string) error {
	var b bytes.Buffer
	var err error
	switch format {
	case "json", "yaml":
		err = writeObject(&b, format, s.data)
	case "csv":
		err = s.csv(&b)
	case "name":
		for _, name := range s.names {
			b.WriteString(name + "\n")
		}
	default:
		err = s.table(&b, format == "wide")
	}
	if err == nil {
		_, err = b.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

func (s *sheet) csv(b *bytes.Buffer) error {
	w := csv.NewWriter(b)
	titles := make([]string, len(s.columns))
	for i, c := range s.columns {
		titles[i] = c.title
	}
	if err := w.Write(titles); err != nil {
		return err
	}
	if err := w.WriteAll(s.rows); err != nil {
		return err
	}
	return w.Error()
}

func (s *sheet) table(b *bytes.Buffer, wide bool) error {
	if len(s.rows) == 0 {
		return nil
	}
	var padded bytes.Buffer
	w := tabwriter.NewWriter(&padded, 0, 0, 3, ' ', 0)
	line := func(cell func(int) string) {
		for i, c := range s.columns {
			if wide || !c.wide {
				fmt.Fprint(w, printable(cell(i)), "\t")
			}
		}
		fmt.Fprintln(w)
	}
	line(func(i int) string { return strings.ToUpper(s.columns[i].title) })
	for _, row := range s.rows {
		line(func(i int) string { return row[i] })
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for text := range strings.Lines(padded.String()) {
		b.WriteString(strings.TrimRight(text, " \n") + "\n")
	}
	return nil
}

// paint colours text for a terminal; the zero value does not.
type paint struct{ on bool }

// paintFor is on when w is a terminal and nobody asked for none (no-color.org).
func paintFor(w io.Writer) paint {
	f, ok := w.(*os.File)
	return paint{on: ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p paint) in(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) bold(text string) string  { return p.in("1", text) }
func (p paint) red(text string) string   { return p.in("31", text) }
func (p paint) green(text string) string { return p.in("32", text) }
