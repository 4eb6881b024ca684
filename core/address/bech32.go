package address

import (
	"fmt"
	"strings"
)

const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// maxBech32 is BIP-173's limit on the whole text: beyond it the checksum promises less.
const maxBech32 = 90

const checksumSize = 6

// polymod is BIP-173's checksum over 5-bit values.
func polymod(values []byte) uint32 {
	generator := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	c := uint32(1)
	for _, v := range values {
		top := c >> 25
		c = c&0x1ffffff<<5 ^ uint32(v)
		for i, g := range generator {
			if top>>i&1 != 0 {
				c ^= g
			}
		}
	}
	return c
}

// expand spreads the human-readable part into the 5-bit values that the checksum covers.
func expand(prefix string) []byte {
	out := make([]byte, 0, 2*len(prefix)+1)
	for i := range len(prefix) {
		out = append(out, prefix[i]>>5)
	}
	out = append(out, 0)
	for i := range len(prefix) {
		out = append(out, prefix[i]&31)
	}
	return out
}

// EncodeBech32 returns data under a lower-case prefix; ErrAddress if that is not possible within 90
// characters.
func EncodeBech32(prefix string, data []byte) (string, error) {
	words := make([]byte, 0, (len(data)*8+4)/5)
	acc, bits := uint32(0), 0
	for _, b := range data {
		acc = acc<<8 | uint32(b)
		for bits += 8; bits >= 5; bits -= 5 {
			words = append(words, byte(acc>>(bits-5)&31))
		}
	}
	if bits > 0 {
		words = append(words, byte(acc<<(5-bits)&31))
	}
	if err := checkPrefix(prefix); err != nil || len(prefix)+1+len(words)+checksumSize > maxBech32 {
		return "", fmt.Errorf("%w: cannot write %d bytes under prefix %q", ErrAddress, len(data), prefix)
	}
	sum := polymod(append(append(expand(prefix), words...), make([]byte, checksumSize)...)) ^ 1
	var out strings.Builder
	out.WriteString(prefix)
	out.WriteByte('1')
	for _, w := range words {
		out.WriteByte(alphabet[w])
	}
	for i := range checksumSize {
		out.WriteByte(alphabet[sum>>(5*(checksumSize-1-i))&31])
	}
	return out.String(), nil
}

// DecodeBech32 returns the lower-case prefix and the data of a Bech32 text; ErrAddress says what is
// wrong with it.
func DecodeBech32(s string) (prefix string, data []byte, err error) {
	bad := func(why string) (string, []byte, error) {
		return "", nil, fmt.Errorf("%w: %.100q %s", ErrAddress, s, why)
	}
	if len(s) > maxBech32 {
		return bad("is longer than 90 characters")
	}
	lower := strings.ToLower(s)
	if s != lower && s != strings.ToUpper(s) {
		return bad("mixes upper and lower case")
	}
	one := strings.LastIndexByte(lower, '1')
	if one < 1 || len(lower)-one-1 < checksumSize {
		return bad("is neither cairn1... nor 0x...")
	}
	prefix = lower[:one]
	if checkPrefix(prefix) != nil {
		return bad("has a prefix outside visible ASCII")
	}
	words := make([]byte, 0, len(lower)-one-1)
	for i := one + 1; i < len(lower); i++ {
		w := strings.IndexByte(alphabet, lower[i])
		if w < 0 {
			return bad(fmt.Sprintf("has %q, which is not in the Bech32 alphabet", lower[i]))
		}
		words = append(words, byte(w))
	}
	if polymod(append(expand(prefix), words...)) != 1 {
		return bad("has a wrong checksum: a character is mistyped or missing")
	}
	acc, bits := uint32(0), 0
	for _, w := range words[:len(words)-checksumSize] {
		acc = acc<<5 | uint32(w)
		if bits += 5; bits >= 8 {
			bits -= 8
			data = append(data, byte(acc>>bits))
		}
	}
	if bits >= 5 || acc&(1<<bits-1) != 0 {
		return bad("does not hold whole bytes")
	}
	return prefix, data, nil
}

func checkPrefix(prefix string) error {
	if prefix == "" {
		return ErrAddress
	}
	for i := range len(prefix) {
		if c := prefix[i]; c < 33 || c > 126 || c >= 'A' && c <= 'Z' {
			return ErrAddress
		}
	}
	return nil
}
