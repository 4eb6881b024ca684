package signature

import (
	"bytes"
	"io"
	"testing"
)

// INV-SIGN-2: coefficients depend on every bit of every entry and on where entries and fields end;
// were one left out, its owner could make two false signatures cancel out.
func TestCoefficientsDependOnEverything(t *testing.T) {
	entries := [][3]string{{"key one", "message one", "signature one"}, {"key two", "message two", "signature two"}}
	stream := func(entries [][3]string) string {
		b := NewBatch(len(entries))
		for _, e := range entries {
			b.Add([]byte(e[0]), []byte(e[1]), []byte(e[2]))
		}
		var out [64]byte
		if _, err := io.ReadFull(b.coefficients(), out[:]); err != nil {
			t.Fatal(err)
		}
		return string(out[:])
	}
	seen := map[string]string{stream(entries): "the original"}
	differs := func(what string, changed [][3]string) {
		t.Helper()
		s := stream(changed)
		if other, ok := seen[s]; ok {
			t.Errorf("%s has the coefficients of %s", what, other)
		}
		seen[s] = what
	}
	for i := range entries {
		for j := range entries[i] {
			for bit := range 8 * len(entries[i][j]) {
				changed := [][3]string{entries[0], entries[1]}
				field := bytes.Clone([]byte(entries[i][j]))
				field[bit/8] ^= 1 << (bit % 8)
				changed[i][j] = string(field)
				differs("a changed bit", changed)
			}
		}
	}
	differs("another order", [][3]string{entries[1], entries[0]})
	differs("one entry", entries[:1])
	differs("a moved boundary", [][3]string{{"key onem", "essage one", "signature one"}, entries[1]})
	differs("a moved entry", [][3]string{entries[0], {"key two", "message twos", "ignature two"}})
}
