package audit

import "cosmossdk.io/errors"

// Error codes are part of the interface: a code once given keeps its meaning for ever, and
// testdata/errors.golden lists them. Each is wrapped with the field and the value at fault.
// Codes from 20 are those of reports and disputes.
var (
	ErrUnknownEpoch     = errors.Register(ModuleName, 2, "no such epoch, or not kept any more")
	ErrAddress          = errors.Register(ModuleName, 3, "bad address")
	ErrField            = errors.Register(ModuleName, 4, "bad field")
	ErrNotAuthority     = errors.Register(ModuleName, 5, "not the module's authority")
	ErrParams           = errors.Register(ModuleName, 6, "bad parameter")
	ErrGenesis          = errors.Register(ModuleName, 7, "bad genesis")
	ErrUnknownValidator = errors.Register(ModuleName, 8, "no such validator")
	ErrKeyProof         = errors.Register(ModuleName, 9, "the key's proof does not verify")
)

// Codes of reports and disputes.
var (
	ErrService     = errors.Register(ModuleName, 20, "service has no reports")
	ErrRules       = errors.Register(ModuleName, 21, "not the rules of the epoch")
	ErrEpoch       = errors.Register(ModuleName, 22, "epoch cannot be reported")
	ErrTotals      = errors.Register(ModuleName, 23, "totals cannot be right")
	ErrVoid        = errors.Register(ModuleName, 24, "report builds on one that does not stand")
	ErrNoReport    = errors.Register(ModuleName, 25, "no such report, or its round is over")
	ErrPosted      = errors.Register(ModuleName, 26, "reporter has given its word for this epoch")
	ErrRejected    = errors.Register(ModuleName, 27, "report was rejected")
	ErrNotBonded   = errors.Register(ModuleName, 28, "not a bonded reporter")
	ErrAmount      = errors.Register(ModuleName, 29, "bad amount")
	ErrBondLocked  = errors.Register(ModuleName, 30, "bond is not free yet")
	ErrTooMany     = errors.Register(ModuleName, 31, "too many")
	ErrProof       = errors.Register(ModuleName, 32, "proof does not hold")
	ErrEvidence    = errors.Register(ModuleName, 33, "evidence proves nothing")
	ErrNoFact      = errors.Register(ModuleName, 34, "nothing is recorded of the device in this epoch")
	ErrNoDemand    = errors.Register(ModuleName, 35, "no such demand")
	ErrDemanded    = errors.Register(ModuleName, 36, "account has a demand on this report already")
	ErrTooLate     = errors.Register(ModuleName, 37, "too late")
	ErrTooEarly    = errors.Register(ModuleName, 38, "too early")
	ErrNotDisputed = errors.Register(ModuleName, 39, "cannot be disputed in this way")
)
