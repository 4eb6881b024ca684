package storage

import "cosmossdk.io/errors"

// Error codes are part of the interface: a code once given keeps its meaning for ever, and
// testdata/errors.golden lists them. Each is wrapped with the field and the value at fault.
var (
	ErrNotFound     = errors.Register(ModuleName, 2, "no snapshot of this renter")
	ErrAddress      = errors.Register(ModuleName, 3, "bad address")
	ErrField        = errors.Register(ModuleName, 4, "bad field")
	ErrVersion      = errors.Register(ModuleName, 5, "snapshot version is not one above the last")
	ErrNotAuthority = errors.Register(ModuleName, 6, "not the module's authority")
	ErrParams       = errors.Register(ModuleName, 7, "bad parameter")
	ErrGenesis      = errors.Register(ModuleName, 8, "bad genesis")

	ErrKind          = errors.Register(ModuleName, 9, "device does not store")
	ErrTreeVersion   = errors.Register(ModuleName, 10, "tree version is not one above the last")
	ErrTooMuch       = errors.Register(ModuleName, 11, "tree holds more than leases reserve")
	ErrNoCommitment  = errors.Register(ModuleName, 12, "no commitment in force")
	ErrEpoch         = errors.Register(ModuleName, 13, "wrong epoch")
	ErrNotChallenged = errors.Register(ModuleName, 14, "device is not challenged")
	ErrProved        = errors.Register(ModuleName, 15, "challenge has been answered")
	ErrProof         = errors.Register(ModuleName, 16, "proof does not hold")
	ErrNoFault       = errors.Register(ModuleName, 17, "no fault")
	ErrReported      = errors.Register(ModuleName, 18, "fault has been recorded")
	ErrReceipt       = errors.Register(ModuleName, 19, "bad receipt")
	ErrTooMany       = errors.Register(ModuleName, 20, "too many open audits")
	ErrNoAudit       = errors.Register(ModuleName, 21, "no such audit")
	ErrDeadline      = errors.Register(ModuleName, 22, "deadline")
	ErrNotDrawn      = errors.Register(ModuleName, 23, "device is not drawn to ask")
	ErrRetired       = errors.Register(ModuleName, 24, "device has been retired")
)
