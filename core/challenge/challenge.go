// Package challenge asks a storage provider for chunks that it could not know beforehand, and checks
// what it shows: the same rules on the chain, in the provider and in its peers. See
// docs/format/challenge.md.
//
// # Mental model
//
// A provider has committed to a Merkle sum tree over its pieces (core/merkle): one root, and a total
// of chunks. Every position below the total is one chunk of one piece. The epoch's beacon draws who
// is asked (Draw.Due) and for which positions (Draw.Position); nothing of it is stored. The answer
// to one position is a Proof: the chunk, its BLAKE3 path to the piece's root, and the path of the
// piece's leaf to the committed root.
//
// # Invariants
//
// INV-CHALLENGE-1: a draw follows from domain, beacon, epoch and device (and, of a peer's draw, who
// asks) alone: no answer to one challenge is asked for by another by more than chance.
//
// INV-CHALLENGE-2: positions are uniform below the total, without modulo bias.
//
// INV-CHALLENGE-3: verification is total: no bytes make it panic or work beyond a fixed bound.
//
// INV-CHALLENGE-4: a position is answered only by bytes of which BLAKE3 says that they are that chunk:
// 1,024 bytes, or 1 to 1,024 where the chunk is the piece's last (see Proof).
package challenge

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Domains of what is hashed: 16 bytes of ASCII each.
const (
	ownDomain  = "cairn/chall/v1\x00\x00"
	peerDomain = "cairn/peers/v1\x00\x00"
	leafDomain = "cairn/leaf/v1\x00\x00\x00"
)

// What is asked of a draw, so that no answer to one question tells that to another.
const (
	askDue      = 0
	askPosition = 1
)

// PeerPositions is how many positions a drawn peer may ask a device for in an epoch.
const PeerPositions = 64

// Draw is what one epoch's beacon holds for one device.
type Draw struct{ seed [sha256.Size]byte }

// New returns the draw of the chain's own challenge to a device.
func New(beacon [32]byte, epoch, device uint64) Draw {
	var b [16 + 32 + 8 + 8]byte
	copy(b[:], ownDomain)
	copy(b[16:], beacon[:])
	binary.BigEndian.PutUint64(b[48:], epoch)
	binary.BigEndian.PutUint64(b[56:], device)
	return Draw{sha256.Sum256(b[:])}
}

// NewPeer returns the draw of what one device, the challenger, asks another off chain. Nobody is
// drawn to ask itself: such a draw is never due.
func NewPeer(beacon [32]byte, epoch, challenger, device uint64) Draw {
	var b [16 + 32 + 8 + 8 + 8]byte
	copy(b[:], peerDomain)
	copy(b[16:], beacon[:])
	binary.BigEndian.PutUint64(b[48:], epoch)
	binary.BigEndian.PutUint64(b[56:], challenger)
	binary.BigEndian.PutUint64(b[64:], device)
	return Draw{sha256.Sum256(b[:])}
}

// Due says whether the draw is one of the 1 in interval that count; never for interval 0.
func (d Draw) Due(interval uint32) bool {
	switch interval {
	case 0:
		return false
	case 1:
		return true
	}
	// floor(2^64 / interval); exact enough that no device sees a difference: the share is off by
	// less than interval / 2^64.
	bound := math.MaxUint64 / uint64(interval)
	return d.number(askDue, 0, 0) < bound
}

// maxTries bounds the search for a number that is not biased. Each try fails with probability below
// one half, so that the last resort, which is biased by less than total / 2^64, is never met.
const maxTries = 128

// Position returns position i of the challenge to a tree of total chunks: uniform below total, and 0
// where total is 0, which has no position.
func (d Draw) Position(i uint32, total uint64) uint64 {
	if total == 0 {
		return 0
	}
	// Numbers below fold are a whole number of totals.
	fold := math.MaxUint64 - (math.MaxUint64%total+1)%total
	var n uint64
	for try := uint32(0); try < maxTries; try++ {
		if n = d.number(askPosition, i, try); n <= fold {
			break
		}
	}
	return n % total
}

// Positions returns the first n positions.
func (d Draw) Positions(n uint32, total uint64) []uint64 {
	positions := make([]uint64, n)
	for i := range positions {
		positions[i] = d.Position(uint32(i), total)
	}
	return positions
}

// number is 64 bits of SHA-256(seed || question || index || try).
func (d Draw) number(question byte, index, try uint32) uint64 {
	var b [sha256.Size + 1 + 4 + 4]byte
	copy(b[:], d.seed[:])
	b[sha256.Size] = question
	binary.BigEndian.PutUint32(b[sha256.Size+1:], index)
	binary.BigEndian.PutUint32(b[sha256.Size+5:], try)
	hash := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(hash[:])
}
