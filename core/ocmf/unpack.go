package ocmf

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/cairn-network/cairn/core/exactjson"
)

// Packaging says how a record was wrapped.
type Packaging uint8

// The packagings seen in the field. JSON is the Open Charge Alliance's SignedMeterValueType, an object
// in OCPP 2.0.1 and the text of one in 1.6 (application note "Signed Meter Values in OCPP" 1.0).
const (
	Plain Packaging = iota + 1
	Hex
	Base64
	JSON
)

var packagingNames = [...]string{"", "plain", "hex", "base64", "JSON"}

func (p Packaging) String() string {
	if int(p) < len(packagingNames) {
		return packagingNames[p]
	}
	return ""
}

// MaxPacked is the longest packed record that is read.
const MaxPacked = 4 * MaxRecord

// Packed is a record taken out of its packaging.
type Packed struct {
	// Record is the text that Parse reads.
	Record []byte
	// EmbeddedKey is the public key that came along, as text that ParseKey reads; "" if none did. It
	// proves nothing, and nothing here verifies by it.
	EmbeddedKey string
	Packaging   Packaging
}

// Unpack finds the record in what an OCPP SampledValue, a SignedMeterValueType or a file carries. A
// Refusal if there is none.
func Unpack(text []byte) (Packed, error) {
	if len(text) > MaxPacked {
		return Packed{}, refuse(TooLarge, "the packed record has %d bytes, at most %d are read", len(text), MaxPacked)
	}
	return unpack(text, 3)
}

func unpack(text []byte, depth int) (Packed, error) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return Packed{}, refuse(Empty, "there is no text")
	case depth == 0:
		return Packed{}, refuse(Malformed, "the record is wrapped too many times")
	case bytes.HasPrefix(text, []byte("OCMF|")):
		return repacked(text, Plain), nil
	case text[0] == '{' || text[0] == '"':
		return unpackJSON(text, depth)
	case len(text) >= 10 && strings.EqualFold(string(text[:10]), "4f434d467c"):
		record := make([]byte, hex.DecodedLen(len(text)))
		if _, err := hex.Decode(record, text); err != nil {
			return Packed{}, refuse(Malformed, "the record in hex: %v", err)
		}
		return repacked(record, Hex), nil
	case bytes.HasPrefix(text, []byte("T0NNR")): // OCMF in base64
		record, err := base64.StdEncoding.DecodeString(strings.Map(dropSpace, string(text)))
		if err != nil {
			return Packed{}, refuse(Malformed, "the record in base64: %v", err)
		}
		return repacked(record, Base64), nil
	default:
		return Packed{}, refuse(Malformed, "begins with %.16q, which is no record in plain, hex, base64 or JSON", text)
	}
}

func repacked(record []byte, packaging Packaging) Packed {
	record, key := cutKey(record)
	return Packed{Record: record, EmbeddedKey: key, Packaging: packaging}
}

// cutKey splits off a fourth section, in which some systems send a key along: what follows the pipe
// behind the signature's object.
func cutKey(record []byte) (rest []byte, key string) {
	i := bytes.LastIndex(record, []byte("}|"))
	if i < 0 || bytes.ContainsAny(record[i+2:], "{}") {
		return record, ""
	}
	return record[: i+1 : i+1], string(bytes.TrimSpace(record[i+2:]))
}

func unpackJSON(text []byte, depth int) (Packed, error) {
	root, err := exactjson.Parse(text)
	if err != nil {
		return Packed{}, refuse(Malformed, "the wrapper: %v", err)
	}
	if root.Kind == exactjson.String {
		return unpack([]byte(root.Text), depth-1)
	}
	if inner := root.Get("signedMeterValue"); inner.Kind == exactjson.Object {
		root = inner
	}
	f := fields{root: root}
	data, encoding, key := f.text("signedMeterData"), f.text("encodingMethod"), f.text("publicKey")
	if f.err != nil {
		return Packed{}, f.err
	}
	if data == "" {
		return Packed{}, refuse(Malformed, "the wrapper has no signedMeterData")
	}
	if encoding != "" && !strings.EqualFold(encoding, "OCMF") {
		return Packed{}, refuse(Malformed, "the wrapper's encodingMethod is %.20q, want OCMF", encoding)
	}
	packed, err := unpack([]byte(data), depth-1)
	if err != nil {
		return Packed{}, err
	}
	packed.Packaging = JSON
	if key != "" {
		packed.EmbeddedKey = key
	}
	return packed, nil
}
