package ocmf

import (
	"strings"
)

// Curve is one of the seven elliptic curves of OCMF table 22. Its numbers are part of the chain's
// interface.
type Curve uint8

// The curves, in the table's order.
const (
	Secp192k1 Curve = iota + 1
	Secp256k1
	Secp192r1
	Secp256r1
	Brainpool256r1
	Secp384r1
	Brainpool384r1
)

// Curves are all there are.
var Curves = [...]Curve{Secp192k1, Secp256k1, Secp192r1, Secp256r1, Brainpool256r1, Secp384r1, Brainpool384r1}

// Valid tells whether c is one of Curves.
func (c Curve) Valid() bool { return c >= Secp192k1 && c <= Brainpool384r1 }

// String returns the curve's name in OCMF, "brainpool256r1".
func (c Curve) String() string {
	if !c.Valid() {
		return "unknown curve"
	}
	return curveTable[c].name
}

// Size is the length in bytes of a coordinate, and of the order; 0 if c is not Valid.
func (c Curve) Size() int {
	if !c.Valid() {
		return 0
	}
	return curveTable[c].size
}

// Gas is what one verification costs on the chain: ten units for each microsecond it was measured to
// take (docs/figures.md), rounded up, which is what the chain's 1,000 for an Ed25519 signature are. 0
// if c is not Valid.
func (c Curve) Gas() uint64 {
	if !c.Valid() {
		return 0
	}
	return curveTable[c].gas
}

// Weak tells whether c has less than 128 bits of security: keys of 192 bits, which only meters of old
// approvals have, and which callers should trust with small sums alone.
func (c Curve) Weak() bool { return c == Secp192k1 || c == Secp192r1 }

type curveFacts struct {
	name string
	size int
	gas  uint64
	// oid is the curve's object identifier, as DER has it.
	oid string
	// synonyms are other names in use, in lower case.
	synonyms []string
}

// curveTable is indexed by Curve. Object identifiers: SEC 2 section A.2, RFC 5480 section 2.1.1.1,
// RFC 5639 section 4.1.
var curveTable = [...]curveFacts{
	Secp192k1:      {"secp192k1", 24, 2000, "\x2b\x81\x04\x00\x1f", []string{"ansip192k1"}},
	Secp256k1:      {"secp256k1", 32, 1500, "\x2b\x81\x04\x00\x0a", []string{"ansip256k1"}},
	Secp192r1:      {"secp192r1", 24, 2500, "\x2a\x86\x48\xce\x3d\x03\x01\x01", []string{"prime192v1", "nistp192", "p-192"}},
	Secp256r1:      {"secp256r1", 32, 1000, "\x2a\x86\x48\xce\x3d\x03\x01\x07", []string{"prime256v1", "nistp256", "p-256"}},
	Brainpool256r1: {"brainpool256r1", 32, 3500, "\x2b\x24\x03\x03\x02\x08\x01\x01\x07", []string{"brainpoolp256r1"}},
	Secp384r1:      {"secp384r1", 48, 6500, "\x2b\x81\x04\x00\x22", []string{"prime384v1", "nistp384", "p-384"}},
	Brainpool384r1: {"brainpool384r1", 48, 8500, "\x2b\x24\x03\x03\x02\x08\x01\x01\x0b", []string{"brainpoolp384r1"}},
}

// CurveByName returns the curve of a name of OCMF or one of its synonyms in use, in any case.
func CurveByName(name string) (Curve, bool) {
	name = strings.ToLower(name)
	for _, c := range Curves {
		if curveTable[c].name == name {
			return c, true
		}
		for _, synonym := range curveTable[c].synonyms {
			if synonym == name {
				return c, true
			}
		}
	}
	return 0, false
}

// curveOfAlgorithm reads "ECDSA-secp256r1-SHA256", in any case.
func curveOfAlgorithm(name string) (Curve, error) {
	lower := strings.ToLower(name)
	curve, ok := strings.CutPrefix(lower, "ecdsa-")
	if ok {
		curve, ok = strings.CutSuffix(curve, "-sha256")
	}
	if ok {
		if c, known := CurveByName(curve); known {
			return c, nil
		}
	}
	return 0, refuse(AlgorithmUnknown, "SA is %.60q, want ECDSA-<curve>-SHA256 with one of seven curves", name)
}
