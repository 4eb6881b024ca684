package meter

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/signature"
)

// Receipt is an aggregator's word that it has a frame. Whoever holds one and does not find the
// frame in the hour's tree shows an omission.
type Receipt struct {
	ChainID string
	// Aggregator is the id of the device whose key signs.
	Aggregator uint64
	Community  uint64
	Meter      uint64
	// Frame is the Hash of the frame.
	Frame [sha256.Size]byte
	// First slot and number of slots of the frame.
	First grid.Slot
	Slots uint8
	// At is when the frame came, Unix seconds.
	At int64
}

const (
	receiptVersion = 1
	receiptFields  = 8 + 8 + 8 + sha256.Size + 8 + 1 + 8
	// ReceiptSize is the length of an encoded signed receipt.
	ReceiptSize = 1 + receiptFields + ed25519.SignatureSize
)

// Check refuses, naming the field, receipts that nobody may give; ErrFrame.
func (r Receipt) Check() error {
	if err := signature.CheckChainID(r.ChainID); err != nil {
		return fmt.Errorf("%w: receipt: %w", ErrFrame, err)
	}
	switch {
	case r.Aggregator == 0 || r.Community == 0 || r.Meter == 0:
		return fmt.Errorf("%w: receipt of aggregator %d, community %d, meter %d, want no 0", ErrFrame, r.Aggregator, r.Community, r.Meter)
	case r.First > maxSlot || r.Slots == 0 || uint64(r.First)%HourSlots+uint64(r.Slots) > HourSlots:
		return fmt.Errorf("%w: receipt for %d slots from %d, want those of one hour", ErrFrame, r.Slots, r.First)
	case r.At <= 0:
		return fmt.Errorf("%w: receipt given at %d, want Unix seconds", ErrFrame, r.At)
	}
	return nil
}

func (r Receipt) appendFields(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.Aggregator)
	b = binary.BigEndian.AppendUint64(b, r.Community)
	b = binary.BigEndian.AppendUint64(b, r.Meter)
	b = append(b, r.Frame[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.First))
	b = append(b, r.Slots)
	return binary.BigEndian.AppendUint64(b, uint64(r.At))
}

// SignBytes is what the aggregator signs.
func (r Receipt) SignBytes() []byte {
	b := signature.FrameReceipt.Preamble(make([]byte, 0, signature.PreambleSize+receiptFields), r.ChainID)
	return r.appendFields(b)
}

// SignedReceipt is a receipt with the aggregator's signature.
type SignedReceipt struct {
	Receipt
	Signature [SignatureSize]byte
}

// Verify checks the signature by the aggregator's device key; signature.ErrKey or
// signature.ErrSignature.
func (s SignedReceipt) Verify(key Key) error {
	if err := key.Verify(s.SignBytes(), s.Signature[:]); err != nil {
		return fmt.Errorf("verifying receipt for meter %d by aggregator %d: %w", s.Meter, s.Aggregator, err)
	}
	return nil
}

// MarshalBinary gives the one encoding of s; ErrFrame if Check refuses it.
func (s SignedReceipt) MarshalBinary() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("encoding receipt: %w", err)
	}
	b := s.appendFields(append(make([]byte, 0, ReceiptSize), receiptVersion))
	return append(b, s.Signature[:]...), nil
}

// ParseReceipt reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding or
// ErrFrame. The signature is not verified.
func ParseReceipt(chainID string, b []byte) (SignedReceipt, error) {
	if len(b) != ReceiptSize || b[0] != receiptVersion {
		return SignedReceipt{}, fmt.Errorf("reading receipt: %w: %d bytes, want %d of version %d", ErrEncoding, len(b), ReceiptSize, receiptVersion)
	}
	var s SignedReceipt
	s.ChainID = chainID
	b = b[1:]
	s.Aggregator = binary.BigEndian.Uint64(b)
	s.Community = binary.BigEndian.Uint64(b[8:])
	s.Meter = binary.BigEndian.Uint64(b[16:])
	copy(s.Frame[:], b[24:])
	s.First = grid.Slot(binary.BigEndian.Uint64(b[56:]))
	s.Slots = b[64]
	s.At = int64(binary.BigEndian.Uint64(b[65:]))
	copy(s.Signature[:], b[receiptFields:])
	if err := s.Check(); err != nil {
		return SignedReceipt{}, fmt.Errorf("reading receipt: %w", err)
	}
	return s, nil
}
