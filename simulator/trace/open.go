package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file is one file of a trace, not open yet.
type file struct {
	name string // for errors: as the person wrote it, with the file's own name behind
	base string
	open func() (io.ReadCloser, error)
	once bool    // open gives the same reader again: it can be read once
	src  *source // already open, of a file that was looked into
}

// source opens and unpacks the file.
func (f *file) source() (*source, error) {
	if f.src != nil {
		s := f.src
		f.src = nil
		return s, nil
	}
	r, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("opening the trace: %w", err)
	}
	return unpack(r, f.name)
}

// companions are the files beside the rows.
type companions struct{ durations, memory []file }

// Open opens a trace: a file, or a folder of files of one format. It recognises the format unless o says it.
func Open(path string, o Options) (*Trace, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening the trace: %w", err)
	}
	if info.IsDir() {
		return openFolder(path, o)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("opening the trace: %s is neither a file nor a folder", path)
	}
	f := file{name: path, base: filepath.Base(path), open: func() (io.ReadCloser, error) { return os.Open(path) }}
	return openFile(f, o)
}

// Read reads a trace of one file from r, which it closes at the end when it is an io.Closer. The name is for errors.
func Read(r io.Reader, name string, o Options) (*Trace, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	f := file{name: name, base: filepath.Base(name), once: true, open: func() (io.ReadCloser, error) {
		if c, ok := r.(io.ReadCloser); ok {
			return c, nil
		}
		return io.NopCloser(r), nil
	}}
	return openFile(f, o)
}

func openFile(f file, o Options) (*Trace, error) {
	s, err := f.source()
	if err != nil {
		return nil, err
	}
	format, r, err := o.Format, roleRows, error(nil)
	if format == "" {
		format, r, err = recognise(s)
	} else if head, _ := s.start(); len(bytes.TrimSpace(head)) == 0 {
		err = &Error{File: s.name, Line: 1, Err: ErrEmpty}
	}
	if err == nil && r != roleRows {
		err = &Error{File: s.name, Line: 1, Err: fmt.Errorf("this is the %s of a trace; give the folder that has the invocations too", r)}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	f.src = s
	return newTrace(format, []file{f}, companions{}, o)
}

func newTrace(format Format, files []file, beside companions, o Options) (*Trace, error) {
	t := &Trace{format: format, byName: map[string]int{}, options: o}
	rows, err := t.openRows(files, beside)
	if err != nil {
		for _, f := range files {
			if f.src != nil {
				err = errors.Join(err, f.src.Close())
			}
		}
		return nil, err
	}
	t.rows = rows
	return t, nil
}

// mostFiles bounds a folder.
const mostFiles = 10_000

// openFolder reads a folder of files of one format, in order of their names. It refuses what is no part of the trace,
// and links that lead out of the folder.
func openFolder(path string, o Options) (*Trace, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the trace: %w", err)
	}
	// An os.Root has no state but its handle; files opened by it live on after it is closed, and each is opened by name in
	// the reader, so that the root stays open until the trace is closed.
	t, err := readFolder(root, path, o)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	t.rows = &closing{rowReader: t.rows, also: root}
	return t, nil
}

// closing closes one thing more.
type closing struct {
	rowReader
	also io.Closer
}

func (c *closing) Close() error { return errors.Join(c.rowReader.Close(), c.also.Close()) }

func readFolder(root *os.Root, path string, o Options) (*Trace, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("opening the trace: %w", err)
	}
	if len(entries) > mostFiles {
		return nil, fmt.Errorf("%s: %d files; expected at most %d", path, len(entries), mostFiles)
	}
	if sub := huaweiFolder(entries); sub != "" {
		inner, err := root.OpenRoot(sub)
		if err != nil {
			return nil, fmt.Errorf("opening the trace: %w", err)
		}
		t, err := readFolder(inner, filepath.Join(path, sub), o)
		if err != nil {
			return nil, errors.Join(err, inner.Close())
		}
		t.rows = &closing{rowReader: t.rows, also: inner}
		return t, nil
	}
	var rows []file
	var beside companions
	format := o.Format
	for _, e := range entries {
		if isNotice(e.Name()) {
			continue
		}
		f := file{name: filepath.Join(path, e.Name()), base: e.Name(), open: func() (io.ReadCloser, error) { return root.Open(e.Name()) }}
		if e.Name() == "dirigent.json" || strings.HasSuffix(e.Name(), "_dirigent.json") {
			if format == "" {
				format = InVitro
			}
			continue
		}
		got, r, err := f.recognise(root)
		if err != nil {
			return nil, err
		}
		if same := format == "" || format == got || format == InVitro && got == Azure2019; !same && o.Format == "" {
			return nil, &Error{File: f.name, Line: 1, Err: fmt.Errorf("this is %s among files of %s; a folder is one trace", got, format)}
		}
		if format == "" {
			format = got
		}
		switch r {
		case roleDurations:
			beside.durations = append(beside.durations, f)
		case roleMemory:
			beside.memory = append(beside.memory, f)
		default:
			rows = append(rows, f)
		}
	}
	if len(rows) == 0 {
		return nil, &Error{File: path, Line: 1, Err: errors.New("there is no trace in this folder")}
	}
	slices.SortFunc(rows, func(a, b file) int { return compareNatural(a.base, b.base) })
	return newTrace(format, rows, beside, o)
}

// recognise looks into a file of a folder.
func (f *file) recognise(root *os.Root) (Format, role, error) {
	info, err := root.Lstat(f.base)
	if err != nil {
		return "", roleStranger, fmt.Errorf("opening the trace: %w", err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return "", roleStranger, &Error{File: f.name, Line: 1, Err: errors.New("a link; in a folder none is followed, give the files themselves")}
	}
	if !info.Mode().IsRegular() {
		return "", roleStranger, &Error{File: f.name, Line: 1, Err: errors.New("no file; expected the files of one trace alone")}
	}
	s, err := f.source()
	if err != nil {
		return "", roleStranger, err
	}
	defer s.Close() // read only: nothing to lose
	return recognise(s)
}

// isNotice is what lies beside data for people: licences, descriptions, hidden files.
func isNotice(name string) bool {
	upper := strings.ToUpper(name)
	if strings.HasPrefix(name, ".") || strings.Contains(upper, "LICENSE") || strings.Contains(upper, "LICENCE") || strings.Contains(upper, "NOTICE") || strings.HasPrefix(upper, "README") {
		return true
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".md", ".txt", ".html", ".pdf", ".ipynb":
		return true
	}
	return false
}

// compareNatural orders names with numbers in them by the numbers: d2 before d10.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da != "" && db != "" {
			na, nb := strings.TrimLeft(da, "0"), strings.TrimLeft(db, "0")
			if len(na) != len(nb) {
				return len(na) - len(nb)
			}
			if c := strings.Compare(na, nb); c != 0 {
				return c
			}
			a, b = a[len(da):], b[len(db):]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// digits is the number that s begins with.
func digits(s string) string {
	for i, c := range s {
		if c < '0' || c > '9' {
			return s[:i]
		}
	}
	return s
}

// huaweiFolder is the folder with the requests when the folder is a whole data set of Huawei's of 2023.
func huaweiFolder(entries []fs.DirEntry) string {
	for _, want := range []string{"requests_minute", "requests_second"} {
		for _, e := range entries {
			if e.IsDir() && e.Name() == want {
				return want
			}
		}
	}
	return ""
}
