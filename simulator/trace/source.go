package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// bufferSize is what is read at a time, and what recognising a format may look at.
	bufferSize = 64 << 10
	// mostLine bounds a line in bytes, so that a file without ends of line, or a few packed bytes, do not fill the memory.
	mostLine = 1 << 20
	// bombFrom and bombRatio say when packed data is a bomb and no trace: more than bombRatio bytes come out of one, after
	// bombFrom bytes. The sparsest table of counts (a day of zeros behind a hashed name) packs about 30 to 1.
	bombFrom, bombRatio = 64 << 20, 200
	// mostWindow bounds what zstd may look back, and so its memory; it is what zstd itself allows without --long.
	mostWindow = 32 << 20
)

// source is the unpacked bytes of one file.
type source struct {
	name   string
	bytes  *bufio.Reader
	closer []io.Closer
}

// unpack makes a source of r: gzip, zstd or plain, without a byte order mark. What it returns owns r when r is a Closer.
func unpack(r io.Reader, name string) (*source, error) {
	s := &source{name: name}
	if c, ok := r.(io.Closer); ok {
		s.closer = append(s.closer, c)
	}
	packed := &counter{from: r}
	s.bytes = bufio.NewReaderSize(packed, bufferSize)
	fail := func(kind string, err error) (*source, error) {
		_ = s.Close() // the error that counts is already there
		return nil, &Error{File: name, Line: 1, Err: fmt.Errorf("not a %s file after all: %w", kind, err)}
	}
	magic, _ := s.bytes.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(s.bytes)
		if err != nil {
			return fail("gzip", err)
		}
		s.bytes = bufio.NewReaderSize(&unpacking{from: z, packed: packed, kind: "gzip"}, bufferSize)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(s.bytes, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return fail("zstd", err)
		}
		s.closer = append(s.closer, z.IOReadCloser())
		s.bytes = bufio.NewReaderSize(&unpacking{from: z, packed: packed, kind: "zstd"}, bufferSize)
	}
	if bom, _ := s.bytes.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = s.bytes.Discard(3) // it was just seen
	}
	return s, nil
}

// Close ends the unpacking and closes the file.
func (s *source) Close() error {
	var all error
	for i := len(s.closer) - 1; i >= 0; i-- {
		all = errors.Join(all, s.closer[i].Close())
	}
	s.closer = nil
	return all
}

// start is the first bytes, not taken away.
func (s *source) start() ([]byte, error) {
	b, err := s.bytes.Peek(bufferSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return b, &Error{File: s.name, Line: 1, Err: err}
	}
	return b, nil
}

// counter counts what was read.
type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// unpacking passes on unpacked bytes until they are too many for what they came from.
type unpacking struct {
	from   io.Reader
	packed *counter
	n      int64
	kind   string
}

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	u.n += int64(n)
	if u.n > bombFrom && u.n/bombRatio > u.packed.n {
		return 0, fmt.Errorf("%d packed bytes became more than %d: this is no trace but a %s bomb", u.packed.n, u.n, u.kind)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the %s data is cut off or damaged: %w", u.kind, err)
	}
	return n, err
}

// lines reads a source line by line and knows where it is.
type lines struct {
	*source
	line int
	long []byte
}

// next is the next line without its end, valid until the call after; io.EOF after the last. A line that is too long, or
// data that cannot be unpacked, is an *Error.
func (l *lines) next() ([]byte, error) {
	l.line++
	b, err := l.bytes.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], b...)
		for errors.Is(err, bufio.ErrBufferFull) && len(l.long) <= mostLine {
			b, err = l.bytes.ReadSlice('\n')
			l.long = append(l.long, b...)
		}
		b = l.long
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil // too long, as is said below
		}
	}
	switch {
	case errors.Is(err, io.EOF) && len(b) == 0:
		l.line--
		return nil, io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return nil, l.fail("", err)
	case len(b) > mostLine:
		return nil, l.fail("", fmt.Errorf("a line is longer than %d bytes", mostLine))
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r")), nil
}

// fail is err with the place of the line at hand.
func (l *lines) fail(column string, err error) error {
	return &Error{File: l.name, Line: max(l.line, 1), Column: column, Err: err}
}

func (l *lines) failf(column, format string, args ...any) error {
	return l.fail(column, fmt.Errorf(format, args...))
}
