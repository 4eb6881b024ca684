package energy

import "cosmossdk.io/errors"

// Error codes are part of the interface: a code once given keeps its meaning for ever, and
// testdata/errors.golden lists them. Each is wrapped with the field and the value at fault.
var (
	ErrAddress      = errors.Register(ModuleName, 2, "bad address")
	ErrField        = errors.Register(ModuleName, 3, "bad field")
	ErrAmount       = errors.Register(ModuleName, 4, "bad amount")
	ErrNotAuthority = errors.Register(ModuleName, 5, "not the module's authority")
	ErrParams       = errors.Register(ModuleName, 6, "bad parameter")
	ErrGenesis      = errors.Register(ModuleName, 7, "bad genesis")

	ErrKind       = errors.Register(ModuleName, 8, "device is of another kind")
	ErrBond       = errors.Register(ModuleName, 9, "device's bond is too small")
	ErrNoStation  = errors.Register(ModuleName, 10, "no such station")
	ErrNoTariff   = errors.Register(ModuleName, 11, "no such tariff")
	ErrTariff     = errors.Register(ModuleName, 12, "bad tariff")
	ErrNoSession  = errors.Register(ModuleName, 13, "no such session")
	ErrClosed     = errors.Register(ModuleName, 14, "station takes no sessions")
	ErrState      = errors.Register(ModuleName, 15, "session is in another state")
	ErrNotDriver  = errors.Register(ModuleName, 16, "not the session's driver")
	ErrDeadline   = errors.Register(ModuleName, 17, "deadline")
	ErrRecord     = errors.Register(ModuleName, 18, "bad meter record")
	ErrPeriods    = errors.Register(ModuleName, 19, "periods do not fit the session")
	ErrTooMany    = errors.Register(ModuleName, 20, "too many")
	ErrChanged    = errors.Register(ModuleName, 21, "changed since it was read")
	ErrNotCharged = errors.Register(ModuleName, 22, "cannot be priced")

	ErrNoCommunity = errors.Register(ModuleName, 23, "no such community")
	ErrTerms       = errors.Register(ModuleName, 24, "bad terms")
	ErrNotManager  = errors.Register(ModuleName, 25, "not the community's manager")
	ErrNotMember   = errors.Register(ModuleName, 26, "no member")
	ErrMember      = errors.Register(ModuleName, 27, "is a member already")
	ErrPending     = errors.Register(ModuleName, 28, "withdrawal pending or none")
	ErrNotFinal    = errors.Register(ModuleName, 29, "hour is not final")
	ErrProof       = errors.Register(ModuleName, 30, "proof does not hold")
	ErrNoHour      = errors.Register(ModuleName, 31, "hour was not committed")
	ErrTime        = errors.Register(ModuleName, 32, "too early or too late")
	ErrNoFault     = errors.Register(ModuleName, 33, "no fault")
	ErrReceipt     = errors.Register(ModuleName, 34, "bad receipt")
	ErrNoDemand    = errors.Register(ModuleName, 35, "no such demand")
)
