// Package address reads and writes accounts: the same 20 bytes as cairn1... (Bech32, BIP-173) and as
// 0x... (EIP-55). Wherever a person types an address, both are taken.
package address

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/sha3"
)

// Size is the length of an account's address in bytes.
const Size = 20

// Prefix is the human-readable part of an account's Bech32 form.
const Prefix = "cairn"

// ErrAddress is wrapped by errors about text that is not an account.
var ErrAddress = errors.New("not an address")

// Parse reads cairn1... or 0x.... Checksums are checked; hexadecimal in one case has none. Errors
// name the text and what is wrong with it, and wrap ErrAddress.
func Parse(s string) (a [Size]byte, err error) {
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		return parseHex(s)
	}
	prefix, data, err := DecodeBech32(s)
	if err != nil {
		return a, err
	}
	if prefix != Prefix {
		return a, fmt.Errorf("%w: %q begins with %q, an account begins with %q", ErrAddress, s, prefix+"1", Prefix+"1")
	}
	if len(data) != Size {
		return a, fmt.Errorf("%w: %q has %d bytes, an account has %d", ErrAddress, s, len(data), Size)
	}
	return [Size]byte(data), nil
}

func parseHex(s string) (a [Size]byte, err error) {
	if len(s) != 2+2*Size {
		return a, fmt.Errorf("%w: %.64q has %d characters, want 0x and %d digits", ErrAddress, s, len(s), 2*Size)
	}
	if _, err := hex.Decode(a[:], []byte(s[2:])); err != nil {
		return [Size]byte{}, fmt.Errorf("%w: %q: %w", ErrAddress, s, err)
	}
	digits := s[2:]
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && digits != Hex(a)[2:] {
		return [Size]byte{}, fmt.Errorf("%w: %q has a wrong checksum (mixed case, EIP-55): a digit is mistyped", ErrAddress, s)
	}
	return a, nil
}

// Hex returns the 0x form with its EIP-55 checksum in the case of its letters.
func Hex(a [Size]byte) string {
	digits := []byte(hex.EncodeToString(a[:]))
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write(digits)
	hash := keccak.Sum(nil)
	for i, d := range digits {
		if d >= 'a' && hash[i/2]>>(4*(1-i%2))&8 != 0 {
			digits[i] = d - 'a' + 'A'
		}
	}
	return "0x" + string(digits)
}

// Bech32 returns the cairn1... form.
func Bech32(a [Size]byte) string {
	s, err := EncodeBech32(Prefix, a[:])
	if err != nil {
		panic("address: " + err.Error()) // the prefix and the length are constants
	}
	return s
}
