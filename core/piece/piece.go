// Package piece says what a piece is: up to MaxSize bytes that one provider holds for one lease,
// named by an id that the renter chose and by the BLAKE3 root of its content. See
// docs/format/piece.md and docs/format/receipt.md.
//
// INV-PIECE-1: a root is the BLAKE3 hash of the bytes, as every implementation computes it, so that
// one pass over a piece names it, checks it and gives the tree that possession is proven with.
//
// INV-PIECE-2: verifiers are total: no bytes make them panic, and none makes two of them disagree.
package piece

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/zeebo/blake3"
)

const (
	// ChunkSize is the size in bytes of the leaves of a piece's tree, all but the last.
	ChunkSize = 1024
	// MaxSize is the size in bytes of the largest piece that a provider takes.
	MaxSize = 1 << 20
)

// ID names a piece within a lease: 32 bytes that look random to everyone but the renter.
type ID [32]byte

// String returns id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Root is the BLAKE3 hash of a piece's bytes.
type Root [32]byte

// String returns r in hexadecimal.
func (r Root) String() string { return hex.EncodeToString(r[:]) }

// ParseID reads the 64 hexadecimal digits that String writes.
func ParseID(s string) (id ID, err error) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("piece id %.70q has %d characters, want %d", s, len(s), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("reading piece id %q: %w", s, err)
	}
	return id, nil
}

// DeriveID returns the id of piece index of a segment. secret opens no data: whoever holds it can
// find and repair pieces, not read them.
func DeriveID(secret [32]byte, segment [16]byte, index uint8) ID {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("cairn/piece/v1 id"))
	mac.Write(segment[:])
	mac.Write([]byte{index})
	return ID(mac.Sum(nil))
}

// Chunks returns how many chunks a piece of size bytes has; an empty piece has one, empty.
func Chunks(size uint64) uint64 {
	if size == 0 {
		return 1
	}
	return (size-1)/ChunkSize + 1
}

// RootOf returns the root of a whole piece.
func RootOf(b []byte) Root { return Root(blake3.Sum256(b)) }

// Hasher computes the root of a piece that arrives in parts. The zero value is not ready; use
// NewHasher. Not safe for concurrent use.
type Hasher struct{ h *blake3.Hasher }

// NewHasher returns the hasher of an empty piece.
func NewHasher() *Hasher { return &Hasher{blake3.New()} }

// Write adds p to the piece. It never fails.
func (h *Hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// Root returns the root of what was written so far.
func (h *Hasher) Root() (r Root) {
	h.h.Sum(r[:0])
	return r
}

// Reset makes the piece empty again.
func (h *Hasher) Reset() { h.h.Reset() }
