// Package ocmf_test holds signed meter records of two kinds, and what has to be said of each.
//
// records.json are our own, signed by OpenSSL, on every curve, in every spelling that is known from the
// field, and broken in every way that could be thought of.
//
//	go test ./test/vectors/ocmf -update    has OpenSSL sign them anew, with new keys
//
// published.json are verdicts on the test resources of SAFE e.V.'s transparency software
// (github.com/SAFE-eV/transparenzsoftware), which are not part of this tree:
//
//	git clone https://github.com/SAFE-eV/transparenzsoftware
//	CAIRN_SAFE_RECORDS=$PWD/transparenzsoftware go test ./test/vectors/ocmf
package ocmf_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/wire/meterfile"
)

var update = flag.Bool("update", false, "have OpenSSL sign records.json anew")

// vector is one record, one key and one verdict.
type vector struct {
	Name string `json:"name"`
	// Record is as a file or message carries it, Key as a register does.
	Record string `json:"record"`
	Key    string `json:"key"`
	// Verdict is a form ("DER", "loose DER", "raw") of a record that holds, or the reason why not.
	Verdict string `json:"verdict"`
}

// verdict is what our code says of a record and a key.
func verdict(record, keyText string) string {
	packed, err := ocmf.Unpack([]byte(record))
	if err != nil {
		return ocmf.ReasonOf(err).String()
	}
	r, err := ocmf.Parse(packed.Record)
	if err != nil {
		return ocmf.ReasonOf(err).String()
	}
	var key ocmf.Key
	if keyText != "" {
		if key, err = ocmf.ParseKey(keyText); err != nil {
			return ocmf.ReasonOf(err).String()
		}
	}
	form, err := r.Verify(key)
	if err != nil {
		return ocmf.ReasonOf(err).String()
	}
	return form.String()
}

func TestRecordsSignedByOpenSSL(t *testing.T) {
	const path = "records.json"
	if *update {
		write(t, path, map[string]any{
			"about": "core/ocmf: records signed by OpenSSL's command line with keys made for them, and what has to be said of each. See ocmf_test.go.",
			"cases": records(t),
		})
	}
	var f struct{ Cases []vector }
	read(t, path, &f)
	verdicts := map[string]int{}
	for _, v := range f.Cases {
		verdicts[v.Verdict]++
		if got := verdict(v.Record, v.Key); got != v.Verdict {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Verdict)
		}
	}
	for _, form := range []ocmf.Form{ocmf.DER, ocmf.LooseDER, ocmf.Raw} {
		if verdicts[form.String()] < len(ocmf.Curves) {
			t.Errorf("only %d records are %s", verdicts[form.String()], form)
		}
	}
	for _, reason := range []ocmf.Reason{ocmf.SignatureInvalid, ocmf.SignatureForm, ocmf.CurveDiffers, ocmf.NoKey, ocmf.KeyInvalid} {
		if verdicts[reason.String()] == 0 {
			t.Errorf("no record is refused with %s", reason)
		}
	}
}

// published is one value of one published file.
type published struct {
	File    string `json:"file"`
	Value   int    `json:"value"`   // from 1, in the order of the file
	Payload string `json:"payload"` // the first 8 bytes of its SHA-256, "" if it cannot be read
	Verdict string `json:"verdict"`
	Note    string `json:"note,omitempty"`
}

// No false accept and no false refusal on what vendors publish.
func TestPublishedRecords(t *testing.T) {
	root := os.Getenv("CAIRN_SAFE_RECORDS")
	if root == "" {
		t.Skip("CAIRN_SAFE_RECORDS names no clone of github.com/SAFE-eV/transparenzsoftware")
	}
	const path = "published.json"
	var f struct {
		About string      `json:"about"`
		Cases []published `json:"cases"`
	}
	read(t, path, &f) // an update keeps the files and notes that are there
	notes := map[string]string{}
	for _, c := range f.Cases {
		notes[fmt.Sprint(c.File, c.Value)] = c.Note
	}
	var got []published
	files := map[string]bool{}
	for _, c := range f.Cases {
		if files[c.File] {
			continue
		}
		files[c.File] = true
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(c.File)))
		if err != nil {
			t.Fatal(err)
		}
		items, err := meterfile.Read(data)
		if err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		for i, item := range items {
			p := published{File: c.File, Value: i + 1, Verdict: verdict(item.Text, item.Key), Note: notes[fmt.Sprint(c.File, i+1)]}
			if packed, err := ocmf.Unpack([]byte(item.Text)); err == nil {
				if r, err := ocmf.Parse(packed.Record); err == nil {
					id := r.ID()
					p.Payload = hex.EncodeToString(id[:8])
				}
			}
			got = append(got, p)
		}
	}
	if *update {
		f.Cases = got
		write(t, path, f)
	}
	if len(got) != len(f.Cases) {
		t.Errorf("%d records, want %d", len(got), len(f.Cases))
	}
	holds := 0
	for i := range min(len(got), len(f.Cases)) {
		if got[i] != f.Cases[i] {
			t.Errorf("%+v, want %+v", got[i], f.Cases[i])
		}
		if v := got[i].Verdict; v == ocmf.DER.String() || v == ocmf.LooseDER.String() || v == ocmf.Raw.String() {
			holds++
		} else if got[i].Note == "" {
			t.Errorf("%s, value %d is refused (%s), and nothing says why that is right", got[i].File, got[i].Value, v)
		}
	}
	t.Logf("%d files, %d records: %d hold, %d are refused", len(files), len(got), holds, len(got)-holds)
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keyPair is a key that OpenSSL made; spki is its public half as DER.
type keyPair struct {
	curve   ocmf.Curve
	private string // file
	spki    []byte
}

func openssl(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %q: %v: %s", args, err, errors.String())
	}
	return out
}

// opensslNames are the curves' names there.
var opensslNames = map[ocmf.Curve]string{
	ocmf.Secp192k1: "secp192k1", ocmf.Secp256k1: "secp256k1", ocmf.Secp192r1: "prime192v1", ocmf.Secp256r1: "prime256v1",
	ocmf.Brainpool256r1: "brainpoolP256r1", ocmf.Secp384r1: "secp384r1", ocmf.Brainpool384r1: "brainpoolP384r1",
}

func newKey(t *testing.T, c ocmf.Curve) keyPair {
	t.Helper()
	private := filepath.Join(t.TempDir(), "key.pem")
	openssl(t, nil, "ecparam", "-name", opensslNames[c], "-genkey", "-noout", "-out", private)
	return keyPair{c, private, openssl(t, nil, "pkey", "-in", private, "-pubout", "-outform", "DER")}
}

// sign returns DER of a signature, as OpenSSL writes it.
func (k keyPair) sign(t *testing.T, payload string) []byte {
	t.Helper()
	return openssl(t, []byte(payload), "dgst", "-sha256", "-sign", k.private)
}

// numbers returns r and s of a signature in DER.
func numbers(der []byte) (r, s *big.Int) {
	body := der[2:]
	if der[1] == 0x81 {
		body = der[3:]
	}
	n := int(body[1])
	return new(big.Int).SetBytes(body[2 : 2+n]), new(big.Int).SetBytes(body[4+n:])
}

// integers writes a signature with each number as the bytes given.
func integers(r, s []byte) []byte {
	body := append(append([]byte{2, byte(len(r))}, r...), append([]byte{2, byte(len(s))}, s...)...)
	if len(body) > 127 {
		return append([]byte{0x30, 0x81, byte(len(body))}, body...)
	}
	return append([]byte{0x30, byte(len(body))}, body...)
}

const payloadFormat = `{"FV":"1.0","GI":"TEST","GS":"G1","GV":"1.0","PG":"T%d","MV":"TEST","MM":"M","MS":"TEST%04d","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN"],"IT":"ISO14443","ID":"1F2D3A4F5506C7","RD":[{"TM":"2026-06-14T08:49:47,642+0200 S","TX":"B","RV":2935.600,"RI":"1-b:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"},{"TM":"2026-06-14T11:49:47,642+0200 S","TX":"E","RV":2965.100,"ST":"G"}]}`

// records returns all cases, newly signed.
func records(t *testing.T) (cases []vector) {
	for _, c := range ocmf.Curves {
		cases = append(cases, ofCurve(t, c)...)
	}
	return append(cases, ofPackaging(t)...)
}

// ofCurve returns what is true and false on one curve.
func ofCurve(t *testing.T, c ocmf.Curve) (cases []vector) {
	k, other := newKey(t, c), newKey(t, c)
	size := c.Size()
	payload := fmt.Sprintf(payloadFormat, 100+c, c)
	der := k.sign(t, payload)
	r, s := numbers(der)
	raw := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	spki := hex.EncodeToString(k.spki)
	point := k.spki[len(k.spki)-2*size:]
	record := func(signed string, signature []byte) string {
		return fmt.Sprintf(`OCMF|%s|{"SA":"ECDSA-%s-SHA256","SD":"%x"}`, signed, c, signature)
	}
	add := func(name, record, key, verdict string) {
		cases = append(cases, vector{c.String() + ": " + name, record, key, verdict})
	}
	good := record(payload, der)
	add("as the standard says", good, spki, "DER")
	add("key as PEM", good, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.spki})), "DER")
	add("key as PEM in base64", good, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.spki})), "DER")
	add("key in base64", good, base64.StdEncoding.EncodeToString(k.spki), "DER")
	add("key in hex with spaces", good, strings.ToUpper(fmt.Sprintf("% x", k.spki)), "DER")
	add("key as X||Y", good, hex.EncodeToString(point), "DER")
	add("key as an uncompressed point", good, "04"+hex.EncodeToString(point), "DER")
	add("key as the OCA writes it", good, base64.StdEncoding.EncodeToString([]byte("oca:base16:asn1:"+spki)), "DER")
	add("key as the OCA writes it, plain", good, "oca:base64:asn1:"+base64.StdEncoding.EncodeToString(k.spki), "DER")
	add("key compressed", good, hex.EncodeToString(openssl(t, nil, "ec", "-in", k.private, "-pubout", "-conv_form", "compressed", "-outform", "DER")), "DER")
	add("signature in base64", fmt.Sprintf(`OCMF|%s|{"SD":"%s","SA":"ECDSA-%s-SHA256","SE":"base64"}`, payload, base64.StdEncoding.EncodeToString(der), c), spki, "DER")
	add("the curve's other name", fmt.Sprintf(`OCMF|%s|{"SA":"ECDSA-%s-SHA256","SM":"application/x-der","SD":"%X"}`, payload, opensslNames[c], der), spki, "DER")
	add("raw r||s", record(payload, raw), spki, "raw")
	add("integers of fixed width", record(payload, integers(append([]byte{0}, raw[:size]...), append([]byte{0, 0}, raw[size:]...))), spki, "loose DER")
	add("s and its negative are both signatures", record(payload, integers(padded(r), padded(new(big.Int).Sub(order(c), s)))), spki, "DER")
	spaced := strings.ReplaceAll(payload, `,"`, `, "`)
	add("white space is signed", record(spaced, k.sign(t, spaced)), spki, "DER")
	add("white space added later", record(spaced, der), spki, "signature_invalid")

	add("no key", good, "", "no_key")
	add("another key", good, hex.EncodeToString(other.spki), "signature_invalid")
	add("a changed value", record(strings.Replace(payload, "2965.100", "2965.101", 1), der), spki, "signature_invalid")
	add("a value written otherwise", record(strings.Replace(payload, "2965.100", "2965.1", 1), der), spki, "signature_invalid")
	add("r and s exchanged", record(payload, integers(padded(s), padded(r))), spki, "signature_invalid")
	add("r is zero", record(payload, integers([]byte{0}, padded(s))), spki, "signature_invalid")
	add("s is zero", record(payload, integers(padded(r), []byte{0})), spki, "signature_invalid")
	add("both are zero", record(payload, make([]byte, 2*size)), spki, "signature_invalid")
	add("s is larger than the order", record(payload, integers(padded(r), padded(new(big.Int).Add(s, order(c))))), spki, "signature_invalid")
	add("r is the order", record(payload, integers(padded(order(c)), padded(s))), spki, "signature_invalid")
	add("a byte behind the signature", record(payload, append(bytes.Clone(der), 0)), spki, "signature_form")
	add("a byte missing", record(payload, der[:len(der)-1]), spki, "signature_form")
	add("an odd digit", strings.Replace(good, `"SD":"30`, `"SD":"3`, 1), spki, "signature_form")
	add("no signature", strings.Replace(good, hex.EncodeToString(der), "", 1), spki, "signature_form")
	digest := sha256.Sum256([]byte(payload))
	bare := record(payload, digest[:])
	want := "signature_form"
	add("a bare SHA-256, as a simulator signs", bare, spki, want)
	elsewhere := ocmf.Secp256k1
	if c == elsewhere {
		elsewhere = ocmf.Brainpool256r1
	}
	add("another curve's name", strings.Replace(good, "ECDSA-"+c.String(), "ECDSA-"+elsewhere.String(), 1), spki, "curve_differs")
	point[size-1] ^= 1
	add("key off the curve", good, hex.EncodeToString(k.spki[:len(k.spki)-2*size])+hex.EncodeToString(point), "key_invalid")
	return cases
}

// padded returns n's bytes as DER has them.
func padded(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		return append([]byte{0}, b...)
	}
	return b
}

// order returns the order of a curve's group (SEC 2, RFC 5639).
func order(c ocmf.Curve) *big.Int {
	n, _ := new(big.Int).SetString(map[ocmf.Curve]string{
		ocmf.Secp192k1:      "fffffffffffffffffffffffe26f2fc170f69466a74defd8d",
		ocmf.Secp256k1:      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
		ocmf.Secp192r1:      "ffffffffffffffffffffffff99def836146bc9b1b4d22831",
		ocmf.Secp256r1:      "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
		ocmf.Brainpool256r1: "a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7",
		ocmf.Secp384r1:      "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
		ocmf.Brainpool384r1: "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565",
	}[c], 16)
	return n
}

// ofPackaging returns what is true and false of the text around, and of what vendors make of the
// payload, on the default curve.
func ofPackaging(t *testing.T) (cases []vector) {
	k := newKey(t, ocmf.Secp256r1)
	spki := hex.EncodeToString(k.spki)
	payload := fmt.Sprintf(payloadFormat, 7, 7)
	sealed := func(payload string) string {
		return fmt.Sprintf(`OCMF|%s|{"SD":"%x"}`, payload, k.sign(t, payload))
	}
	good := sealed(payload)
	add := func(name, record, key, verdict string) {
		cases = append(cases, vector{name, record, key, verdict})
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(good))
	wrapper := fmt.Sprintf(`{"signedMeterData":"%s","signingMethod":"","encodingMethod":"OCMF","publicKey":"%s"}`, encoded, base64.StdEncoding.EncodeToString([]byte("oca:base16:asn1:"+spki)))
	quoted, err := json.Marshal(wrapper)
	if err != nil {
		t.Fatal(err)
	}
	add("no algorithm named: the default", good, spki, "DER")
	add("white space around", "\n  "+good+" \r\n", spki, "DER")
	add("in hex", hex.EncodeToString([]byte(good)), spki, "DER")
	add("in upper hex", strings.ToUpper(hex.EncodeToString([]byte(good))), spki, "DER")
	add("in base64", encoded, spki, "DER")
	add("wrapped in an object", wrapper, spki, "DER")
	add("wrapped in the text of an object", string(quoted), spki, "DER")
	add("wrapped, method not said", fmt.Sprintf(`{"signedMeterData":"%s"}`, encoded), spki, "DER")
	add("wrapped as another format", strings.Replace(wrapper, `"OCMF"`, `"EDL"`, 1), spki, "malformed")
	add("a key embedded and none registered", wrapper, "", "no_key")
	foreign := newKey(t, ocmf.Secp256r1)
	forged := fmt.Sprintf(`OCMF|%s|{"SD":"%x"}`, payload, foreign.sign(t, payload))
	add("signed and sent along by a foreign key", fmt.Sprintf(`{"signedMeterData":"%s","encodingMethod":"OCMF","publicKey":"%s"}`, base64.StdEncoding.EncodeToString([]byte(forged)), hex.EncodeToString(foreign.spki)), spki, "signature_invalid")
	add("a key in a fourth section is not used", good+"|"+hex.EncodeToString(foreign.spki), spki, "DER")
	for _, quirk := range []struct{ name, old, new string }{
		{"version and charge point type as numbers", `"FV":"1.0"`, `"FV":1.0,"CT":0`},
		{"values as text with spaces", `2935.600`, `"    2935.600"`},
		{"values as text with zeros", `2935.600`, `"00002935.600"`},
		{"lines and tabs", `,"RD"`, ",\n\t\t\"RD\""},
		{"a pipe in a text", `"MM":"M"`, `"MM":"M|N"`},
		{"what vendors add", `"IS":true`, `"IS":true,"U":{"UC":[1,2,{"UN":"x"}]},"X":null`},
		{"a letter of another language", `"MV":"TEST"`, `"MV":"Zähler"`},
		{"the same, escaped", `"MV":"TEST"`, `"MV":"Z\u00e4hler"`},
	} {
		add(quirk.name, sealed(strings.Replace(payload, quirk.old, quirk.new, 1)), spki, "DER")
	}
	for _, broken := range []struct{ name, old, new, verdict string }{
		{"a name twice", `"MS":`, `"MS":"OTHER","MS":`, "payload_invalid"},
		{"a value that is not a number", `2965.100`, `NaN`, "payload_invalid"},
		{"a value with an exponent beyond measure", `2965.100`, `1e99`, "value_invalid"},
		{"a value with too many digits", `2965.100`, `99999999999999999999`, "value_invalid"},
		{"a list for a serial number", `"MS":"TEST0007"`, `"MS":["TEST0007"]`, "field_invalid"},
		{"a page that is no number", `"PG":"T7"`, `"PG":"T-7"`, "field_invalid"},
		{"a page beyond 64 bits", `"PG":"T7"`, `"PG":"T18446744073709551616"`, "field_invalid"},
		{"a date that is none", `2026-06-14T08`, `2026-02-30T08`, "time_invalid"},
		{"a clock state that is none", `642+0200 S`, `642+0200 Q`, "time_invalid"},
		{"no readings", `"RD":`, `"RX":`, "field_invalid"},
		{"text that is not UTF-8", `"MV":"TEST"`, "\"MV\":\"Z\xe4hler\"", "payload_invalid"},
		{"deep nesting", `"IS":true`, `"IS":true,"U":` + strings.Repeat("[", 40) + strings.Repeat("]", 40), "payload_invalid"},
	} {
		record := sealed(strings.Replace(payload, broken.old, broken.new, 1))
		if strings.Contains(record, "\xe4") { // JSON cannot carry it
			record = hex.EncodeToString([]byte(record))
		}
		add(broken.name, record, spki, broken.verdict)
	}
	add("nothing", "", spki, "empty")
	add("something else", "hello", spki, "malformed")
	add("no signature section", strings.SplitAfter(good, "|")[0]+payload, spki, "malformed")
	add("an unknown algorithm", strings.Replace(good, `{"SD"`, `{"SA":"ECDSA-secp521r1-SHA512","SD"`, 1), spki, "algorithm_unknown")
	add("an unknown encoding", strings.Replace(good, `{"SD"`, `{"SE":"base58","SD"`, 1), spki, "signature_fields")
	add("an unknown form", strings.Replace(good, `{"SD"`, `{"SM":"application/x-pem","SD"`, 1), spki, "signature_fields")
	add("larger than any record", sealed(strings.Replace(payload, `"MM":"M"`, `"MM":"`+strings.Repeat("M", ocmf.MaxRecord)+`"`, 1)), spki, "too_large")
	rsa := openssl(t, openssl(t, nil, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), "pkey", "-pubout", "-outform", "DER")
	add("an RSA key", good, hex.EncodeToString(rsa), "key_invalid")
	add("a key of another curve", good, hex.EncodeToString(newKey(t, ocmf.Secp384r1).spki), "curve_differs")
	add("a key that is none", good, "${jndi:ldap://example.org/a}", "key_invalid")
	return cases
}
