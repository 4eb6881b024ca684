package score

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
)

const (
	// FactBytes is the size of an encoded Fact.
	FactBytes = 104
	// AccountBytes is the size of an encoded Account.
	AccountBytes = 90

	factVersion    = 1
	flagChallenged = 1 << 7
)

// ErrEncoding is wrapped by errors about bytes that are no fact or account in their only encoding.
var ErrEncoding = errors.New("invalid encoding")

// Check says what is wrong with a fact that should be encoded: nil, or what its field holds.
func (f Fact) Check() error {
	switch {
	case !f.Service.Valid():
		return fmt.Errorf("%w: %d", ErrService, uint8(f.Service))
	case f.Standing&^standings != 0:
		return fmt.Errorf("%w: standing %#x", ErrEncoding, uint8(f.Standing))
	case f.Tier > MaxTier:
		return fmt.Errorf("%w: tier %d: at most %d", ErrEncoding, f.Tier, MaxTier)
	case f.Need < MinNeed || f.Need > MaxNeed:
		return fmt.Errorf("%w: need %d: want %d to %d", ErrEncoding, f.Need, MinNeed, MaxNeed)
	case f.Cell != 0 && !f.Cell.Valid():
		return fmt.Errorf("%w: cell %s", ErrEncoding, f.Cell)
	}
	return nil
}

// MarshalBinary gives the fact's only encoding (docs/format/fact.md), or what Check says.
func (f Fact) MarshalBinary() ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("encoding fact of device %d in epoch %d: %w", f.Device, f.Epoch, err)
	}
	b := make([]byte, FactBytes)
	b[0], b[1], b[2], b[3] = factVersion, byte(f.Service), byte(f.Tier), byte(f.Standing)
	if f.Challenged {
		b[3] |= flagChallenged
	}
	binary.BigEndian.PutUint32(b[4:], f.Passed)
	binary.BigEndian.PutUint32(b[8:], f.Failed)
	binary.BigEndian.PutUint32(b[12:], f.Need)
	binary.BigEndian.PutUint64(b[16:], f.Device)
	binary.BigEndian.PutUint64(b[24:], f.Epoch)
	binary.BigEndian.PutUint64(b[32:], f.Proved)
	binary.BigEndian.PutUint64(b[40:], f.Leased)
	binary.BigEndian.PutUint64(b[48:], uint64(f.Cell))
	putAmounts(b[56:], f.Burned, f.Bond, f.Boost)
	return b, nil
}

// UnmarshalBinary is the inverse of MarshalBinary; it refuses every other encoding.
func (f *Fact) UnmarshalBinary(b []byte) error {
	if len(b) != FactBytes || b[0] != factVersion {
		return fmt.Errorf("%w: a fact of %d bytes: want %d and version %d", ErrEncoding, len(b), FactBytes, factVersion)
	}
	read := Fact{
		Service:    Service(b[1]),
		Tier:       uint32(b[2]),
		Standing:   Standing(b[3] &^ flagChallenged),
		Challenged: b[3]&flagChallenged != 0,
		Passed:     binary.BigEndian.Uint32(b[4:]),
		Failed:     binary.BigEndian.Uint32(b[8:]),
		Need:       binary.BigEndian.Uint32(b[12:]),
		Device:     binary.BigEndian.Uint64(b[16:]),
		Epoch:      binary.BigEndian.Uint64(b[24:]),
		Proved:     binary.BigEndian.Uint64(b[32:]),
		Leased:     binary.BigEndian.Uint64(b[40:]),
		Cell:       geo.Cell(binary.BigEndian.Uint64(b[48:])),
	}
	amounts(b[56:], &read.Burned, &read.Bond, &read.Boost)
	if err := read.Check(); err != nil {
		return err
	}
	*f = read
	return nil
}

// MarshalBinary gives the account's only encoding (docs/format/fact.md), or ErrEncoding where it
// breaks INV-SCORE-2.
func (a Account) MarshalBinary() ([]byte, error) {
	if !a.Check() {
		return nil, fmt.Errorf("%w: account of device %d in epoch %d", ErrEncoding, a.Device, a.Epoch)
	}
	return a.Append(make([]byte, 0, AccountBytes)), nil
}

// Append adds the account's encoding to b. It does not check.
func (a Account) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, a.Device)
	b = binary.BigEndian.AppendUint64(b, a.Epoch)
	b = binary.BigEndian.AppendUint64(b, a.Points)
	b = binary.BigEndian.AppendUint16(b, uint16(a.Reason))
	for _, v := range [4]price.Amount{a.Earned, a.Paid, a.Young, a.Old} {
		b = binary.BigEndian.AppendUint64(b, v.Hi)
		b = binary.BigEndian.AppendUint64(b, v.Lo)
	}
	return b
}

// UnmarshalBinary is the inverse of MarshalBinary; it refuses every other encoding.
func (a *Account) UnmarshalBinary(b []byte) error {
	if len(b) != AccountBytes {
		return fmt.Errorf("%w: an account of %d bytes: want %d", ErrEncoding, len(b), AccountBytes)
	}
	read := Account{
		Device: binary.BigEndian.Uint64(b),
		Epoch:  binary.BigEndian.Uint64(b[8:]),
		Points: binary.BigEndian.Uint64(b[16:]),
		Reason: Reason(binary.BigEndian.Uint16(b[24:])),
	}
	amounts(b[26:], &read.Earned, &read.Paid, &read.Young, &read.Old)
	if !read.Check() {
		return fmt.Errorf("%w: account of device %d in epoch %d does not add up", ErrEncoding, read.Device, read.Epoch)
	}
	*a = read
	return nil
}

func putAmounts(b []byte, values ...price.Amount) {
	for i, v := range values {
		raw := v.Bytes()
		copy(b[16*i:], raw[:])
	}
}

func amounts(b []byte, values ...*price.Amount) {
	for i, v := range values {
		*v = price.FromBytes([16]byte(b[16*i:]))
	}
}
