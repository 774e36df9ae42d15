package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// mostValue bounds one value of a JSON file in bytes: an entry of an archive with its bodies, a series of an export.
const mostValue = 8 << 20

// mostDepth bounds how deep values that are passed over may lie in one another. Kubernetes objects stay below 30.
const mostDepth = 256

// objects reads a JSON file value by value.
type objects struct {
	*source
	json     *json.Decoder
	read     int64   // bytes given to the decoder
	newlines []int64 // where lines ended, of those not passed yet
	passed   int
}

func newObjects(s *source) *objects {
	o := &objects{source: s}
	o.json = json.NewDecoder(o)
	return o
}

// Read gives the decoder bytes, as long as it does not gather a value that is too large.
func (o *objects) Read(p []byte) (int, error) {
	if o.read-o.json.InputOffset() > mostValue {
		return 0, fmt.Errorf("one value is longer than %d bytes", mostValue)
	}
	o.line() // forgets lines that were passed
	n, err := o.bytes.Read(p[:min(len(p), bufferSize)])
	for i, c := range p[:n] {
		if c == '\n' {
			o.newlines = append(o.newlines, o.read+int64(i))
		}
	}
	o.read += int64(n)
	return n, err
}

// line is the line of the decoder's place.
func (o *objects) line() int {
	at, i := o.json.InputOffset(), 0
	for i < len(o.newlines) && o.newlines[i] < at {
		i++
	}
	o.passed += i
	o.newlines = o.newlines[i:]
	return o.passed + 1
}

func (o *objects) fail(column string, err error) error {
	var place *Error
	if errors.As(err, &place) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &Error{File: o.name, Line: o.line(), Column: column, Err: err}
}

func (o *objects) failf(column, format string, args ...any) error {
	return o.fail(column, fmt.Errorf(format, args...))
}

// expect takes a token that must be there.
func (o *objects) expect(want json.Delim, what string) error {
	t, err := o.json.Token()
	if err != nil {
		return o.fail(what, err)
	}
	if t != want {
		return o.failf(what, "%v; expected %v", short(t), want)
	}
	return nil
}

func short(t json.Token) string { return string(clip([]byte(fmt.Sprint(t)))) }

// key is the next key of an object; done at its end.
func (o *objects) key() (name string, done bool, err error) {
	t, err := o.json.Token()
	if err != nil {
		return "", false, o.fail("", err)
	}
	if t == json.Delim('}') {
		return "", true, nil
	}
	name, ok := t.(string)
	if !ok {
		return "", false, o.failf("", "%v; expected a key", short(t))
	}
	return name, false, nil
}

// skip passes over a value, token by token.
func (o *objects) skip() error {
	for depth := 0; ; {
		t, err := o.json.Token()
		if err != nil {
			return o.fail("", err)
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		switch {
		case depth == 0:
			return nil
		case depth > mostDepth:
			return o.failf("", "values lie more than %d deep", mostDepth)
		}
	}
}

// enter goes down objects to the array at path, passing over what is beside it; seen is told of what it passes.
func (o *objects) enter(path []string, seen func(key string) (taken bool, err error)) error {
	for _, want := range path {
		if err := o.expect(json.Delim('{'), want); err != nil {
			return err
		}
		for {
			name, done, err := o.key()
			if err != nil {
				return err
			}
			if done {
				return o.failf(want, "there is no such key")
			}
			if name == want {
				break
			}
			taken, err := seen(name)
			if err == nil && !taken {
				err = o.skip()
			}
			if err != nil {
				return err
			}
		}
	}
	return o.expect(json.Delim('['), path[len(path)-1])
}

// leave checks that the file ends well after the array, as a file that was cut off does not.
func (o *objects) leave(depth int) error {
	if err := o.expect(json.Delim(']'), ""); err != nil {
		return err
	}
	for range depth {
		for {
			_, done, err := o.key()
			if err != nil {
				return err
			}
			if done {
				break
			}
			if err := o.skip(); err != nil {
				return err
			}
		}
	}
	if _, err := o.json.Token(); !errors.Is(err, io.EOF) {
		return o.failf("", "something stands after the end")
	}
	return io.EOF
}
