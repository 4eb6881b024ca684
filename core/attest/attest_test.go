package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/tpm/tpmtest"
)

const pcrs = 0x81

var (
	at      = time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	now     = at.Unix()
	ek      = tpmtest.RSA(2048)
	maker   = tpmtest.NewRoot("chip maker", tpmtest.P384(), at)
	below   = maker.Under("chip maker, plant 2", tpmtest.RSA(2048), at)
	foreign = tpmtest.NewRoot("chip maker", tpmtest.P384(), at) // same name, another key
	alice   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	bob     = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
)

func key(k ed25519.PrivateKey) attest.Key {
	return attest.Key{Type: device.Ed25519, Bytes: k.Public().(ed25519.PublicKey)}
}

func ekCertificate(c *x509.Certificate) {
	c.KeyUsage, c.UnknownExtKeyUsage = x509.KeyUsageKeyEncipherment, []asn1.ObjectIdentifier{tpmtest.PurposeEK}
}

func akCertificate(c *x509.Certificate) {
	c.KeyUsage, c.UnknownExtKeyUsage = x509.KeyUsageDigitalSignature, []asn1.ObjectIdentifier{tpmtest.PurposeAK}
}

// scene is evidence that holds, with what it is checked against; cases spoil one thing each.
type scene struct {
	chip     *tpmtest.Chip
	subject  attest.Subject
	evidence attest.TPM
	root     *attest.Certificate
	policy   attest.TPMPolicy
	now      int64
}

func newScene(change func(*tpmtest.Chip)) *scene {
	s := &scene{chip: tpmtest.NewChip(ek), root: maker.Parsed(), now: now}
	change(s.chip)
	s.subject = attest.Subject{ChainID: "cairn-test-1", Device: 7, Key: s.chip.DeviceKey(), Owner: "cairn1owner", Epoch: 3, Beacon: [32]byte{9}}
	s.evidence = s.chip.Evidence(s.subject, pcrs)
	s.policy = attest.TPMPolicy{PCRs: pcrs, Attesters: 2, Attester: func(f attest.Fingerprint) (attest.Key, error) {
		for _, k := range []ed25519.PrivateKey{alice, bob} {
			if key(k).Fingerprint() == f {
				return key(k), nil
			}
		}
		return attest.Key{}, errUnknown
	}}
	return s
}

var errUnknown = errors.New("unknown attester")

// endorsed is a scene whose chain ends at an endorsement key.
func endorsed(change func(*tpmtest.Chip)) *scene {
	s := newScene(change)
	s.policy.Endorsement = true
	s.evidence.Chain = [][]byte{below.Issue(&ek.PublicKey, at, ekCertificate), below.Certificate.Raw}
	s.activate(alice, bob)
	return s
}

// certified is a scene whose chain ends at the attestation key.
func certified(change func(*tpmtest.Chip)) *scene {
	s := newScene(change)
	s.evidence.Chain = [][]byte{below.Issue(&s.chip.AK.PublicKey, at, akCertificate), below.Certificate.Raw}
	return s
}

func (s *scene) activate(attesters ...ed25519.PrivateKey) {
	leaf, err := attest.ParseCertificate(s.evidence.Chain[0])
	if err != nil {
		panic(err)
	}
	s.evidence.Activations = nil
	for _, k := range attesters {
		expiry := now + 1000
		signed := attest.ActivationBytes(s.subject.ChainID, leaf.Key, s.chip.AKName(), expiry)
		s.evidence.Activations = append(s.evidence.Activations, attest.Activation{
			Attester: key(k).Fingerprint(), Expiry: expiry, Signature: ed25519.Sign(k, signed),
		})
	}
}

func (s *scene) verify() (attest.Finding, error) {
	return s.evidence.Verify(s.subject, s.root, s.policy, s.now)
}

func unchanged(*tpmtest.Chip) {}

func TestGenuineTPMs(t *testing.T) {
	f, err := endorsed(unchanged).verify()
	if err != nil {
		t.Fatal(err)
	}
	if f.Until != now+1000 || len(f.Attesters) != 2 || f.Hardware == (attest.Fingerprint{}) {
		t.Errorf("endorsed: %+v", f)
	}
	if _, err := certified(unchanged).verify(); err != nil {
		t.Error(err)
	}
	// A certified signing key that is not the attestation key vouches for it by name.
	s := newScene(unchanged)
	signer := tpmtest.P256()
	s.evidence.Chain = [][]byte{below.Issue(&signer.PublicKey, at, akCertificate), below.Certificate.Raw}
	if _, err := s.verify(); !errors.Is(err, attest.ErrPolicy) {
		t.Errorf("attestation key without a link to the certificate: %v", err)
	}
	s.evidence.AKCertify, s.evidence.AKCertifySig = s.chip.Certify(signer, s.chip.AKPublic, s.subject.Challenge())
	f, err = s.verify()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := attest.ParseCertificate(s.evidence.Chain[0]); err != nil || f.Hardware != c.Key {
		t.Errorf("hardware is %x", f.Hardware)
	}
	s.policy.Digests = [][]byte{s.chip.PCRDigest[:]}
	if _, err := s.verify(); err != nil {
		t.Error(err)
	}
}

// Whatever is wrong is refused for what it is.
func TestForgedTPMs(t *testing.T) {
	weaken := func(change func(*tpm2.TPMAObject)) func(*tpmtest.Chip) {
		return func(c *tpmtest.Chip) { change(&c.DevicePublic.ObjectAttributes) }
	}
	weakenAK := func(change func(*tpm2.TPMAObject)) func(*tpmtest.Chip) {
		return func(c *tpmtest.Chip) { change(&c.AKPublic.ObjectAttributes) }
	}
	made := func(build func(func(*tpmtest.Chip)) *scene, change func(*tpmtest.Chip)) func() *scene {
		return func() *scene { return build(change) }
	}
	then := func(build func(func(*tpmtest.Chip)) *scene, spoil func(*scene)) func() *scene {
		return func() *scene {
			s := build(unchanged)
			spoil(s)
			return s
		}
	}
	for name, c := range map[string]struct {
		scene func() *scene
		want  error
	}{
		"device key may leave the chip":   {made(endorsed, weaken(func(a *tpm2.TPMAObject) { a.FixedTPM = false })), attest.ErrPolicy},
		"device key may change parents":   {made(endorsed, weaken(func(a *tpm2.TPMAObject) { a.FixedParent = false })), attest.ErrPolicy},
		"device key was brought":          {made(endorsed, weaken(func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false })), attest.ErrPolicy},
		"device key decrypts":             {made(endorsed, weaken(func(a *tpm2.TPMAObject) { a.Decrypt = true })), attest.ErrPolicy},
		"device key signs nothing":        {made(endorsed, weaken(func(a *tpm2.TPMAObject) { a.SignEncrypt = false })), attest.ErrPolicy},
		"attestation key signs anything":  {made(endorsed, weakenAK(func(a *tpm2.TPMAObject) { a.Restricted = false })), attest.ErrPolicy},
		"attestation key may leave":       {made(endorsed, weakenAK(func(a *tpm2.TPMAObject) { a.FixedTPM = false })), attest.ErrPolicy},
		"attestation key was brought":     {made(certified, weakenAK(func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false })), attest.ErrPolicy},
		"name algorithm SHA-384":          {made(endorsed, func(c *tpmtest.Chip) { c.DevicePublic.NameAlg = tpm2.TPMAlgSHA384 }), attest.ErrPolicy},
		"other chain":                     {then(endorsed, func(s *scene) { s.subject.ChainID = "cairn-2" }), attest.ErrSignature},
		"other chain, certified":          {then(certified, func(s *scene) { s.subject.ChainID = "cairn-2" }), attest.ErrStatement},
		"other device":                    {then(endorsed, func(s *scene) { s.subject.Device++ }), attest.ErrStatement},
		"other owner":                     {then(endorsed, func(s *scene) { s.subject.Owner = "cairn1thief" }), attest.ErrStatement},
		"other epoch":                     {then(endorsed, func(s *scene) { s.subject.Epoch++ }), attest.ErrStatement},
		"other beacon":                    {then(endorsed, func(s *scene) { s.subject.Beacon[31]++ }), attest.ErrStatement},
		"other device's key":              {then(endorsed, func(s *scene) { s.subject.Key = tpmtest.NewChip(ek).DeviceKey() }), attest.ErrStatement},
		"device with an Ed25519 key":      {then(endorsed, func(s *scene) { s.subject.Key = key(alice) }), attest.ErrPolicy},
		"quote of another boot":           {then(endorsed, func(s *scene) { s.chip.Resets++; s.requote(pcrs) }), attest.ErrPolicy},
		"quote over fewer PCRs":           {then(endorsed, func(s *scene) { s.requote(1) }), attest.ErrPolicy},
		"quote by the device key":         {then(endorsed, func(s *scene) { s.chip.AK = s.chip.Device; s.requote(pcrs) }), attest.ErrSignature},
		"PCR digest not listed":           {then(endorsed, func(s *scene) { s.policy.Digests = [][]byte{make([]byte, 32)} }), attest.ErrPolicy},
		"quote flipped":                   {then(endorsed, func(s *scene) { s.evidence.Quote[60] ^= 1 }), attest.ErrSignature},
		"quote's signature flipped":       {then(endorsed, func(s *scene) { s.evidence.QuoteSig[20] ^= 1 }), attest.ErrSignature},
		"quote in place of certify":       {then(endorsed, func(s *scene) { s.evidence.Certify, s.evidence.CertifySig = s.evidence.Quote, s.evidence.QuoteSig }), attest.ErrMalformed},
		"quote with something behind":     {then(endorsed, func(s *scene) { s.evidence.Quote = append(s.evidence.Quote, 0) }), attest.ErrMalformed},
		"quote cut short":                 {then(endorsed, func(s *scene) { s.evidence.Quote = s.evidence.Quote[:40] }), attest.ErrMalformed},
		"quote of nothing":                {then(endorsed, func(s *scene) { s.evidence.Quote = nil }), attest.ErrMalformed},
		"huge structure":                  {then(endorsed, func(s *scene) { s.evidence.AKPublic = make([]byte, 1<<20) }), attest.ErrMalformed},
		"certify of another object":       {then(endorsed, func(s *scene) { s.recertify(tpmtest.NewChip(ek).DevicePublic) }), attest.ErrPolicy},
		"no chain":                        {then(endorsed, func(s *scene) { s.evidence.Chain = nil }), attest.ErrMalformed},
		"chain too long":                  {then(endorsed, func(s *scene) { s.evidence.Chain = make([][]byte, 5) }), attest.ErrMalformed},
		"intermediate left out":           {then(endorsed, func(s *scene) { s.evidence.Chain = s.evidence.Chain[:1] }), attest.ErrChain},
		"root of the same name":           {then(endorsed, func(s *scene) { s.root = foreign.Parsed() }), attest.ErrChain},
		"certificate flipped":             {then(endorsed, func(s *scene) { s.evidence.Chain[0][len(s.evidence.Chain[0])-10] ^= 1 }), attest.ErrChain},
		"certificate with something more": {then(endorsed, func(s *scene) { s.evidence.Chain[0] = append(s.evidence.Chain[0], 0) }), attest.ErrMalformed},
		"huge certificate":                {then(endorsed, func(s *scene) { s.evidence.Chain[0] = make([]byte, 5000) }), attest.ErrMalformed},
		"nested DER":                      {then(endorsed, func(s *scene) { s.evidence.Chain[0] = nested(900) }), attest.ErrMalformed},
		"expired":                         {then(endorsed, func(s *scene) { s.now = at.AddDate(1, 0, 1).Unix() }), attest.ErrExpired},
		"not yet valid":                   {then(endorsed, func(s *scene) { s.now = at.Add(-2 * time.Hour).Unix() }), attest.ErrExpired},
		"leaf as authority":               {then(endorsed, func(s *scene) { s.issueBelowLeaf() }), attest.ErrChain},
		"certificate for something else": {then(endorsed, func(s *scene) {
			s.reissue(func(c *x509.Certificate) {
				c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageKeyEncipherment, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			})
		}), attest.ErrPolicy},
		"certificate of a key that signs": {then(endorsed, func(s *scene) { s.reissue(akCertificate) }), attest.ErrPolicy},
		"unknown critical extension": {then(endorsed, func(s *scene) {
			s.reissue(func(c *x509.Certificate) {
				ekCertificate(c)
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
			})
		}), attest.ErrPolicy},
		"name constraints": {then(endorsed, func(s *scene) {
			s.reissue(func(c *x509.Certificate) { ekCertificate(c); c.PermittedDNSDomains = []string{"example"} })
		}), attest.ErrPolicy},
		"RSA-1024": {then(endorsed, func(s *scene) {
			s.evidence.Chain[0] = below.Issue(&weakRSA.PublicKey, at, ekCertificate)
		}), attest.ErrPolicy},
		"no activation":          {then(endorsed, func(s *scene) { s.activate() }), attest.ErrPolicy},
		"one activation of two":  {then(endorsed, func(s *scene) { s.activate(alice) }), attest.ErrPolicy},
		"one attester twice":     {then(endorsed, func(s *scene) { s.activate(alice, alice) }), attest.ErrPolicy},
		"unknown attester":       {then(endorsed, func(s *scene) { s.activate(alice, ed25519.NewKeyFromSeed(make([]byte, 32))) }), errUnknown},
		"activation expired":     {then(endorsed, func(s *scene) { s.evidence.Activations[1].Expiry = now - 1 }), attest.ErrExpired},
		"activation prolonged":   {then(endorsed, func(s *scene) { s.evidence.Activations[1].Expiry++ }), attest.ErrSignature},
		"activation of other AK": {then(endorsed, func(s *scene) { s.chip.AKPublic.AuthPolicy.Buffer = make([]byte, 32); s.activate(alice, bob) }), attest.ErrSignature},
		"activation of a key that signs": {then(certified, func(s *scene) {
			s.evidence.Activations = []attest.Activation{{}}
		}), attest.ErrMalformed},
		"certificate of another AK": {then(certified, func(s *scene) {
			s.evidence.Chain[0] = below.Issue(&tpmtest.P256().PublicKey, at, akCertificate)
		}), attest.ErrPolicy},
		"endorsement key as AK": {then(certified, func(s *scene) { s.evidence.Chain[0] = below.Issue(&ek.PublicKey, at, ekCertificate) }), attest.ErrPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.scene()
			if _, err := s.verify(); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

var weakRSA = func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return k
}()

func (s *scene) requote(mask uint32) {
	s.evidence.Quote, s.evidence.QuoteSig = s.chip.Quote(s.chip.AK, mask, s.subject.Challenge())
}

func (s *scene) recertify(object tpm2.TPMTPublic) {
	s.evidence.Certify, s.evidence.CertifySig = s.chip.Certify(s.chip.AK, object, s.subject.Challenge())
}

func (s *scene) reissue(change func(*x509.Certificate)) {
	s.evidence.Chain[0] = below.Issue(&ek.PublicKey, at, change)
}

// issueBelowLeaf has the holder of a leaf certificate issue another one.
func (s *scene) issueBelowLeaf() {
	leafKey := tpmtest.P256()
	raw := below.Issue(&leafKey.PublicKey, at, ekCertificate)
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		panic(err)
	}
	forger := tpmtest.Authority{Key: leafKey, Certificate: leaf}
	s.evidence.Chain = [][]byte{forger.Issue(&ek.PublicKey, at, ekCertificate), raw, below.Certificate.Raw}
}

// nested is a sequence in a sequence, many deep.
func nested(depth int) []byte {
	var b []byte
	for range depth {
		header := []byte{0x30, 0x82, byte(len(b) >> 8), byte(len(b))}
		b = append(header, b...)
	}
	return b
}

func TestTLS(t *testing.T) {
	root := tpmtest.NewRoot("web", tpmtest.RSA(2048), at)
	mid := root.Under("web, issuing", tpmtest.P384(), at)
	for name, leafKey := range map[string]crypto.Signer{"P-256": tpmtest.P256(), "RSA": tpmtest.RSA(2048)} {
		t.Run(name, func(t *testing.T) {
			subject := attest.Subject{ChainID: "cairn-test-1", Device: 7, Key: key(alice), Owner: "cairn1owner", Epoch: 3, Beacon: [32]byte{9}}
			leaf := mid.Issue(leafKey.Public(), at, func(c *x509.Certificate) {
				c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				c.DNSNames = []string{"node.example.org", "*.nodes.example.org"}
			})
			digest := sha256.Sum256(subject.Statement())
			sig, err := leafKey.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			good := attest.TLS{Domain: "node.example.org", Chain: [][]byte{leaf, mid.Certificate.Raw}, Signature: sig}
			for name, c := range map[string]struct {
				spoil func(*attest.TLS, *attest.Subject)
				want  error
			}{
				"good":               {func(*attest.TLS, *attest.Subject) {}, nil},
				"wildcard":           {func(e *attest.TLS, _ *attest.Subject) { e.Domain = "a.nodes.example.org" }, nil},
				"wildcard two deep":  {func(e *attest.TLS, _ *attest.Subject) { e.Domain = "a.b.nodes.example.org" }, attest.ErrPolicy},
				"wildcard itself":    {func(e *attest.TLS, _ *attest.Subject) { e.Domain = "nodes.example.org" }, attest.ErrPolicy},
				"other domain":       {func(e *attest.TLS, _ *attest.Subject) { e.Domain = "example.org" }, attest.ErrPolicy},
				"asterisk":           {func(e *attest.TLS, _ *attest.Subject) { e.Domain = "*.nodes.example.org" }, attest.ErrMalformed},
				"upper case":         {func(e *attest.TLS, _ *attest.Subject) { e.Domain = "NODE.example.org" }, attest.ErrMalformed},
				"other device":       {func(_ *attest.TLS, s *attest.Subject) { s.Device++ }, attest.ErrSignature},
				"other owner":        {func(_ *attest.TLS, s *attest.Subject) { s.Owner = "cairn1thief" }, attest.ErrSignature},
				"other chain":        {func(_ *attest.TLS, s *attest.Subject) { s.ChainID = "cairn-2" }, attest.ErrSignature},
				"signature flipped":  {func(e *attest.TLS, _ *attest.Subject) { e.Signature = append([]byte{0}, e.Signature[1:]...) }, attest.ErrSignature},
				"no signature":       {func(e *attest.TLS, _ *attest.Subject) { e.Signature = nil }, attest.ErrSignature},
				"certificate of TPM": {func(e *attest.TLS, _ *attest.Subject) { e.Chain[0] = mid.Issue(leafKey.Public(), at, akCertificate) }, attest.ErrPolicy},
			} {
				e, s := good, subject
				e.Chain = [][]byte{bytes.Clone(good.Chain[0]), bytes.Clone(good.Chain[1])}
				c.spoil(&e, &s)
				f, err := e.Verify(s, root.Parsed(), now)
				if !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", name, err, c.want)
				}
				if err == nil && (f.Subject != e.Domain || f.Until != at.AddDate(1, 0, 0).Unix()) {
					t.Errorf("%s: found %+v", name, f)
				}
			}
		})
	}
}

func TestManufacturer(t *testing.T) {
	subject := attest.Subject{ChainID: "cairn-test-1", Device: 7, Key: key(alice), Owner: "cairn1owner", Epoch: 3}
	sign := func(maker ed25519.PrivateKey, of attest.Key, expiry int64, by ed25519.PrivateKey, s attest.Subject) attest.Manufacturer {
		return attest.Manufacturer{
			Expiry: expiry, Signature: ed25519.Sign(maker, attest.ManufacturerBytes(s.ChainID, of, expiry)), DeviceSignature: ed25519.Sign(by, s.Statement()),
		}
	}
	if _, err := sign(bob, key(alice), now+9, alice, subject).Verify(subject, key(bob), now); err != nil {
		t.Error(err)
	}
	other := subject
	other.Device++
	for name, c := range map[string]struct {
		evidence attest.Manufacturer
		want     error
	}{
		"expired":        {sign(bob, key(alice), now-1, alice, subject), attest.ErrExpired},
		"another maker":  {sign(alice, key(alice), now+9, alice, subject), attest.ErrSignature},
		"another key":    {sign(bob, key(bob), now+9, alice, subject), attest.ErrSignature},
		"another device": {sign(bob, key(alice), now+9, alice, other), attest.ErrSignature},
		"another signer": {sign(bob, key(alice), now+9, bob, subject), attest.ErrSignature},
	} {
		if _, err := c.evidence.Verify(subject, key(bob), now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What is read of a certificate is what crypto/x509 reads.
func TestCertificatesAreReadAsTheLibraryReadsThem(t *testing.T) {
	for _, raw := range [][]byte{
		maker.Certificate.Raw, below.Certificate.Raw, below.Issue(&ek.PublicKey, at, ekCertificate),
		below.Issue(&tpmtest.P256().PublicKey, at, akCertificate), tpmtest.NewRoot("far", tpmtest.P256(), time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)).Certificate.Raw,
	} {
		want, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := attest.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got.Key != sha256.Sum256(want.RawSubjectPublicKeyInfo) || !bytes.Equal(got.Subject, want.RawSubject) || !bytes.Equal(got.Issuer, want.RawIssuer) ||
			got.NotBefore != want.NotBefore.Unix() || got.NotAfter != want.NotAfter.Unix() || got.Name() != want.Subject.CommonName || got.Authority() != want.IsCA {
			t.Errorf("read %+v of %s", got, want.Subject)
		}
	}
}

// FuzzCertificate: no bytes make the parser panic, and what it accepts the library accepts too.
func FuzzCertificate(f *testing.F) {
	f.Add(maker.Certificate.Raw)
	f.Add(below.Issue(&ek.PublicKey, at, ekCertificate))
	f.Add(nested(100))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := attest.ParseCertificate(raw)
		if err != nil {
			return
		}
		if want, err := x509.ParseCertificate(raw); err == nil && c.Key != sha256.Sum256(want.RawSubjectPublicKeyInfo) {
			t.Errorf("key %x", c.Key)
		}
	})
}

// FuzzTPM: no evidence makes the verifier panic, and none but the genuine one holds.
func FuzzTPM(f *testing.F) {
	s := certified(unchanged)
	e := s.evidence
	f.Add(e.AKPublic, e.DevicePublic, e.Certify, e.CertifySig, e.Quote, e.QuoteSig)
	f.Fuzz(func(t *testing.T, ak, key, certify, certifySig, quote, quoteSig []byte) {
		forged := e
		forged.AKPublic, forged.DevicePublic, forged.Certify, forged.CertifySig, forged.Quote, forged.QuoteSig = ak, key, certify, certifySig, quote, quoteSig
		if _, err := forged.Verify(s.subject, s.root, s.policy, s.now); err == nil &&
			!(bytes.Equal(key, e.DevicePublic) && bytes.Equal(certify, e.Certify) && bytes.Equal(quote, e.Quote)) {
			t.Error("forged evidence holds")
		}
	})
}

func BenchmarkEvidence(b *testing.B) {
	s := endorsed(unchanged)
	b.Run("tpm, P-384 root, RSA issuer, 2 attesters", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.verify(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
