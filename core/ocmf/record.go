package ocmf

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"strings"

	"github.com/cairn-network/cairn/core/exactjson"
)

// MaxRecord is the longest record in bytes. OCPP 2.0.1 carries at most 2,500 characters; the longest
// published one has 1,800. MaxReadings is how many readings one may hold.
const (
	MaxRecord   = 8 << 10
	MaxReadings = 64
)

// Record is one record: what was signed, byte for byte, and what it says.
type Record struct {
	// Payload is the signed section as it was sent. Readers must not change it.
	Payload []byte
	// Signature is the third section.
	Signature Signature

	// Version is the format's, "1.0" (FV).
	Version string
	// Gateway is the signing system (GI, GS, GV), Meter the meter (MV, MM, MS, MF).
	Gateway, Meter Component
	// Page is the record's place in its stream (PG); the zero Page if there is none.
	Page Page
	// User is to whom the session is assigned.
	User User
	// ChargePoint is where (CT, CI).
	ChargePoint ChargePoint
	// Readings are in the order of the record (RD), with what later ones inherit filled in.
	Readings []Reading
}

// Component is a device: Maker is empty for a gateway, whose Model has it.
type Component struct{ Maker, Model, Serial, Version string }

// Page is a pagination: a counter in a context.
type Page struct {
	// Context is 'T' within transactions, 'F' for fiscal readings outside of them.
	Context byte
	Number  uint64
}

// String returns the page as it stands in a record, "T12345"; "" for the zero Page.
func (p Page) String() string {
	if p.Context == 0 {
		return ""
	}
	return string(p.Context) + strconv.FormatUint(p.Number, 10)
}

// User is the assignment of a session (OCMF table 4).
type User struct {
	Assigned bool   // IS
	Level    string // IL, table 11: HEARSAY, TRUSTED, ...
	Type     string // IT, table 17: ISO14443, EMAID, ...
	ID       string // ID
	Tariff   string // TT, the tariff's text
}

// ChargePoint names the charge point (OCMF table 6).
type ChargePoint struct{ Type, ID string }

// Transaction says why a reading was taken (TX, OCMF table 7); 0 where the record does not say.
type Transaction byte

// The reasons of readings.
const (
	Begin         Transaction = 'B'
	Charging      Transaction = 'C'
	Exception     Transaction = 'X'
	End           Transaction = 'E'
	EndedLocally  Transaction = 'L'
	EndedRemotely Transaction = 'R'
	Aborted       Transaction = 'A'
	PowerFailed   Transaction = 'P'
	Suspended     Transaction = 'S'
	TariffChanged Transaction = 'T'
)

// Ends tells whether t is the last reading of a transaction.
func (t Transaction) Ends() bool {
	return t == End || t == EndedLocally || t == EndedRemotely || t == Aborted || t == PowerFailed
}

// Reading is one reading of a register.
type Reading struct {
	Time        Time
	Transaction Transaction
	// Value is the register as written (RV); Present tells whether it was.
	Value   exactjson.Decimal
	Present bool
	// Register is the OBIS code as written (RI), Unit its unit (RU), Current AC or DC (RT).
	Register, Unit, Current string
	// Faults are the quantities that may not be billed (EF): E energy, t time.
	Faults string
	// State is the meter's (ST): G is good.
	State string
	// Loss is the energy of the cable that Value leaves out (CL); zero if not said.
	Loss exactjson.Decimal
}

// Signature is the third section of a record (OCMF table 8), defaults filled in.
type Signature struct {
	// Algorithm is as written (SA); Curve is what it names.
	Algorithm string
	Curve     Curve
	// Data are the decoded bytes (SD by SE).
	Data []byte
}

// ID identifies what was signed: SHA-256 of the payload.
func (r *Record) ID() [32]byte { return sha256.Sum256(r.Payload) }

// Serial is the meter's number, or the gateway's where the record does not name the meter.
func (r *Record) Serial() string {
	if r.Meter.Serial != "" {
		return r.Meter.Serial
	}
	return r.Gateway.Serial
}

// Parse reads one record, with white space around it allowed. What vendors are known to get wrong but
// leaves one meaning is read: versions and charge point types that are numbers, values that are text
// with leading spaces or zeros, times left out of later readings.
func Parse(text []byte) (Record, error) {
	payload, signature, err := sections(text)
	if err != nil {
		return Record{}, err
	}
	r := Record{Payload: payload}
	root, err := exactjson.Parse(payload)
	if err != nil {
		return Record{}, refuse(PayloadInvalid, "payload: %v", err)
	}
	if root.Kind != exactjson.Object {
		return Record{}, refuse(PayloadInvalid, "the payload is %s, want an object", root.Kind)
	}
	f := fields{root: root}
	r.Version = f.text("FV")
	r.Gateway = Component{Model: f.text("GI"), Serial: f.text("GS"), Version: f.text("GV")}
	r.Meter = Component{Maker: f.text("MV"), Model: f.text("MM"), Serial: f.text("MS"), Version: f.text("MF")}
	r.User = User{Assigned: f.flag("IS"), Level: f.text("IL"), Type: f.text("IT"), ID: f.text("ID"), Tariff: f.text("TT")}
	r.ChargePoint = ChargePoint{Type: f.text("CT"), ID: f.text("CI")}
	page := f.text("PG")
	if f.err != nil {
		return Record{}, f.err
	}
	if r.Page, err = parsePage(page); err != nil {
		return Record{}, err
	}
	if r.Readings, err = parseReadings(root.Get("RD")); err != nil {
		return Record{}, err
	}
	if r.Signature, err = parseSignature(signature); err != nil {
		return Record{}, err
	}
	return r, nil
}

// sections splits a record at its first pipe and at the end of the JSON value behind it: text within
// the payload may hold a pipe although the standard forbids it, since only JSON tells where it ends.
func sections(text []byte) (payload, signature []byte, err error) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return nil, nil, refuse(Empty, "there is no text")
	case len(text) > MaxRecord:
		return nil, nil, refuse(TooLarge, "the record has %d bytes, at most %d are read", len(text), MaxRecord)
	}
	body, ok := bytes.CutPrefix(text, []byte("OCMF|"))
	if !ok {
		return nil, nil, refuse(Malformed, "begins with %.16q, want OCMF|", text)
	}
	_, rest, err := exactjson.ParsePrefix(body)
	if err != nil {
		return nil, nil, refuse(PayloadInvalid, "payload: %v", err)
	}
	pipe := bytes.IndexByte(rest, '|')
	if pipe < 0 || len(bytes.TrimSpace(rest[:pipe])) != 0 {
		return nil, nil, refuse(Malformed, "the payload is not followed by | and a signature")
	}
	end := len(body) - len(rest) + pipe
	return body[:end:end], body[end+1:], nil
}

// fields reads the members of an object; the first that cannot be read is err.
type fields struct {
	root exactjson.Value
	err  error
}

func (f *fields) fail(name string, v exactjson.Value, want string) {
	if f.err == nil {
		f.err = refuse(FieldInvalid, "%s is %s, want %s", name, v.Kind, want)
	}
}

// text returns a member that is text or a number, as written; "" where it is missing or null.
func (f *fields) text(name string) string {
	switch v := f.root.Get(name); v.Kind {
	case exactjson.String, exactjson.Number:
		return v.Text
	case exactjson.Missing, exactjson.Null:
	default:
		f.fail(name, v, "text")
	}
	return ""
}

func (f *fields) flag(name string) bool {
	switch v := f.root.Get(name); v.Kind {
	case exactjson.Bool:
		return v.True
	case exactjson.Missing, exactjson.Null:
	default:
		f.fail(name, v, "true or false")
	}
	return false
}

// decimal returns a member that is a number, or text of one with spaces before it.
func (f *fields) decimal(name string) (d exactjson.Decimal, present bool) {
	v := f.root.Get(name)
	switch v.Kind {
	case exactjson.Missing, exactjson.Null:
		return d, false
	case exactjson.String, exactjson.Number:
		d, err := exactjson.ParseDecimal(strings.TrimLeft(v.Text, " "))
		if err != nil && f.err == nil {
			f.err = refuse(ValueInvalid, "%s: %v", name, err)
		}
		return d, true
	default:
		f.fail(name, v, "a number")
		return d, false
	}
}

// parsePage reads "T12345"; the zero Page for "".
func parsePage(s string) (Page, error) {
	if s == "" {
		return Page{}, nil
	}
	if s[0] != 'T' && s[0] != 'F' {
		return Page{}, refuse(FieldInvalid, "PG is %.20q, want T or F and a number", s)
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return Page{}, refuse(FieldInvalid, "PG is %.20q, want T or F and a number", s)
		}
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	if err != nil {
		return Page{}, refuse(FieldInvalid, "PG is %.24q, want T or F and a number below 2^64", s)
	}
	return Page{Context: s[0], Number: n}, nil
}

// parseReadings reads RD. A reading inherits from the one before what it does not say, but for its
// value and loss (OCMF 1.4.1, Readings).
func parseReadings(list exactjson.Value) ([]Reading, error) {
	if list.Kind != exactjson.Array || len(list.Items) == 0 {
		return nil, refuse(FieldInvalid, "RD is %s with %d readings, want a list of at least one", list.Kind, len(list.Items))
	}
	if len(list.Items) > MaxReadings {
		return nil, refuse(TooLarge, "the record has %d readings, at most %d are read", len(list.Items), MaxReadings)
	}
	readings := make([]Reading, 0, len(list.Items))
	var last Reading
	for i, item := range list.Items {
		if item.Kind != exactjson.Object {
			return nil, refuse(FieldInvalid, "reading %d is %s, want an object", i+1, item.Kind)
		}
		f := fields{root: item}
		r := last
		r.Value, r.Present = f.decimal("RV")
		r.Loss, _ = f.decimal("CL")
		inherit := func(name string, field *string) {
			if item.Get(name).Kind != exactjson.Missing {
				*field = f.text(name)
			}
		}
		inherit("RI", &r.Register)
		inherit("RU", &r.Unit)
		inherit("RT", &r.Current)
		inherit("EF", &r.Faults)
		inherit("ST", &r.State)
		var reason string
		if r.Transaction != 0 {
			reason = string(r.Transaction)
		}
		inherit("TX", &reason)
		var when string
		inherit("TM", &when)
		if f.err != nil {
			return nil, f.err
		}
		if len(reason) > 1 {
			return nil, refuse(FieldInvalid, "TX of reading %d is %.20q, want one letter", i+1, reason)
		}
		r.Transaction = 0
		if reason != "" {
			r.Transaction = Transaction(reason[0])
		}
		if when != "" || i == 0 {
			var err error
			if r.Time, err = parseTime(when); err != nil {
				return nil, err
			}
		}
		readings = append(readings, r)
		last = r
	}
	return readings, nil
}
