package sml

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/wire/obis"
)

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// What meters sent, as public readers test with it.
const (
	// iskra is an Iskra MT691.
	iskra = "1b1b1b1b010101017605006345516200620072630101760101050021171b0b0a0149534b00047a5544726201650021155a620163828e00" +
		"760500634552620062007263070177010b0a0149534b00047a5544070100620affff726201650021155a7577070100603201010101010104" +
		"49534b0177070100600100ff010101010b0a0149534b00047a55440177070100010800ff650010010401621e52ff65000c13610177070100" +
		"020800ff0101621e52ff62000177070100100700ff0101621b5200530860010101638e7100" +
		"7605006345536200620072630201710163ad55001b1b1b1b1a00d54b"
	// easymeter is an EasyMeter Q3BA1022: scalers of -4 and -2, a CRC over nothing but the file.
	easymeter = "1b1b1b1b010101017605043b66d962006200726500000101760101074553595133420b06455359" +
		"0104c5fa2ef701016338be007605043b66da6200620072650000070177010b064553590104c5fa2ef70172620165" +
		"0b1a82477977078181c78203ff01010101044553590177070100010800ff0101621e52fc690000001408499d070" +
		"177070100020800ff0101621e52fc6900000021e2bd91830177070100010801ff0101621e520165000d20570177" +
		"070100010802ff0101621e520165000000880177070100020801ff0101621e5201650016348d017707010002080" +
		"2ff0101621e520165000000860177070100010700ff0101621b52fe5500002ac80177070100600505ff01010101" +
		"630180010101635257007605043b66db62006200726500000201710163274400001b1b1b1b1a013050"
)

func TestFilesFromTheField(t *testing.T) {
	for _, c := range []struct {
		name, file, server string
		want               meter.Registers
	}{
		{"Iskra", iskra, "0a0149534b00047a5544", meter.Registers{Import: 79_139_300}},
		{"EasyMeter", easymeter, "064553590104c5fa2ef7", meter.Registers{Import: 0x1408499d07 / 10, Export: 0x21e2bd9183 / 10}},
	} {
		f, err := NewReader(bytes.NewReader(unhex(t, c.file))).Next()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := hex.EncodeToString(f.Server); got != c.server {
			t.Errorf("%s: server %s", c.name, got)
		}
		if got, err := obis.Registers(f.Readings); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
		for _, r := range f.Readings {
			if r.Code == obis.Power {
				if w, err := r.Watts(); err != nil || w != 2144 {
					t.Errorf("%s: %d W, %v", c.name, w, err)
				}
			}
		}
	}
}

// A reader that joins in the middle, and meets damage, finds every whole file.
func TestReaderFindsFiles(t *testing.T) {
	whole := unhex(t, iskra)
	damaged := slices.Clone(whole)
	damaged[60] ^= 1
	stream := slices.Concat(whole[100:], whole, damaged, []byte{0x1b}, whole, whole[:48], whole, whole[:101])
	r := NewReader(bytes.NewReader(stream))
	good, bad := 0, 0
	for {
		f, err := r.Next()
		switch {
		case err == nil:
			good++
			if len(f.Readings) == 0 {
				t.Error("a file without readings")
			}
		case errors.Is(err, ErrFile), errors.Is(err, ErrChecksum):
			bad++
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if good != 3 || bad != 2 {
				t.Errorf("%d files and %d damaged, want 3 and 2", good, bad)
			}
			return
		default:
			t.Fatal(err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	deep := append(bytes.Repeat([]byte{0x71}, maxDepth+2), 0x01)
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"a number alone", []byte{0x62, 1}},
		{"a list that is cut", []byte{0x76, 0x62, 1}},
		{"a value that is cut", []byte{0x65, 1}},
		{"a length that is cut", []byte{0xf1}},
		{"a length beyond bounds", []byte{0xff, 0xff, 0xff, 0xff}},
		{"a length shorter than itself", []byte{0x80, 0x01}},
		{"an unknown kind", []byte{0x31, 0x31}},
		{"levels without end", deep},
	} {
		if f, err := Parse(c.b); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %+v, %v", c.name, f, err)
		}
	}
}

// What Append writes is read back, whatever it holds, escapes too.
func TestAppend(t *testing.T) {
	for shift := range 5 {
		messages := slices.Concat(bytes.Repeat([]byte{0}, shift), []byte{0x76, 0x0a}, bytes.Repeat([]byte{0x1b}, 9),
			[]byte{1, 1, 0x72, 0x63, 1, 1, 1, 1, 0})
		if f, err := NewReader(bytes.NewReader(Append(nil, messages))).Next(); err != nil || len(f.Readings) > 0 {
			t.Errorf("shifted by %d: %+v, %v", shift, f, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(unhex(f, iskra))
	f.Add(unhex(f, easymeter))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for range len(b) + 1 {
			file, err := r.Next()
			if err == nil {
				_, _ = obis.Registers(file.Readings)
			} else if !errors.Is(err, ErrFile) && !errors.Is(err, ErrChecksum) {
				got, parsed := Parse(b)
				again, _ := Parse(b)
				if parsed == nil && !reflect.DeepEqual(got, again) {
					t.Fatalf("%+v, then %+v", got, again)
				}
				return
			}
		}
		t.Fatal("the reader does not come to an end")
	})
}
