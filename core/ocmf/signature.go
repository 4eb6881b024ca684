package ocmf

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/cairn-network/cairn/core/exactjson"
)

// Form says how the two numbers of a signature were written.
type Form uint8

const (
	// DER is the only form the standard knows: ASN.1 DER (X.690), SEQUENCE of two INTEGERs.
	DER Form = iota + 1
	// LooseDER is that with integers that DER would write otherwise, as meters of a fixed width write
	// them: needless leading zeros, or none before a set top bit. Both are read as unsigned.
	LooseDER
	// Raw is r||s, each as long as the curve's order.
	Raw
)

var formNames = [...]string{"", "DER", "loose DER", "raw"}

func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return ""
}

// maxInteger bounds the integers of a loose signature: the order of the largest curve and some zeros.
const maxInteger = 64

func parseSignature(text []byte) (Signature, error) {
	root, err := exactjson.Parse(text)
	if err != nil {
		return Signature{}, refuse(SignatureFields, "signature section: %v", err)
	}
	if root.Kind != exactjson.Object {
		return Signature{}, refuse(SignatureFields, "the signature section is %s, want an object", root.Kind)
	}
	f := fields{root: root}
	algorithm, encoding, mime, data := f.text("SA"), f.text("SE"), f.text("SM"), f.text("SD")
	if f.err != nil {
		return Signature{}, refuse(SignatureFields, "signature section: %v", f.err)
	}
	if mime != "" && mime != "application/x-der" {
		return Signature{}, refuse(SignatureFields, "SM is %.40q, want application/x-der", mime)
	}
	s := Signature{Algorithm: algorithm, Curve: Secp256r1} // the default since OCMF 0.4
	if algorithm != "" {
		if s.Curve, err = curveOfAlgorithm(algorithm); err != nil {
			return Signature{}, err
		}
	}
	switch encoding {
	case "", "hex":
		s.Data, err = hex.DecodeString(data)
	case "base64":
		s.Data, err = base64.StdEncoding.Strict().DecodeString(data)
	default:
		return Signature{}, refuse(SignatureFields, "SE is %.40q, want hex or base64", encoding)
	}
	if err != nil || len(s.Data) == 0 {
		return Signature{}, refuse(SignatureForm, "SD %.40q is not bytes in %s", data, strings.ToLower(or(encoding, "hex")))
	}
	return s, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// numbers returns r and s of data as big-endian integers without leading zeros, for a curve whose
// order has size bytes. The strictest form that fits is taken; no bytes fit two forms.
func numbers(data []byte, size int) (r, s []byte, form Form, err error) {
	if r, s, form, ok := fromDER(data); ok {
		return r, s, form, nil
	}
	if len(data) == 2*size {
		return trimZeros(data[:size]), trimZeros(data[size:]), Raw, nil
	}
	return nil, nil, 0, refuse(SignatureForm, "signature of %d bytes is neither DER nor %d bytes of r||s", len(data), 2*size)
}

// fromDER reads SEQUENCE { INTEGER r, INTEGER s }. Lengths stand in one byte or, as DER wants above
// 127, in two; nothing may follow.
func fromDER(data []byte) (r, s []byte, form Form, ok bool) {
	body, rest, ok := element(data, 0x30)
	if !ok || len(rest) != 0 {
		return nil, nil, 0, false
	}
	r, body, ok = element(body, 0x02)
	if !ok {
		return nil, nil, 0, false
	}
	s, body, ok = element(body, 0x02)
	if !ok || len(body) != 0 || len(r) > maxInteger || len(s) > maxInteger {
		return nil, nil, 0, false
	}
	form = DER
	if !minimal(r) || !minimal(s) {
		form = LooseDER
	}
	return trimZeros(r), trimZeros(s), form, true
}

// element splits off one ASN.1 element with the given tag and a content that is not empty.
func element(data []byte, tag byte) (content, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != tag {
		return nil, nil, false
	}
	n, data := int(data[1]), data[2:]
	if n == 0x81 && len(data) > 0 && data[0] >= 0x80 {
		n, data = int(data[0]), data[1:]
	} else if n >= 0x80 {
		return nil, nil, false
	}
	if n == 0 || n > len(data) {
		return nil, nil, false
	}
	return data[:n], data[n:], true
}

// minimal tells whether n is how DER writes a positive integer.
func minimal(n []byte) bool {
	return n[0] < 0x80 && (n[0] != 0 || len(n) > 1 && n[1] >= 0x80)
}

func trimZeros(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	return n
}
