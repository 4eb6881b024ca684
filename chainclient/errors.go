package chainclient

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Code is an error of the chain as its codespace numbers it. As an error it is a sentinel:
// errors.Is(err, ErrInsufficientFunds) holds for every *Error of that code.
type Code struct {
	Space  string
	Number uint32
}

func (c Code) Error() string { return fmt.Sprintf("chain error %s/%d", c.Space, c.Number) }

// Codes of the SDK that a client can do something about.
var (
	ErrUnauthorized      = Code{"sdk", 4}
	ErrInsufficientFunds = Code{"sdk", 5}
	ErrUnknownAddress    = Code{"sdk", 9} // the account has never received anything
	ErrOutOfGas          = Code{"sdk", 11}
	ErrInsufficientFee   = Code{"sdk", 13}
	ErrInvalidRequest    = Code{"sdk", 18}
	ErrMempoolFull       = Code{"sdk", 20}
	errInMempool         = Code{"sdk", 19}
	errNotReady          = Code{"sdk", 26} // a node before its first block; no query of ours names a height
	errTimeoutHeight     = Code{"sdk", 30}
	errWrongSequence     = Code{"sdk", 32}
)

// Codes of x/device.
var (
	ErrNoDevice        = Code{"device", 2} // also ErrNotFound
	ErrNotOwner        = Code{"device", 3}
	ErrNotOperator     = Code{"device", 4}
	ErrKeyTaken        = Code{"device", 8}
	ErrDeviceSignature = Code{"device", 9}
	ErrTooManyDevices  = Code{"device", 13}
	ErrDeviceNotActive = Code{"device", 14}
	ErrNotOffered      = Code{"device", 15}
	ErrDeviceObliged   = Code{"device", 16}
	ErrUnbonding       = Code{"device", 17}
	ErrDeviceRetired   = Code{"device", 18}
)

// Codes of x/market.
var (
	ErrNoOffer          = Code{"market", 20} // also ErrNotFound
	ErrOfferClosed      = Code{"market", 21}
	ErrCapacity         = Code{"market", 22}
	ErrPriceAbove       = Code{"market", 23}
	ErrNoLease          = Code{"market", 30} // also ErrNotFound
	ErrNotConsumer      = Code{"market", 31}
	ErrLeaseClosed      = Code{"market", 32}
	ErrLeaseExpired     = Code{"market", 33}
	ErrNoItem           = Code{"market", 34} // also ErrNotFound
	ErrItemClosed       = Code{"market", 35}
	ErrEscrowTooSmall   = Code{"market", 37}
	ErrEscrowDry        = Code{"market", 38}
	ErrVoucherSignature = Code{"market", 40}
	ErrVoucherExpired   = Code{"market", 41}
	ErrVoucherStale     = Code{"market", 42}
	ErrNoOrder          = Code{"market", 50} // also ErrNotFound
)

// Codes of x/storage.
var (
	ErrNoSnapshot      = Code{"storage", 2} // also ErrNotFound
	ErrSnapshotVersion = Code{"storage", 5}
	ErrNoCommitment    = Code{"storage", 12} // also ErrNotFound
	ErrChallengeProved = Code{"storage", 15}
	ErrNoFault         = Code{"storage", 17}
	ErrFaultReported   = Code{"storage", 18}
	ErrAuditReceipt    = Code{"storage", 19} // nothing follows from it
	ErrTooManyAudits   = Code{"storage", 20}
	ErrNoAudit         = Code{"storage", 21} // also ErrNotFound
	ErrAuditDeadline   = Code{"storage", 22}
	ErrNotDrawn        = Code{"storage", 23}
)

// Codes of x/energy.
var (
	ErrNoStation       = Code{"energy", 10} // also ErrNotFound
	ErrNoTariff        = Code{"energy", 11} // also ErrNotFound
	ErrNoSession       = Code{"energy", 13} // also ErrNotFound
	ErrStationClosed   = Code{"energy", 14}
	ErrSessionState    = Code{"energy", 15}
	ErrSessionDeadline = Code{"energy", 17}
	ErrMeterRecord     = Code{"energy", 18}
	ErrSessionPeriods  = Code{"energy", 19}
	ErrStationChanged  = Code{"energy", 21}
	ErrNoCommunity     = Code{"energy", 23} // also ErrNotFound
	ErrNotMember       = Code{"energy", 26} // also ErrNotFound
	ErrNotFinal        = Code{"energy", 29}
	ErrNoHour          = Code{"energy", 31} // also ErrNotFound
	ErrHourTime        = Code{"energy", 32}
	ErrNoEnergyDemand  = Code{"energy", 35} // also ErrNotFound
)

// Epochs and reports.
var (
	ErrUnknownEpoch   = Code{"audit", 2}
	ErrReportEpoch    = Code{"audit", 22} // cannot be reported now
	ErrReportVoid     = Code{"audit", 24}
	ErrNoReport       = Code{"audit", 25} // also ErrNotFound
	ErrReportPosted   = Code{"audit", 26}
	ErrReportRejected = Code{"audit", 27}
	ErrNotReporter    = Code{"audit", 28} // also ErrNotFound
	ErrNoDemand       = Code{"audit", 35} // also ErrNotFound
	ErrDemanded       = Code{"audit", 36}
	ErrReportTooLate  = Code{"audit", 37}
)

// Errors that are not a code of the chain.
var (
	// ErrNotFound says that the chain has no such device, offer, lease or block.
	ErrNotFound = errors.New("not found on the chain")
	// ErrUnreachable says that the node did not answer within the client's patience.
	ErrUnreachable = errors.New("node unreachable")
	// ErrNotIncluded says that a transaction's last height passed without it: it has not
	// happened and never will.
	ErrNotIncluded = errors.New("transaction was not included in time and never will be")
	// ErrNoAccount says that the client was made without an account and cannot sign.
	ErrNoAccount = errors.New("client has no account to sign with")
	// ErrPruned says that the node no longer has the block asked for.
	ErrPruned = errors.New("node no longer has this block")
)

// Error is a refusal by the chain.
type Error struct {
	Code Code
	// Log is what the chain said, naming the field at fault.
	Log string
	// TxHash is the transaction's, upper-case hexadecimal; empty when it never reached a block
	// or the error is a query's.
	TxHash string
}

func (e *Error) Error() string {
	if e.TxHash != "" {
		return fmt.Sprintf("%s (%s/%d, transaction %s)", e.Log, e.Code.Space, e.Code.Number, e.TxHash)
	}
	return fmt.Sprintf("%s (%s/%d)", e.Log, e.Code.Space, e.Code.Number)
}

// Is holds for the sentinel of the same code, and for ErrNotFound where the code says so.
func (e *Error) Is(target error) bool {
	return target == error(e.Code) || target == ErrNotFound && notFound[e.Code]
}

// notFound are the codes that mean an absent thing.
var notFound = map[Code]bool{
	{"sdk", 38}: true, // the SDK's general one
	ErrNoDevice: true, ErrNoOffer: true, ErrNoLease: true, ErrNoItem: true, ErrNoOrder: true, ErrNoSnapshot: true,
	ErrNoCommitment: true, ErrNoAudit: true,
	ErrNoReport: true, ErrNotReporter: true, ErrNoDemand: true,
	ErrNoStation: true, ErrNoTariff: true, ErrNoSession: true,
	ErrNoCommunity: true, ErrNotMember: true, ErrNoHour: true, ErrNoEnergyDemand: true,
}

// unreachable says that a node is away, or has started and not yet made or fetched a block.
func unreachable(err error) bool {
	s, ok := status.FromError(err)
	if !ok {
		return false
	}
	code, _, _ := parseStatus(s.Message())
	return s.Code() == codes.Unavailable || code == errNotReady
}

// queryError turns a gRPC failure into one of this package's errors; nil stays nil. The SDK
// sends codespace and code of a query's error as the head of the status message, in the form
// that parseStatus reads (cosmossdk.io/errors, Error.GRPCStatus).
func queryError(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	if unreachable(err) {
		return fmt.Errorf("%w: %s", ErrUnreachable, s.Message())
	}
	if code, log, ok := parseStatus(s.Message()); ok {
		e := &Error{Code: code, Log: log}
		if s.Code() == codes.NotFound && !e.Is(ErrNotFound) {
			return fmt.Errorf("%w: %w", ErrNotFound, e)
		}
		return e
	}
	if s.Code() == codes.NotFound {
		return fmt.Errorf("%w: %s", ErrNotFound, s.Message())
	}
	return err
}

// parseStatus reads "codespace SPACE code NUMBER: text".
func parseStatus(message string) (code Code, log string, ok bool) {
	rest, ok := strings.CutPrefix(message, "codespace ")
	if !ok {
		return Code{}, "", false
	}
	space, rest, ok := strings.Cut(rest, " code ")
	if !ok || space == "" || strings.ContainsAny(space, " :") {
		return Code{}, "", false
	}
	digits, log, ok := strings.Cut(rest, ": ")
	if !ok {
		return Code{}, "", false
	}
	number, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return Code{}, "", false
	}
	return Code{space, uint32(number)}, log, true
}
