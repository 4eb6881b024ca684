package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
)

// TPM_ALG_ID, TPM_ST and TPMA_OBJECT values, TPM 2.0 library specification part 2, sections 6.3,
// 6.9 and 8.3.
const (
	algRSA    = 0x0001
	algSHA256 = 0x000b
	algSHA384 = 0x000c
	algNull   = 0x0010
	algRSASSA = 0x0014
	algECDSA  = 0x0018
	algECC    = 0x0023

	curveP256 = 0x0003
	curveP384 = 0x0004

	generated     = 0xff544347 // TPM_GENERATED_VALUE
	attestCertify = 0x8017
	attestQuote   = 0x8018

	fixedTPM            = 1 << 1
	fixedParent         = 1 << 4
	sensitiveDataOrigin = 1 << 5
	restricted          = 1 << 16
	decrypt             = 1 << 17
	sign                = 1 << 18
)

// maxStructure is the largest TPM structure read, bytes; a TPMT_PUBLIC of RSA-4096 has under 600.
const maxStructure = 1024

// Name is a TPM object's name under SHA-256: 0x000b, then SHA-256(TPMT_PUBLIC).
type Name [2 + sha256.Size]byte

// object is what the network reads of a TPMT_PUBLIC (part 2, section 12.2.4).
type object struct {
	name       Name
	attributes uint32
	public     any // *ecdsa.PublicKey or *rsa.PublicKey
}

// NameOf gives the name of a TPMT_PUBLIC whose name algorithm is SHA-256.
func NameOf(public []byte) (Name, error) {
	o, err := parsePublic(public)
	if err != nil {
		return Name{}, err
	}
	return o.name, nil
}

// reader reads TPM structures: big-endian numbers and byte strings behind a 16-bit length.
type reader struct {
	rest cryptobyte.String
	bad  bool
}

func (r *reader) u8() (v uint8) {
	r.bad = !r.rest.ReadUint8(&v) || r.bad
	return v
}

func (r *reader) u16() (v uint16) {
	r.bad = !r.rest.ReadUint16(&v) || r.bad
	return v
}

func (r *reader) u32() (v uint32) {
	r.bad = !r.rest.ReadUint32(&v) || r.bad
	return v
}

func (r *reader) u64() (v uint64) {
	r.bad = !r.rest.ReadUint64(&v) || r.bad
	return v
}

// sized reads a TPM2B of any kind.
func (r *reader) sized() []byte {
	var b cryptobyte.String
	r.bad = !r.rest.ReadUint16LengthPrefixed(&b) || r.bad
	return b
}

// done says whether all was read and nothing more.
func (r *reader) done() bool { return !r.bad && r.rest.Empty() }

func read(b []byte, what string) (*reader, error) {
	if len(b) > maxStructure {
		return nil, fmt.Errorf("%w: %s of %d bytes, at most %d", ErrMalformed, what, len(b), maxStructure)
	}
	return &reader{rest: b}, nil
}

// parsePublic reads a TPMT_PUBLIC of an RSA or ECC key.
func parsePublic(b []byte) (object, error) {
	r, err := read(b, "TPMT_PUBLIC")
	if err != nil {
		return object{}, err
	}
	kind, nameAlg := r.u16(), r.u16()
	o := object{attributes: r.u32()}
	r.sized() // authPolicy
	// TPMT_SYM_DEF_OBJECT, then the scheme: an algorithm, and a hash unless it is NULL.
	if r.u16() != algNull {
		r.u16() // key bits
		r.u16() // mode
	}
	if r.u16() != algNull {
		r.u16()
	}
	switch kind {
	case algRSA:
		bits, exponent, modulus := r.u16(), r.u32(), new(big.Int).SetBytes(r.sized())
		if exponent == 0 { // the default
			exponent = 65537
		}
		if r.done() && modulus.BitLen() != int(bits) {
			return object{}, fmt.Errorf("%w: RSA modulus of %d bits in a key of %d", ErrMalformed, modulus.BitLen(), bits)
		}
		if r.done() {
			o.public, err = rsaKey(modulus, int(exponent))
		}
	case algECC:
		curve := r.u16()
		if r.u16() != algNull { // key derivation scheme
			r.u16()
		}
		x, y := r.sized(), r.sized()
		if r.done() {
			o.public, err = eccKey(curve, x, y)
		}
	default:
		return object{}, fmt.Errorf("%w: TPM key of type %#04x: want RSA or ECC", ErrPolicy, kind)
	}
	if err != nil {
		return object{}, err
	}
	if !r.done() {
		return object{}, fmt.Errorf("%w: TPMT_PUBLIC", ErrMalformed)
	}
	if nameAlg != algSHA256 {
		return object{}, fmt.Errorf("%w: TPM key with name algorithm %#04x: want SHA-256", ErrPolicy, nameAlg)
	}
	binary.BigEndian.PutUint16(o.name[:], algSHA256)
	hash := sha256.Sum256(b)
	copy(o.name[2:], hash[:])
	return o, nil
}

// eccKey makes a key of coordinates, which TPMs may give without leading zeros.
func eccKey(curve uint16, x, y []byte) (*ecdsa.PublicKey, error) {
	group, size := elliptic.P256(), 32
	switch curve {
	case curveP256:
	case curveP384:
		group, size = elliptic.P384(), 48
	default:
		return nil, fmt.Errorf("%w: TPM key on curve %#04x: want P-256 or P-384", ErrPolicy, curve)
	}
	if len(x) > size || len(y) > size {
		return nil, fmt.Errorf("%w: coordinates of %d and %d bytes", ErrMalformed, len(x), len(y))
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	return ecKey(group, point)
}

// attested is what the network reads of a TPMS_ATTEST (part 2, section 10.12).
type attested struct {
	signer []byte // qualified name of the key that signed it
	extra  []byte // qualifying data
	boots  uint64 // reset and restart counts: one boot of one TPM
	// Of a certify:
	name []byte
	// Of a quote: the PCRs of the SHA-256 bank, bit n for PCR n, and the digest over them.
	pcrs   uint32
	digest []byte
}

// parseAttest reads a TPMS_ATTEST of one type.
func parseAttest(b []byte, kind uint16) (attested, error) {
	r, err := read(b, "TPMS_ATTEST")
	if err != nil {
		return attested{}, err
	}
	if magic, got := r.u32(), r.u16(); !r.bad && (magic != generated || got != kind) {
		return attested{}, fmt.Errorf("%w: TPMS_ATTEST with magic %#08x of type %#04x: want %#08x, %#04x", ErrMalformed, magic, got, uint32(generated), kind)
	}
	a := attested{signer: r.sized(), extra: r.sized()}
	r.u64() // clock, milliseconds
	a.boots = uint64(r.u32())<<32 | uint64(r.u32())
	r.u8()  // whether the clock may have gone back
	r.u64() // firmware version
	switch kind {
	case attestCertify:
		a.name = r.sized()
		r.sized() // qualified name
	case attestQuote:
		if banks := r.u32(); !r.bad && banks != 1 {
			return attested{}, fmt.Errorf("%w: quote over %d banks of PCRs: want the one of SHA-256", ErrPolicy, banks)
		}
		bank, octets := r.u16(), int(r.u8())
		if !r.bad && (bank != algSHA256 || octets > 4) {
			return attested{}, fmt.Errorf("%w: quote over PCRs of bank %#04x: want SHA-256", ErrPolicy, bank)
		}
		for i := 0; i < octets && !r.bad; i++ {
			a.pcrs |= uint32(r.u8()) << (8 * i)
		}
		a.digest = r.sized()
	}
	if !r.done() {
		return attested{}, fmt.Errorf("%w: TPMS_ATTEST", ErrMalformed)
	}
	return a, nil
}

// verifyTPM checks a TPMT_SIGNATURE (part 2, section 11.3.4): RSASSA or ECDSA with SHA-256 or SHA-384.
func verifyTPM(public any, message, sig []byte) error {
	r, err := read(sig, "TPMT_SIGNATURE")
	if err != nil {
		return err
	}
	scheme, hashAlg := r.u16(), r.u16()
	var hash crypto.Hash
	switch hashAlg {
	case algSHA256:
		hash = crypto.SHA256
	case algSHA384:
		hash = crypto.SHA384
	default:
		return fmt.Errorf("%w: TPM signature with hash %#04x: want SHA-256 or SHA-384", ErrPolicy, hashAlg)
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		plain := r.sized()
		if !r.done() || scheme != algRSASSA {
			return fmt.Errorf("%w: TPMT_SIGNATURE of scheme %#04x by an RSA key", ErrMalformed, scheme)
		}
		if rsa.VerifyPKCS1v15(key, hash, digest(hash, message), plain) != nil {
			return ErrSignature
		}
	case *ecdsa.PublicKey:
		rr, ss := new(big.Int).SetBytes(r.sized()), new(big.Int).SetBytes(r.sized())
		if !r.done() || scheme != algECDSA {
			return fmt.Errorf("%w: TPMT_SIGNATURE of scheme %#04x by an ECC key", ErrMalformed, scheme)
		}
		if !verifyECDSA(key, digest(hash, message), rr, ss) {
			return ErrSignature
		}
	default:
		return ErrSignature
	}
	return nil
}
