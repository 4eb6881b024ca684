package ocmf

import "encoding/hex"

// Key is a public key: a point of its curve. The zero Key is none; every other was checked to lie on
// its curve when it was read.
type Key struct {
	curve Curve
	point [2 * maxSize]byte // X||Y, each curve.Size() bytes
}

// maxSize is the largest Size of a curve.
const maxSize = 48

// Curve returns the key's curve; 0 for the zero Key.
func (k Key) Curve() Curve { return k.curve }

// Point returns X||Y.
func (k Key) Point() []byte { return append([]byte(nil), k.point[:2*k.curve.Size()]...) }

// IsZero tells whether k is no key.
func (k Key) IsZero() bool { return k.curve == 0 }

// String returns the key's curve and point, "secp256r1:04<hex of X||Y>".
func (k Key) String() string {
	if k.IsZero() {
		return "no key"
	}
	return k.curve.String() + ":04" + hex.EncodeToString(k.Point())
}

// NewKey returns the key of curve whose point is X||Y, or that with the byte 4 before it
// (SEC 1 section 2.3.3, uncompressed). KeyInvalid if there is none.
func NewKey(curve Curve, point []byte) (Key, error) {
	if !curve.Valid() {
		return Key{}, refuse(KeyInvalid, "%s %d", curve, uint8(curve))
	}
	size := curve.Size()
	if len(point) == 1+2*size && point[0] == 4 {
		point = point[1:]
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
