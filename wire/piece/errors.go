package piece

import (
	"context"
	"errors"
	"fmt"
)

// Code is an error that survives the wire. Its numbers are protocol: they are never reused
// (TestCodesAreFixed). errors.Is(err, ErrNotFound) holds on both ends.
type Code uint16

// Codes of errors.
const (
	ErrInternal     Code = 1  // the provider's own fault
	ErrBadRequest   Code = 2  // a request that no provider would serve
	ErrNotFound     Code = 3  // no such piece under this lease
	ErrExists       Code = 4  // another piece has this id
	ErrNoSpace      Code = 5  // the provider's disk is full
	ErrQuota        Code = 6  // the lease's reserved bytes are used up
	ErrLeaseClosed  Code = 7  // closed, expired or dry: nothing more is taken, reads end with the grace window
	ErrUnpaid       Code = 8  // the credit window is used up and no voucher came
	ErrCorrupt      Code = 9  // the stored bytes are not those that were put
	ErrClockSkew    Code = 10 // the two clocks, or a time in the request and a clock, are too far apart
	ErrTooLarge     Code = 11 // larger than the provider takes
	ErrUnauthorized Code = 12 // the proven key is not the lease's session key
	ErrWrongDevice  Code = 13 // meant for another device
	ErrWrongChain   Code = 14 // meant for another chain
	ErrBusy         Code = 15 // too many streams or connections; try again later
	ErrCanceled     Code = 16 // given up by the other side
	ErrTimeout      Code = 17 // no progress for too long
	ErrBadVoucher   Code = 18 // a voucher that does not pay: wrong signature, lease, amount, sequence or expiry
	ErrShutdown     Code = 19 // the provider is going down
	ErrVersion      Code = 20 // no common protocol version
	ErrRange        Code = 21 // outside the piece
	ErrProtocol     Code = 22 // bytes that are not this protocol
	ErrBadReceipt   Code = 23 // a receipt that does not say what was put (client side)
	ErrBadRelease   Code = 24 // a release whose signature does not hold
)

var codeTexts = map[Code]string{
	ErrInternal:     "internal error of the provider",
	ErrBadRequest:   "bad request",
	ErrNotFound:     "piece not found",
	ErrExists:       "another piece has this id",
	ErrNoSpace:      "provider has no space left",
	ErrQuota:        "reserved bytes of the lease are used up",
	ErrLeaseClosed:  "lease is closed",
	ErrUnpaid:       "bytes served are not paid for",
	ErrCorrupt:      "piece is corrupt",
	ErrClockSkew:    "clocks differ too much",
	ErrTooLarge:     "piece is too large",
	ErrUnauthorized: "key is not the lease's session key",
	ErrWrongDevice:  "meant for another device",
	ErrWrongChain:   "meant for another chain",
	ErrBusy:         "provider is busy",
	ErrCanceled:     "cancelled by the other side",
	ErrTimeout:      "no progress for too long",
	ErrBadVoucher:   "voucher refused",
	ErrShutdown:     "provider is shutting down",
	ErrVersion:      "no common protocol version",
	ErrRange:        "outside the piece",
	ErrProtocol:     "protocol error",
	ErrBadReceipt:   "bad receipt",
	ErrBadRelease:   "bad release",
}

func (c Code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return text
	}
	return fmt.Sprintf("error %d of the provider", uint16(c))
}

// Error is a code with what the side that raised it had to say.
type Error struct {
	Code    Code
	Message string
}

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.Error()
	}
	return e.Code.Error() + ": " + e.Message
}

// Unwrap makes errors.Is find the code.
func (e *Error) Unwrap() error { return e.Code }

// CodeOf is the code to send for err: the one that it wraps, or ErrInternal.
func CodeOf(err error) Code {
	var code Code
	switch {
	case errors.As(err, &code):
		return code
	case errors.Is(err, context.Canceled):
		return ErrCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	}
	return ErrInternal
}
