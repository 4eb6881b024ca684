package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-network/cairn/core/device"
)

// Finding is what evidence that holds says.
type Finding struct {
	// Until is when the first thing that it rests on ends, Unix seconds.
	Until int64
	// Subject is for people: the domain or the name in the hardware's certificate.
	Subject string
	// Anchors are the keys whose revocation ends it.
	Anchors []Fingerprint
	// Hardware is the key by which one piece of hardware is known; zero where none was shown.
	Hardware Fingerprint
	// Attesters are those whose word was taken, in the order of the evidence.
	Attesters []Fingerprint
}

// TLS is evidence that a domain vouches for a device.
type TLS struct {
	Domain    string
	Chain     [][]byte // DER, leaf first, without the root
	Signature []byte   // by the leaf's key, over the statement
}

// maxDomainBytes: RFC 1035 section 2.3.4, without the root dot.
const maxDomainBytes = 253

// Verify checks the evidence against a trusted root at a time, Unix seconds.
func (e TLS) Verify(s Subject, root *Certificate, now int64) (Finding, error) {
	if !isDomain(e.Domain) {
		return Finding{}, fmt.Errorf("%w: domain %q: want lower-case labels with a dot between", ErrMalformed, clip(e.Domain))
	}
	chain, err := verifyChain(e.Chain, root, now, purposeServer, purposeClient)
	if err != nil {
		return Finding{}, err
	}
	leaf := chain[0]
	if !slices.ContainsFunc(leaf.domains, func(pattern string) bool { return covers(pattern, e.Domain) }) {
		return Finding{}, fmt.Errorf("%w: domain %s is not among those of the certificate", ErrPolicy, e.Domain)
	}
	if leaf.usage != 0 && leaf.usage&digitalSignature == 0 {
		return Finding{}, fmt.Errorf("%w: chain[0]: its key may not sign", ErrPolicy)
	}
	if err := verifyDigest(leaf.public, crypto.SHA256, digest(crypto.SHA256, s.Statement()), e.Signature); err != nil {
		return Finding{}, fmt.Errorf("signature by the key of %s over %s: %w", e.Domain, s, err)
	}
	f := Finding{Subject: e.Domain, Anchors: []Fingerprint{s.Key.Fingerprint()}}
	f.rest(chain, root)
	return f, nil
}

// rest adds what a chain rests on.
func (f *Finding) rest(chain []*Certificate, root *Certificate) {
	f.Until = root.NotAfter
	for _, c := range chain {
		f.Until = min(f.Until, c.NotAfter)
		f.Anchors = append(f.Anchors, c.Key)
	}
}

// covers says whether a certificate's DNS name, whose first label may be "*", names a domain.
func covers(pattern, domain string) bool {
	pattern = strings.ToLower(pattern)
	if pattern == domain {
		return true
	}
	_, parent, _ := strings.Cut(domain, ".")
	rest, wild := strings.CutPrefix(pattern, "*.")
	return wild && rest == parent && strings.Contains(rest, ".")
}

// isDomain says whether text is a host name of at least two labels, lower case (RFC 1123 section 2.1).
func isDomain(text string) bool {
	if len(text) > maxDomainBytes || !strings.Contains(text, ".") {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}

// String names the subject in errors.
func (s Subject) String() string {
	return fmt.Sprintf("chain %s, device %d, owner %s, epoch %d", s.ChainID, s.Device, s.Owner, s.Epoch)
}

// Manufacturer is evidence that a maker knows a device key.
type Manufacturer struct {
	Expiry          int64
	Signature       []byte // by the maker, over ManufacturerBytes
	DeviceSignature []byte // by the device key, over the statement
}

// Verify checks the evidence against the maker's key at a time, Unix seconds.
func (e Manufacturer) Verify(s Subject, maker Key, now int64) (Finding, error) {
	if now > e.Expiry {
		return Finding{}, fmt.Errorf("%w: expiry %d, the time is %d", ErrExpired, e.Expiry, now)
	}
	if err := maker.verify(ManufacturerBytes(s.ChainID, s.Key, e.Expiry), e.Signature); err != nil {
		return Finding{}, fmt.Errorf("%w: signature by the manufacturer: %w", ErrSignature, err)
	}
	if err := s.Key.verify(s.Statement(), e.DeviceSignature); err != nil {
		return Finding{}, fmt.Errorf("%w: device_signature over %s: %w", ErrSignature, s, err)
	}
	key := s.Key.Fingerprint()
	return Finding{Until: e.Expiry, Anchors: []Fingerprint{key, Word(maker.Fingerprint(), key)}}, nil
}

// TPM is evidence that a device key lives in a TPM 2.0.
type TPM struct {
	AKPublic, DevicePublic  []byte // TPMT_PUBLIC
	Certify, CertifySig     []byte // of the device key, by the AK: TPMS_ATTEST, TPMT_SIGNATURE
	Quote, QuoteSig         []byte // by the AK
	Chain                   [][]byte
	AKCertify, AKCertifySig []byte       // of the AK, by the key of the chain's leaf; empty where that is the AK
	Activations             []Activation // where the chain's leaf is an endorsement key
}

// Activation is an attester's word that an attestation key lives beside an endorsement key.
type Activation struct {
	Attester  Fingerprint
	Expiry    int64
	Signature []byte
}

// TPMPolicy says which TPMs are good enough.
type TPMPolicy struct {
	// Endorsement says that the root issues certificates of endorsement keys, which take
	// activations, and not of restricted signing keys.
	Endorsement bool
	// Attesters is how many different attesters must have activated a credential.
	Attesters int
	// Attester gives the key of a trusted attester, or an error.
	Attester func(Fingerprint) (Key, error)
	// PCRs of the SHA-256 bank that the quote must cover, bit n for PCR n, and digests over them that
	// are accepted; any if there are none.
	PCRs    uint32
	Digests [][]byte
}

// MaxActivations bounds the attesters that one piece of evidence may name.
const MaxActivations = 8

// Verify checks the evidence against a trusted root at a time, Unix seconds.
func (e TPM) Verify(s Subject, root *Certificate, policy TPMPolicy, now int64) (Finding, error) {
	purposes := []string{purposeAK, purposeEK}
	if policy.Endorsement {
		purposes = []string{purposeEK}
	}
	chain, err := verifyChain(e.Chain, root, now, purposes...)
	if err != nil {
		return Finding{}, err
	}
	ak, err := parsePublic(e.AKPublic)
	if err != nil {
		return Finding{}, fmt.Errorf("ak_public: %w", err)
	}
	if err := ak.attributed("ak_public", fixedTPM|fixedParent|sensitiveDataOrigin|restricted|sign, decrypt); err != nil {
		return Finding{}, err
	}
	challenge := s.Challenge()
	f := Finding{
		Subject:  chain[0].Name(),
		Hardware: chain[0].Key,
		Anchors:  []Fingerprint{s.Key.Fingerprint(), Fingerprint(ak.name[2:])},
	}
	f.rest(chain, root)
	if policy.Endorsement {
		err = e.activated(&f, s, chain[0], ak, policy, now)
	} else {
		err = e.certified(chain[0], ak, challenge)
	}
	if err != nil {
		return Finding{}, err
	}
	certify, err := e.deviceKey(s, ak, challenge)
	if err != nil {
		return Finding{}, err
	}
	return f, e.measured(certify, ak, challenge, policy)
}

// attributed checks the attributes of a TPM key: all of some, none of others.
func (o object) attributed(field string, all, none uint32) error {
	if o.attributes&all != all || o.attributes&none != 0 {
		return fmt.Errorf("%w: %s: attributes %#08x: want all of %#08x and none of %#08x", ErrPolicy, field, o.attributes, all, none)
	}
	return nil
}

// certified checks that the chain's leaf is the attestation key, or certifies it by name.
func (e TPM) certified(leaf *Certificate, ak object, challenge [32]byte) error {
	if leaf.usage&digitalSignature == 0 {
		return fmt.Errorf("%w: chain[0]: its key may not sign", ErrPolicy)
	}
	if len(e.Activations) > 0 {
		return fmt.Errorf("%w: activations: not for a key that signs", ErrMalformed)
	}
	if len(e.AKCertify) == 0 {
		if !equalKeys(leaf.public, ak.public) {
			return fmt.Errorf("%w: chain[0] is not the certificate of ak_public, and ak_certify is empty", ErrPolicy)
		}
		return nil
	}
	_, err := certifies("ak_certify", leaf.public, e.AKCertify, e.AKCertifySig, ak.name, challenge)
	return err
}

// activated checks that enough attesters activated a credential of the chain's leaf for the
// attestation key.
func (e TPM) activated(f *Finding, s Subject, leaf *Certificate, ak object, policy TPMPolicy, now int64) error {
	if leaf.usage&(keyEncipherment|keyAgreement) == 0 {
		return fmt.Errorf("%w: chain[0]: its key may not decrypt", ErrPolicy)
	}
	if len(e.AKCertify) > 0 {
		return fmt.Errorf("%w: ak_certify: not by a key that decrypts", ErrMalformed)
	}
	if n := len(e.Activations); n < max(policy.Attesters, 1) || n > MaxActivations {
		return fmt.Errorf("%w: %d activations: want %d to %d", ErrPolicy, n, max(policy.Attesters, 1), MaxActivations)
	}
	for i, a := range e.Activations {
		if slices.Contains(f.Attesters, a.Attester) {
			return fmt.Errorf("%w: activations[%d]: attester %x stands twice", ErrPolicy, i, a.Attester[:8])
		}
		if now > a.Expiry {
			return fmt.Errorf("%w: activations[%d]: expiry %d, the time is %d", ErrExpired, i, a.Expiry, now)
		}
		key, err := policy.Attester(a.Attester)
		if err != nil {
			return fmt.Errorf("activations[%d]: %w", i, err)
		}
		if err := key.verify(ActivationBytes(s.ChainID, leaf.Key, ak.name, a.Expiry), a.Signature); err != nil {
			return fmt.Errorf("%w: activations[%d]: %w", ErrSignature, i, err)
		}
		f.Attesters = append(f.Attesters, a.Attester)
		f.Anchors = append(f.Anchors, Word(a.Attester, Fingerprint(ak.name[2:])))
		f.Until = min(f.Until, a.Expiry)
	}
	return nil
}

// certifies checks that a key attested that an object of a name is in its TPM, over the challenge.
func certifies(field string, by any, attest, sig []byte, name Name, challenge [32]byte) (attested, error) {
	a, err := parseAttest(attest, attestCertify)
	if err != nil {
		return attested{}, fmt.Errorf("%s: %w", field, err)
	}
	if err := verifyTPM(by, attest, sig); err != nil {
		return attested{}, fmt.Errorf("%s_signature: %w", field, err)
	}
	if !bytes.Equal(a.name, name[:]) {
		return attested{}, fmt.Errorf("%w: %s names object %x, not %x", ErrPolicy, field, a.name, name)
	}
	if !bytes.Equal(a.extra, challenge[:]) {
		return attested{}, fmt.Errorf("%w: %s has qualifying data %x, want %x", ErrStatement, field, a.extra, challenge)
	}
	return a, nil
}

// deviceKey checks that the attestation key certifies the device key, and that it is one that was
// made in the TPM and cannot leave it.
func (e TPM) deviceKey(s Subject, ak object, challenge [32]byte) (attested, error) {
	key, err := parsePublic(e.DevicePublic)
	if err != nil {
		return attested{}, fmt.Errorf("device_public: %w", err)
	}
	if err := key.attributed("device_public", fixedTPM|fixedParent|sensitiveDataOrigin|sign, restricted|decrypt); err != nil {
		return attested{}, err
	}
	public, isEC := key.public.(*ecdsa.PublicKey)
	if !isEC || public.Curve != elliptic.P256() || s.Key.Type != device.P256 {
		return attested{}, fmt.Errorf("%w: device_public: want a P-256 key, and a device registered with it", ErrPolicy)
	}
	if compressed := compress(public); !bytes.Equal(compressed, s.Key.Bytes) {
		return attested{}, fmt.Errorf("%w: device_public is key %x, the device's is %x", ErrStatement, compressed, s.Key.Bytes)
	}
	return certifies("certify", ak.public, e.Certify, e.CertifySig, key.name, challenge)
}

// compress encodes a point of P-256 as SEC 1 section 2.3.3 does, 33 bytes.
func compress(key *ecdsa.PublicKey) []byte {
	point, err := key.Bytes()
	if err != nil {
		return nil
	}
	return append([]byte{2 | point[64]&1}, point[1:33]...)
}

// measured checks the quote: same key and boot as the certification, and the PCRs of the policy.
func (e TPM) measured(certify attested, ak object, challenge [32]byte, policy TPMPolicy) error {
	quote, err := parseAttest(e.Quote, attestQuote)
	if err != nil {
		return fmt.Errorf("quote: %w", err)
	}
	if err := verifyTPM(ak.public, e.Quote, e.QuoteSig); err != nil {
		return fmt.Errorf("quote_signature: %w", err)
	}
	switch {
	case !bytes.Equal(quote.extra, challenge[:]):
		return fmt.Errorf("%w: quote has qualifying data %x, want %x", ErrStatement, quote.extra, challenge)
	case quote.boots != certify.boots || !bytes.Equal(quote.signer, certify.signer):
		return fmt.Errorf("%w: quote and certify are of different boots or keys", ErrPolicy)
	case quote.pcrs != policy.PCRs:
		return fmt.Errorf("%w: quote covers PCRs %#06x: want %#06x", ErrPolicy, quote.pcrs, policy.PCRs)
	case len(policy.Digests) > 0 && !slices.ContainsFunc(policy.Digests, func(d []byte) bool { return bytes.Equal(d, quote.digest) }):
		return fmt.Errorf("%w: quote: PCR digest %x is not listed", ErrPolicy, quote.digest)
	}
	return nil
}

// equalKeys says whether two keys, as the parsers give them, are the same.
func equalKeys(a, b any) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}
