package device

import "cosmossdk.io/errors"

// Error codes are part of the interface: a code once given keeps its meaning for ever, and
// testdata/errors.golden lists them. Each is wrapped with the field and the value at fault.
var (
	ErrNotFound     = errors.Register(ModuleName, 2, "no such device")
	ErrNotOwner     = errors.Register(ModuleName, 3, "not the owner of the device")
	ErrNotOperator  = errors.Register(ModuleName, 4, "not the operator of the device")
	ErrAddress      = errors.Register(ModuleName, 5, "bad address")
	ErrField        = errors.Register(ModuleName, 6, "bad field")
	ErrKey          = errors.Register(ModuleName, 7, "bad device key")
	ErrKeyTaken     = errors.Register(ModuleName, 8, "device key already registered")
	ErrSignature    = errors.Register(ModuleName, 9, "bad signature of the device key")
	ErrKind         = errors.Register(ModuleName, 10, "kind of device not accepted")
	ErrCell         = errors.Register(ModuleName, 11, "bad H3 cell")
	ErrAmount       = errors.Register(ModuleName, 12, "bad amount")
	ErrTooMany      = errors.Register(ModuleName, 13, "too many devices of one owner")
	ErrNotActive    = errors.Register(ModuleName, 14, "device is not active")
	ErrNotOffered   = errors.Register(ModuleName, 15, "device is not offered to this account")
	ErrObliged      = errors.Register(ModuleName, 16, "device still has obligations")
	ErrUnbonding    = errors.Register(ModuleName, 17, "deposit and bond are not yet free")
	ErrRetired      = errors.Register(ModuleName, 18, "device has been retired")
	ErrNotAuthority = errors.Register(ModuleName, 19, "not the module's authority")
	ErrParams       = errors.Register(ModuleName, 20, "bad parameter")
	ErrGenesis      = errors.Register(ModuleName, 21, "bad genesis")
)
