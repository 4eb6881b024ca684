// Package obis names what electricity meters count (IEC 62056-61) and makes registers of it. It is
// what the protocols of meters have in common: wire/dsmr and wire/sml both tell Readings.
package obis

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
)

var (
	// ErrCode is wrapped by errors about text that is no code.
	ErrCode = errors.New("not an OBIS code")
	// ErrValue is wrapped by errors about readings that no meter can have.
	ErrValue = errors.New("not a reading of a meter")
	// ErrMissing is wrapped by errors about readings without what was asked for.
	ErrMissing = errors.New("the meter does not tell")
)

// Code is the name of a quantity: A-B:C.D.E*F. F is 255 where it says nothing.
type Code struct{ A, B, C, D, E, F uint8 }

// Quantities of electricity. Tariffs 1 and 2 are what two-rate meters tell in place of, or beside, a
// total.
var (
	Import  = Code{1, 0, 1, 8, 0, 255}
	Import1 = Code{1, 0, 1, 8, 1, 255}
	Import2 = Code{1, 0, 1, 8, 2, 255}
	Export  = Code{1, 0, 2, 8, 0, 255}
	Export1 = Code{1, 0, 2, 8, 1, 255}
	Export2 = Code{1, 0, 2, 8, 2, 255}
	// Power is what is imported now; negative in SML where it is exported.
	Power = Code{1, 0, 16, 7, 0, 255}
	// PowerIn and PowerOut are the same as DSMR tells them, never negative.
	PowerIn  = Code{1, 0, 1, 7, 0, 255}
	PowerOut = Code{1, 0, 2, 7, 0, 255}
)

// Parse reads a code as people and DSMR write it, "1-0:1.8.0" or "1-0:1.8.0*255". ErrCode.
func Parse(s string) (Code, error) {
	var c Code
	c.F = 255
	rest := s
	for _, part := range []struct {
		to   *uint8
		stop string
	}{{&c.A, "-"}, {&c.B, ":"}, {&c.C, "."}, {&c.D, "."}, {&c.E, "*"}} {
		text, after, found := strings.Cut(rest, part.stop)
		if !found && part.stop != "*" {
			return Code{}, fmt.Errorf("%w: %.40q", ErrCode, s)
		}
		if err := parseByte(text, part.to); err != nil {
			return Code{}, fmt.Errorf("%w: %.40q", ErrCode, s)
		}
		if rest = after; !found {
			return c, nil
		}
	}
	if err := parseByte(rest, &c.F); err != nil {
		return Code{}, fmt.Errorf("%w: %.40q", ErrCode, s)
	}
	return c, nil
}

func parseByte(text string, to *uint8) error {
	v, err := strconv.ParseUint(text, 10, 8)
	*to = uint8(v)
	return err
}

// String is how people write the code; F only where it says something.
func (c Code) String() string {
	s := fmt.Sprintf("%d-%d:%d.%d.%d", c.A, c.B, c.C, c.D, c.E)
	if c.F != 255 {
		s += fmt.Sprintf("*%d", c.F)
	}
	return s
}

// Unit is what a value counts.
type Unit uint8

// Units, with the numbers of DLMS (IEC 62056-62, table 4).
const (
	Other    Unit = 0
	Watt     Unit = 27
	WattHour Unit = 30
)

// Reading is one value that a meter tells: Value times ten to the Scale in Unit, exactly.
type Reading struct {
	Code  Code
	Value int64
	Scale int8
	Unit  Unit
}

// Energy is the reading as a register, cut to milliwatt hours. ErrValue where it is no energy, is
// negative, or is more than a register shows.
func (r Reading) Energy() (meter.MilliWattHours, error) {
	if r.Unit != WattHour {
		return 0, fmt.Errorf("%w: %s is in unit %d, want watt hours", ErrValue, r.Code, r.Unit)
	}
	v, err := r.scaled(int(r.Scale) + 3)
	if err != nil {
		return 0, err
	}
	if v < 0 || v > int64(meter.MaxRegister) {
		return 0, fmt.Errorf("%w: %s is %d mWh, want 0 to %d", ErrValue, r.Code, v, meter.MaxRegister)
	}
	return meter.MilliWattHours(v), nil
}

// Watts is the reading as power, cut to whole watts. ErrValue where it is none.
func (r Reading) Watts() (grid.Watts, error) {
	if r.Unit != Watt {
		return 0, fmt.Errorf("%w: %s is in unit %d, want watts", ErrValue, r.Code, r.Unit)
	}
	v, err := r.scaled(int(r.Scale))
	return grid.Watts(v), err
}

// scaled is the value times ten to a power, cut towards zero.
func (r Reading) scaled(power int) (int64, error) {
	v := r.Value
	for ; power > 0 && v != 0; power-- {
		if v > math.MaxInt64/10 || v < math.MinInt64/10 {
			return 0, fmt.Errorf("%w: %s is %d times ten to %d", ErrValue, r.Code, r.Value, r.Scale)
		}
		v *= 10
	}
	for ; power < 0 && v != 0; power++ {
		v /= 10
	}
	return v, nil
}

// Registers are import and export out of a meter's readings: the totals where it tells them, else the
// sums of its two tariffs. ErrMissing where it tells neither for import; a meter without export
// exports nothing. ErrValue where a register is none, or comes twice with two values.
func Registers(readings []Reading) (meter.Registers, error) {
	in, some, err := total(readings, Import, Import1, Import2)
	if err != nil {
		return meter.Registers{}, err
	}
	if !some {
		return meter.Registers{}, fmt.Errorf("%w its import (%s, or %s and %s)", ErrMissing, Import, Import1, Import2)
	}
	out, _, err := total(readings, Export, Export1, Export2)
	if err != nil {
		return meter.Registers{}, err
	}
	r := meter.Registers{Import: in, Export: out}
	if err := r.Check(); err != nil {
		return meter.Registers{}, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return r, nil
}

// total is the register under whole, or the sum of those under parts.
func total(readings []Reading, whole Code, parts ...Code) (sum meter.MilliWattHours, some bool, err error) {
	v, some, err := find(readings, whole)
	if some || err != nil {
		return v, some, err
	}
	for _, code := range parts {
		part, has, err := find(readings, code)
		if err != nil {
			return 0, false, err
		}
		sum += part // each at most MaxRegister, 2^60
		some = some || has
	}
	return sum, some, nil
}

func find(readings []Reading, code Code) (v meter.MilliWattHours, some bool, err error) {
	for _, r := range readings {
		if r.Code != code {
			continue
		}
		e, err := r.Energy()
		if err != nil {
			return 0, false, err
		}
		if some && e != v {
			return 0, false, fmt.Errorf("%w: %s is %d mWh and %d mWh", ErrValue, code, v, e)
		}
		v, some = e, true
	}
	return v, some, nil
}
