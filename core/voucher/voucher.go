// Package voucher is the money that flows off chain: a consumer's cumulative promise to one device
// under one lease, signed with the lease's session key. Byte layouts: docs/format/voucher.md.
//
// INV-VOUCHER-1: vouchers are cumulative. Of all vouchers of a (chain, lease, device) only the one
// with the highest sequence number counts: a lost voucher loses nothing, a replayed one pays nothing.
//
// INV-VOUCHER-2: a signature binds every field; there is one encoding of each signed voucher.
package voucher

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/signature"
)

// SignedSize is the length of SignBytes.
const SignedSize = signature.PreambleSize + fieldsSize

const (
	fieldsSize = 8 + 8 + 8 + 16 + 8 + 8
	version    = 1
)

var (
	// ErrField is wrapped by errors about a field with a value that no voucher may have.
	ErrField = errors.New("invalid voucher")
	// ErrEncoding is wrapped by errors about bytes that are not a voucher in its only encoding.
	ErrEncoding = errors.New("invalid voucher encoding")
	// ErrForeign says that two vouchers are not of the same chain, lease and device.
	ErrForeign = errors.New("voucher of another lease")
	// ErrStale says that the newer voucher's sequence number is not above the older one's.
	ErrStale = errors.New("voucher sequence not above the last")
	// ErrLower says that the newer voucher promises less.
	ErrLower = errors.New("voucher promises less than the last")
)

// Voucher promises Amount for Units delivered by Device under Lease, both counted since the lease
// was opened.
type Voucher struct {
	ChainID string
	// Lease and Device are chain ids, at least 1.
	Lease, Device uint64
	// Units delivered so far (storage: bytes served).
	Units uint64
	// Amount earned so far in acairn, network fee included.
	Amount price.Amount
	// Seq is at least 1 and rises with each voucher.
	Seq uint64
	// Expiry is Unix seconds, after which the voucher is void.
	Expiry int64
}

// Check returns ErrField, naming the field, if v is a voucher that nobody may honour.
func (v Voucher) Check() error {
	if err := signature.CheckChainID(v.ChainID); err != nil {
		return fmt.Errorf("%w: %w", ErrField, err)
	}
	switch {
	case v.Lease == 0:
		return fmt.Errorf("%w: lease is 0", ErrField)
	case v.Device == 0:
		return fmt.Errorf("%w: device is 0", ErrField)
	case v.Seq == 0:
		return fmt.Errorf("%w: sequence is 0", ErrField)
	case v.Expiry <= 0:
		return fmt.Errorf("%w: expiry is %d, want Unix seconds", ErrField, v.Expiry)
	}
	return nil
}

// SignBytes returns the SignedSize bytes that are signed. Every value has some; Check judges it.
func (v Voucher) SignBytes() []byte {
	b := signature.Voucher.Preamble(make([]byte, 0, SignedSize), v.ChainID)
	return v.appendFields(b)
}

func (v Voucher) appendFields(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, v.Lease)
	b = binary.BigEndian.AppendUint64(b, v.Device)
	b = binary.BigEndian.AppendUint64(b, v.Units)
	b = binary.BigEndian.AppendUint64(b, v.Amount.Hi)
	b = binary.BigEndian.AppendUint64(b, v.Amount.Lo)
	b = binary.BigEndian.AppendUint64(b, v.Seq)
	return binary.BigEndian.AppendUint64(b, uint64(v.Expiry))
}

// Signed is a voucher with the session key's Ed25519 signature over SignBytes.
type Signed struct {
	Voucher
	Signature [64]byte
}

// Sign signs v. It panics if key is not an Ed25519 private key.
func Sign(key ed25519.PrivateKey, v Voucher) Signed {
	return Signed{v, [64]byte(ed25519.Sign(key, v.SignBytes()))}
}

// Verify checks the signature by ZIP-215, and nothing else; signature.ErrKey or
// signature.ErrSignature.
func (s Signed) Verify(pub ed25519.PublicKey) error {
	if err := signature.Verify(pub, s.SignBytes(), s.Signature[:]); err != nil {
		return fmt.Errorf("verifying voucher %d of lease %d for device %d: %w", s.Seq, s.Lease, s.Device, err)
	}
	return nil
}

// VerifyBatch checks vs[i] against pubs[i] and returns the positions, ascending, of those that do
// not hold; nil when all do. Deterministic: it may run in consensus. A voucher without a key is bad;
// keys without a voucher are ignored.
func VerifyBatch(pubs []ed25519.PublicKey, vs []Signed) (bad []int) {
	batch := signature.NewBatch(len(vs))
	messages := make([]byte, 0, len(vs)*SignedSize)
	for i := range vs {
		var pub ed25519.PublicKey
		if i < len(pubs) {
			pub = pubs[i]
		}
		start := len(messages)
		messages = signature.Voucher.Preamble(messages, vs[i].ChainID)
		messages = vs[i].appendFields(messages)
		batch.Add(pub, messages[start:], vs[i].Signature[:])
	}
	return batch.Verify()
}

// MarshalBinary returns the one encoding of s; ErrField if Check refuses it.
func (s Signed) MarshalBinary() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("encoding voucher: %w", err)
	}
	b := make([]byte, 0, 2+len(s.ChainID)+fieldsSize+len(s.Signature))
	b = append(b, version, byte(len(s.ChainID)))
	b = append(b, s.ChainID...)
	b = s.appendFields(b)
	return append(b, s.Signature[:]...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding or
// ErrField. The signature is not verified.
func (s *Signed) UnmarshalBinary(b []byte) error {
	if len(b) < 2 || b[0] != version {
		return fmt.Errorf("%w: want version %d and a chain id", ErrEncoding, version)
	}
	n := int(b[1])
	if want := 2 + n + fieldsSize + len(s.Signature); len(b) != want {
		return fmt.Errorf("%w: has %d bytes, want %d", ErrEncoding, len(b), want)
	}
	var v Signed
	v.ChainID = string(b[2 : 2+n])
	f := b[2+n:]
	word := func() uint64 {
		w := binary.BigEndian.Uint64(f)
		f = f[8:]
		return w
	}
	v.Lease, v.Device, v.Units = word(), word(), word()
	v.Amount = price.Amount{Hi: word(), Lo: word()}
	v.Seq, v.Expiry = word(), int64(word())
	copy(v.Signature[:], f)
	if err := v.Check(); err != nil {
		return fmt.Errorf("decoding voucher: %w", err)
	}
	*s = v
	return nil
}

// Supersedes returns nil if new may replace old: the same chain, lease and device, a higher sequence
// number, and neither less money nor fewer units. ErrForeign, ErrStale or ErrLower otherwise.
func Supersedes(old, new Voucher) error {
	switch {
	case new.ChainID != old.ChainID || new.Lease != old.Lease || new.Device != old.Device:
		return fmt.Errorf("%w: lease %d device %d on %q after lease %d device %d on %q",
			ErrForeign, new.Lease, new.Device, new.ChainID, old.Lease, old.Device, old.ChainID)
	case new.Seq <= old.Seq:
		return fmt.Errorf("%w: %d after %d", ErrStale, new.Seq, old.Seq)
	case new.Amount.Cmp(old.Amount) < 0:
		return fmt.Errorf("%w: %s acairn after %s", ErrLower, new.Amount, old.Amount)
	case new.Units < old.Units:
		return fmt.Errorf("%w: %d units after %d", ErrLower, new.Units, old.Units)
	}
	return nil
}
