// Package segment names a segment by one root over the roots of all its pieces, and cuts a part of an
// object into segments. Byte layout: docs/format/segment.md.
//
// INV-SEGMENT-1: the root covers all Total pieces, those never stored too: whoever rebuilds any piece
// can be checked against 32 bytes, and needs no trust.
package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
)

// ErrProof is wrapped by errors about pieces that do not belong to a segment.
var ErrProof = errors.New("piece proof does not hold")

// maxPieces bounds a segment's pieces: the field of the erasure code has 256 elements.
const maxPieces = 256

// Prefixes of what is hashed: a leaf, an inner node and the root can never be taken for each other.
const (
	tagLeaf = 0x00
	tagNode = 0x01
	tagRoot = 0x02
)

// Root returns SHA-256(0x02 || number of pieces || top), where top is the binary Merkle tree over
// SHA-256(0x00 || piece root) in order, nodes SHA-256(0x01 || left || right), the left subtree the
// largest power of two below the number of leaves (as RFC 6962 section 2.1). The number is 2 bytes,
// big-endian. No pieces have the zero root.
func Root(pieceRoots []piece.Root) [32]byte {
	if len(pieceRoots) == 0 || len(pieceRoots) > maxPieces {
		return [32]byte{}
	}
	return finish(len(pieceRoots), subtree(pieceRoots))
}

func finish(total int, top [32]byte) [32]byte {
	b := make([]byte, 0, 1+2+32)
	b = binary.BigEndian.AppendUint16(append(b, tagRoot), uint16(total))
	return sha256.Sum256(append(b, top[:]...))
}

func subtree(roots []piece.Root) [32]byte {
	if len(roots) == 1 {
		return leaf(roots[0])
	}
	left := leftLeaves(len(roots))
	return parent(subtree(roots[:left]), subtree(roots[left:]))
}

func leaf(r piece.Root) [32]byte {
	var b [1 + 32]byte
	b[0] = tagLeaf
	copy(b[1:], r[:])
	return sha256.Sum256(b[:])
}

func parent(l, r [32]byte) [32]byte {
	var b [1 + 64]byte
	b[0] = tagNode
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

// leftLeaves returns the largest power of two below n > 1.
func leftLeaves(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Proof is the path from one piece to the segment's root.
type Proof struct {
	// Siblings are the nodes beside the path, from the piece upwards; at most 8.
	Siblings [][32]byte
}

// RootProof returns the path of piece index; ErrProof if there is no such piece.
func RootProof(pieceRoots []piece.Root, index int) (Proof, error) {
	if index < 0 || index >= len(pieceRoots) || len(pieceRoots) > maxPieces {
		return Proof{}, fmt.Errorf("proving piece %d of %d: %w", index, len(pieceRoots), ErrProof)
	}
	var down [][32]byte
	for len(pieceRoots) > 1 {
		left := leftLeaves(len(pieceRoots))
		if index < left {
			down = append(down, subtree(pieceRoots[left:]))
			pieceRoots = pieceRoots[:left]
		} else {
			down = append(down, subtree(pieceRoots[:left]))
			pieceRoots, index = pieceRoots[left:], index-left
		}
	}
	for i, j := 0, len(down)-1; i < j; i, j = i+1, j-1 {
		down[i], down[j] = down[j], down[i]
	}
	return Proof{down}, nil
}

// VerifyPiece checks that r is the root of piece index of total in the segment with that root. Total:
// ErrProof for every input that does not hold.
func VerifyPiece(root [32]byte, total, index int, r piece.Root, p Proof) error {
	if total < 1 || total > maxPieces || index < 0 || index >= total {
		return fmt.Errorf("piece %d of %d: %w", index, total, ErrProof)
	}
	var right [8]bool // 256 leaves are 8 levels
	depth, at := 0, index
	for n := total; n > 1; depth++ {
		left := leftLeaves(n)
		if right[depth] = at >= left; right[depth] {
			at, n = at-left, n-left
		} else {
			n = left
		}
	}
	if len(p.Siblings) != depth {
		return fmt.Errorf("path of piece %d has %d nodes, want %d: %w", index, len(p.Siblings), depth, ErrProof)
	}
	v := leaf(r)
	for i, beside := range p.Siblings {
		if right[depth-1-i] {
			v = parent(beside, v)
		} else {
			v = parent(v, beside)
		}
	}
	if finish(total, v) != root {
		return fmt.Errorf("piece %d is not under segment root %x: %w", index, root, ErrProof)
	}
	return nil
}

// PlaintextSize returns how much plaintext a full segment of the class holds once sealed.
func PlaintextSize(c erasure.Class) int { return seal.MaxPlaintext(c.MaxSegment()) }

// Split cuts a part of size bytes into the plaintext sizes of its segments: all full but the last.
// An empty part has none. Nil, too, if size is negative or the class holds nothing.
func Split(c erasure.Class, size int64) []int {
	full := PlaintextSize(c)
	if size <= 0 || full <= 0 {
		return nil
	}
	sizes := make([]int, 0, (size-1)/int64(full)+1)
	for ; size > int64(full); size -= int64(full) {
		sizes = append(sizes, full)
	}
	return append(sizes, int(size))
}
