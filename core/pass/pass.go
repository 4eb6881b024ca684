// Package pass lets one lease read what is stored under another. A renter who shares files opens a second
// lease with a small escrow, and signs a pass for it with the session key of the lease that the files lie
// under. Whoever gets the second lease's session key and the pass can read, pays by the second lease's
// vouchers, and can do nothing else; how much and how long, the chain's escrow and expiry say, and the
// pass's own expiry. Byte layout: docs/format/pass.md.
//
// INV-PASS-1: a signature binds every field: a pass is of no use to any other lease, chain or time.
package pass

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/signature"
)

// Size is the length of what AppendBinary appends.
const Size = 8 + 8 + ed25519.SignatureSize

var (
	// ErrField is wrapped by errors about a field with a value that no pass may have.
	ErrField = errors.New("invalid pass")
	// ErrEncoding is wrapped by errors about bytes that are not a pass.
	ErrEncoding = errors.New("invalid pass encoding")
)

// Pass says that whoever speaks for the lease Reader may read what is stored under Lease.
type Pass struct {
	ChainID string
	// Lease and Reader are chain ids, at least 1, and differ.
	Lease, Reader uint64
	// Expiry is Unix seconds, after which the pass is void.
	Expiry int64
}

// Check returns ErrField, naming the field, if p is a pass that nobody may honour.
func (p Pass) Check() error {
	if err := signature.CheckChainID(p.ChainID); err != nil {
		return fmt.Errorf("%w: %w", ErrField, err)
	}
	switch {
	case p.Lease == 0 || p.Reader == 0 || p.Lease == p.Reader:
		return fmt.Errorf("%w: lease %d, reader %d: want two different leases", ErrField, p.Lease, p.Reader)
	case p.Expiry <= 0:
		return fmt.Errorf("%w: expiry is %d, want Unix seconds", ErrField, p.Expiry)
	}
	return nil
}

// SignBytes returns the bytes that are signed.
func (p Pass) SignBytes() []byte {
	b := signature.Pass.Preamble(make([]byte, 0, signature.PreambleSize+24), p.ChainID)
	b = binary.BigEndian.AppendUint64(b, p.Lease)
	b = binary.BigEndian.AppendUint64(b, p.Reader)
	return binary.BigEndian.AppendUint64(b, uint64(p.Expiry))
}

// Signed is a pass with the Ed25519 signature of Lease's session key over SignBytes.
type Signed struct {
	Pass
	Signature [ed25519.SignatureSize]byte
}

// Sign signs p. It panics if key is not an Ed25519 private key.
func Sign(key ed25519.PrivateKey, p Pass) Signed {
	return Signed{p, [ed25519.SignatureSize]byte(ed25519.Sign(key, p.SignBytes()))}
}

// Verify checks the signature by ZIP-215, and nothing else.
func (s Signed) Verify(pub ed25519.PublicKey) error {
	if err := signature.Verify(pub, s.SignBytes(), s.Signature[:]); err != nil {
		return fmt.Errorf("verifying the pass of lease %d to lease %d: %w", s.Reader, s.Lease, err)
	}
	return nil
}

// AppendBinary appends the Size bytes that travel: chain and reader are what the connection is for.
func (s Signed) AppendBinary(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, s.Lease)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Expiry))
	return append(b, s.Signature[:]...)
}

// Parse reads what AppendBinary wrote, for a chain and a reader. ErrEncoding or ErrField.
func Parse(b []byte, chainID string, reader uint64) (Signed, error) {
	if len(b) != Size {
		return Signed{}, fmt.Errorf("%w: %d bytes, want %d", ErrEncoding, len(b), Size)
	}
	s := Signed{Pass: Pass{
		ChainID: chainID, Lease: binary.BigEndian.Uint64(b), Reader: reader, Expiry: int64(binary.BigEndian.Uint64(b[8:])),
	}}
	copy(s.Signature[:], b[16:])
	return s, s.Check()
}
