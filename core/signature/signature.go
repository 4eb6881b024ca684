// Package signature holds the rules by which every signature of the network is made and checked.
//
// Ed25519 verification follows ZIP-215: a signature is judged the same alone and in a batch, and by
// every implementation that follows it, so that a chain's nodes can never disagree on one.
//
// INV-SIGN-1: what is signed begins with a 16-byte domain from the list below, then the SHA-256 of
// the chain id: no signature made for one purpose or chain holds for another.
//
// INV-SIGN-2: a batch's verdict is a pure function of its inputs, and equals that of one check for
// each entry, save with probability 2^-128 over the hash that draws the coefficients.
package signature

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/zeebo/blake3"
)

// Domain says what a signed message means. It stands at the front of the message.
type Domain [16]byte

// All domains there are: 16 bytes of ASCII, padded with zeros.
var (
	Voucher = Domain([]byte("cairn/voucher/v1"))
	Receipt = Domain([]byte("cairn/receipt/v1"))
	Device  = Domain([]byte("cairn/device/v1\x00"))
	Release = Domain([]byte("cairn/release/v1"))
	Pass    = Domain([]byte("cairn/pass/v1\x00\x00\x00"))

	// What validators prove for the beacon, what the beacon is the hash of, and what a beacon key
	// proves about its owner (core/beacon).
	Beacon    = Domain([]byte("cairn/beacon/v1\x00"))
	BeaconMix = Domain([]byte("cairn/mix/v1\x00\x00\x00\x00"))
	BeaconKey = Domain([]byte("cairn/bkey/v1\x00\x00\x00"))

	// Statements about devices and their owners (core/attest).
	Attestation = Domain([]byte("cairn/attest/v1\x00"))
	Manufacture = Domain([]byte("cairn/maker/v1\x00\x00"))
	Activation  = Domain([]byte("cairn/activat/v1"))
	Credential  = Domain([]byte("cairn/creden/v1\x00"))
	Revocation  = Domain([]byte("cairn/revoke/v1\x00"))

	// What meters tell, and what aggregators sign for having it (core/meter).
	Frame        = Domain([]byte("cairn/frame/v1\x00\x00"))
	FrameReceipt = Domain([]byte("cairn/meterrc/v1"))
)

// PreambleSize is the length of what Preamble appends.
const PreambleSize = 16 + sha256.Size

// Preamble appends domain and SHA-256(chainID) to dst.
func (d Domain) Preamble(dst []byte, chainID string) []byte {
	dst = append(dst, d[:]...)
	chain := sha256.Sum256([]byte(chainID))
	return append(dst, chain[:]...)
}

// MaxChainID is the longest chain id in bytes (CometBFT's own limit).
const MaxChainID = 50

// CheckChainID refuses chain ids that are empty, longer than MaxChainID or not visible ASCII.
func CheckChainID(id string) error {
	if len(id) == 0 || len(id) > MaxChainID {
		return fmt.Errorf("chain id has %d bytes, want 1..%d", len(id), MaxChainID)
	}
	for i := 0; i < len(id); i++ {
		if id[i] <= ' ' || id[i] > '~' {
			return fmt.Errorf("chain id %q has byte %#x, want visible ASCII", id, id[i])
		}
	}
	return nil
}

var (
	// ErrKey is wrapped by errors about keys of the wrong shape.
	ErrKey = errors.New("invalid public key")
	// ErrSignature is wrapped by errors about signatures that do not hold.
	ErrSignature = errors.New("invalid signature")
)

var zip215 = &voi.Options{Verify: voi.VerifyOptionsZIP_215}

// Verify checks one Ed25519 signature by ZIP-215; ErrKey or ErrSignature.
func Verify(key ed25519.PublicKey, message, sig []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: ed25519 key has %d bytes, want %d", ErrKey, len(key), ed25519.PublicKeySize)
	}
	if len(sig) != ed25519.SignatureSize {
		return fmt.Errorf("%w: has %d bytes, want %d", ErrSignature, len(sig), ed25519.SignatureSize)
	}
	if !voi.VerifyWithOptions(voi.PublicKey(key), message, sig, zip215) {
		return fmt.Errorf("%w by ed25519 key %x", ErrSignature, []byte(key))
	}
	return nil
}

// Batch collects Ed25519 signatures to be checked together, at about half the price of one by one.
// The zero value is empty. Not safe for concurrent use.
type Batch struct {
	entries []entry
}

type entry struct {
	key          ed25519.PublicKey
	message, sig []byte
}

// NewBatch returns an empty batch with room for n.
func NewBatch(n int) *Batch { return &Batch{entries: make([]entry, 0, n)} }

// Add adds one signature. The slices are kept until Verify returns.
func (b *Batch) Add(key ed25519.PublicKey, message, sig []byte) {
	b.entries = append(b.entries, entry{key, message, sig})
}

// Verify returns the positions, ascending, of the signatures that do not hold by ZIP-215; nil when
// all do. A batch with a bad signature costs a check of each on top.
func (b *Batch) Verify() (bad []int) {
	if len(b.entries) == 0 {
		return nil
	}
	v := voi.NewBatchVerifierWithCapacity(len(b.entries))
	if len(b.entries) > smallBatch {
		v.ForceNoPublicKeyExpansion()
	}
	for _, e := range b.entries {
		v.AddWithOptions(voi.PublicKey(e.key), e.message, e.sig, zip215)
	}
	all, holds := v.Verify(b.coefficients())
	if all {
		return nil
	}
	for i, ok := range holds {
		if !ok {
			bad = append(bad, i)
		}
	}
	return bad
}

// coefficients returns the randomness of the batch's coefficients: a stream that depends on every bit
// of every entry, so that nobody can choose an entry knowing its coefficient.
func (b *Batch) coefficients() io.Reader {
	transcript := blake3.NewDeriveKey("cairn/signature/v1 batch coefficients")
	var length [8]byte
	for _, e := range b.entries {
		for _, field := range [][]byte{e.key, e.message, e.sig} {
			// A length before each field makes the transcript injective in the list of entries.
			binary.BigEndian.PutUint64(length[:], uint64(len(field)))
			_, _ = transcript.Write(length[:]) // a hash never fails
			_, _ = transcript.Write(field)
		}
	}
	return transcript.Digest()
}

// smallBatch is the largest batch for which tables of the keys' multiples pay off.
const smallBatch = 64
