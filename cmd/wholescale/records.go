package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// records are rows with a name each, printed in any of the formats. Fields keep their order.
type records struct {
	key   string // title of the names
	align uint   // of tabwriter
	rows  []record
}

type record struct {
	name   string
	fields []field
}

type field struct {
	name  string
	value any // string, bool, int, int64 or float64
}

var recordFormats = []string{"table", "json", "yaml", "csv"}

// recordFlag is -o of commands that print records.
func recordFlag(c *cobra.Command, to *string) {
	c.Flags().StringVarP(to, "output", "o", "table", "what stands on stdout: table, json, yaml or csv; all else is on stderr")
	c.PreRunE = func(*cobra.Command, []string) error {
		if *to == "text" {
			*to = "table"
		}
		if !slices.Contains(recordFormats, *to) {
			return fmt.Errorf("%w: -o %s: it is table, json, yaml or csv", errUsage, *to)
		}
		return nil
	}
}

// write prints all at once, so that an error leaves nothing half printed.
func (r records) write(w io.Writer, format string) error {
	var b bytes.Buffer
	var err error
	switch format {
	case "json":
		err = r.json(&b)
	case "yaml":
		r.yaml(&b)
	case "csv":
		err = r.csv(&b)
	default:
		err = r.table(&b)
	}
	if err == nil {
		_, err = b.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

func (r records) json(b *bytes.Buffer) error {
	b.WriteString("{")
	for i, row := range r.rows {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(b, "\n  %s: {", quoted(row.name))
		for j, f := range row.fields {
			if j > 0 {
				b.WriteString(",")
			}
			value, err := json.Marshal(f.value)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "\n    %s: %s", quoted(f.name), value)
		}
		b.WriteString("\n  }")
	}
	b.WriteString("\n}\n")
	return nil
}

// quoted is a string as JSON and YAML both read it.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string can always be written
		return `""`
	}
	return string(b)
}

func (r records) yaml(b *bytes.Buffer) {
	for _, row := range r.rows {
		fmt.Fprintf(b, "%s:\n", yamlText(row.name))
		for _, f := range row.fields {
			value := text(f.value)
			if s, ok := f.value.(string); ok {
				value = quoted(s)
			}
			fmt.Fprintf(b, "  %s: %s\n", yamlText(f.name), value)
		}
	}
}

// yamlText leaves plain words unquoted.
func yamlText(s string) string {
	for i, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && (i == 0 || c < '0' || c > '9') {
			return quoted(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return quoted(s)
	}
	return s
}

func (r records) csv(b *bytes.Buffer) error {
	w := csv.NewWriter(b)
	for i, row := range r.rows {
		titles, values := []string{r.key}, []string{row.name}
		for _, f := range row.fields {
			titles, values = append(titles, f.name), append(values, text(f.value))
		}
		if i == 0 {
			if err := w.Write(titles); err != nil {
				return err
			}
		}
		if err := w.Write(values); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func (r records) table(b *bytes.Buffer) error {
	var padded bytes.Buffer
	w := tabwriter.NewWriter(&padded, 0, 0, 2, ' ', r.align)
	for i, row := range r.rows {
		if i == 0 {
			fmt.Fprint(w, r.key, "\t")
			for _, f := range row.fields {
				fmt.Fprint(w, f.name, "\t")
			}
			fmt.Fprintln(w)
		}
		fmt.Fprint(w, printable(row.name), "\t")
		for _, f := range row.fields {
			fmt.Fprint(w, printable(text(f.value)), "\t")
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(padded.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return nil
}

// printable keeps what a trace says from moving the cursor.
func printable(s string) string {
	for _, c := range s {
		if !strconv.IsPrint(c) {
			return strconv.Quote(s)
		}
	}
	return s
}

func text(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		return v
	}
	return fmt.Sprint(v)
}
