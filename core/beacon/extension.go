package beacon

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// ExtensionSize is the length of the extension that a vote carries while outputs are collected.
	ExtensionSize = 1 + 8 + ProofSize
	// MaxExtensionSize is the longest extension that a vote may carry at all. Validators refuse a
	// vote for nothing but a longer one: what it says is judged when it is in a block, by all in
	// the same way.
	MaxExtensionSize = 128

	extensionVersion = 1
)

// ErrExtension is wrapped by errors about bytes that are no extension.
var ErrExtension = errors.New("invalid beacon extension")

// Extension is what a validator says in its vote.
type Extension struct {
	// Epoch whose beacon the proof is for.
	Epoch uint64
	Proof Proof
}

// Marshal returns the ExtensionSize bytes of e.
func (e Extension) Marshal() []byte {
	b := append(make([]byte, 0, ExtensionSize), extensionVersion)
	b = binary.BigEndian.AppendUint64(b, e.Epoch)
	return append(b, e.Proof[:]...)
}

// ParseExtension reads an extension in its only encoding; ErrExtension.
func ParseExtension(b []byte) (Extension, error) {
	if len(b) != ExtensionSize {
		return Extension{}, fmt.Errorf("%w: has %d bytes, want %d", ErrExtension, len(b), ExtensionSize)
	}
	if b[0] != extensionVersion {
		return Extension{}, fmt.Errorf("%w: has version %d, want %d", ErrExtension, b[0], extensionVersion)
	}
	return Extension{Epoch: binary.BigEndian.Uint64(b[1:]), Proof: Proof(b[9:])}, nil
}
