package ocmf

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// reading and record write records as meters do.
func reading(tx, tm, value string) string {
	return fmt.Sprintf(`{"TM":"%s","TX":"%s","RV":%s,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}`, tm, tx, value)
}

func payload(page int, readings ...string) string {
	return fmt.Sprintf(`{"FV":"1.0","PG":"T%d","GS":"G1","MS":"M1","IS":true,"IT":"ISO14443","ID":"CARD","RD":[%s]}`, page, strings.Join(readings, ","))
}

func (s signer) record(t interface{ Fatal(...any) }, payload string) Record {
	r, sig := s.sign([]byte(payload))
	parsed, err := Parse([]byte(fmt.Sprintf(`OCMF|%s|{"SA":"ECDSA-%s-SHA256","SD":"%s"}`, payload, s.curve, hex.EncodeToString(derOf(r, sig)))))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

const (
	at8  = "2026-06-14T08:00:00,000+0200 S"
	at9  = "2026-06-14T09:00:00,000+0200 S"
	at10 = "2026-06-14T10:00:00,000+0200 S"
)

func TestSettle(t *testing.T) {
	s := newSigner(t, Secp256r1, 1)
	other := newSigner(t, Secp256r1, 2)
	begin, end := reading("B", at8, "100.5"), reading("E", at10, "110.75")
	whole := payload(7, begin, end)
	change := func(p string, pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(p, pairs[i]) {
				t.Fatalf("%s has no %s", p, pairs[i])
			}
			p = strings.ReplaceAll(p, pairs[i], pairs[i+1])
		}
		return p
	}
	two := []string{payload(7, begin), payload(8, end)}
	for _, c := range []struct {
		name     string
		payloads []string
		rules    Rules
		want     Reason
		energy   MilliWattHours
		billable bool
	}{
		{"one record", []string{whole}, Rules{}, Accepted, 10_250_000, true},
		{"two records", two, Rules{}, Accepted, 10_250_000, true},
		{"two records, the last first", []string{two[1], two[0]}, Rules{}, Accepted, 10_250_000, true},
		{"three records", []string{two[0], payload(8, reading("C", at9, "103")), payload(9, end)}, Rules{}, Accepted, 10_250_000, true},
		{"readings in between", []string{payload(7, begin, reading("C", at9, "101"), reading("S", at9, "101"), reading("T", at9, "102.3"), end)}, Rules{}, Accepted, 10_250_000, true},
		{"nothing charged", []string{payload(7, begin, reading("E", at10, "100.5"))}, Rules{}, Accepted, 0, true},
		{"ended by a card, remotely, by error, by power", []string{payload(7, begin, reading("L", at10, "110.75"))}, Rules{}, Accepted, 10_250_000, true},
		{"aborted", []string{payload(7, begin, reading("A", at10, "110.75"))}, Rules{}, Accepted, 10_250_000, true},
		{"watt-hours", []string{change(whole, "kWh", "Wh")}, Rules{}, Accepted, 10_250, true},
		{"to the milliwatt-hour", []string{change(whole, "110.75", "110.750001")}, Rules{}, Accepted, 10_250_001, true},
		{"the registered meter", []string{whole}, Rules{Serial: "M1"}, Accepted, 10_250_000, true},
		{"within the connector's energy", []string{whole}, Rules{MaxEnergy: 10_250}, Accepted, 10_250_000, true},
		{"not used before", []string{whole}, Rules{Used: func(p Page) bool { return p.Number != 7 }}, Accepted, 10_250_000, true},

		{"a clock that was set in between", []string{change(whole, "T08:00:00,000+0200 S", "T08:00:00,000+0200 U")}, Rules{}, Accepted, 10_250_000, false},
		{"an informative clock", []string{change(whole, "+0200 S", "+0200 I")}, Rules{}, Accepted, 10_250_000, false},
		{"an informative clock that counted the time", []string{change(whole, "T08:00:00,000+0200 S", "T08:00:00,000+0200 I", "T10:00:00,000+0200 S", "T10:00:00,000+0200 R")}, Rules{}, Accepted, 10_250_000, true},
		{"a time fault", []string{change(whole, `"TX":"E"`, `"EF":"t","TX":"E"`)}, Rules{}, Accepted, 10_250_000, false},
		{"a clock that ran backwards", []string{payload(7, reading("B", at10, "1"), reading("E", at8, "2"))}, Rules{}, Accepted, 1_000_000, false},

		{"no record", nil, Rules{}, Empty, 0, false},
		{"another key", []string{whole}, Rules{Key: other.key}, SignatureInvalid, 0, false},
		{"another meter", []string{whole}, Rules{Serial: "M2"}, MeterDiffers, 0, false},
		{"two meters", []string{two[0], change(two[1], `"M1"`, `"M2"`)}, Rules{}, MeterDiffers, 0, false},
		{"no meter", []string{change(whole, `"MS":"M1"`, `"MS":""`, `"GS":"G1"`, `"GS":""`)}, Rules{}, MeterDiffers, 0, false},
		{"no page", []string{change(whole, `"PG":"T7",`, ``)}, Rules{}, PageMissing, 0, false},
		{"a fiscal page", []string{change(whole, `"T7"`, `"F7"`)}, Rules{}, PageMissing, 0, false},
		{"a page missing", []string{two[0], payload(9, end)}, Rules{}, PageGap, 0, false},
		{"a page twice", []string{two[0], two[0]}, Rules{}, PageReused, 0, false},
		{"a page used before", []string{whole}, Rules{Used: func(p Page) bool { return p == Page{'T', 7} }}, PageReused, 0, false},
		{"two users", []string{two[0], change(two[1], "CARD", "OTHER")}, Rules{}, IdentityDiffers, 0, false},
		{"no begin", []string{payload(7, reading("C", at8, "1"), end)}, Rules{}, BeginMissing, 0, false},
		{"an end alone", []string{two[1]}, Rules{}, BeginMissing, 0, false},
		{"no end", []string{payload(7, begin, reading("C", at10, "110"))}, Rules{}, EndMissing, 0, false},
		{"a begin alone", []string{two[0]}, Rules{}, EndMissing, 0, false},
		{"two sessions in one", []string{payload(7, begin, reading("E", at9, "101"), reading("B", at9, "102"), end)}, Rules{}, OrderInvalid, 0, false},
		{"two begins", []string{payload(7, begin, reading("B", at9, "101"), end)}, Rules{}, OrderInvalid, 0, false},
		{"a meter at fault", []string{change(whole, `"ST":"G"}]`, `"ST":"M"}]`)}, Rules{}, MeterFault, 0, false},
		{"a meter at fault in between", []string{payload(7, begin, change(reading("C", at9, "101"), `"G"`, `"T"`), end)}, Rules{}, MeterFault, 0, false},
		{"no state", []string{change(whole, `,"ST":"G"`, ``)}, Rules{}, MeterFault, 0, false},
		{"an energy fault", []string{change(whole, `"TX":"E"`, `"EF":"Et","TX":"E"`)}, Rules{}, EnergyFault, 0, false},
		{"an exception", []string{payload(7, begin, reading("X", at9, "101"), end)}, Rules{}, EnergyFault, 0, false},
		{"a fault reported without a value", []string{payload(7, begin, `{"TM":"`+at9+`","TX":"C","ST":"D"}`, end)}, Rules{}, MeterFault, 0, false},
		{"an export register", []string{change(whole, "1.8.0", "2.8.0")}, Rules{}, RegisterMissing, 0, false},
		{"a power register", []string{change(whole, "1.8.0", "1.7.0")}, Rules{}, RegisterMissing, 0, false},
		{"no register", []string{change(whole, `,"RI":"1-0:1.8.0"`, ``)}, Rules{}, RegisterMissing, 0, false},
		{"two registers", []string{payload(7, begin, change(end, "1.8.0", "1.8.1"))}, Rules{}, RegisterDiffers, 0, false},
		{"a unit that is none", []string{change(whole, "kWh", "MWh")}, Rules{}, UnitUnknown, 0, false},
		{"below zero", []string{change(whole, "100.5", "-100.5")}, Rules{}, ValueInvalid, 0, false},
		{"finer than a milliwatt-hour", []string{change(whole, "110.75", "110.7500001")}, Rules{}, ValueInvalid, 0, false},
		{"backwards", []string{change(whole, "110.75", "100.49")}, Rules{}, RegisterBackwards, 0, false},
		{"backwards in between", []string{payload(7, begin, reading("C", at9, "120"), end)}, Rules{}, RegisterBackwards, 0, false},
		{"more than the connector delivers", []string{whole}, Rules{MaxEnergy: 10_249}, EnergyExceeded, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var records []Record
			for _, p := range c.payloads {
				records = append(records, s.record(t, p))
			}
			if c.rules.Key.IsZero() {
				c.rules.Key = s.key
			}
			got, err := Settle(records, c.rules)
			if ReasonOf(err) != c.want {
				t.Fatalf("%v, want %s", err, c.want)
			}
			if got.Energy != c.energy || got.TimeBillable != c.billable {
				t.Errorf("%d mWh, time billable %v", got.Energy, got.TimeBillable)
			}
			if err == nil && (got.Serial != "M1" || got.User.ID != "CARD" || len(got.Pages) != len(c.payloads) || got.TimeBillable && got.Seconds != 7200) {
				t.Errorf("%+v", got)
			}
		})
	}
	if _, err := Settle([]Record{s.record(t, whole)}, Rules{}); ReasonOf(err) != NoKey {
		t.Errorf("without a key: %v", err)
	}
	if _, err := Settle(make([]Record, MaxRecords+1), Rules{Key: s.key}); ReasonOf(err) != TooLarge {
		t.Errorf("too many: %v", err)
	}
}

// What left the cable is billed before what entered it, a meter's total where there is nothing better.
func TestTheDriversRegisterIsBilled(t *testing.T) {
	s := newSigner(t, Secp256r1, 1)
	pair := func(register, from, to string) []string {
		b := strings.Replace(reading("B", at8, from), "1-0:1.8.0", register, 1)
		e := strings.Replace(reading("E", at10, to), "1-0:1.8.0", register, 1)
		return []string{b, e}
	}
	for _, c := range []struct {
		registers []string
		want      MilliWattHours
	}{
		{slices.Concat(pair("01-0B:01.08.00*FF", "2935.6", "2965.1"), pair("01-0B:B1.08.00*FF", "2905.6", "2934.6"), pair("01-0B:B3.08.00*FF", "0", "29")), 29_000_000},
		{slices.Concat(pair("01-00:98.08.00.FF", "0", "0.636"), pair("01-00:9C.08.00.FF", "108.178", "108.8")), 622_000},
		{slices.Concat(pair("1-0:98.8.0.FF", "0.0", "1.0"), pair("1-0:2.8.0.FF", "1.0", "2.5")), 1_000_000},
		{slices.Concat(pair("1-0:2.8.0", "4.405", "4.4"), pair("1-b:1.8.e", "57.584", "58.685")), 1_101_000},
		{pair("01-00:B2.08.00*FF", "1", "3"), 2_000_000},
		{slices.Concat(pair("1-b:1.8.0", "1", "3"), []string{`{"RV":0.00,"RI":"1-b:1.9.0","RU":"kWh"}`}), 2_000_000},
	} {
		got, err := Settle([]Record{s.record(t, payload(1, c.registers...))}, Rules{Key: s.key})
		if err != nil || got.Energy != c.want {
			t.Errorf("%s: %d mWh, want %d, %v", c.registers, got.Energy, c.want, err)
		}
	}
}

// Later readings inherit what they leave out, but for their value.
func TestReadingsInherit(t *testing.T) {
	r, err := Parse([]byte(`OCMF|{"PG":"F3","MS":"1","RD":[{"TM":"` + at8 + `","TX":"B","RV":1,"RI":"1-0:1.8.0","RU":"kWh","RT":"DC","EF":"t","ST":"G"},{"RV":2,"CL":0.5},{"TX":"E","EF":""}]}|{"SD":"00"}`))
	if err != nil {
		t.Fatal(err)
	}
	second, third := r.Readings[1], r.Readings[2]
	if second.Time != r.Readings[0].Time || second.Register != "1-0:1.8.0" || second.Faults != "t" || second.Current != "DC" || second.Transaction != Begin || second.Value.String() != "2" || second.Loss.String() != "0.5" {
		t.Errorf("%+v", second)
	}
	if third.Present || third.Transaction != End || third.Faults != "" || third.State != "G" || third.Loss.Mantissa != 0 {
		t.Errorf("%+v", third)
	}
	if r.Page.String() != "F3" || r.Serial() != "1" {
		t.Errorf("%s of %s", r.Page, r.Serial())
	}
}

// INV-OCMF-1: no change of a single byte of what was signed, or of the signature, is accepted.
func TestEveryByteCounts(t *testing.T) {
	s := newSigner(t, Brainpool256r1, 1)
	p := payload(7, reading("B", at8, "100.5"), reading("E", at10, "110.75"))
	r, sig := s.sign([]byte(p))
	text := []byte(fmt.Sprintf(`OCMF|%s|{"SA":"ECDSA-brainpool256r1-SHA256","SD":"%x"}`, p, derOf(r, sig)))
	signed := len("OCMF|") + len(p)
	rapid.Check(t, func(t *rapid.T) {
		changed := slices.Clone(text)
		at := rapid.IntRange(0, len(text)-1).Draw(t, "byte")
		changed[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		record, err := Parse(changed)
		if err != nil {
			return
		}
		_, err = record.Verify(s.key)
		// The case of a name or a hexadecimal digit behind the payload means nothing.
		if err == nil && (at < signed || !strings.EqualFold(string(changed), string(text))) {
			t.Fatalf("byte %d: %q is accepted for %q", at, changed[at], text[at])
		}
	})
}

func TestReasonsHaveNamesAndSentences(t *testing.T) {
	for reason, number := range map[Reason]uint8{SignatureInvalid: 12, MeterDiffers: 13, EnergyExceeded: 29, reasons: 30} { // docs/format/ocmf.md
		if uint8(reason) != number {
			t.Errorf("%s is %d, was %d", reason, reason, number)
		}
	}
	seen := map[string]bool{}
	for r := Accepted; r < reasons; r++ {
		if r.String() == "" || seen[r.String()] || !strings.HasSuffix(r.Text(), ".") {
			t.Errorf("reason %d is %q: %q", r, r, r.Text())
		}
		seen[r.String()] = true
	}
	if reasons.String() != fmt.Sprintf("reason_%d", reasons) || reasons.Text() == "" {
		t.Error(reasons)
	}
}
