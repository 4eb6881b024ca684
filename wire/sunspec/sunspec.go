// Package sunspec reads inverters and meters that speak SunSpec Modbus: a chain of models in holding
// registers, each with its number and length, that begins with "SunS" (SunSpec Device Information
// Model Specification 1.1; the models as published under Apache-2.0).
//
//	40000  "SunS"
//	40002  model 1, length, who made it ...
//	       model 103, length, points of an inverter ...
//	       model 203, length, points of a meter ...
//	       0xffff, 0
//
// Who carries the registers (Modbus TCP or RTU, or a test) is a Bus.
package sunspec

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
)

// Bounds of what is read.
const (
	maxModels = 128
	maxRead   = 125 // registers of one Modbus request (Modbus Application Protocol 1.1b3, 6.3)
)

var (
	// ErrDevice is wrapped by errors about devices that do not speak SunSpec.
	ErrDevice = errors.New("not a SunSpec device")
	// ErrPoint is wrapped by errors about points that no honest device has.
	ErrPoint = errors.New("not a value of a SunSpec point")
	// ErrMissing is wrapped by errors about points that a device does not implement.
	ErrMissing = errors.New("the device does not implement")
)

// Bus reads holding registers, at most 125 at once.
type Bus interface {
	Holding(address, count uint16) ([]uint16, error)
}

// Model is where a model's points lie.
type Model struct {
	Number, Address, Length uint16
}

// Device is what a device says of itself, and its models in order.
type Device struct {
	Maker, Type, Version, Serial string
	Models                       []Model
}

// bases are where a chain may begin (specification 1.1, 6.3).
var bases = [...]uint16{40000, 50000, 0}

// Scan finds a device's models. ErrDevice where it has none; errors of the bus.
func Scan(bus Bus) (Device, error) {
	for _, base := range bases {
		head, err := bus.Holding(base, 2)
		if err != nil || len(head) != 2 || head[0] != 'S'<<8|'u' || head[1] != 'n'<<8|'S' {
			continue // many devices answer addresses they do not have with an exception
		}
		return chain(bus, base+2)
	}
	return Device{}, fmt.Errorf("%w: no \"SunS\" at %v", ErrDevice, bases)
}

func chain(bus Bus, address uint16) (Device, error) {
	var d Device
	for range maxModels {
		head, err := read(bus, address, 2)
		if err != nil {
			return Device{}, err
		}
		m := Model{Number: head[0], Address: address + 2, Length: head[1]}
		if m.Number == 0xffff {
			return d, nil
		}
		if int(m.Address)+int(m.Length) > math.MaxUint16-2 {
			return Device{}, fmt.Errorf("%w: model %d at %d has %d registers", ErrDevice, m.Number, m.Address, m.Length)
		}
		d.Models = append(d.Models, m)
		if m.Number == 1 && m.Length >= 64 {
			b, err := read(bus, m.Address, 64)
			if err != nil {
				return Device{}, err
			}
			d.Maker, d.Type, d.Version, d.Serial = text(b[:16]), text(b[16:32]), text(b[40:48]), text(b[48:64])
		}
		address = m.Address + m.Length
	}
	return Device{}, fmt.Errorf("%w: more than %d models", ErrDevice, maxModels)
}

func read(bus Bus, address, count uint16) ([]uint16, error) {
	b, err := bus.Holding(address, count)
	if err != nil {
		return nil, fmt.Errorf("reading %d registers at %d: %w", count, address, err)
	}
	if len(b) != int(count) {
		return nil, fmt.Errorf("%w: %d registers at %d, asked for %d", ErrDevice, len(b), address, count)
	}
	return b, nil
}

// text is a string of registers, printable characters alone.
func text(b []uint16) string {
	var s strings.Builder
	for _, r := range b {
		for _, c := range []byte{byte(r >> 8), byte(r)} {
			if c >= ' ' && c <= '~' {
				s.WriteByte(c)
			}
		}
	}
	return strings.TrimSpace(s.String())
}

// Inverter is what an inverter tells: power now, and all it has ever generated.
type Inverter struct {
	Power      grid.Watts
	Generation meter.MilliWattHours
}

// Inverter reads the first inverter among the models (101 to 103 in integers, 111 to 113 in floats).
// ErrMissing, ErrPoint, errors of the bus.
func (d Device) Inverter(bus Bus) (Inverter, error) {
	for _, m := range d.Models {
		switch m.Number {
		case 101, 102, 103:
			p, err := m.points(bus, 25)
			if err != nil {
				return Inverter{}, err
			}
			var i Inverter
			if i.Power, err = p.watts("W", 12, 13); err == nil {
				i.Generation, err = p.energy("WH", 22, 24)
			}
			return i, err
		case 111, 112, 113:
			p, err := m.points(bus, 32)
			if err != nil {
				return Inverter{}, err
			}
			power, err := p.float("W", 20, math.MinInt32, math.MaxInt32)
			if err != nil {
				return Inverter{}, err
			}
			energy, err := p.float("WH", 30, 0, float64(meter.MaxRegister)/1000)
			return Inverter{Power: grid.Watts(power), Generation: meter.MilliWattHours(energy * 1000)}, err
		}
	}
	return Inverter{}, fmt.Errorf("%w an inverter model", ErrMissing)
}

// Meter is what a meter at the connection tells: power now, positive for import, and its registers.
type Meter struct {
	Power          grid.Watts
	Import, Export meter.MilliWattHours
}

// Meter reads the first meter among the models (201 to 204). ErrMissing, ErrPoint, errors of the bus.
func (d Device) Meter(bus Bus) (Meter, error) {
	for _, m := range d.Models {
		switch m.Number {
		case 201, 202, 203, 204:
			p, err := m.points(bus, 53)
			if err != nil {
				return Meter{}, err
			}
			var r Meter
			if r.Power, err = p.watts("W", 16, 20); err != nil {
				return Meter{}, err
			}
			if r.Export, err = p.energy("TotWhExp", 36, 52); err != nil {
				return Meter{}, err
			}
			r.Import, err = p.energy("TotWhImp", 44, 52)
			return r, err
		}
	}
	return Meter{}, fmt.Errorf("%w a meter model", ErrMissing)
}

// points are the first registers of a model.
type points struct {
	model Model
	b     []uint16
}

func (m Model) points(bus Bus, count uint16) (points, error) {
	if m.Length < count || count > maxRead {
		return points{}, fmt.Errorf("%w: model %d has %d registers, want at least %d", ErrDevice, m.Number, m.Length, count)
	}
	b, err := read(bus, m.Address, count)
	return points{m, b}, err
}

// scale is a scale factor, a power of ten from -10 to 10.
func (p points) scale(name string, at int) (int, error) {
	s := int16(p.b[at])
	if s == math.MinInt16 {
		return 0, fmt.Errorf("%w the scale of %s in model %d", ErrMissing, name, p.model.Number)
	}
	if s < -10 || s > 10 {
		return 0, fmt.Errorf("%w: %s in model %d has scale %d", ErrPoint, name, p.model.Number, s)
	}
	return int(s), nil
}

// watts is a signed point with its scale, cut to whole watts.
func (p points) watts(name string, at, scaleAt int) (grid.Watts, error) {
	v := int64(int16(p.b[at]))
	if v == math.MinInt16 {
		return 0, fmt.Errorf("%w %s in model %d", ErrMissing, name, p.model.Number)
	}
	scale, err := p.scale(name, scaleAt)
	return grid.Watts(times10(v, scale)), err
}

// energy is a 32-bit accumulator in watt hours with its scale, cut to milliwatt hours. One that is 0
// has not counted yet.
func (p points) energy(name string, at, scaleAt int) (meter.MilliWattHours, error) {
	scale, err := p.scale(name, scaleAt)
	if err != nil {
		return 0, err
	}
	v := int64(p.b[at])<<16 | int64(p.b[at+1])
	if scale > 5 && v > int64(meter.MaxRegister)/1e13 { // 2^32 x 10^8 fits, more need not
		return 0, fmt.Errorf("%w: %s in model %d is %d Wh times ten to %d", ErrPoint, name, p.model.Number, v, scale)
	}
	return meter.MilliWattHours(times10(v, scale+3)), nil
}

// times10 is v times ten to a power, cut towards zero. The caller knows that it fits.
func times10(v int64, power int) int64 {
	for ; power > 0; power-- {
		v *= 10
	}
	for ; power < 0; power++ {
		v /= 10
	}
	return v
}

// float is a point of 32 bits. NaN says that it is not implemented.
func (p points) float(name string, at int, least, most float64) (float64, error) {
	v := float64(math.Float32frombits(uint32(p.b[at])<<16 | uint32(p.b[at+1])))
	if math.IsNaN(v) {
		return 0, fmt.Errorf("%w %s in model %d", ErrMissing, name, p.model.Number)
	}
	if v < least || v > most {
		return 0, fmt.Errorf("%w: %s in model %d is %g, want %g to %g", ErrPoint, name, p.model.Number, v, least, most)
	}
	return v, nil
}
