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
)
