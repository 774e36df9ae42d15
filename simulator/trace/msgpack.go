package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// msgpack reads MessagePack, value by value. Of a value it keeps at most mostValue bytes.
type msgpack struct {
	from *bufio.Reader
	left int // bytes that the value at hand may have yet
}

// head is the first of a value: what it is, and its length or its number.
type head struct {
	kind  packedKind
	n     int     // length of text, bytes, an array or a map
	value float64 // of a number
}

type packedKind byte

const (
	packedNothing packedKind = iota // nil, true, false
	packedNumber
	packedText
	packedBytes
	packedArray
	packedMap
)

// take reads n bytes as a number.
func (m *msgpack) take(n int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(m.from, b[8-n:]); err != nil {
		return 0, unexpected(err)
	}
	m.left -= n
	return binary.BigEndian.Uint64(b[:]), nil
}

// unexpected makes an end within a value an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// sized is how the codes from 0xc4 on are laid out: what they begin and how many bytes their length takes.
var sized = map[byte]struct {
	kind  packedKind
	bytes int
	more  int // a type that goes before the data of an extension
}{
	0xc4: {packedBytes, 1, 0}, 0xc5: {packedBytes, 2, 0}, 0xc6: {packedBytes, 4, 0}, 0xc7: {packedBytes, 1, 1}, 0xc8: {packedBytes, 2, 1}, 0xc9: {packedBytes, 4, 1},
	0xd9: {packedText, 1, 0}, 0xda: {packedText, 2, 0}, 0xdb: {packedText, 4, 0}, 0xdc: {packedArray, 2, 0}, 0xdd: {packedArray, 4, 0}, 0xde: {packedMap, 2, 0}, 0xdf: {packedMap, 4, 0},
}

// head reads the first of a value.
func (m *msgpack) head() (head, error) {
	first, err := m.take(1)
	if err != nil {
		return head{}, err
	}
	c := byte(first)
	switch {
	case c < 0x80:
		return head{packedNumber, 0, float64(c)}, nil
	case c < 0x90:
		return head{packedMap, int(c & 0x0f), 0}, nil
	case c < 0xa0:
		return head{packedArray, int(c & 0x0f), 0}, nil
	case c < 0xc0:
		return head{packedText, int(c & 0x1f), 0}, nil
	case c >= 0xe0:
		return head{packedNumber, 0, float64(int8(c))}, nil
	case c == 0xc0 || c == 0xc2 || c == 0xc3:
		return head{}, nil
	case c >= 0xca && c <= 0xd3:
		return m.number(c)
	case c >= 0xd4 && c <= 0xd8: // an extension of 1, 2, 4, 8 or 16 bytes, behind its type
		return head{packedBytes, 1 + 1<<(c-0xd4), 0}, nil
	}
	s, ok := sized[c]
	if !ok {
		return head{}, fmt.Errorf("byte %#x begins no MessagePack value", c)
	}
	n, err := m.take(s.bytes)
	if err != nil {
		return head{}, err
	}
	return head{s.kind, int(n) + s.more, 0}, nil
}

// number reads what follows the code of a number.
func (m *msgpack) number(c byte) (head, error) {
	width := map[byte]int{0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8}[c]
	n, err := m.take(width)
	if err != nil {
		return head{}, err
	}
	v := float64(n)
	switch c {
	case 0xca:
		v = float64(math.Float32frombits(uint32(n)))
	case 0xcb:
		v = math.Float64frombits(n)
	case 0xd0:
		v = float64(int8(n))
	case 0xd1:
		v = float64(int16(n))
	case 0xd2:
		v = float64(int32(n))
	case 0xd3:
		v = float64(int64(n))
	}
	return head{packedNumber, 0, v}, nil
}

// text reads the n bytes of a text.
func (m *msgpack) text(n int) (string, error) {
	if n > m.left {
		return "", fmt.Errorf("one value is longer than %d bytes", mostValue)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(m.from, b); err != nil {
		return "", unexpected(err)
	}
	m.left -= n
	return string(b), nil
}

// value reads a whole value: nil, float64, string, []any or map[string]any. Bytes are passed over.
func (m *msgpack) value(depth int) (any, error) {
	if depth > mostDepth {
		return nil, fmt.Errorf("values lie more than %d deep", mostDepth)
	}
	const overhead = 16 // bytes that any value takes once it is read
	m.left -= overhead
	h, err := m.head()
	if err != nil {
		return nil, err
	}
	if m.left < 0 || h.n > m.left {
		return nil, fmt.Errorf("one value is longer than %d bytes", mostValue)
	}
	switch h.kind {
	case packedNumber:
		return h.value, nil
	case packedText:
		return m.text(h.n)
	case packedBytes:
		m.left -= h.n
		_, err := m.from.Discard(h.n)
		return nil, unexpected(err)
	case packedArray:
		var list []any
		for range h.n {
			v, err := m.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case packedMap:
		all := map[string]any{}
		for range h.n {
			k, err := m.value(depth + 1)
			if err != nil {
				return nil, err
			}
			v, err := m.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if name, ok := k.(string); ok { // other keys are of pod_lifecycles, which no one asks for
				all[name] = v
			}
		}
		return all, nil
	}
	return nil, nil
}

// next reads a whole value of at most mostValue bytes.
func (m *msgpack) next() (any, error) {
	m.left = mostValue
	return m.value(0)
}
