package piece

import (
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/signature"
)

// ReceiptSize is the length of Receipt.SignBytes.
const ReceiptSize = signature.PreambleSize + receiptFields

const (
	receiptFields  = 8 + 8 + 32 + 32 + 4 + 8 + 8
	receiptVersion = 1
	signatureSize  = 64 // of Ed25519 and of P-256 alike
)

var (
	// ErrReceipt is wrapped by errors about a receipt with a field that none may have.
	ErrReceipt = errors.New("invalid receipt")
	// ErrEncoding is wrapped by errors about bytes that are not what they should be in its only encoding.
	ErrEncoding = errors.New("invalid encoding")
)

// Receipt says: Device holds the piece ID of Lease, with this Root and Size, on stable storage since
// IssuedAt and until Expiry.
type Receipt struct {
	ChainID string
	// Lease and Device are chain ids, at least 1.
	Lease, Device uint64
	ID            ID
	Root          Root
	// Size in bytes, 1 to MaxSize: nobody can be asked to show a piece of nothing.
	Size uint32
	// Expiry and IssuedAt are Unix seconds.
	Expiry, IssuedAt int64
}

// Check returns ErrReceipt, naming the field, if r is a receipt that nobody may trust.
func (r Receipt) Check() error {
	if err := signature.CheckChainID(r.ChainID); err != nil {
		return fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	switch {
	case r.Lease == 0:
		return fmt.Errorf("%w: lease is 0", ErrReceipt)
	case r.Device == 0:
		return fmt.Errorf("%w: device is 0", ErrReceipt)
	case r.Size == 0 || r.Size > MaxSize:
		return fmt.Errorf("%w: size is %d, want 1..%d", ErrReceipt, r.Size, MaxSize)
	case r.IssuedAt <= 0 || r.Expiry <= r.IssuedAt:
		return fmt.Errorf("%w: issued at %d, expires at %d", ErrReceipt, r.IssuedAt, r.Expiry)
	}
	return nil
}

// SignBytes returns the ReceiptSize bytes that are signed. Every value has some; Check judges it.
func (r Receipt) SignBytes() []byte {
	b := signature.Receipt.Preamble(make([]byte, 0, ReceiptSize), r.ChainID)
	return r.appendFields(b)
}

func (r Receipt) appendFields(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.Lease)
	b = binary.BigEndian.AppendUint64(b, r.Device)
	b = append(b, r.ID[:]...)
	b = append(b, r.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Size)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Expiry))
	return binary.BigEndian.AppendUint64(b, uint64(r.IssuedAt))
}

// SignedReceipt is a receipt with the device key's signature over SignBytes, 64 bytes.
type SignedReceipt struct {
	Receipt
	Signature []byte
}

// SignReceipt signs r. It panics if key is not an Ed25519 private key.
func SignReceipt(key ed25519.PrivateKey, r Receipt) SignedReceipt {
	return SignedReceipt{r, ed25519.Sign(key, r.SignBytes())}
}

// SignReceiptBy signs r by a device key of any type, which may live in a chip.
func SignReceiptBy(random io.Reader, key crypto.Signer, r Receipt) (SignedReceipt, error) {
	sig, err := device.Sign(random, key, r.SignBytes())
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("receipt for piece %s: %w", r.ID, err)
	}
	return SignedReceipt{r, sig}, nil
}

// Verify checks the signature of an Ed25519 device key, and nothing else.
func (s SignedReceipt) Verify(pub ed25519.PublicKey) error { return s.VerifyKey(device.Ed25519, pub) }

// VerifyKey checks the signature of a device key of any type, and nothing else.
func (s SignedReceipt) VerifyKey(keyType int32, key []byte) error {
	if err := device.Verify(keyType, key, s.SignBytes(), s.Signature); err != nil {
		return fmt.Errorf("verifying receipt of device %d for piece %s: %w", s.Device, s.ID, err)
	}
	return nil
}

// MarshalBinary returns the one encoding of s; ErrReceipt if Check refuses it or the signature does
// not have 64 bytes.
func (s SignedReceipt) MarshalBinary() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("encoding receipt: %w", err)
	}
	if len(s.Signature) != signatureSize {
		return nil, fmt.Errorf("encoding receipt: %w: signature has %d bytes, want %d", ErrReceipt, len(s.Signature), signatureSize)
	}
	b := make([]byte, 0, 2+len(s.ChainID)+receiptFields+signatureSize)
	b = append(b, receiptVersion, byte(len(s.ChainID)))
	b = append(b, s.ChainID...)
	b = s.appendFields(b)
	return append(b, s.Signature...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding or
// ErrReceipt. The signature is not verified.
func (s *SignedReceipt) UnmarshalBinary(b []byte) error {
	if len(b) < 2 || b[0] != receiptVersion {
		return fmt.Errorf("%w of a receipt: want version %d and a chain id", ErrEncoding, receiptVersion)
	}
	n := int(b[1])
	if want := 2 + n + receiptFields + signatureSize; len(b) != want {
		return fmt.Errorf("%w of a receipt: has %d bytes, want %d", ErrEncoding, len(b), want)
	}
	var v SignedReceipt
	v.ChainID = string(b[2 : 2+n])
	f := b[2+n:]
	v.Lease = binary.BigEndian.Uint64(f)
	v.Device = binary.BigEndian.Uint64(f[8:])
	copy(v.ID[:], f[16:])
	copy(v.Root[:], f[48:])
	v.Size = binary.BigEndian.Uint32(f[80:])
	v.Expiry = int64(binary.BigEndian.Uint64(f[84:]))
	v.IssuedAt = int64(binary.BigEndian.Uint64(f[92:]))
	v.Signature = append([]byte(nil), f[receiptFields:]...)
	if err := v.Check(); err != nil {
		return fmt.Errorf("decoding receipt: %w", err)
	}
	*s = v
	return nil
}
