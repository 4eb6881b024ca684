package exactjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/exactjson"
)

func TestValues(t *testing.T) {
	v, err := exactjson.Parse([]byte(" {\"a\":[1, -2.50e+3,true,false,null,\"x\"],\t\"A\":{},\"\":\"\\u00e4\\ud83d\\ude00\\n\\\"\"}\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	list := v.Get("a").Items
	if len(list) != 6 || list[0].Text != "1" || list[1].Text != "-2.50e+3" || !list[2].True || list[3].True || list[3].Kind != exactjson.Bool || list[4].Kind != exactjson.Null || list[5].Text != "x" {
		t.Errorf("%+v", list)
	}
	if v.Get("A").Kind != exactjson.Object || v.Get("b").Kind != exactjson.Missing || list[0].Get("a").Kind != exactjson.Missing {
		t.Errorf("%+v", v)
	}
	if got := v.Get("").Text; got != "ä😀\n\"" {
		t.Errorf("%q", got)
	}
	_, rest, err := exactjson.ParsePrefix([]byte(`{"a":"|"}|{}`))
	if err != nil || string(rest) != "|{}" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	many := `{"n0":0`
	for i := 1; i <= exactjson.MaxMembers; i++ {
		many += fmt.Sprintf(`,"n%d":0`, i)
	}
	for _, text := range []string{
		"", " ", "{", "[", "[1", "[1,", "[1,]", "{}{}", "1 2", "nul", "True", "NaN", "Infinity", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1",
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, "'a'", `"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`,
		`"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, "\"\n\"", "\"\x00\"", "\"\xff\"", "\"\xc0\x80\"", "/**/1",
		strings.Repeat("[", exactjson.MaxDepth+2) + strings.Repeat("]", exactjson.MaxDepth+2),
		"[" + strings.Repeat("0,", exactjson.MaxValues) + "0]", many + "}",
	} {
		if v, err := exactjson.Parse([]byte(text)); !errors.Is(err, exactjson.ErrSyntax) {
			t.Errorf("%.40q is read as %+v, %v", text, v, err)
		}
	}
}

// same compares our reading with encoding/json's.
func same(t interface{ Fatalf(string, ...any) }, v exactjson.Value, other any) {
	switch v.Kind {
	case exactjson.Null:
		if other != nil {
			t.Fatalf("null, and %v", other)
		}
	case exactjson.Bool:
		if v.True != other {
			t.Fatalf("%v, and %v", v.True, other)
		}
	case exactjson.Number:
		if json.Number(v.Text) != other {
			t.Fatalf("%s, and %v", v.Text, other)
		}
	case exactjson.String:
		if v.Text != other {
			t.Fatalf("%q, and %q", v.Text, other)
		}
	case exactjson.Array:
		list, ok := other.([]any)
		if !ok || len(list) != len(v.Items) {
			t.Fatalf("%d items, and %v", len(v.Items), other)
		}
		for i := range list {
			same(t, v.Items[i], list[i])
		}
	case exactjson.Object:
		object, ok := other.(map[string]any)
		if !ok || len(object) != len(v.Members) {
			t.Fatalf("%d members, and %v", len(v.Members), other)
		}
		for name, inner := range object {
			same(t, v.Get(name), inner)
		}
	default:
		t.Fatalf("kind %s", v.Kind)
	}
}

// What is read is what encoding/json reads, and so everything else is refused by one or both.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-0.5e-3,true,null,"\u00e4\ud83d\ude00"],"b":{"c":""}}`, `[]`, `"x"`, ` 0 `, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := exactjson.Parse(text)
		if err != nil {
			if !errors.Is(err, exactjson.ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var other any
		if err := d.Decode(&other); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", text, err)
		}
		same(t, v, other)
	})
}

func TestDecimals(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0.0", "00000000.000": "0.000", "2935.600": "2935.600", "-1.5": "-1.5", "1e3": "1000", "1.25E1": "12.5", "12e-2": "0.12",
		"9223372036854775807": "9223372036854775807", "0.000000000000000001": "0.000000000000000001",
	} {
		d, err := exactjson.ParseDecimal(text)
		if err != nil || d.String() != want {
			t.Errorf("%s is read as %s, want %s, %v", text, d, want, err)
		}
	}
	for _, text := range []string{"", "-", ".", "1.", ".5", "--1", "1-", "1.2.3", "1,5", " 1", "1 ", "+1", "1e", "1e+-2", "1e100", "9223372036854775808", "1e19", "0.0000000000000000001", "1e-19", "0x1", "NaN"} {
		if d, err := exactjson.ParseDecimal(text); !errors.Is(err, exactjson.ErrDecimal) {
			t.Errorf("%q is read as %s, %v", text, d, err)
		}
	}
}

func TestScaledIsExactOrNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := exactjson.Decimal{Mantissa: rapid.Int64().Draw(t, "mantissa"), Scale: rapid.Uint8Range(0, exactjson.MaxScale).Draw(t, "scale")}
		if rapid.Bool().Draw(t, "small") {
			d.Mantissa %= 1_000_000
		}
		places := rapid.Uint8Range(0, exactjson.MaxScale).Draw(t, "places")
		ten := func(n uint8) *big.Int {
			return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
		}
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(d.Mantissa), ten(places)), ten(d.Scale))
		got, ok := d.Scaled(places)
		if fits := exact.IsInt() && exact.Num().IsInt64(); ok != fits && !(fits && exact.Num().Int64() < -(1<<63-1)) {
			t.Fatalf("%s to %d places: %v", d, places, ok)
		}
		if ok && exact.Num().Cmp(big.NewInt(got)) != 0 {
			t.Fatalf("%s to %d places is %d", d, places, got)
		}
		if d.Mantissa == -1<<63 {
			return
		}
		if back, err := exactjson.ParseDecimal(d.String()); err != nil || back != d {
			t.Fatalf("%s is read as %s, %v", d, back, err)
		}
	})
}
