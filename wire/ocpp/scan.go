package ocpp

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	errDepth    = fmt.Errorf("nested deeper than %d", MaxDepth)
	errEnd      = errors.New("ends too early")
	errTrailing = errors.New("something follows the end")
)

// split returns the first elements of the array that b is, and how many there are.
func split(b []byte) (elements [maxElements][]byte, n int, err error) {
	i := space(b, 0)
	if i == len(b) || b[i] != '[' {
		return elements, 0, errors.New("not an array")
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return elements, 0, nil
	}
	for {
		end, err := skip(b, i, 1)
		if err != nil {
			return elements, n, err
		}
		if n < maxElements {
			elements[n] = b[i:end]
		}
		n++
		i = space(b, end)
		switch {
		case i == len(b):
			return elements, n, errEnd
		case b[i] == ',':
			i = space(b, i+1)
		case b[i] == ']':
			if space(b, i+1) != len(b) {
				return elements, n, errTrailing
			}
			return elements, n, nil
		default:
			return elements, n, fmt.Errorf("%q between elements", b[i])
		}
	}
}

// fields calls yield for every member of the object that b is, until yield returns an error. Keys come without
// quotes and with escapes as they stand.
func fields(b []byte, yield func(key, value []byte) error) error {
	i := space(b, 0)
	if i == len(b) || b[i] != '{' {
		return errors.New("not an object")
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return nil
	}
	for {
		if i == len(b) || b[i] != '"' {
			return errors.New("a member without a name")
		}
		end, err := skip(b, i, 1)
		if err != nil {
			return err
		}
		key := b[i+1 : end-1]
		i = space(b, end)
		if i == len(b) || b[i] != ':' {
			return errors.New("a name without a value")
		}
		i = space(b, i+1)
		if end, err = skip(b, i, 1); err != nil {
			return err
		}
		if err := yield(key, b[i:end]); err != nil {
			return err
		}
		i = space(b, end)
		switch {
		case i == len(b):
			return errEnd
		case b[i] == ',':
			i = space(b, i+1)
		case b[i] == '}':
			return nil
		default:
			return fmt.Errorf("%q between members", b[i])
		}
	}
}

// skip returns where the value that starts at i ends. Brackets must balance and strings must end; what lies between
// is left to encoding/json.
func skip(b []byte, i, depth int) (int, error) {
	if i == len(b) {
		return i, errEnd
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
	case ',', ':', ']', '}':
		return i, fmt.Errorf("%q where a value should be", b[i])
	default:
		n := bytes.IndexAny(b[i:], ",:]}[{\" \t\r\n")
		if n < 0 {
			return len(b), nil
		}
		return i + n, nil
	}
	var open [MaxDepth]byte // closing brackets awaited
	level := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			end, err := skipString(b, i)
			if err != nil {
				return i, err
			}
			i = end
			continue
		case '{', '[':
			if depth+level >= MaxDepth {
				return i, errDepth
			}
			open[level] = c + 2 // '{'+2 is '}', '['+2 is ']'
			level++
		case '}', ']':
			level--
			if open[level] != c {
				return i, fmt.Errorf("%q closes nothing", c)
			}
			if level == 0 {
				return i + 1, nil
			}
		}
		i++
	}
	return i, errEnd
}

func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1, nil
		}
	}
	return i, errEnd
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}
