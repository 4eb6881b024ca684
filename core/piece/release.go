package piece

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/cairn-network/cairn/core/signature"
)

// Release says that a renter needs a piece no more: its provider may drop it, and shows the release
// to whoever asks for the piece with a receipt. Signed by the lease's session key.
type Release struct {
	ChainID       string
	Lease, Device uint64
	ID            ID
	// Until, Unix seconds, bounds what is released: receipts issued up to then, by the provider's clock.
	// A piece that is stored again later, under a newer receipt, is owed again.
	Until int64
}

// Covers says whether a receipt with that time of issue is released.
func (r Release) Covers(issuedAt int64) bool { return issuedAt <= r.Until }

// ReleaseSize is the length of Release.SignBytes.
const ReleaseSize = signature.PreambleSize + releaseFields

const (
	releaseFields  = 8 + 8 + 32 + 8
	releaseVersion = 1
)

// SignBytes returns the ReleaseSize bytes that are signed.
func (r Release) SignBytes() []byte {
	return r.appendFields(signature.Release.Preamble(make([]byte, 0, ReleaseSize), r.ChainID))
}

func (r Release) appendFields(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.Lease)
	b = binary.BigEndian.AppendUint64(b, r.Device)
	b = append(b, r.ID[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(r.Until))
}

// SignedRelease is a release with the session key's signature over SignBytes.
type SignedRelease struct {
	Release
	Signature [64]byte
}

// SignRelease signs r. It panics if key is not an Ed25519 private key.
func SignRelease(key ed25519.PrivateKey, r Release) SignedRelease {
	return SignedRelease{r, [64]byte(ed25519.Sign(key, r.SignBytes()))}
}

// Verify checks the signature, and nothing else.
func (s SignedRelease) Verify(session ed25519.PublicKey) error {
	if err := signature.Verify(session, s.SignBytes(), s.Signature[:]); err != nil {
		return fmt.Errorf("verifying release of piece %s of lease %d: %w", s.ID, s.Lease, err)
	}
	return nil
}

// MarshalBinary returns the one encoding of s: version, chain id with its length, lease, device, id,
// until, signature. ErrEncoding for a chain id that none has.
func (s SignedRelease) MarshalBinary() ([]byte, error) {
	if err := signature.CheckChainID(s.ChainID); err != nil {
		return nil, fmt.Errorf("%w of a release: %w", ErrEncoding, err)
	}
	b := make([]byte, 0, 2+len(s.ChainID)+releaseFields+signatureSize)
	b = append(b, releaseVersion, byte(len(s.ChainID)))
	b = append(b, s.ChainID...)
	b = s.appendFields(b)
	return append(b, s.Signature[:]...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding. The
// signature is not verified.
func (s *SignedRelease) UnmarshalBinary(b []byte) error {
	if len(b) < 2 || b[0] != releaseVersion || len(b) != 2+int(b[1])+releaseFields+signatureSize {
		return fmt.Errorf("%w of a release: %d bytes", ErrEncoding, len(b))
	}
	var v SignedRelease
	n := int(b[1])
	v.ChainID = string(b[2 : 2+n])
	if err := signature.CheckChainID(v.ChainID); err != nil {
		return fmt.Errorf("%w of a release: %w", ErrEncoding, err)
	}
	f := b[2+n:]
	v.Lease = binary.BigEndian.Uint64(f)
	v.Device = binary.BigEndian.Uint64(f[8:])
	copy(v.ID[:], f[16:])
	v.Until = int64(binary.BigEndian.Uint64(f[48:]))
	copy(v.Signature[:], f[releaseFields:])
	*s = v
	return nil
}
