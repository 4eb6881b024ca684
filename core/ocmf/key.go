package ocmf

import (
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
)

// Key is a public key: a point of its curve. The zero Key is none; every other was checked to lie on
// its curve when it was read.
type Key struct {
	curve Curve
	point [2 * maxSize]byte // X||Y, each curve.Size() bytes
}

// maxSize is the largest Size of a curve.
const maxSize = 48

// MaxKeyText is the longest text of a key that is read.
const MaxKeyText = 2500

// Curve returns the key's curve; 0 for the zero Key.
func (k Key) Curve() Curve { return k.curve }

// Point returns X||Y.
func (k Key) Point() []byte { return append([]byte(nil), k.point[:2*k.curve.Size()]...) }

// IsZero tells whether k is no key.
func (k Key) IsZero() bool { return k.curve == 0 }

// String returns the key's curve and point as SEC 1 writes it uncompressed, "secp256r1:04<X||Y>".
func (k Key) String() string {
	if k.IsZero() {
		return "no key"
	}
	return k.curve.String() + ":04" + hex.EncodeToString(k.Point())
}

// Bytes returns k as the chain keeps it: one byte of curve, then X||Y. Empty for the zero Key.
func (k Key) Bytes() []byte {
	if k.IsZero() {
		return nil
	}
	return append([]byte{byte(k.curve)}, k.point[:2*k.curve.Size()]...)
}

// KeyFromBytes is the inverse of Bytes. KeyInvalid if there is none.
func KeyFromBytes(b []byte) (Key, error) {
	if len(b) == 0 {
		return Key{}, refuse(KeyInvalid, "the key has no bytes")
	}
	if len(b) != 1+2*Curve(b[0]).Size() {
		return Key{}, refuse(KeyInvalid, "the key has %d bytes, want a curve and its X||Y", len(b))
	}
	return NewKey(Curve(b[0]), b[1:])
}

// NewKey returns the key of curve whose point is X||Y, or that with the byte 4 before it, or
// compressed as 2 or 3 and X (SEC 1 section 2.3.3). KeyInvalid if there is none.
func NewKey(curve Curve, point []byte) (Key, error) {
	if !curve.Valid() {
		return Key{}, refuse(KeyInvalid, "%s %d", curve, uint8(curve))
	}
	size := curve.Size()
	switch {
	case len(point) == 1+2*size && point[0] == 4:
		point = point[1:]
	case len(point) == 1+size && (point[0] == 2 || point[0] == 3):
		point = append(append([]byte(nil), point[1:]...), decompress(curve, point)...)
	}
	if len(point) != 2*size {
		return Key{}, refuse(KeyInvalid, "a point of %s has %d bytes, want %d (X||Y)", curve, len(point), 2*size)
	}
	k := Key{curve: curve}
	copy(k.point[:], point)
	if !onCurve(curve, point[:size], point[size:]) {
		return Key{}, refuse(KeyInvalid, "%x is not a point of %s", point, curve)
	}
	return k, nil
}

// decompress returns the Y of a compressed point, with the parity its first byte asks for; of a point
// that there is not, some Y that is not on the curve.
func decompress(curve Curve, point []byte) []byte {
	w := weierstrassTable[curve]
	p := w.field.big
	x := new(big.Int).SetBytes(point[1:])
	right := new(big.Int).Mul(x, x)
	right.Add(right, w.bigA)
	right.Mul(right, x)
	right.Add(right, w.bigB)
	right.Mod(right, p)
	// All seven primes are 3 modulo 4 (SEC 1 section 2.3.4).
	exponent := new(big.Int).Add(p, big.NewInt(1))
	y := right.Exp(right, exponent.Rsh(exponent, 2), p)
	if y.Bit(0) != uint(point[0]&1) {
		y.Sub(p, y)
	}
	out := make([]byte, curve.Size())
	y.Mod(y, p)
	return y.FillBytes(out)
}

// ParseKey reads a public key as meters, registers and messages write it: ASN.1
// SubjectPublicKeyInfo (RFC 5480) or a bare point, in hex (with spaces, colons or 0x), base64 or PEM,
// and the Open Charge Alliance's oca:base16:asn1:... and oca:base64:asn1:..., each also in base64 once
// more, and String's. A bare point does not say its curve: it is of the one that it lies on.
func ParseKey(text string) (Key, error) {
	if len(text) > MaxKeyText {
		return Key{}, refuse(KeyInvalid, "the key has %d characters, at most %d are read", len(text), MaxKeyText)
	}
	return parseKey(text, 2)
}

// parseKey undoes at most depth layers of base64 around a text.
func parseKey(text string, depth int) (Key, error) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "oca:"); ok {
		encoding, rest, _ := strings.Cut(rest, ":")
		content, key, _ := strings.Cut(rest, ":")
		if encoding != "base16" && encoding != "base64" || content != "asn1" {
			return Key{}, refuse(KeyInvalid, "the key is oca:%.20s:%.20s, want oca:base16:asn1 or oca:base64:asn1", encoding, content)
		}
		text = key
	}
	if name, point, ok := strings.Cut(text, ":"); ok {
		if c, known := CurveByName(name); known {
			b, _ := fromHex(point)
			return NewKey(c, b)
		}
	}
	if _, rest, ok := strings.Cut(text, "-----BEGIN PUBLIC KEY-----"); ok {
		body, _, _ := strings.Cut(rest, "-----END")
		text = body
	}
	if b, ok := fromHex(text); ok {
		return keyFromASN1(b)
	}
	b, err := base64.StdEncoding.DecodeString(strings.Map(dropSpace, text))
	if err != nil || len(b) == 0 {
		return Key{}, refuse(KeyInvalid, "the key %.40q is neither hex nor base64", text)
	}
	if depth > 0 && b[0] != 0x30 && printable(b) {
		return parseKey(string(b), depth-1)
	}
	return keyFromASN1(b)
}

func dropSpace(r rune) rune {
	if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
		return -1
	}
	return r
}

// fromHex reads hexadecimal digits in either case, with white space, colons and a leading 0x ignored.
func fromHex(text string) ([]byte, bool) {
	text = strings.Map(func(r rune) rune {
		if r == ':' {
			return -1
		}
		return dropSpace(r)
	}, text)
	text = strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
	b, err := hex.DecodeString(text)
	return b, err == nil && len(b) > 0
}

// printable tells whether b is text: a key in another layer, not the bytes of one.
func printable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

// oidPublicKey is id-ecPublicKey, 1.2.840.10045.2.1.
const oidPublicKey = "\x2a\x86\x48\xce\x3d\x02\x01"

// keyFromASN1 reads SubjectPublicKeyInfo with a named curve, or a bare point.
func keyFromASN1(b []byte) (Key, error) {
	if key, ok := keyFromPoint(b); ok {
		return key, nil
	}
	bad := func(why string) (Key, error) {
		return Key{}, refuse(KeyInvalid, "the key %.40x %s", b, why)
	}
	info, rest, ok := element(b, 0x30)
	if !ok || len(rest) != 0 {
		return bad("is neither SubjectPublicKeyInfo nor a point of one of the seven curves")
	}
	algorithm, info, ok := element(info, 0x30)
	if !ok {
		return bad("names no algorithm")
	}
	point, info, ok := element(info, 0x03)
	if !ok || len(info) != 0 || point[0] != 0 {
		return bad("has no bits of a key")
	}
	kind, parameters, ok := element(algorithm, 0x06)
	if !ok || string(kind) != oidPublicKey {
		return bad("is not of an elliptic curve")
	}
	oid, parameters, ok := element(parameters, 0x06)
	if !ok || len(parameters) != 0 {
		return bad("names no curve")
	}
	for _, c := range Curves {
		if curveTable[c].oid == string(oid) {
			return NewKey(c, point[1:])
		}
	}
	return bad("is of a curve that is none of the seven")
}

// keyFromPoint reads X||Y, with or without the byte 4 before it, of the first curve it lies on: a
// point lies on two curves of one size by intent alone, and then harms only who intended it.
func keyFromPoint(b []byte) (Key, bool) {
	if len(b)%2 == 1 && b[0] == 4 {
		b = b[1:]
	}
	for _, c := range Curves {
		if len(b) == 2*c.Size() {
			if key, err := NewKey(c, b); err == nil {
				return key, true
			}
		}
	}
	return Key{}, false
}
