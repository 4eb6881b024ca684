// Package sml reads the Smart Message Language that German meters send by their optical port, over a
// serial line or a TCP bridge (BSI TR-03109-1, annex IV; SML 1.04).
//
//	1b1b1b1b 01010101            a file begins
//	  message ...                lists of lists; 1b1b1b1b in them is sent twice
//	1b1b1b1b 1a NN CC CC         it ends; NN bytes of padding before; CRC-16/X.25 over all of it
//
// Of its messages only lists of values (GetList.Res) are read; the rest are checked and passed over.
package sml

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/cairn-network/cairn/wire/obis"
)

// Bounds of what is read: meters send a few hundred bytes and eight levels at most.
const (
	MaxFile   = 16 << 10
	maxDepth  = 12
	maxValues = 512
)

var (
	// ErrFile is wrapped by errors about bytes that are no SML file.
	ErrFile = errors.New("not an SML file")
	// ErrChecksum is wrapped by errors about files that were damaged on their way.
	ErrChecksum = errors.New("an SML file's checksum is wrong")
)

var (
	escape = []byte{0x1b, 0x1b, 0x1b, 0x1b}
	begin  = []byte{0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1}
)

// File is what a meter told at one time.
type File struct {
	// Server is the meter's id, up to ten bytes that say maker and serial number.
	Server []byte
	// Readings are its values of numbers. Unit is obis.Other unless it is energy or power.
	Readings []obis.Reading
}

// Parse reads the messages between a file's beginning and end, escapes undone, padding still there.
// ErrFile.
func Parse(b []byte) (File, error) {
	var f File
	in := input{b: b}
	for {
		for len(in.b) > 0 && in.b[0] == 0 { // padding
			in.b = in.b[1:]
		}
		if len(in.b) == 0 {
			return f, nil
		}
		message, err := in.value(0)
		if err != nil {
			return File{}, fmt.Errorf("message %d: %w", in.messages+1, err)
		}
		in.messages++
		if err := f.message(message); err != nil {
			return File{}, fmt.Errorf("message %d: %w", in.messages, err)
		}
	}
}

// Kinds of values, as their first byte says.
const (
	kindBytes = iota
	_
	_
	_
	kindBool
	kindSigned
	kindUnsigned
	kindList
)

// value is one value. A value that is left out is of no bytes.
type value struct {
	kind   int
	bytes  []byte // of all but lists
	values []value
}

func (v value) absent() bool { return v.kind == kindBytes && len(v.bytes) == 0 }

// integer is a number of one to eight bytes; false where it is none or more than 63 bits.
func (v value) integer() (int64, bool) {
	if v.kind != kindSigned && v.kind != kindUnsigned || len(v.bytes) == 0 || len(v.bytes) > 8 {
		return 0, false
	}
	var n uint64
	if v.kind == kindSigned && v.bytes[0]&0x80 != 0 {
		n = math.MaxUint64
	}
	for _, c := range v.bytes {
		n = n<<8 | uint64(c)
	}
	return int64(n), v.kind == kindSigned || n <= math.MaxInt64
}

// list gives the values of a list of so many.
func (v value) list(n int) ([]value, bool) {
	return v.values, v.kind == kindList && len(v.values) == n
}

// input is what is left to read. count bounds how many values there are in all.
type input struct {
	b        []byte
	messages int
	count    int
}

// value reads one value and all below it. The first byte has the kind in bits 4 to 6 and the length in
// bits 0 to 3, which counts itself except for lists; bit 7 says that four more bits of it follow.
func (in *input) value(depth int) (value, error) {
	if in.count++; depth > maxDepth || in.count > 8*maxValues {
		return value{}, fmt.Errorf("%w: more than %d levels or %d values", ErrFile, maxDepth, 8*maxValues)
	}
	var v value
	length, head := 0, 0
	for more := true; more; head++ {
		if head == len(in.b) || head == 3 {
			return value{}, fmt.Errorf("%w: it ends in a value's length", ErrFile)
		}
		c := in.b[head]
		if head == 0 {
			v.kind = int(c >> 4 & 7)
		}
		length, more = length<<4|int(c&15), c&0x80 != 0
	}
	if v.kind == kindList {
		in.b = in.b[head:]
		for range length {
			below, err := in.value(depth + 1)
			if err != nil {
				return value{}, err
			}
			v.values = append(v.values, below)
		}
		return v, nil
	}
	if in.b[0] == 0 { // the end of a message, its last value
		in.b = in.b[1:]
		return v, nil
	}
	if length < head || length > len(in.b) {
		return value{}, fmt.Errorf("%w: a value of %d bytes where %d are left", ErrFile, length, len(in.b))
	}
	switch v.kind {
	case kindBytes, kindBool, kindSigned, kindUnsigned:
	default:
		return value{}, fmt.Errorf("%w: a value of kind %d", ErrFile, v.kind)
	}
	v.bytes, in.b = in.b[head:length], in.b[length:]
	return v, nil
}

// getListRes is the tag of a message with values.
const getListRes = 0x0701

// message takes in a message: transaction, group, abort on error, body, CRC, end.
func (f *File) message(v value) error {
	fields, ok := v.list(6)
	if !ok {
		return fmt.Errorf("%w: a message is a list of 6", ErrFile)
	}
	body, ok := fields[3].list(2)
	if !ok {
		return fmt.Errorf("%w: a body is a list of 2", ErrFile)
	}
	if tag, ok := body[0].integer(); !ok || tag != getListRes {
		return nil
	}
	// Client, server, list name, time, values, signature, time of the gateway.
	response, ok := body[1].list(7)
	if !ok || response[4].kind != kindList {
		return fmt.Errorf("%w: a response is a list of 7, the fifth a list", ErrFile)
	}
	if server := response[1]; server.kind == kindBytes && !server.absent() {
		f.Server = bytes.Clone(server.bytes)
	}
	for _, entry := range response[4].values {
		if err := f.entry(entry); err != nil {
			return err
		}
	}
	return nil
}

// entry takes in a value of the list: name, status, time, unit, scaler, value, signature.
func (f *File) entry(v value) error {
	fields, ok := v.list(7)
	if !ok {
		return fmt.Errorf("%w: an entry is a list of 7", ErrFile)
	}
	name := fields[0]
	if name.kind != kindBytes || len(name.bytes) != 6 {
		return fmt.Errorf("%w: a name of %d bytes, want 6", ErrFile, len(name.bytes))
	}
	r := obis.Reading{Code: obis.Code{
		A: name.bytes[0], B: name.bytes[1], C: name.bytes[2], D: name.bytes[3], E: name.bytes[4], F: name.bytes[5],
	}}
	if kind := fields[5].kind; kind != kindSigned && kind != kindUnsigned {
		return nil // text, keys
	}
	if r.Value, ok = fields[5].integer(); !ok {
		return fmt.Errorf("%w: %s does not fit 64 bits", ErrFile, r.Code)
	}
	if !fields[4].absent() {
		scaler, ok := fields[4].integer()
		if !ok || scaler < math.MinInt8 || scaler > math.MaxInt8 {
			return fmt.Errorf("%w: %s has scaler %x", ErrFile, r.Code, fields[4].bytes)
		}
		r.Scale = int8(scaler)
	}
	if unit, ok := fields[3].integer(); ok && (unit == int64(obis.Watt) || unit == int64(obis.WattHour)) {
		r.Unit = obis.Unit(unit)
	}
	if len(f.Readings) == maxValues {
		return fmt.Errorf("%w: more than %d values", ErrFile, maxValues)
	}
	f.Readings = append(f.Readings, r)
	return nil
}

// Reader finds files in a stream.
type Reader struct {
	in    *bufio.Reader
	begun bool // the beginning of the next file has been read
}

// NewReader reads from a serial line or a connection.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReader(r)} }

// Next gives the next file. An error that wraps ErrFile or ErrChecksum concerns one file and Next may
// be called again; others are those of the stream.
func (r *Reader) Next() (File, error) {
	if err := r.skip(); err != nil {
		return File{}, err
	}
	r.begun = false
	sum := newCRC(begin)
	var payload []byte
	for {
		// Within a file everything comes in groups of four bytes, and an escape is one of them.
		var group, after [4]byte
		if _, err := io.ReadFull(r.in, group[:]); err != nil {
			return File{}, fmt.Errorf("reading an SML file: %w", err)
		}
		if !bytes.Equal(group[:], escape) {
			sum.add(group[:])
			if payload = append(payload, group[:]...); len(payload) > MaxFile {
				return File{}, fmt.Errorf("%w: more than %d bytes", ErrFile, MaxFile)
			}
			continue
		}
		if _, err := io.ReadFull(r.in, after[:]); err != nil {
			return File{}, fmt.Errorf("reading an SML file: %w", err)
		}
		sum.add(group[:])
		switch {
		case bytes.Equal(after[:], escape): // sent twice
			sum.add(after[:])
			payload = append(payload, escape...)
		case bytes.Equal(after[:], begin[4:]):
			r.begun = true
			return File{}, fmt.Errorf("%w: another begins before its end", ErrFile)
		case after[0] == 0x1a:
			sum.add(after[:2])
			if got, want := sum.value(), binary.LittleEndian.Uint16(after[2:]); got != want {
				return File{}, fmt.Errorf("%w: %04x, the file has %04x", ErrChecksum, want, got)
			}
			padding := int(after[1])
			if padding > 3 || padding > len(payload) {
				return File{}, fmt.Errorf("%w: %d bytes of padding", ErrFile, padding)
			}
			return Parse(payload[:len(payload)-padding])
		default:
			return File{}, fmt.Errorf("%w: escape %x", ErrFile, after)
		}
	}
}

// skip goes past the next beginning.
func (r *Reader) skip() error {
	for at := 0; !r.begun; {
		c, err := r.in.ReadByte()
		if err != nil {
			return fmt.Errorf("waiting for an SML file: %w", err)
		}
		switch {
		case c == begin[at]:
			at++
		case c == begin[0] && at == len(escape):
			// One escape byte too many: still four before.
		case c == begin[0]:
			at = 1
		default:
			at = 0
		}
		r.begun = at == len(begin)
	}
	return nil
}

// Append writes a file of messages to b: padding, escapes, checksum.
func Append(b, messages []byte) []byte {
	at := len(b)
	b = append(b, begin...)
	padding := -len(messages) & 3
	messages = append(bytes.Clone(messages), make([]byte, padding)...)
	for group := range slices.Chunk(messages, 4) {
		if b = append(b, group...); bytes.Equal(group, escape) {
			b = append(b, escape...)
		}
	}
	b = append(append(b, escape...), 0x1a, byte(padding))
	sum := newCRC(b[at:])
	return binary.LittleEndian.AppendUint16(b, sum.value())
}

// crc is CRC-16/X.25: polynomial 0x1021 reflected, all ones at both ends.
type crc uint16

func newCRC(b []byte) crc {
	c := crc(0xffff)
	c.add(b)
	return c
}

func (c *crc) add(b []byte) {
	for _, v := range b {
		*c ^= crc(v)
		for range 8 {
			low := *c & 1
			if *c >>= 1; low == 1 {
				*c ^= 0x8408
			}
		}
	}
}

func (c crc) value() uint16 { return uint16(^c) }
