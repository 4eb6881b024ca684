// Package report is what a reporter says of an epoch, and how anyone shows that it is wrong: the tree
// of all devices' accounts, the tree of the inputs they follow from, proofs of what is and is not in
// them, and the computation of an epoch from its facts.
//
// # Mental model
//
// A report's root stands for one score.Account a device, ascending by device. Every node carries the
// sums of its leaves, so that the root itself says how many devices there are, how many points they
// got and what they ever earned. A tree of n > 1 leaves has the largest power of two below n on its
// left (the shape of RFC 6962 section 2.1).
//
//	account  SHA-256(0x02 || account, 90 bytes)         sums: 1, points, earned
//	node     SHA-256(0x03 || left || right)             sums: of both
//	input    SHA-256(0x04 || device || digest)          sums: 1, 0, 0
//	node     SHA-256(0x05 || left || right)
//
// where a child is hash (32 bytes) || leaves (8) || points (8) || earned (12), numbers big-endian.
// Amounts of 2^96 and more, seventy times all coins there can be, are in no tree.
// A tree without leaves has the zero Root. Formats: docs/format/report.md.
//
// Everything that can be wrong with a root shows in something small: a leaf that the rules do not
// give (Proof), a device left out (Absence), a node that is not the sum of its children or leaves
// that do not ascend (Fault). Who holds back the tree is asked for parts of it (Part): three parts
// of 2^PartLevels nodes lead to any of a million leaves.
//
// # Invariants
//
// INV-REPORT-TREE: under one root, an index belongs to one leaf, and a device to at most one leaf or
// else the root has a Fault: every node commits to the sums of its children, and no sum overflows.
//
// INV-REPORT-TOTAL: verifiers are total: no bytes make them panic or work beyond MaxDepth hashes, or
// 2^PartLevels for a Part.
//
// INV-REPORT-PURE: Compute depends on nothing but its arguments, and cutting it into ranges changes
// nothing.
package report

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

const (
	// MaxDepth bounds proofs: a tree of 2^40 leaves has 40 levels.
	MaxDepth = 40
	// MaxLeaves is the most leaves of a tree.
	MaxLeaves = 1 << MaxDepth
	// AmountBits bounds the amounts of a tree.
	AmountBits = 96
)

var (
	// ErrProof is wrapped by errors about what is not under a root as it is said to be.
	ErrProof = errors.New("proof does not hold")
	// ErrEncoding is wrapped by errors about bytes that are nothing in its only encoding.
	ErrEncoding = errors.New("invalid encoding")
	// ErrLeaves is wrapped by errors about leaves that make no tree.
	ErrLeaves = errors.New("leaves make no tree")
)

// Node is a subtree: its hash and the sums of its leaves.
type Node struct {
	Hash   [32]byte
	Leaves uint64
	Points uint64
	Earned price.Amount
}

// Root is the node over all leaves, zero if there are none.
type Root = Node

// Input is the digest of what one device's account follows from: SHA-256 of its fact as encoded
// (core/score) or, for services that keep evidence off chain, of the evidence.
type Input struct {
	Device uint64
	Digest [32]byte
}

// Digest gives the Input of evidence.
func Digest(device uint64, evidence []byte) Input {
	return Input{Device: device, Digest: sha256.Sum256(evidence)}
}

// InputOf gives the Input of a fact; an error of core/score if it has no encoding.
func InputOf(f score.Fact) (Input, error) {
	b, err := f.MarshalBinary()
	if err != nil {
		return Input{}, err
	}
	return Digest(f.Device, b), nil
}

// Leaf is what trees are made of.
type Leaf interface{ score.Account | Input }

// Tags that begin what is hashed; those of the inputs' tree are inputTags above.
const (
	leafTag   = 2
	nodeTag   = 3
	inputTags = 2

	inputBytes = 8 + 32
	childBytes = 32 + 8 + 8 + 12
	sumsBytes  = 32 + 8 + 12 // a node whose number of leaves follows from its place
)

// fits says whether an amount has at most AmountBits.
func fits(a price.Amount) bool { return a.Hi>>(AmountBits-64) == 0 }

func appendAmount(b []byte, a price.Amount) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, uint32(a.Hi)), a.Lo)
}

func parseAmount(b []byte) price.Amount {
	return price.Amount{Hi: uint64(binary.BigEndian.Uint32(b)), Lo: binary.BigEndian.Uint64(b[4:])}
}

// leafBytes is the size of an encoded leaf.
func leafBytes[L Leaf]() int {
	if _, input := any(*new(L)).(Input); input {
		return inputBytes
	}
	return score.AccountBytes
}

// tags is what to add to the tags of L's tree.
func tags[L Leaf]() byte {
	if _, input := any(*new(L)).(Input); input {
		return inputTags
	}
	return 0
}

func deviceOf[L Leaf](l L) uint64 {
	switch l := any(l).(type) {
	case score.Account:
		return l.Device
	case Input:
		return l.Device
	}
	return 0
}

// appendLeaf encodes l; ErrEncoding if it has no encoding.
func appendLeaf[L Leaf](b []byte, l L) ([]byte, error) {
	switch l := any(l).(type) {
	case score.Account:
		if !l.Check() || !fits(l.Earned) {
			return nil, fmt.Errorf("encoding leaf of device %d: %w", l.Device, ErrEncoding)
		}
		return l.Append(b), nil
	case Input:
		return append(binary.BigEndian.AppendUint64(b, l.Device), l.Digest[:]...), nil
	}
	return nil, ErrEncoding
}

// parseLeaf is the inverse of appendLeaf.
func parseLeaf[L Leaf](b []byte) (l L, err error) {
	switch to := any(&l).(type) {
	case *score.Account:
		if err := to.UnmarshalBinary(b); err != nil {
			return l, fmt.Errorf("reading leaf: %w: %w", ErrEncoding, err)
		}
	case *Input:
		if len(b) != inputBytes {
			return l, fmt.Errorf("reading input: %w: %d bytes", ErrEncoding, len(b))
		}
		to.Device = binary.BigEndian.Uint64(b)
		copy(to.Digest[:], b[8:])
	}
	return l, nil
}

// nodeOf gives l as a subtree; ErrEncoding if it has no encoding.
func nodeOf[L Leaf](l L) (Node, error) {
	var buffer [1 + score.AccountBytes]byte
	b, err := appendLeaf(append(buffer[:0], leafTag+tags[L]()), l)
	if err != nil {
		return Node{}, err
	}
	n := Node{Hash: sha256.Sum256(b), Leaves: 1}
	if a, account := any(l).(score.Account); account {
		n.Points, n.Earned = a.Points, a.Earned
	}
	return n, nil
}

func (n Node) appendChild(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, n.Hash[:]...), n.Leaves)
	return n.appendTotals(b)
}

func parseChild(b []byte) (n Node) {
	copy(n.Hash[:], b)
	n.Leaves = binary.BigEndian.Uint64(b[32:])
	n.parseTotals(b[40:])
	return n
}

// appendSums is appendChild without the number of leaves.
func (n Node) appendSums(b []byte) []byte { return n.appendTotals(append(b, n.Hash[:]...)) }

func parseSums(b []byte, leaves uint64) (n Node) {
	copy(n.Hash[:], b)
	n.Leaves = leaves
	n.parseTotals(b[32:])
	return n
}

func (n Node) appendTotals(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, n.Points)
	return appendAmount(b, n.Earned)
}

func (n *Node) parseTotals(b []byte) {
	n.Points = binary.BigEndian.Uint64(b)
	n.Earned = parseAmount(b[8:])
}

// hashChildren is the hash of the node above two.
func hashChildren(tags byte, l, r Node) [32]byte {
	var buffer [1 + 2*childBytes]byte
	buffer[0] = nodeTag + tags
	return sha256.Sum256(r.appendChild(l.appendChild(buffer[:1])))
}

// join returns the node above two; false if a sum overflows.
func join(tags byte, l, r Node) (Node, bool) {
	points, carry := bits.Add64(l.Points, r.Points, 0)
	earned, _ := l.Earned.Add(r.Earned) // each below 2^96
	leaves, wrapped := bits.Add64(l.Leaves, r.Leaves, 0)
	return Node{Hash: hashChildren(tags, l, r), Leaves: leaves, Points: points, Earned: earned},
		carry|wrapped == 0 && fits(earned) && leaves <= MaxLeaves
}

// leftOf is the number of leaves on the left of a tree of n > 1.
func leftOf(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// MarshalBinary gives hash, leaves, points and earned, 60 bytes.
func (n Node) MarshalBinary() ([]byte, error) { return n.appendChild(nil), nil }

// UnmarshalBinary is the inverse of MarshalBinary; ErrEncoding.
func (n *Node) UnmarshalBinary(b []byte) error {
	if len(b) != childBytes {
		return fmt.Errorf("reading node: %w: %d bytes, want %d", ErrEncoding, len(b), childBytes)
	}
	*n = parseChild(b)
	return nil
}

// String gives the hash's beginning and the sums.
func (n Node) String() string {
	return fmt.Sprintf("%x (%d leaves, %d points, %s)", n.Hash[:6], n.Leaves, n.Points, n.Earned.Format())
}
