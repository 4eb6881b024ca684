package address

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Examples of EIP-55.
var eip55 = []string{
	"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
	"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	"0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77",
}

func TestHexHasItsChecksum(t *testing.T) {
	for _, s := range eip55 {
		a, err := Parse(s)
		if err != nil || Hex(a) != s {
			t.Errorf("%s: %v, %s", s, err, Hex(a))
		}
		for _, plain := range []string{strings.ToLower(s), "0x" + strings.ToUpper(s[2:]), "0X" + s[2:]} {
			if b, err := Parse(plain); err != nil || a != b {
				t.Errorf("%s: %v", plain, err)
			}
		}
	}
}

// Valid texts of BIP-173.
func TestBech32(t *testing.T) {
	for _, s := range []string{
		"A12UEL5L", "a12uel5l",
		"an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
		"abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
		"?1ezyfcl",
	} {
		prefix, data, err := DecodeBech32(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if again, err := EncodeBech32(prefix, data); err != nil || again != strings.ToLower(s) {
			t.Errorf("%s comes back as %s, %v", s, again, err)
		}
	}
	for _, s := range []string{
		"\x201nwldj5", "\x7f1axkwrx", "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8", "10a06t8", "1qzzfhee",
		"an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx",
	} {
		if _, _, err := DecodeBech32(s); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", s, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data")
		s, err := EncodeBech32("cairnvaloper", data)
		if err != nil {
			t.Fatal(err)
		}
		prefix, got, err := DecodeBech32(s)
		if err != nil || prefix != "cairnvaloper" || !bytes.Equal(got, data) {
			t.Fatalf("%s: %s %x %v", s, prefix, got, err)
		}
	})
}

// Bits that fill the last character are zero, and less than a character: one text for each value.
func TestPaddingIsZero(t *testing.T) {
	text := func(words ...byte) string {
		sum := polymod(append(append(expand("x"), words...), make([]byte, checksumSize)...)) ^ 1
		out := []byte("x1")
		for i := range checksumSize {
			words = append(words, byte(sum>>(5*(checksumSize-1-i))&31))
		}
		for _, w := range words {
			out = append(out, alphabet[w])
		}
		return string(out)
	}
	if _, data, err := DecodeBech32(text(31, 28)); err != nil || !bytes.Equal(data, []byte{0xff}) {
		t.Errorf("%x, %v", data, err)
	}
	for _, words := range [][]byte{{31, 29}, {31, 28, 0}, {1}} {
		if _, data, err := DecodeBech32(text(words...)); !errors.Is(err, ErrAddress) {
			t.Errorf("%v: %x, %v", words, data, err)
		}
	}
}

func TestBothSpellingsAreOneAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := [Size]byte(rapid.SliceOfN(rapid.Byte(), Size, Size).Draw(t, "address"))
		for _, s := range []string{Bech32(a), strings.ToUpper(Bech32(a)), Hex(a)} {
			if b, err := Parse(s); err != nil || a != b {
				t.Fatalf("%s: %v", s, err)
			}
		}
	})
}

// One mistyped character is always found in a Bech32 text.
func TestTyposAreFound(t *testing.T) {
	s := Bech32([Size]byte{1, 2, 3})
	for i := len(Prefix) + 1; i < len(s); i++ {
		for _, c := range alphabet {
			typo := s[:i] + string(c) + s[i+1:]
			if _, err := Parse(typo); (err == nil) != (typo == s) {
				t.Fatalf("%s: %v", typo, err)
			}
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	valoper, _ := EncodeBech32("cairnvaloper", make([]byte, Size))
	long, _ := EncodeBech32(Prefix, make([]byte, 32))
	for s, want := range map[string]string{
		"":                               "neither",
		"alice":                          "neither",
		valoper:                          `begins with "cairnvaloper1"`,
		long:                             "32 bytes",
		"cairn1QQQQQQ":                   "mixes",
		"cairn1bbbbbb":                   "alphabet",
		"0x12":                           "40 digits",
		"0x" + strings.Repeat("g", 40):   "invalid byte",
		eip55[0][:41] + "D":              "checksum",
		Bech32([Size]byte{1})[:44] + "q": "checksum",
	} {
		if _, err := Parse(s); !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want it to say %q", s, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Bech32([Size]byte{1}))
	f.Add(eip55[0])
	f.Add("a12uel5l")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if s[1] == 'x' || s[1] == 'X' {
			if !strings.EqualFold(s, Hex(a)) {
				t.Fatalf("%q reads as %s", s, Hex(a))
			}
		} else if strings.ToLower(s) != Bech32(a) {
			t.Fatalf("%q reads as %s", s, Bech32(a))
		}
	})
}
