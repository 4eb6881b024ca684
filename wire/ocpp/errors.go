package ocpp

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Code is the reason of a refusal (OCPP-J 1.6 table 7, OCPP 2.0.1 part 4 table 10). The two editions spell two of them
// differently; Spell knows which.
type Code string

// Codes of refusals.
const (
	NotImplemented     Code = "NotImplemented" // an action nobody here knows
	NotSupported       Code = "NotSupported"   // known, and not done here
	InternalError      Code = "InternalError"
	ProtocolError      Code = "ProtocolError"
	SecurityError      Code = "SecurityError"
	FormationViolation Code = "FormationViolation" // FormatViolation in 2.0.1
	PropertyConstraint Code = "PropertyConstraintViolation"
	OccurrenceViolated Code = "OccurenceConstraintViolation" // so spelled in 1.6
	TypeConstraint     Code = "TypeConstraintViolation"
	GenericError       Code = "GenericError"
)

// Spell is the code as an edition of the standard writes it.
func (c Code) Spell(v Version) Code {
	if v == V201 {
		switch c {
		case FormationViolation:
			return "FormatViolation"
		case OccurrenceViolated:
			return "OccurrenceConstraintViolation"
		}
	}
	return c
}

// maxDescription is how long a refusal's text may be in 1.6 and 2.0.1.
const maxDescription = 255

// Error is a refusal that crosses the wire. errors.Is compares codes in either spelling.
type Error struct {
	Code        Code
	Description string
	Details     json.RawMessage
}

// Refuse makes a refusal with a text for people.
func Refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Description == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Description
}

// Is compares codes.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && e.Code.Spell(V201) == other.Code.Spell(V201)
}

// asError is what a handler's error tells the peer: a refusal as it is, anything else without its text, which may
// name what is none of the peer's business.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: InternalError, Description: "the call could not be handled; try again"}
}

var (
	// ErrClosed says that the connection ended before an answer came.
	ErrClosed = errors.New("connection closed")
	// ErrTimeout says that a peer did not answer in time. The call may have been carried out.
	ErrTimeout = errors.New("no answer in time")
	// ErrBusy says that too many calls wait for a peer already.
	ErrBusy = errors.New("too many calls wait for this peer")
)
