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
