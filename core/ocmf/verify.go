package ocmf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	decred "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// Verify checks the record's signature over its payload by key, and says how it was written. Who
// insists on the standard's form refuses all but DER; no other form lets anyone sign who could not
// otherwise. A Refusal with NoKey, CurveDiffers, SignatureForm or SignatureInvalid.
func (r *Record) Verify(key Key) (Form, error) {
	if key.IsZero() {
		return 0, refuse(NoKey, "there is no key to check the record with")
	}
	if r.Signature.Curve != key.curve {
		return 0, refuse(CurveDiffers, "the record is signed on %s, the key is of %s", r.Signature.Curve, key.curve)
	}
	rBytes, sBytes, form, err := numbers(r.Signature.Data, key.curve.Size())
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256(r.Payload)
	if !verify(key, digest[:], rBytes, sBytes) {
		return 0, refuse(SignatureInvalid, "the signature is not of %s over this payload", key.curve)
	}
	return form, nil
}

// verify checks an ECDSA signature by the fastest code there is for its curve.
func verify(key Key, digest, r, s []byte) bool {
	size := key.curve.Size()
	if len(r) > size || len(s) > size {
		return false
	}
	x, y := key.point[:size], key.point[size:2*size]
	switch key.curve {
	case Secp256r1:
		return verifyStandard(elliptic.P256(), x, y, digest, r, s)
	case Secp384r1:
		return verifyStandard(elliptic.P384(), x, y, digest, r, s)
	case Secp256k1:
		return verifySecp256k1(x, y, digest, r, s)
	default:
		return weierstrassTable[key.curve].verify(x, y, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
	}
}

func verifyStandard(curve elliptic.Curve, x, y, digest, r, s []byte) bool {
	point := append(append([]byte{4}, x...), y...)
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	return err == nil && ecdsa.Verify(public, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
}

func verifySecp256k1(x, y, digest, r, s []byte) bool {
	var fx, fy secp256k1.FieldVal
	var sr, ss secp256k1.ModNScalar
	if fx.SetByteSlice(x) || fy.SetByteSlice(y) || sr.SetByteSlice(r) || ss.SetByteSlice(s) || sr.IsZero() || ss.IsZero() {
		return false
	}
	return decred.NewSignature(&sr, &ss).Verify(digest, secp256k1.NewPublicKey(&fx, &fy))
}
