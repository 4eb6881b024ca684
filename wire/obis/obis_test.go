package obis

import (
	"errors"
	"math"
	"testing"

	"github.com/cairn-network/cairn/core/meter"
)

func TestCodesRoundTrip(t *testing.T) {
	for _, text := range []string{"1-0:1.8.0", "0-1:24.2.1", "1-0:2.8.1*255", "255-255:255.255.255*254"} {
		c, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Errorf("%s is %+v, spelled %s, read %+v, %v", text, c, c, again, err)
		}
	}
	for _, text := range []string{"", "1-0:1.8", "1-0:1.8.256", "1-0:1.8.0*", "1-0:1.8.-1", "a-0:1.8.0", "1-0:1.8.0*255*1"} {
		if c, err := Parse(text); !errors.Is(err, ErrCode) {
			t.Errorf("%q is %v, %v", text, c, err)
		}
	}
}

func TestRegisters(t *testing.T) {
	kWh := func(c Code, value int64, scale int8) Reading { return Reading{c, value, scale, WattHour} }
	for _, c := range []struct {
		name     string
		readings []Reading
		want     meter.Registers
		err      error
	}{
		{"totals win over tariffs", []Reading{kWh(Import1, 1, 3), kWh(Import, 5, 3), kWh(Export, 7, 0)}, meter.Registers{Import: 5_000_000, Export: 7_000}, nil},
		{
			"two tariffs",
			[]Reading{kWh(Import1, 123456789, 0), kWh(Import2, 1, -1), kWh(Export1, 3, -2), kWh(Export2, 3, -3)},
			meter.Registers{Import: 123_456_789_100, Export: 33},
			nil,
		},
		{"one tariff of two", []Reading{kWh(Import2, 4, 0)}, meter.Registers{Import: 4_000}, nil},
		{"below a milliwatt hour", []Reading{kWh(Import, 19999, -4-3)}, meter.Registers{Import: 1}, nil},
		{"no import", []Reading{kWh(Export, 4, 0)}, meter.Registers{}, ErrMissing},
		{"nothing", nil, meter.Registers{}, ErrMissing},
		{"negative", []Reading{kWh(Import, -1, 0)}, meter.Registers{}, ErrValue},
		{"too large for a register", []Reading{kWh(Import, 1<<60, 0)}, meter.Registers{}, ErrValue},
		{"too large for anything", []Reading{kWh(Import, math.MaxInt64, 127)}, meter.Registers{}, ErrValue},
		{"a sum too large", []Reading{kWh(Import1, 1<<60, -3), kWh(Import2, 1<<60, -3)}, meter.Registers{}, ErrValue},
		{"another unit", []Reading{{Import, 5, 0, Watt}}, meter.Registers{}, ErrValue},
		{"twice, differing", []Reading{kWh(Import, 5, 0), kWh(Import, 6, 0)}, meter.Registers{}, ErrValue},
		{"twice the same", []Reading{kWh(Import, 5, 0), kWh(Import, 5000, -3)}, meter.Registers{Import: 5_000}, nil},
		{"zero at any scale", []Reading{kWh(Import, 0, 127)}, meter.Registers{}, nil},
	} {
		got, err := Registers(c.readings)
		if !errors.Is(err, c.err) || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

func TestWatts(t *testing.T) {
	if w, err := (Reading{Power, -1234567, -3, Watt}).Watts(); err != nil || w != -1234 {
		t.Errorf("%d, %v", w, err)
	}
	if _, err := (Reading{Power, 5, 0, WattHour}).Watts(); !errors.Is(err, ErrValue) {
		t.Errorf("watt hours as watts: %v", err)
	}
}
