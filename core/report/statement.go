package report

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/cairn-network/cairn/core/score"
)

// Statement is what reporters agree on for one epoch of a service.
type Statement struct {
	ChainID string
	Service score.Service
	Epoch   uint64
	Rules   score.Rules
	// Inputs is the root of the inputs' tree; Points and Earned of it are 0.
	Inputs Root
	Output Root
	// Previous is the ID of the statement that this one builds on, zero for a service's first.
	Previous [32]byte
}

const statementTag = "cairn report v1\x00"

// ID is SHA-256 over the tag "cairn report v1" and a zero byte, the chain id after its length (1
// byte), service (1), epoch (8), rules (4), hash (32) and number (8) of inputs, the output root (60)
// and previous (32).
func (s Statement) ID() [32]byte {
	b := append([]byte(statementTag), byte(len(s.ChainID)))
	b = append(append(b, s.ChainID...), byte(s.Service))
	b = binary.BigEndian.AppendUint64(b, s.Epoch)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Rules))
	b = append(b, s.Inputs.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Inputs.Leaves)
	b = s.Output.appendChild(b)
	return sha256.Sum256(append(b, s.Previous[:]...))
}
