package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mostColumns bounds a header; the widest published table has 5,095 columns (Huawei 2023).
const mostColumns = 100_000

// mostName bounds a function's name in bytes.
const mostName = 1024

// table is a file of lines with a header, comma separated.
type table struct {
	lines
	titles []string
	folded []string // titles, as fold makes them
	row    [][]byte
	spare  []byte // unquoted fields
}

// newTable reads the header. Titles are trimmed and must not repeat.
func newTable(s *source) (*table, error) {
	t := &table{lines: lines{source: s}}
	if err := t.read(); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{File: s.name, Line: 1, Err: ErrEmpty}
		}
		return nil, err
	}
	if len(t.row) > mostColumns {
		return nil, t.failf("", "%d columns; expected at most %d", len(t.row), mostColumns)
	}
	seen := make(map[string]int, len(t.row))
	for i, f := range t.row {
		title := strings.TrimSpace(string(f))
		key := title
		if !strings.ContainsAny(title, "0123456789") { // a name of a format, and not a function or a minute
			key = fold(title)
		}
		if before, ok := seen[key]; ok {
			return nil, t.failf(title, "stands twice in the header, as columns %d and %d", before+1, i+1)
		}
		seen[key] = i
		t.titles, t.folded = append(t.titles, title), append(t.folded, fold(title))
	}
	return t, nil
}

// fold makes titles that differ in case, spaces or underscores alike.
func fold(title string) string { return strings.ToLower(folding.Replace(title)) }

var folding = strings.NewReplacer("_", "", " ", "", "-", "")

// find is the column with one of these titles, or -1.
func (t *table) find(titles ...string) int {
	for _, want := range titles {
		if i := slices.Index(t.folded, fold(want)); i >= 0 {
			return i
		}
	}
	return -1
}

// need is find, and an error when there is none.
func (t *table) need(format Format, titles ...string) (int, error) {
	i := t.find(titles...)
	if i < 0 {
		return i, &Error{File: t.name, Line: 1, Column: titles[0], Err: fmt.Errorf("there is no such column; a trace in format %s has one", format)}
	}
	return i, nil
}

// read takes the next line that is not empty apart into row, valid until the next call.
func (t *table) read() error {
	for {
		line, err := t.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		t.row = t.row[:0]
		if bytes.IndexByte(line, '"') < 0 {
			for {
				i := bytes.IndexByte(line, ',')
				if i < 0 {
					t.row = append(t.row, line)
					return nil
				}
				t.row = append(t.row, line[:i])
				line = line[i+1:]
			}
		}
		return t.quoted(line)
	}
}

// quoted splits a line with quotes in it: "a,b" is one field, and "" within one is a quote.
func (t *table) quoted(line []byte) error {
	t.spare = t.spare[:0]
	for {
		if len(line) == 0 || line[0] != '"' {
			i := bytes.IndexByte(line, ',')
			if i < 0 {
				t.row = append(t.row, line)
				return nil
			}
			t.row = append(t.row, line[:i])
			line = line[i+1:]
			continue
		}
		from := len(t.spare)
		line = line[1:]
		for {
			i := bytes.IndexByte(line, '"')
			if i < 0 {
				return t.failf(t.title(len(t.row)), "a quote is not closed on its line")
			}
			t.spare = append(t.spare, line[:i]...)
			if line = line[i+1:]; len(line) == 0 || line[0] != '"' {
				break
			}
			t.spare = append(t.spare, '"')
			line = line[1:]
		}
		t.row = append(t.row, t.spare[from:len(t.spare):len(t.spare)])
		if len(line) == 0 {
			return nil
		}
		if line[0] != ',' {
			return t.failf(t.title(len(t.row)-1), "a comma is missing after a quote")
		}
		line = line[1:]
	}
}

// title names a column for an error.
func (t *table) title(column int) string {
	if column >= 0 && column < len(t.titles) {
		return t.titles[column]
	}
	return strconv.Itoa(column + 1)
}

// full checks that the row has as many columns as the header.
func (t *table) full() error {
	if len(t.row) != len(t.titles) {
		return t.failf("", "%d columns; expected %d as in the header", len(t.row), len(t.titles))
	}
	return nil
}

// text is a field as a name.
func (t *table) text(column int) (string, error) {
	if err := checkName(t.row[column]); err != nil {
		return "", t.fail(t.title(column), err)
	}
	return string(bytes.TrimSpace(t.row[column])), nil
}

func checkName(b []byte) error {
	if len(b) > mostName {
		return fmt.Errorf("a name of %d bytes; expected at most %d", len(b), mostName)
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%q is not UTF-8", clip(b))
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("%q has a control character", clip(b))
		}
	}
	return nil
}

// number is a field as a number of at least least.
func (t *table) number(column int, least float64) (float64, error) {
	f, err := number(t.row[column], least)
	if err != nil {
		return 0, t.fail(t.title(column), err)
	}
	return f, nil
}

// number refuses what is no number, NaN, infinite or less than least.
func number(b []byte, least float64) (float64, error) {
	f, err := strconv.ParseFloat(string(bytes.TrimSpace(b)), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < least {
		if math.IsInf(least, -1) {
			return 0, fmt.Errorf("%q is not a finite number", clip(b))
		}
		return 0, fmt.Errorf("%q is not a number of %g or more", clip(b), least)
	}
	return f, nil
}

// clip shortens what an error quotes.
func clip(b []byte) []byte {
	const most = 60
	if len(b) > most {
		return append(append([]byte{}, b[:most]...), "..."...)
	}
	return b
}

// count is a field of a wide table: digits almost always, so that it is read without an allocation.
func count(b []byte) (float64, error) {
	n := int64(0)
	if len(b) == 0 || len(b) > 15 {
		return number(b, 0)
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return number(b, 0)
		}
		n = n*10 + int64(c-'0')
	}
	return float64(n), nil
}
