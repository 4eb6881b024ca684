package ocmf

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimesAreThoseOfTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		milli := rapid.Int64Range(0, 253_402_300_799_999).Draw(t, "milli")
		zone := rapid.Int16Range(-18*60, 18*60).Draw(t, "zone")
		want := time.UnixMilli(milli).In(time.FixedZone("", int(zone)*60))
		if want.Year() < 1970 || want.Year() > 9999 {
			return
		}
		text := strings.Replace(want.Format("2006-01-02T15:04:05.000-0700"), ".", rapid.SampledFrom([]string{",", "."}).Draw(t, "mark"), 1) + " R"
		got, err := parseTime(text)
		if err != nil || got != (Time{milli, zone, Relative}) {
			t.Fatalf("%s is read as %v, %v", text, got, err)
		}
		if got.String() != strings.Replace(text, ".", ",", 1) {
			t.Fatalf("%s is written as %s", text, got)
		}
	})
}

func TestTimesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "2018-07-24T13:22:04,000+0200", "2018-07-24T13:22:04,000+0200  ", "2018-07-24T13:22:04,000+0200 s", "2018-07-24 13:22:04,000+0200 S",
		"2018-07-24T24:00:00,000+0200 S", "2018-13-24T13:22:04,000+0200 S", "2018-02-29T13:22:04,000+0200 S", "1900-02-01T13:22:04,000+0200 S",
		"2018-07-24T13:60:04,000+0200 S", "2018-07-24T13:22:61,000+0200 S", "2018-07-24T13:22:04,000+1900 S", "2018-07-24T13:22:04,000+0260 S",
		"2018-07-24T13:22:04,0000200 SS", "2018-07-24T13:22:04Z000+0200 S", "２018-07-24T13:22:04,000+0200", "2100-02-29T13:22:04,000+0200 S",
	} {
		if got, err := parseTime(text); ReasonOf(err) != TimeInvalid {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"2000-02-29T23:59:60,999-1800 U", "1970-01-01T01:01:49,000+0100 U"} {
		if got, err := parseTime(text); err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestRefusalsAreErrors(t *testing.T) {
	_, err := Parse(nil)
	if !errors.Is(err, &Refusal{Reason: Empty}) || errors.Is(err, &Refusal{Reason: TooLarge}) || ReasonOf(err) != Empty {
		t.Error(err)
	}
	if ReasonOf(nil) != Accepted || ReasonOf(errors.New("x")) != Malformed {
		t.Error("reasons of other errors")
	}
}

func TestUnpackRefusesWhatItCannotRead(t *testing.T) {
	wrapped := `{"signedMeterData":"x"}`
	for range 4 {
		wrapped = `{"signedMeterData":` + quote(wrapped) + `}`
	}
	for text, want := range map[string]Reason{
		"": Empty, " ": Empty, "{}": Malformed, `{"signedMeterData":""}`: Malformed, `{"signedMeterData":3}`: Malformed,
		`{"signedMeterData":[]}`: FieldInvalid, `"x"`: Malformed, `"`: Malformed, "4F434D467C7": Malformed, "4F434D467Cxx": Malformed,
		"T0NNR!": Malformed, wrapped: Malformed, strings.Repeat("x", MaxPacked+1): TooLarge,
	} {
		if packed, err := Unpack([]byte(text)); ReasonOf(err) != want {
			t.Errorf("%.60q is read as %+v, %v", text, packed, err)
		}
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Whatever comes in, reading it ends with a record or a Refusal, and the payload is what came in.
func FuzzRecord(f *testing.F) {
	s := newSigner(f, Secp192k1, 1)
	r, sig := s.sign([]byte(`{"PG":"T1","MS":"1","RD":[{"TM":"` + at8 + `","TX":"B","RV":"  01.50","RI":"1-0:1.8.0","RU":"kWh","ST":"G"},{"TX":"E","RV":2e0}]}`))
	f.Add([]byte(`OCMF|{"PG":"T1","MS":"1","RD":[{"TM":"`+at8+`","TX":"B","RV":"  01.50","RI":"1-0:1.8.0","RU":"kWh","ST":"G"},{"TX":"E","RV":2e0}]}|{"SA":"ECDSA-secp192k1-SHA256","SD":"`+hexOf(derOf(r, sig))+`"}`), s.key.String())
	f.Add([]byte(`{"signedMeterData":"T0NNRnx7fXx7fQ==","publicKey":"oca:base16:asn1:00"}`), "oca:base16:asn1:3049301306072a8648ce3d020106082a8648ce3d03010103320004")
	f.Add([]byte(`4f434d467c7b7d7c7b7d`), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
	f.Fuzz(func(t *testing.T, text []byte, keyText string) {
		key, err := ParseKey(keyText)
		if err != nil && ReasonOf(err) != KeyInvalid {
			t.Fatal(err)
		}
		if back, err := KeyFromBytes(key.Bytes()); err == nil && back != key {
			t.Fatalf("%s becomes %s", key, back)
		}
		packed, err := Unpack(text)
		if err != nil {
			return
		}
		record, err := Parse(packed.Record)
		if err != nil {
			return
		}
		if !strings.Contains(string(packed.Record), "OCMF|"+string(record.Payload)+"|") {
			t.Fatalf("payload %q is not in %q", record.Payload, packed.Record)
		}
		if form, err := record.Verify(key); (err == nil) == (form == 0) {
			t.Fatalf("%v, %v", form, err)
		}
		if settled, err := judge([]Record{record}, Rules{}); err == nil && (settled.Energy < 0 || settled.Energy > MaxRegister || len(settled.Pages) != 1) {
			t.Fatalf("%+v", settled)
		}
	})
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}
