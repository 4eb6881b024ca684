package reward

import "cosmossdk.io/errors"

// Error codes are part of the interface: a code once given keeps its meaning for ever, and
// testdata/errors.golden lists them. Each is wrapped with the field and the value at fault.
var (
	ErrAddress      = errors.Register(ModuleName, 2, "bad address")
	ErrField        = errors.Register(ModuleName, 3, "bad field")
	ErrAmount       = errors.Register(ModuleName, 4, "bad amount")
	ErrService      = errors.Register(ModuleName, 5, "no such service")
	ErrNotAuthority = errors.Register(ModuleName, 6, "not the module's authority")
	ErrParams       = errors.Register(ModuleName, 7, "bad parameter")
	ErrGenesis      = errors.Register(ModuleName, 8, "bad genesis")
	ErrTooMany      = errors.Register(ModuleName, 9, "too many")
	ErrNoEpoch      = errors.Register(ModuleName, 20, "epoch has not ended, or is no longer kept")
	ErrReport       = errors.Register(ModuleName, 21, "report cannot be paid")
	ErrCap          = errors.Register(ModuleName, 22, "more coins than may ever exist")
	ErrNoRoot       = errors.Register(ModuleName, 30, "no final report of this epoch")
	ErrProof        = errors.Register(ModuleName, 31, "account is not in the report")
	ErrNoBoost      = errors.Register(ModuleName, 40, "no such boost")
	ErrNotSponsor   = errors.Register(ModuleName, 41, "not the sponsor of it")
	ErrCell         = errors.Register(ModuleName, 42, "not a cell of the need map")
)
