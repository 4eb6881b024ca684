package beacon

import "github.com/oasisprotocol/curve25519-voi/curve"

// validPoint says whether b is the canonical spelling of a point that is not of small order.
func validPoint(b []byte) bool {
	var (
		spelled curve.CompressedEdwardsY
		point   curve.EdwardsPoint
	)
	if _, err := spelled.SetBytes(b); err != nil || !spelled.IsCanonicalVartime() {
		return false
	}
	if _, err := point.SetCompressedY(&spelled); err != nil {
		return false
	}
	return !point.IsSmallOrder()
}
