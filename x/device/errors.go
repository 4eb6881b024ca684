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

// Of attestation, trust, rules, credentials and bans.
var (
	ErrEvidence     = errors.Register(ModuleName, 40, "evidence is malformed")
	ErrChain        = errors.Register(ModuleName, 41, "chain of certificates does not hold")
	ErrForged       = errors.Register(ModuleName, 42, "signature in evidence does not hold")
	ErrStatement    = errors.Register(ModuleName, 43, "evidence is about something else")
	ErrPolicy       = errors.Register(ModuleName, 44, "evidence is not good enough")
	ErrExpired      = errors.Register(ModuleName, 45, "evidence is not valid at this time")
	ErrStale        = errors.Register(ModuleName, 46, "evidence was made with an old beacon")
	ErrUntrusted    = errors.Register(ModuleName, 47, "not trusted")
	ErrRevoked      = errors.Register(ModuleName, 48, "revoked")
	ErrHardware     = errors.Register(ModuleName, 49, "hardware vouches for another device")
	ErrTrust        = errors.Register(ModuleName, 50, "bad trust anchor")
	ErrRule         = errors.Register(ModuleName, 51, "bad region rule")
	ErrCredential   = errors.Register(ModuleName, 52, "bad credential")
	ErrNotPermitted = errors.Register(ModuleName, 53, "not permitted in this region")
	ErrBanned       = errors.Register(ModuleName, 54, "device is banned")
	ErrNotBanned    = errors.Register(ModuleName, 55, "device is not banned")
	ErrAppeal       = errors.Register(ModuleName, 56, "no such step in an appeal")
)
