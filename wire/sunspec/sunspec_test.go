package sunspec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/cairn-network/cairn/core/meter"
)

// registers are a device's, from an address on. Others are an exception.
type registers struct {
	from uint16
	b    []uint16
}

var errException = errors.New("illegal data address")

func (r registers) Holding(address, count uint16) ([]uint16, error) {
	at := int(address) - int(r.from)
	if at < 0 || at+int(count) > len(r.b) || count == 0 || count > maxRead {
		return nil, fmt.Errorf("address %d, count %d: %w", address, count, errException)
	}
	return r.b[at : at+int(count)], nil
}

func spelled(s string, n int) []uint16 {
	b := make([]byte, 2*n)
	copy(b, s)
	out := make([]uint16, n)
	for i := range out {
		out[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return out
}

// device is a chain with model 1 and these models of zeros, whose points set says.
func device(from uint16, lengths map[uint16]uint16, order []uint16, set func(model uint16, b []uint16)) registers {
	b := append(spelled("SunS", 2), 1, 66)
	common := append(spelled("Cairn", 16), spelled("Sim 5", 16)...)
	common = append(append(append(append(common, spelled("", 8)...), spelled("1.0", 8)...), spelled("S-17\x00\x01", 16)...), 1, 0)
	b = append(b, common...)
	for _, model := range order {
		points := make([]uint16, lengths[model])
		set(model, points)
		b = append(append(b, model, lengths[model]), points...)
	}
	return registers{from, append(b, 0xffff, 0)}
}

var lengths = map[uint16]uint16{101: 50, 103: 50, 113: 60, 203: 105, 120: 26}

func put32(b []uint16, v uint32) { b[0], b[1] = uint16(v>>16), uint16(v) }

func TestInverterAndMeter(t *testing.T) {
	for _, base := range bases {
		bus := device(base, lengths, []uint16{120, 103, 203}, func(model uint16, b []uint16) {
			switch model {
			case 103:
				minus1 := int16(-1)
				b[12], b[13] = 4321, uint16(minus1)
				put32(b[22:], 12_345_678)
				b[24] = 1
			case 203:
				minus := int16(-250)
				b[16], b[20] = uint16(minus), 1
				put32(b[36:], 7)
				put32(b[44:], math.MaxUint32)
				minus3 := int16(-3)
				b[52] = uint16(minus3)
			}
		})
		d, err := Scan(bus)
		if err != nil {
			t.Fatal(err)
		}
		if d.Maker != "Cairn" || d.Type != "Sim 5" || d.Version != "1.0" || d.Serial != "S-17" || len(d.Models) != 4 {
			t.Errorf("%+v", d)
		}
		if got, err := d.Inverter(bus); err != nil || got != (Inverter{Power: 432, Generation: 123_456_780_000}) {
			t.Errorf("inverter %+v, %v", got, err)
		}
		if got, err := d.Meter(bus); err != nil || got != (Meter{Power: -2500, Export: 7, Import: math.MaxUint32}) {
			t.Errorf("meter %+v, %v", got, err)
		}
	}
}

func TestInverterInFloats(t *testing.T) {
	for _, c := range []struct {
		power, energy float32
		want          Inverter
		err           error
	}{
		{5000.7, 1e6, Inverter{5000, 1e9}, nil},
		{-3, 0, Inverter{Power: -3}, nil},
		{float32(math.NaN()), 1, Inverter{}, ErrMissing},
		{1, float32(math.NaN()), Inverter{}, ErrMissing},
		{1, -1, Inverter{}, ErrPoint},
		{1, float32(math.Inf(1)), Inverter{}, ErrPoint},
		{1, 1e30, Inverter{}, ErrPoint},
		{float32(math.Inf(-1)), 1, Inverter{}, ErrPoint},
	} {
		bus := device(40000, lengths, []uint16{113}, func(_ uint16, b []uint16) {
			put32(b[20:], math.Float32bits(c.power))
			put32(b[30:], math.Float32bits(c.energy))
		})
		d, err := Scan(bus)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Inverter(bus)
		if !errors.Is(err, c.err) || err == nil && got != c.want {
			t.Errorf("%g W, %g Wh: %+v, %v", c.power, c.energy, got, err)
		}
	}
}

func TestBadDevices(t *testing.T) {
	if _, err := Scan(registers{40000, []uint16{1, 2, 3}}); !errors.Is(err, ErrDevice) {
		t.Errorf("no SunSpec: %v", err)
	}
	endless := registers{40000, append(spelled("SunS", 2), make([]uint16, 4096)...)}
	if _, err := Scan(endless); !errors.Is(err, ErrDevice) {
		t.Errorf("models without end: %v", err)
	}
	beyond := registers{40000, append(spelled("SunS", 2), 103, 0xfff0)}
	if _, err := Scan(beyond); !errors.Is(err, ErrDevice) {
		t.Errorf("a model beyond the registers: %v", err)
	}
	cut := registers{40000, append(spelled("SunS", 2), 103, 50)}
	if _, err := Scan(cut); !errors.Is(err, errException) {
		t.Errorf("a chain that is cut: %v", err)
	}
	short := registers{40000, append(append(spelled("SunS", 2), 103, 2, 0, 0), 0xffff, 0)}
	if d, err := Scan(short); err != nil {
		t.Error(err)
	} else if _, err := d.Inverter(short); !errors.Is(err, ErrDevice) {
		t.Errorf("a model too short: %v", err)
	} else if _, err := d.Meter(short); !errors.Is(err, ErrMissing) {
		t.Errorf("no meter: %v", err)
	}
	for _, c := range []struct {
		name  string
		at    int
		value uint16
		err   error
	}{
		{"power not implemented", 12, 0x8000, ErrMissing},
		{"scale of power not implemented", 13, 0x8000, ErrMissing},
		{"a scale of 11", 13, 11, ErrPoint},
		{"scale of energy not implemented", 24, 0x8000, ErrMissing},
		{"energy beyond a register", 24, 10, ErrPoint},
	} {
		bus := device(40000, lengths, []uint16{101}, func(_ uint16, b []uint16) {
			put32(b[22:], math.MaxUint32)
			b[c.at] = c.value
		})
		d, err := Scan(bus)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Inverter(bus); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// FuzzDevice: whatever a device answers, it is read in bounded time and no register is beyond bounds.
func FuzzDevice(f *testing.F) {
	bus := device(40000, lengths, []uint16{103, 203, 113}, func(uint16, []uint16) {})
	seed := make([]byte, 0, 2*len(bus.b))
	for _, r := range bus.b {
		seed = binary.BigEndian.AppendUint16(seed, r)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		bus := registers{from: 40000}
		for ; len(b) >= 2; b = b[2:] {
			bus.b = append(bus.b, binary.BigEndian.Uint16(b))
		}
		d, err := Scan(bus)
		if err != nil {
			return
		}
		if got, err := d.Inverter(bus); err == nil && (got.Generation < 0 || got.Generation > meter.MaxRegister) {
			t.Fatalf("%+v", got)
		}
		if got, err := d.Meter(bus); err == nil && (got.Import < 0 || got.Export < 0 || got.Import > meter.MaxRegister || got.Export > meter.MaxRegister) {
			t.Fatalf("%+v", got)
		}
	})
}
