package ocmf

import (
	"errors"
	"fmt"
)

// Reason is why a record or a session was refused. Its numbers are part of the chain's interface:
// they may be added to, never changed.
type Reason uint8

// The reasons, by the step that finds them.
const (
	Accepted Reason = iota

	// Reading.

	Empty           // nothing that could be a record
	TooLarge        // a record or list beyond what is read
	Malformed       // not OCMF|payload|signature
	PayloadInvalid  // the payload is not a JSON object that can be read in one way
	FieldInvalid    // a field has a value of the wrong kind
	SignatureFields // the signature section cannot be read

	// Signature.

	NoKey            // nobody said with which key to check
	KeyInvalid       // the key is no key
	AlgorithmUnknown // signed by a method that is none of the seven
	CurveDiffers     // the record names another curve than the key's
	SignatureForm    // signature data are no two numbers
	SignatureInvalid // the signature is not of this key over these bytes

	// Session.

	MeterDiffers      // of another meter than the one registered, or records of two meters
	PageMissing       // no pagination, or not of a transaction
	PageGap           // pages do not follow one another
	PageReused        // a page counts twice
	IdentityDiffers   // two records of one session name two users
	BeginMissing      // no reading says where the session begins
	EndMissing        // no reading says where it ends
	OrderInvalid      // readings of a transaction in an order that no transaction has
	MeterFault        // the meter's state is not good
	EnergyFault       // the meter itself says that energy may not be billed
	RegisterMissing   // no reading of an import register
	RegisterDiffers   // begin and end read different registers
	UnitUnknown       // a register in a unit that is not of energy
	ValueInvalid      // a register that is negative, not a number or finer than a milliwatt-hour
	RegisterBackwards // the end reads less than the begin
	TimeInvalid       // a time that is no time
	EnergyExceeded    // more energy than the connector can have delivered

	reasons // how many there are
)

// reasonTexts are each reason's name, for programs, and sentence, for people.
var reasonTexts = [reasons][2]string{
	Accepted:          {"accepted", "The record holds."},
	Empty:             {"empty", "There is no record here."},
	TooLarge:          {"too_large", "This is larger than any record we read."},
	Malformed:         {"malformed", "This is not an OCMF record."},
	PayloadInvalid:    {"payload_invalid", "The record's content cannot be read."},
	FieldInvalid:      {"field_invalid", "A field of the record has a value that makes no sense."},
	SignatureFields:   {"signature_fields", "The record's signature section cannot be read."},
	NoKey:             {"no_key", "No public key to check it with."},
	KeyInvalid:        {"key_invalid", "The public key is not one."},
	AlgorithmUnknown:  {"algorithm_unknown", "Signed by a method that is not known."},
	CurveDiffers:      {"curve_differs", "Signed by another kind of key than the meter's."},
	SignatureForm:     {"signature_form", "The signature is not of the form of one."},
	SignatureInvalid:  {"signature_invalid", "The signature is false: the record was changed, or another key signed it."},
	MeterDiffers:      {"meter_differs", "The record is of another meter."},
	PageMissing:       {"page_missing", "The record has no page number of a transaction."},
	PageGap:           {"page_gap", "A record is missing in between."},
	PageReused:        {"page_reused", "The record was used before."},
	IdentityDiffers:   {"identity_differs", "The records are of two different users."},
	BeginMissing:      {"begin_missing", "There is no reading of the begin."},
	EndMissing:        {"end_missing", "There is no reading of the end."},
	OrderInvalid:      {"order_invalid", "The readings are not in an order that a session has."},
	MeterFault:        {"meter_fault", "The meter reported that it was not working correctly."},
	EnergyFault:       {"energy_fault", "The meter reported that its energy may not be billed."},
	RegisterMissing:   {"register_missing", "There is no reading of a register for energy drawn."},
	RegisterDiffers:   {"register_differs", "Begin and end are readings of different registers."},
	UnitUnknown:       {"unit_unknown", "The reading's unit is not one of energy."},
	ValueInvalid:      {"value_invalid", "The reading's value is not an energy."},
	RegisterBackwards: {"register_backwards", "The meter ran backwards."},
	TimeInvalid:       {"time_invalid", "The reading's time is not a time."},
	EnergyExceeded:    {"energy_exceeded", "The session has more energy than the connector can deliver in its time."},
}

// String returns the name programs know r by, "signature_invalid".
func (r Reason) String() string {
	if r < reasons {
		return reasonTexts[r][0]
	}
	return fmt.Sprintf("reason_%d", uint8(r))
}

// Text returns a sentence for people.
func (r Reason) Text() string {
	if r < reasons {
		return reasonTexts[r][1]
	}
	return "Refused for a reason that this version does not know."
}

// Refusal is the error of every function here: a reason and what it is about.
type Refusal struct {
	Reason Reason
	// Detail names the field and value.
	Detail string
}

func (r *Refusal) Error() string { return "OCMF: " + r.Detail + " (" + r.Reason.String() + ")" }

// Is lets errors.Is compare refusals by their reason alone.
func (r *Refusal) Is(target error) bool {
	other, ok := target.(*Refusal)
	return ok && other.Reason == r.Reason
}

// ReasonOf returns the reason of an error of this package, Accepted for nil and Malformed for any
// other error.
func ReasonOf(err error) Reason {
	var refusal *Refusal
	switch {
	case err == nil:
		return Accepted
	case errors.As(err, &refusal):
		return refusal.Reason
	default:
		return Malformed
	}
}

func refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
