package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Limits on certificates. Real ones have 600 to 2,000 bytes, and chains without their root one to three.
const (
	MaxCertificateBytes = 4096
	MaxChain            = 4
	maxExtensions       = 32
	maxNames            = 128 // DNS names of a leaf
	leastRSABits        = 2048
	mostRSABits         = 4096
)

// What evidence can be wrong in. Each is wrapped with the field and the value at fault.
var (
	// ErrMalformed says that bytes are not what they should encode.
	ErrMalformed = errors.New("malformed")
	// ErrChain says that a certificate was not issued by the next one.
	ErrChain = errors.New("chain of certificates does not hold")
	// ErrExpired says that something was not yet, or is no longer, valid.
	ErrExpired = errors.New("not valid at this time")
	// ErrPolicy says that something is genuine and not good enough.
	ErrPolicy = errors.New("not accepted by policy")
	// ErrSignature says that a signature does not hold.
	ErrSignature = errors.New("signature does not hold")
	// ErrStatement says that evidence was made over something else: another device, owner, chain or epoch.
	ErrStatement = errors.New("made over another statement")
)

// Certificate is what the network reads of an X.509 version 3 certificate (RFC 5280).
type Certificate struct {
	// Key is the fingerprint of the subject public key info.
	Key Fingerprint
	// Subject and Issuer are names, DER.
	Subject, Issuer []byte
	// NotBefore and NotAfter are Unix seconds, both within.
	NotBefore, NotAfter int64

	signed    []byte // tbsCertificate with its header
	algorithm string // of the signature, an OID
	signature []byte

	public    any // *ecdsa.PublicKey or *rsa.PublicKey
	authority bool
	path      int      // most authorities below; -1 for any number
	usage     uint     // bit n is bit n of KeyUsage; 0 where there is no such extension
	purposes  []string // ExtKeyUsage, OIDs; nil where there is no such extension
	domains   []string // DNS names of the subject alternative name
}

// KeyUsage bits, RFC 5280 section 4.2.1.3.
const (
	digitalSignature = 1 << 0
	keyEncipherment  = 1 << 2
	keyAgreement     = 1 << 4
	keyCertSign      = 1 << 5
)

// OIDs, dotted.
const (
	oidSHA256RSA   = "1.2.840.113549.1.1.11"
	oidSHA384RSA   = "1.2.840.113549.1.1.12"
	oidSHA512RSA   = "1.2.840.113549.1.1.13"
	oidSHA256ECDSA = "1.2.840.10045.4.3.2"
	oidSHA384ECDSA = "1.2.840.10045.4.3.3"
	oidSHA512ECDSA = "1.2.840.10045.4.3.4"
	oidRSA         = "1.2.840.113549.1.1.1"
	oidRSAOAEP     = "1.2.840.113549.1.1.7" // some makers' endorsement keys
	oidEC          = "1.2.840.10045.2.1"
	oidP256        = "1.2.840.10045.3.1.7"
	oidP384        = "1.3.132.0.34"

	oidKeyUsage         = "2.5.29.15"
	oidAltName          = "2.5.29.17"
	oidBasicConstraints = "2.5.29.19"
	oidNameConstraints  = "2.5.29.30"
	oidPolicies         = "2.5.29.32"
	oidExtKeyUsage      = "2.5.29.37"

	purposeAny    = "2.5.29.37.0"
	purposeServer = "1.3.6.1.5.5.7.3.1"
	purposeClient = "1.3.6.1.5.5.7.3.2"
	purposeEK     = "2.23.133.8.1" // tcg-kp-EKCertificate
	purposeAK     = "2.23.133.8.3" // tcg-kp-AIKCertificate
)

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// ParseCertificate reads a certificate, DER. ErrMalformed, or ErrPolicy for keys that are too weak
// or of a kind that the network does not know.
func ParseCertificate(raw []byte) (*Certificate, error) {
	if len(raw) > MaxCertificateBytes {
		return nil, fmt.Errorf("%w: certificate of %d bytes, at most %d", ErrMalformed, len(raw), MaxCertificateBytes)
	}
	c := &Certificate{path: -1}
	input, outer, body := cryptobyte.String(raw), cryptobyte.String(nil), cryptobyte.String(nil)
	var inner, outerAlgorithm, bodyAlgorithm, public cryptobyte.String
	var serial, version cryptobyte.String
	var hasVersion bool
	var signature asn1.BitString
	switch {
	case !input.ReadASN1(&outer, der.SEQUENCE) || !input.Empty(),
		!outer.ReadASN1Element(&inner, der.SEQUENCE),
		!outer.ReadASN1Element(&outerAlgorithm, der.SEQUENCE),
		!outer.ReadASN1BitString(&signature) || !outer.Empty() || signature.BitLength%8 != 0:
		return nil, fmt.Errorf("%w: certificate's outer structure", ErrMalformed)
	}
	c.signed, c.signature = inner, signature.Bytes
	if !inner.ReadASN1(&body, der.SEQUENCE) ||
		!body.ReadOptionalASN1(&version, &hasVersion, der.Tag(0).Constructed().ContextSpecific()) ||
		!hasVersion || !bytes.Equal(version, []byte{2, 1, 2}) ||
		!body.ReadASN1(&serial, der.INTEGER) || len(serial) == 0 || len(serial) > 21 ||
		!body.ReadASN1Element(&bodyAlgorithm, der.SEQUENCE) || !bytes.Equal(bodyAlgorithm, outerAlgorithm) {
		return nil, fmt.Errorf("%w: certificate's version (want 3), serial number or signature algorithm", ErrMalformed)
	}
	var err error
	if c.algorithm, err = parseSignatureAlgorithm(outerAlgorithm); err != nil {
		return nil, err
	}
	var issuer, validity, subject cryptobyte.String
	if !body.ReadASN1Element(&issuer, der.SEQUENCE) || !body.ReadASN1(&validity, der.SEQUENCE) ||
		!body.ReadASN1Element(&subject, der.SEQUENCE) || !body.ReadASN1Element(&public, der.SEQUENCE) {
		return nil, fmt.Errorf("%w: certificate's names, validity or key", ErrMalformed)
	}
	c.Issuer, c.Subject = issuer, subject
	if c.NotBefore, err = parseTime(&validity); err != nil {
		return nil, err
	}
	if c.NotAfter, err = parseTime(&validity); err != nil || !validity.Empty() {
		return nil, fmt.Errorf("%w: certificate's validity", ErrMalformed)
	}
	c.Key = sha256.Sum256(public)
	if c.public, err = parsePublicKey(public); err != nil {
		return nil, err
	}
	for _, tag := range []der.Tag{1, 2} { // unique identifiers, which nobody uses
		if !body.SkipOptionalASN1(tag.ContextSpecific()) {
			return nil, fmt.Errorf("%w: certificate's unique identifiers", ErrMalformed)
		}
	}
	return c, c.parseExtensions(body)
}

// parseSignatureAlgorithm reads an AlgorithmIdentifier whose parameters are NULL or absent.
func parseSignatureAlgorithm(element cryptobyte.String) (string, error) {
	var sequence, null cryptobyte.String
	var id asn1.ObjectIdentifier
	if !element.ReadASN1(&sequence, der.SEQUENCE) || !sequence.ReadASN1ObjectIdentifier(&id) {
		return "", fmt.Errorf("%w: signature algorithm", ErrMalformed)
	}
	if !sequence.Empty() && (!sequence.ReadASN1(&null, der.NULL) || len(null) != 0 || !sequence.Empty()) {
		return "", fmt.Errorf("%w: parameters of signature algorithm %s", ErrMalformed, id)
	}
	switch text := id.String(); text {
	case oidSHA256RSA, oidSHA384RSA, oidSHA512RSA, oidSHA256ECDSA, oidSHA384ECDSA, oidSHA512ECDSA:
		return text, nil
	default:
		return "", fmt.Errorf("%w: signature algorithm %s", ErrPolicy, clip(text))
	}
}

// parseTime reads a UTCTime or GeneralizedTime as Unix seconds.
func parseTime(from *cryptobyte.String) (int64, error) {
	var t time.Time
	switch {
	case from.PeekASN1Tag(der.UTCTime) && from.ReadASN1UTCTime(&t):
	case from.PeekASN1Tag(der.GeneralizedTime) && from.ReadASN1GeneralizedTime(&t):
	default:
		return 0, fmt.Errorf("%w: certificate's validity", ErrMalformed)
	}
	return t.Unix(), nil
}

// parsePublicKey reads a SubjectPublicKeyInfo: RSA of 2048 to 4096 bits with exponent 65537, or
// ECDSA on P-256 or P-384.
func parsePublicKey(element cryptobyte.String) (any, error) {
	var info, algorithm cryptobyte.String
	var id asn1.ObjectIdentifier
	var bits asn1.BitString
	if !element.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) ||
		!info.ReadASN1BitString(&bits) || !info.Empty() || bits.BitLength%8 != 0 {
		return nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	switch text := id.String(); text {
	case oidRSA, oidRSAOAEP: // parameters say how to pad, and nothing about the key
		var sequence cryptobyte.String
		n, e := new(big.Int), 0
		key := cryptobyte.String(bits.Bytes)
		if !key.ReadASN1(&sequence, der.SEQUENCE) || !key.Empty() ||
			!sequence.ReadASN1Integer(n) || !sequence.ReadASN1Integer(&e) || !sequence.Empty() {
			return nil, fmt.Errorf("%w: RSA public key", ErrMalformed)
		}
		return rsaKey(n, e)
	case oidEC:
		var curve asn1.ObjectIdentifier
		if !algorithm.ReadASN1ObjectIdentifier(&curve) || !algorithm.Empty() {
			return nil, fmt.Errorf("%w: EC public key's curve", ErrMalformed)
		}
		switch text := curve.String(); text {
		case oidP256:
			return ecKey(elliptic.P256(), bits.Bytes)
		case oidP384:
			return ecKey(elliptic.P384(), bits.Bytes)
		default:
			return nil, fmt.Errorf("%w: curve %s: want P-256 or P-384", ErrPolicy, clip(text))
		}
	default:
		return nil, fmt.Errorf("%w: public key algorithm %s", ErrPolicy, clip(text))
	}
}

func rsaKey(n *big.Int, e int) (*rsa.PublicKey, error) {
	if bits := n.BitLen(); n.Sign() <= 0 || n.Bit(0) == 0 || bits < leastRSABits || bits > mostRSABits {
		return nil, fmt.Errorf("%w: RSA modulus of %d bits: want %d to %d, odd", ErrPolicy, n.BitLen(), leastRSABits, mostRSABits)
	}
	if e != 65537 {
		return nil, fmt.Errorf("%w: RSA exponent %d: want 65537", ErrPolicy, e)
	}
	return &rsa.PublicKey{N: n, E: e}, nil
}

// ecKey reads an uncompressed point.
func ecKey(curve elliptic.Curve, point []byte) (*ecdsa.PublicKey, error) {
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("%w: not a point of %s", ErrMalformed, curve.Params().Name)
	}
	return key, nil
}

// parseExtensions reads what stands behind the key. A critical extension that is not known here
// refuses the certificate, as RFC 5280 section 4.2 asks; name constraints refuse it in any case.
func (c *Certificate) parseExtensions(body cryptobyte.String) error {
	var wrapped, list cryptobyte.String
	var present bool
	if !body.ReadOptionalASN1(&wrapped, &present, der.Tag(3).Constructed().ContextSpecific()) || !body.Empty() {
		return fmt.Errorf("%w: certificate's extensions", ErrMalformed)
	}
	if !present {
		return nil
	}
	if !wrapped.ReadASN1(&list, der.SEQUENCE) || !wrapped.Empty() {
		return fmt.Errorf("%w: certificate's extensions", ErrMalformed)
	}
	var seen []string
	for !list.Empty() {
		var extension, value cryptobyte.String
		var id asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&extension, der.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&id) ||
			extension.PeekASN1Tag(der.BOOLEAN) && !extension.ReadASN1Boolean(&critical) ||
			!extension.ReadASN1(&value, der.OCTET_STRING) || !extension.Empty() {
			return fmt.Errorf("%w: certificate's extension %d", ErrMalformed, len(seen))
		}
		text := id.String()
		if len(seen) == maxExtensions || slices.Contains(seen, text) {
			return fmt.Errorf("%w: extension %s stands twice, or is one of more than %d", ErrMalformed, clip(text), maxExtensions)
		}
		seen = append(seen, text)
		if err := c.parseExtension(text, value, critical); err != nil {
			return err
		}
	}
	return nil
}

func (c *Certificate) parseExtension(id string, value cryptobyte.String, critical bool) error {
	ok := true
	switch id {
	case oidBasicConstraints:
		ok = c.parseBasicConstraints(value)
	case oidKeyUsage:
		var bits asn1.BitString
		ok = value.ReadASN1BitString(&bits) && value.Empty() && bits.BitLength > 0 && bits.BitLength <= 9
		for i := range min(bits.BitLength, 9) {
			c.usage |= uint(bits.At(i)) << i
		}
	case oidExtKeyUsage:
		var list cryptobyte.String
		ok = value.ReadASN1(&list, der.SEQUENCE) && value.Empty() && !list.Empty()
		for ok && !list.Empty() {
			var purpose asn1.ObjectIdentifier
			ok = list.ReadASN1ObjectIdentifier(&purpose)
			c.purposes = append(c.purposes, purpose.String())
		}
	case oidAltName:
		var list cryptobyte.String
		ok = value.ReadASN1(&list, der.SEQUENCE) && value.Empty()
		for ok && !list.Empty() {
			var name cryptobyte.String
			var tag der.Tag
			ok = list.ReadAnyASN1(&name, &tag) && len(c.domains) < maxNames
			if tag == der.Tag(2).ContextSpecific() { // dNSName
				c.domains = append(c.domains, string(name))
			}
		}
	case oidPolicies: // no policy is asked for
	case oidNameConstraints:
		return fmt.Errorf("%w: certificate with name constraints", ErrPolicy)
	default:
		if critical {
			return fmt.Errorf("%w: critical extension %s is not known", ErrPolicy, clip(id))
		}
	}
	if !ok {
		return fmt.Errorf("%w: extension %s", ErrMalformed, id)
	}
	return nil
}

func (c *Certificate) parseBasicConstraints(value cryptobyte.String) bool {
	var sequence cryptobyte.String
	if !value.ReadASN1(&sequence, der.SEQUENCE) || !value.Empty() {
		return false
	}
	if sequence.PeekASN1Tag(der.BOOLEAN) && !sequence.ReadASN1Boolean(&c.authority) {
		return false
	}
	if sequence.PeekASN1Tag(der.INTEGER) {
		var most uint8
		if !sequence.ReadASN1Integer(&most) {
			return false
		}
		c.path = int(most)
	}
	return sequence.Empty()
}

// Authority says whether the certificate may issue others, for a list of roots.
func (c *Certificate) Authority() bool {
	return c.authority && (c.usage == 0 || c.usage&keyCertSign != 0)
}

// Name is the subject's common name where it has one of printable ASCII, for people.
func (c *Certificate) Name() string {
	names, found := cryptobyte.String(c.Subject), ""
	var sequence cryptobyte.String
	if !names.ReadASN1(&sequence, der.SEQUENCE) {
		return ""
	}
	for !sequence.Empty() {
		var set, pair, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var tag der.Tag
		if !sequence.ReadASN1(&set, der.SET) || !set.ReadASN1(&pair, der.SEQUENCE) ||
			!pair.ReadASN1ObjectIdentifier(&id) || !pair.ReadAnyASN1(&value, &tag) {
			return ""
		}
		if id.Equal(commonName) && len(value) <= 64 && !bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			found = string(value)
		}
	}
	return found
}

// validAt says whether a time is within the certificate's validity.
func (c *Certificate) validAt(now int64) error {
	if now < c.NotBefore || now > c.NotAfter {
		return fmt.Errorf("%w: certificate %q is valid from %d to %d, the time is %d", ErrExpired, c.Name(), c.NotBefore, c.NotAfter, now)
	}
	return nil
}

// serves says whether a certificate may be used for one of the purposes. An authority without
// a list of purposes serves all.
func (c *Certificate) serves(purposes ...string) bool {
	if c.purposes == nil && c.authority {
		return true
	}
	return slices.ContainsFunc(c.purposes, func(p string) bool {
		return slices.Contains(purposes, p) || c.authority && p == purposeAny
	})
}

// VerifyChain reads a chain, leaf first and without its root, and checks that each certificate was
// issued by the next and the last by the root, that all are valid at a time, Unix seconds, and
// serve one of the purposes. It gives the certificates, leaf first.
func verifyChain(raw [][]byte, root *Certificate, now int64, purposes ...string) ([]*Certificate, error) {
	if len(raw) == 0 || len(raw) > MaxChain {
		return nil, fmt.Errorf("%w: chain of %d certificates: want 1 to %d", ErrMalformed, len(raw), MaxChain)
	}
	chain := make([]*Certificate, len(raw))
	for i, b := range raw {
		var err error
		if chain[i], err = ParseCertificate(b); err != nil {
			return nil, fmt.Errorf("chain[%d]: %w", i, err)
		}
	}
	for i, c := range chain {
		issuer := root
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		if err := c.issuedBy(issuer, i); err != nil {
			return nil, fmt.Errorf("chain[%d]: %w", i, err)
		}
		if c.authority != (i > 0) {
			return nil, fmt.Errorf("%w: chain[%d]: authority is %t", ErrChain, i, c.authority)
		}
		if !c.serves(purposes...) {
			return nil, fmt.Errorf("%w: chain[%d]: purposes %v: want one of %v", ErrPolicy, i, c.purposes, purposes)
		}
		if err := c.validAt(now); err != nil {
			return nil, fmt.Errorf("chain[%d]: %w", i, err)
		}
	}
	if err := root.validAt(now); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	return chain, nil
}

// issuedBy checks that an authority signed a certificate that has a number of authorities below it.
func (c *Certificate) issuedBy(issuer *Certificate, below int) error {
	switch {
	case !bytes.Equal(c.Issuer, issuer.Subject):
		return fmt.Errorf("%w: issuer is not the subject of the next certificate %q", ErrChain, issuer.Name())
	case !issuer.Authority():
		return fmt.Errorf("%w: issuer %q may not issue certificates", ErrChain, issuer.Name())
	case issuer.path >= 0 && below > issuer.path:
		return fmt.Errorf("%w: issuer %q allows %d authorities below it, there are %d", ErrChain, issuer.Name(), issuer.path, below)
	}
	var hash crypto.Hash
	switch c.algorithm {
	case oidSHA256RSA, oidSHA256ECDSA:
		hash = crypto.SHA256
	case oidSHA384RSA, oidSHA384ECDSA:
		hash = crypto.SHA384
	default:
		hash = crypto.SHA512
	}
	if _, isRSA := issuer.public.(*rsa.PublicKey); isRSA != strings.HasPrefix(c.algorithm, oidRSA[:len(oidRSA)-1]) {
		return fmt.Errorf("%w: signature algorithm %s is not that of the issuer's key", ErrChain, c.algorithm)
	}
	if err := verifyDigest(issuer.public, hash, digest(hash, c.signed), c.signature); err != nil {
		return fmt.Errorf("%w: %w by %q", ErrChain, err, issuer.Name())
	}
	return nil
}

func digest(hash crypto.Hash, message []byte) []byte {
	switch hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return sum[:]
	default:
		sum := sha512.Sum512(message)
		return sum[:]
	}
}

// verifyDigest checks a signature as X.509 and TLS carry them: PKCS #1 v1.5, or ECDSA as a DER
// sequence of two positive integers.
func verifyDigest(public any, hash crypto.Hash, digest, sig []byte) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(key, hash, digest, sig) != nil {
			return ErrSignature
		}
	case *ecdsa.PublicKey:
		input, r, s := cryptobyte.String(sig), new(big.Int), new(big.Int)
		var sequence cryptobyte.String
		if !input.ReadASN1(&sequence, der.SEQUENCE) || !input.Empty() ||
			!sequence.ReadASN1Integer(r) || !sequence.ReadASN1Integer(s) || !sequence.Empty() {
			return fmt.Errorf("%w: not an ECDSA signature", ErrSignature)
		}
		if !verifyECDSA(key, digest, r, s) {
			return ErrSignature
		}
	default:
		return ErrSignature
	}
	return nil
}

func verifyECDSA(key *ecdsa.PublicKey, digest []byte, r, s *big.Int) bool {
	return r.Sign() > 0 && s.Sign() > 0 && r.BitLen() <= key.Params().BitSize && s.BitLen() <= key.Params().BitSize &&
		ecdsa.Verify(key, digest, r, s)
}

// clip shortens text from outside.
func clip(text string) string { return text[:min(len(text), 64)] }
