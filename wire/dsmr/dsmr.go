// Package dsmr reads the P1 port of smart meters in the Netherlands, Belgium, Luxembourg and the
// Nordic countries: one telegram every one to ten seconds, over a serial line or a TCP bridge
// (DSMR P1 companion standard 5.0.2, chapter 5 and 6).
//
//	/ISk5\2MT382-1000<CR><LF>              identification
//	<CR><LF>
//	1-3:0.2.8(50)<CR><LF>                  lines of CODE(value)(value)...
//	1-0:1.8.1(123456.789*kWh)<CR><LF>
//	!522B<CR><LF>                          CRC-16/ARC over everything from '/' to '!'
//
// Meters before DSMR 4 end with '!' alone: their telegrams are read, and Checked is false.
package dsmr

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cairn-network/cairn/wire/obis"
)

// Bounds of what is read: meters send about 1 KB.
const (
	MaxTelegram = 16 << 10
	maxDigits   = 18 // of a value: fits 64 bits
)

var (
	// ErrTelegram is wrapped by errors about bytes that are no telegram.
	ErrTelegram = errors.New("not a P1 telegram")
	// ErrChecksum is wrapped by errors about telegrams that were damaged on their way.
	ErrChecksum = errors.New("a P1 telegram's checksum is wrong")
)

// Telegram is what a meter told at one time.
type Telegram struct {
	// Identification is the first line without its '/': maker and model.
	Identification string
	// Equipment is the meter's serial number (0-0:96.1.1), as it is sent: hexadecimal of ASCII. "" if
	// the meter does not tell it.
	Equipment string
	// Time is the meter's own clock (0-0:1.0.0): local time YYMMDDhhmmss and S in summer, W in winter.
	Time string
	// Readings are the values with a unit of electricity.
	Readings []obis.Reading
	// Checked says that the telegram had a checksum, which was right.
	Checked bool
}

// Codes that are not of electricity.
var (
	clock     = obis.Code{A: 0, B: 0, C: 1, D: 0, E: 0, F: 255}
	equipment = obis.Code{A: 0, B: 0, C: 96, D: 1, E: 1, F: 255}
)

// Parse reads one telegram, from '/' to the end of the line of '!'. ErrTelegram, ErrChecksum.
func Parse(b []byte) (Telegram, error) {
	if len(b) > MaxTelegram {
		return Telegram{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTelegram, len(b), MaxTelegram)
	}
	if len(b) == 0 || b[0] != '/' {
		return Telegram{}, fmt.Errorf("%w: it begins with %.10q, want '/'", ErrTelegram, b)
	}
	end := bytes.LastIndexByte(b, '!')
	if end < 0 {
		return Telegram{}, fmt.Errorf("%w: no '!'", ErrTelegram)
	}
	var t Telegram
	if sum := strings.TrimSpace(string(b[end+1:])); sum != "" {
		want, err := strconv.ParseUint(sum, 16, 16)
		if err != nil || len(sum) != 4 {
			return Telegram{}, fmt.Errorf("%w: checksum %.10q, want four hexadecimal digits", ErrTelegram, sum)
		}
		if got := crc(b[:end+1]); got != uint16(want) {
			return Telegram{}, fmt.Errorf("%w: %04X, the telegram has %04X", ErrChecksum, want, got)
		}
		t.Checked = true
	}
	for number, line := range strings.Split(string(b[1:end]), "\n") {
		line = strings.TrimRight(line, "\r")
		if number == 0 {
			t.Identification = line
			continue
		}
		if err := t.read(line); err != nil {
			return Telegram{}, fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	return t, nil
}

// read takes in a line. Lines of other devices on the meter's bus, and continuations, tell nothing of
// electricity and are left out.
func (t *Telegram) read(line string) error {
	name, rest, found := strings.Cut(line, "(")
	if !found || name == "" {
		return nil
	}
	code, err := obis.Parse(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTelegram, err)
	}
	text, tail, found := strings.Cut(rest, ")")
	if !found {
		return fmt.Errorf("%w: %s is not closed", ErrTelegram, code)
	}
	switch {
	case code == clock:
		t.Time = text
	case code == equipment:
		t.Equipment = text
	case tail != "":
		return nil // the meter's own history and the bus's devices have several values
	}
	number, unit, found := strings.Cut(text, "*")
	if !found || code.A != 1 {
		return nil
	}
	r := obis.Reading{Code: code}
	switch unit {
	case "kWh":
		r.Unit, r.Scale = obis.WattHour, 3
	case "Wh":
		r.Unit = obis.WattHour
	case "kW":
		r.Unit, r.Scale = obis.Watt, 3
	case "W":
		r.Unit = obis.Watt
	default:
		return nil
	}
	whole, fraction, _ := strings.Cut(number, ".")
	digits := whole + fraction
	if whole == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("%w: %s is %.40q", ErrTelegram, code, text)
	}
	if r.Value, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return fmt.Errorf("%w: %s is %.40q", ErrTelegram, code, text)
	}
	r.Scale -= int8(len(fraction))
	t.Readings = append(t.Readings, r)
	return nil
}

// Append writes a telegram of these lines with its checksum to b, as meters and simulators send it.
func Append(b []byte, identification string, lines []string) []byte {
	begin := len(b)
	b = append(append(b, '/'), identification...)
	b = append(b, "\r\n\r\n"...)
	for _, line := range lines {
		b = append(append(b, line...), "\r\n"...)
	}
	b = append(b, '!')
	return fmt.Appendf(b, "%04X\r\n", crc(b[begin:]))
}

// crc is CRC-16/ARC: polynomial 0x8005 reflected, no start value (P1 companion standard, 5.2).
func crc(b []byte) uint16 {
	var sum uint16
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low == 1 {
				sum ^= 0xA001
			}
		}
	}
	return sum
}

// Reader finds telegrams in a stream.
type Reader struct{ in *bufio.Reader }

// NewReader reads from a serial line or a connection.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReaderSize(r, MaxTelegram)} }

// Next gives the next telegram. An error that wraps ErrTelegram or ErrChecksum concerns one telegram
// and Next may be called again; others are those of the stream.
func (r *Reader) Next() (Telegram, error) {
	if err := r.skip(); err != nil {
		return Telegram{}, err
	}
	var b []byte
	for {
		// A '/' at the beginning of a line is another telegram: the end of this one was lost.
		if next, err := r.in.Peek(1); err == nil && next[0] == '/' && len(b) > 0 {
			return Telegram{}, fmt.Errorf("%w: another begins before its end", ErrTelegram)
		}
		line, err := r.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return Telegram{}, fmt.Errorf("reading a P1 telegram: %w", err)
		}
		if b = append(b, line...); len(b) > MaxTelegram || err != nil {
			return Telegram{}, fmt.Errorf("%w: more than %d bytes", ErrTelegram, MaxTelegram)
		}
		if line[0] == '!' {
			return Parse(b)
		}
	}
}

// skip goes to the next '/'.
func (r *Reader) skip() error {
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return fmt.Errorf("waiting for a P1 telegram: %w", err)
		}
		if c == '/' {
			return r.in.UnreadByte()
		}
	}
}
