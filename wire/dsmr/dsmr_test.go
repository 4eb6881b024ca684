package dsmr

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/wire/obis"
)

// sent is a telegram of a DSMR 5 meter with devices on its bus, as several public readers test with it.
var sent = strings.ReplaceAll(`/ISk5\2MT382-1000

1-3:0.2.8(50)
0-0:1.0.0(170102192002W)
0-0:96.1.1(4B384547303034303436333935353037)
1-0:1.8.1(000004.426*kWh)
1-0:1.8.2(000002.399*kWh)
1-0:2.8.1(000002.444*kWh)
1-0:2.8.2(000000.000*kWh)
0-0:96.14.0(0002)
1-0:1.7.0(00.244*kW)
1-0:2.7.0(00.000*kW)
0-0:96.7.21(00013)
0-0:96.7.9(00000)
1-0:99.97.0(0)(0-0:96.7.19)
1-0:32.32.0(00000)
1-0:52.32.0(00000)
1-0:72.32.0(00000)
1-0:32.36.0(00000)
1-0:52.36.0(00000)
1-0:72.36.0(00000)
0-0:96.13.0()
1-0:32.7.0(0230.0*V)
1-0:52.7.0(0230.0*V)
1-0:72.7.0(0229.0*V)
1-0:31.7.0(0.48*A)
1-0:51.7.0(0.44*A)
1-0:71.7.0(0.86*A)
1-0:21.7.0(00.070*kW)
1-0:41.7.0(00.032*kW)
1-0:61.7.0(00.142*kW)
1-0:22.7.0(00.000*kW)
1-0:42.7.0(00.000*kW)
1-0:62.7.0(00.000*kW)
0-1:24.1.0(003)
0-1:96.1.0(3232323241424344313233343536373839)
0-1:24.2.1(170102161005W)(00000.107*m3)
0-2:24.1.0(003)
0-2:96.1.0()
!6EEE
`, "\n", "\r\n")

func TestATelegramFromTheField(t *testing.T) {
	got, err := Parse([]byte(sent))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Checked || got.Identification != `ISk5\2MT382-1000` || got.Equipment != "4B384547303034303436333935353037" || got.Time != "170102192002W" {
		t.Errorf("%+v", got)
	}
	registers, err := obis.Registers(got.Readings)
	if want := (meter.Registers{Import: 6_825_000, Export: 2_444_000}); err != nil || registers != want {
		t.Errorf("%+v, %v; want %+v", registers, err, want)
	}
	for _, r := range got.Readings {
		if r.Code == obis.PowerIn {
			if w, err := r.Watts(); err != nil || w != 244 {
				t.Errorf("power %d, %v", w, err)
			}
		}
	}
}

func TestBadTelegrams(t *testing.T) {
	for _, c := range []struct {
		name, text string
		err        error
	}{
		{"nothing", "", ErrTelegram},
		{"no beginning", sent[1:], ErrTelegram},
		{"no end", sent[:len(sent)-7], ErrTelegram},
		{"a digit changed", strings.Replace(sent, "1.8.1(000004.426", "1.8.1(100004.426", 1), ErrChecksum},
		{"a checksum of another length", strings.Replace(sent, "!6EEE", "!06EEE", 1), ErrTelegram},
		{"a checksum that is none", strings.Replace(sent, "!6EEE", "!6EEG", 1), ErrTelegram},
		{"not a number", "/x\r\n1-0:1.8.1(NaN*kWh)\r\n!", ErrTelegram},
		{"negative", "/x\r\n1-0:1.8.1(-00001.0*kWh)\r\n!", ErrTelegram},
		{"an exponent", "/x\r\n1-0:1.8.1(1e9*kWh)\r\n!", ErrTelegram},
		{"too many digits", "/x\r\n1-0:1.8.1(1234567890123456.789*kWh)\r\n!", ErrTelegram},
		{"not closed", "/x\r\n1-0:1.8.1(1*kWh\r\n!", ErrTelegram},
		{"a code that is none", "/x\r\n1-0:1.8(1*kWh)\r\n!", ErrTelegram},
		{"too long", "/" + strings.Repeat("x", MaxTelegram), ErrTelegram},
	} {
		if got, err := Parse([]byte(c.text)); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	old, err := Parse([]byte("/KMP5 old meter\r\n\r\n1-0:1.8.1(00001.5*kWh)\r\n!\r\n"))
	if err != nil || old.Checked || len(old.Readings) != 1 {
		t.Errorf("a meter without checksums: %+v, %v", old, err)
	}
}

// A reader that joins in the middle, and meets damage, finds every whole telegram.
func TestReaderFindsTelegrams(t *testing.T) {
	lost := sent[:300]
	lost = lost[:strings.LastIndex(lost, "\r\n")+2]
	damaged := strings.Replace(sent, "0229.0", "0228.0", 1)
	r := NewReader(strings.NewReader(sent[500:] + sent + lost + sent + "/" + strings.Repeat("x", 2*MaxTelegram) + damaged + sent + lost))
	good, bad := 0, 0
	for {
		got, err := r.Next()
		switch {
		case err == nil && got.Checked:
			good++
		case errors.Is(err, ErrTelegram), errors.Is(err, ErrChecksum):
			bad++
		case errors.Is(err, io.EOF):
			if good != 3 || bad != 3 {
				t.Errorf("%d telegrams and %d damaged, want 3 and 3", good, bad)
			}
			return
		default:
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sent))
	f.Add([]byte("/x\r\n1-0:1.8.1(1*kWh)\r\n!"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if err == nil {
			again, err := Parse(b)
			if err != nil || !reflect.DeepEqual(got, again) {
				t.Fatalf("%+v, then %+v, %v", got, again, err)
			}
			_, _ = obis.Registers(got.Readings)
		}
		r := NewReader(strings.NewReader(string(b)))
		for range len(b) + 1 {
			if _, err := r.Next(); err != nil && !errors.Is(err, ErrTelegram) && !errors.Is(err, ErrChecksum) {
				return
			}
		}
		t.Fatal("the reader does not come to an end")
	})
}

// What Append writes is read back: the simulator and the reader agree.
func TestAppend(t *testing.T) {
	b := Append([]byte("before"), "CRN5 sim", []string{"1-0:1.8.0(000001.234*kWh)", "1-0:2.8.0(000000.001*kWh)"})
	got, err := Parse(b[len("before"):])
	if err != nil || !got.Checked || got.Identification != "CRN5 sim" {
		t.Fatalf("%+v, %v", got, err)
	}
	if r, err := obis.Registers(got.Readings); err != nil || r != (meter.Registers{Import: 1_234_000, Export: 1_000}) {
		t.Errorf("%+v, %v", r, err)
	}
}
