// Package beacon is the arithmetic of the chain's random beacon: what a validator proves for an
// epoch, how proofs are checked, and how outputs become the epoch's beacon. Byte layouts:
// docs/format/beacon.md.
//
// Outputs come from a verifiable random function (RFC 9381): for a key and an input there is exactly
// one output, which nobody can know without the secret key and anybody can check. A validator can
// therefore contribute its output or hold it back, and nothing else. Signatures would not do: Ed25519
// and ECDSA have many valid ones for each message, among which a signer may choose.
//
// INV-BEACON-1: a (key, round) has one output; no two different outputs verify.
//
// INV-BEACON-2: a beacon depends on the chain, the epoch, the previous beacon and the set of
// (validator, output) alone: not on the order in which they came, nor on who put them into a block.
package beacon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/ecvrf"

	"github.com/cairn-network/cairn/core/signature"
)

const (
	// SeedSize is the length of the secret that a key is made from (RFC 8032 section 5.1.5).
	SeedSize = ed25519.SeedSize
	// ProofSize is the length of a proof (RFC 9381 section 5.5: ptLen + cLen + qLen).
	ProofSize = ecvrf.ProofSize
	// OutputSize is the length of what a proof proves.
	OutputSize = ecvrf.OutputSize
	// ValidatorSize is the length of a validator's operator address.
	ValidatorSize = 20
)

var (
	// ErrKey is wrapped by errors about keys that are none.
	ErrKey = errors.New("invalid beacon key")
	// ErrProof is wrapped by errors about proofs that do not hold.
	ErrProof = errors.New("invalid beacon proof")
)

// Value is the beacon of one epoch.
type Value [sha256.Size]byte

// Output is what one validator's key makes of a round.
type Output [OutputSize]byte

// Proof shows what a key's output is.
type Proof [ProofSize]byte

// PublicKey is an Ed25519 point, as RFC 8032 spells it.
type PublicKey [ed25519.PublicKeySize]byte

// PrivateKey is a validator's beacon key. It signs nothing and holds no money.
type PrivateKey struct{ key ed25519.PrivateKey }

// NewKey makes the key of a seed.
func NewKey(seed [SeedSize]byte) PrivateKey { return PrivateKey{ed25519.NewKeyFromSeed(seed[:])} }

// Seed is the secret that NewKey made the key from.
func (k PrivateKey) Seed() [SeedSize]byte { return [SeedSize]byte(k.key.Seed()) }

// Public is the key's public half.
func (k PrivateKey) Public() PublicKey { return PublicKey(k.key[SeedSize:]) }

// ParseKey reads a public key: a canonical point that is not of small order, for which outputs would
// be the same whatever the input (RFC 9381 section 5.4.5). ErrKey.
func ParseKey(b []byte) (PublicKey, error) {
	if len(b) != ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: has %d bytes, want %d", ErrKey, len(b), ed25519.PublicKeySize)
	}
	if !validPoint(b) {
		return PublicKey{}, fmt.Errorf("%w: %x is not a point of large order", ErrKey, b)
	}
	return PublicKey(b), nil
}

// Round is what an epoch's outputs are made for.
type Round struct {
	ChainID string
	// Epoch is the one whose beacon is being made.
	Epoch uint64
	// Previous is the beacon of the epoch before; zero for the first.
	Previous Value
}

// inputSize is the length of Round.Input.
const inputSize = signature.PreambleSize + 8 + sha256.Size

// Input returns the bytes that validators prove.
func (r Round) Input() []byte {
	b := signature.Beacon.Preamble(make([]byte, 0, inputSize), r.ChainID)
	return r.appendFields(b)
}

func (r Round) appendFields(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.Epoch)
	return append(b, r.Previous[:]...)
}

// Prove makes the key's proof for a round.
func (k PrivateKey) Prove(r Round) Proof { return Proof(ecvrf.Prove(k.key, r.Input())) }

// Contribution is a validator's output for a round.
type Contribution struct {
	Validator [ValidatorSize]byte
	Output    Output
}

// VRF is the source of beacons that needs nobody but the validators:
// ECVRF-EDWARDS25519-SHA512-ELL2 of RFC 9381, suite 0x04.
type VRF struct{}

// Verify checks a proof by key for a round and returns what it proves; ErrKey or ErrProof.
func (VRF) Verify(r Round, key, proof []byte) (Output, error) { return verify(r.Input(), key, proof) }

func verify(input, key, proof []byte) (Output, error) {
	if len(key) != ed25519.PublicKeySize {
		return Output{}, fmt.Errorf("%w: has %d bytes, want %d", ErrKey, len(key), ed25519.PublicKeySize)
	}
	if len(proof) != ProofSize {
		return Output{}, fmt.Errorf("%w: has %d bytes, want %d", ErrProof, len(proof), ProofSize)
	}
	ok, output := ecvrf.Verify(key, proof, input)
	if !ok {
		return Output{}, fmt.Errorf("%w by key %x", ErrProof, key)
	}
	return Output(output), nil
}

// Mix makes the beacon of a round from its contributions, in whatever order they are; each
// validator has one. Without any the beacon follows from the previous one and is weak: whoever knows
// that one knows this.
func (VRF) Mix(r Round, contributions []Contribution) Value {
	sorted := slices.Clone(contributions)
	slices.SortFunc(sorted, func(a, b Contribution) int { return bytes.Compare(a.Validator[:], b.Validator[:]) })
	b := signature.BeaconMix.Preamble(nil, r.ChainID)
	b = r.appendFields(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(sorted)))
	for _, c := range sorted {
		b = append(b, c.Validator[:]...)
		b = append(b, c.Output[:]...)
	}
	return sha256.Sum256(b)
}

// ProveOwner makes the proof by which a validator announces the key: that it has it, and for whom.
func (k PrivateKey) ProveOwner(chainID string, validator [ValidatorSize]byte) Proof {
	return Proof(ecvrf.Prove(k.key, ownerInput(chainID, validator)))
}

// VerifyOwner checks a proof of ProveOwner; ErrKey or ErrProof.
func VerifyOwner(chainID string, validator [ValidatorSize]byte, key, proof []byte) error {
	_, err := verify(ownerInput(chainID, validator), key, proof)
	return err
}

func ownerInput(chainID string, validator [ValidatorSize]byte) []byte {
	b := signature.BeaconKey.Preamble(make([]byte, 0, signature.PreambleSize+ValidatorSize), chainID)
	return append(b, validator[:]...)
}
