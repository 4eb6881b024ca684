package device_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/signature"
	"github.com/cairn-network/cairn/internal/tpm/tpmtest"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// Those who sign for devices in these tests.
var (
	manufacturerKey, issuerKey, attesterKey = key(901), key(902), key(903)

	manufacturerAnchor = keyAnchor(devicev1.TrustUse_TRUST_USE_MANUFACTURER, manufacturerKey)
	issuerAnchor       = keyAnchor(devicev1.TrustUse_TRUST_USE_ISSUER, issuerKey, "calibration")
	attesterAnchor     = keyAnchor(devicev1.TrustUse_TRUST_USE_ATTESTER, attesterKey)
)

func keyAnchor(use devicev1.TrustUse, k ed25519.PrivateKey, kinds ...string) devicev1.TrustAnchor {
	return devicev1.TrustAnchor{
		Use: use, Name: "signer", Kinds: kinds,
		Key: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: k.Public().(ed25519.PublicKey)},
	}
}

func attestKey(k devicev1.PublicKey) attest.Key { return attest.Key{Type: int32(k.Type), Bytes: k.Key} }

func fingerprintOf(a devicev1.TrustAnchor) []byte {
	f := attestKey(a.Key).Fingerprint()
	return f[:]
}

func refOf(a devicev1.TrustAnchor) devicev1.TrustRef {
	return devicev1.TrustRef{Use: a.Use, Fingerprint: fingerprintOf(a)}
}

// trust has governance trust anchors.
func (f *fixture) trust(tb stage.Fataler, anchors ...devicev1.TrustAnchor) {
	if _, err := f.msg.UpdateTrust(f.Ctx, &devicev1.MsgUpdateTrust{Authority: stage.Spell(authority), Add: anchors}); err != nil {
		tb.Fatalf("%v", err)
	}
}

// distrust has governance take one back.
func (f *fixture) distrust(tb stage.Fataler, ref devicev1.TrustRef) {
	if _, err := f.msg.UpdateTrust(f.Ctx, &devicev1.MsgUpdateTrust{Authority: stage.Spell(authority), Remove: []devicev1.TrustRef{ref}}); err != nil {
		tb.Fatalf("%v", err)
	}
}

func (f *fixture) ban(tb stage.Fataler, id uint64) {
	msg := &devicev1.MsgBan{Authority: stage.Spell(authority), Device: id, Reason: devicev1.BanReason_BAN_REASON_ATTACK, Evidence: make([]byte, 32)}
	if _, err := f.msg.Ban(f.Ctx, msg); err != nil {
		tb.Fatalf("%v", err)
	}
}

func (f *fixture) appeal(tb stage.Fataler, owner sdk.AccAddress, id uint64) {
	if _, err := f.msg.Appeal(f.Ctx, &devicev1.MsgAppeal{Owner: stage.Spell(owner), Device: id, Statement: make([]byte, 32)}); err != nil {
		tb.Fatalf("%v", err)
	}
}

// subject is a device with a key at the current epoch.
func (f *fixture) subject(owner sdk.AccAddress, id uint64, k attest.Key) attest.Subject {
	e, _ := f.epochs.Current(f.Ctx)
	return attest.Subject{ChainID: stage.ChainID, Device: id, Owner: stage.Spell(owner), Key: k, Epoch: e.Number, Beacon: [32]byte(e.Beacon)}
}

// made is the manufacturer's evidence about device key n.
func (f *fixture) made(owner sdk.AccAddress, id uint64, n int) *devicev1.MsgAttest {
	k := attest.Key{Type: coredevice.Ed25519, Bytes: key(n).Public().(ed25519.PublicKey)}
	s := f.subject(owner, id, k)
	expiry := f.Now() + 1_000_000
	return &devicev1.MsgAttest{Operator: stage.Spell(owner), Device: id, Epoch: s.Epoch, Manufacturer: &devicev1.ManufacturerEvidence{
		Manufacturer: fingerprintOf(manufacturerAnchor), Expiry: expiry,
		Signature:       ed25519.Sign(manufacturerKey, attest.ManufacturerBytes(stage.ChainID, k, expiry)),
		DeviceSignature: ed25519.Sign(key(n), s.Statement()),
	}}
}

// credential is the issuer's statement about a device of an owner.
func (f *fixture) credential(owner sdk.AccAddress, id uint64) *devicev1.MsgPresentCredential {
	document, expiry := sha256.Sum256([]byte("certificate of calibration")), f.Now()+1_000_000
	return &devicev1.MsgPresentCredential{
		Owner: stage.Spell(owner), Device: id, Kind: "calibration", Issuer: fingerprintOf(issuerAnchor), Hash: document[:], Expiry: expiry,
		Signature: ed25519.Sign(issuerKey, attest.CredentialBytes(stage.ChainID, stage.Spell(owner), id, "calibration", document, expiry)),
	}
}

func (f *fixture) tier(tb testing.TB, id uint64, want uint32) {
	tb.Helper()
	got, err := f.keeper.TierOf(f.Ctx, id)
	if err != nil || got != want {
		tb.Fatalf("tier %d, %v; want %d", got, err, want)
	}
	shown, err := f.query.Tier(f.Ctx, &devicev1.QueryTierRequest{Device: id})
	if err != nil || shown.Tier != want || shown.Proves == "" || shown.DoesNotProve == "" {
		tb.Fatalf("query: %+v, %v", shown, err)
	}
	one, err := f.query.Device(f.Ctx, &devicev1.QueryDeviceRequest{Id: id})
	if err != nil || one.Device.Tier != want {
		tb.Fatalf("query: tier %d, %v", one.Device.Tier, err)
	}
}

func TestManufacturersWordIsTierOneUntilItEnds(t *testing.T) {
	owner := stage.Account(0)
	for name, end := range map[string]func(*fixture, *testing.T){
		"expiry": func(f *fixture, _ *testing.T) { f.Pass(1_000_001) },
		"term of the params": func(f *fixture, t *testing.T) {
			params := device.DefaultParams()
			params.Attestation.ManufacturerSeconds = 3600
			if _, err := f.msg.UpdateParams(f.Ctx, &devicev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.msg.Attest(f.Ctx, f.made(owner, 1, 1)); err != nil {
				t.Fatal(err)
			}
			f.Pass(3601)
		},
		"manufacturer no longer trusted": func(f *fixture, t *testing.T) { f.distrust(t, refOf(manufacturerAnchor)) },
		"device key revoked by governance": func(f *fixture, t *testing.T) {
			f.revoke(t, devicev1.MsgRevoke{Sender: stage.Spell(authority), Anchor: deviceAnchor(1)})
		},
		"manufacturer takes back its word": func(f *fixture, t *testing.T) {
			by := attest.Fingerprint(fingerprintOf(manufacturerAnchor))
			f.revoke(t, devicev1.MsgRevoke{
				Sender: stage.Spell(stage.Account(3)), Anchor: deviceAnchor(1), By: refOf(manufacturerAnchor),
				Signature: ed25519.Sign(manufacturerKey, attest.RevocationBytes(stage.ChainID, by, attest.Fingerprint(deviceAnchor(1)))),
			})
		},
		"new owner": func(f *fixture, t *testing.T) {
			buyer := stage.Account(1)
			if _, err := f.msg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: stage.Spell(owner), Id: 1, NewOwner: stage.Spell(buyer)}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.msg.AcceptTransfer(f.Ctx, &devicev1.MsgAcceptTransfer{NewOwner: stage.Spell(buyer), Id: 1}); err != nil {
				t.Fatal(err)
			}
		},
		"retired": func(f *fixture, t *testing.T) { f.retire(t, owner, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.rich(owner)
			f.register(t, owner, 1)
			f.trust(t, manufacturerAnchor)
			f.tier(t, 1, 0)
			if _, err := f.msg.Attest(f.Ctx, f.made(owner, 1, 1)); err != nil {
				t.Fatal(err)
			}
			f.tier(t, 1, 1)
			f.check(t)
			end(f, t)
			f.tier(t, 1, 0)
			shown, err := f.query.Tier(f.Ctx, &devicev1.QueryTierRequest{Device: 1})
			if err != nil || len(shown.Attestations) != 1 || shown.Attestations[0].Void == "" {
				t.Errorf("query does not say why: %+v, %v", shown, err)
			}
		})
	}
}

// deviceAnchor is what revokes device key n.
func deviceAnchor(n int) []byte {
	f := attest.Key{Type: coredevice.Ed25519, Bytes: key(n).Public().(ed25519.PublicKey)}.Fingerprint()
	return f[:]
}

func (f *fixture) revoke(t *testing.T, msg devicev1.MsgRevoke) {
	t.Helper()
	if _, err := f.msg.Revoke(f.Ctx, &msg); err != nil {
		t.Fatal(err)
	}
}

// genesisTime is when the stage's chain begins; certificates are valid around it.
func (f *fixture) time() time.Time { return time.Unix(f.Now(), 0).UTC() }

// chipped registers a device whose key lives in a chip of software.
func (f *fixture) chipped(t *testing.T, owner sdk.AccAddress, chip *tpmtest.Chip) uint64 {
	t.Helper()
	nonce, err := f.query.Nonce(f.Ctx, &devicev1.QueryNonceRequest{Owner: stage.Spell(owner)})
	if err != nil {
		t.Fatal(err)
	}
	msg := registration(owner, 1, nonce.Nonce)
	k := chip.DeviceKey()
	msg.Pubkey = devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_P256, Key: k.Bytes}
	msg.Signature = signP256(t, chip.Device, coredevice.RegistrationBytes(stage.ChainID, stage.Spell(owner), nonce.Nonce))
	res, err := f.msg.Register(f.Ctx, msg)
	if err != nil {
		t.Fatal(err)
	}
	return res.Id
}

func signP256(t *testing.T, k *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	der, err := ecdsa.SignASN1(nil, k, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		t.Fatal(err)
	}
	sig, err := signature.P256LowS(rs.R, rs.S)
	if err != nil {
		t.Fatal(err)
	}
	return sig[:]
}

// plant is a maker of chips.
type plant struct {
	root tpmtest.Authority
	ek   *rsa.PrivateKey
}

func newPlant(f *fixture) plant {
	return plant{tpmtest.NewRoot("chip maker", tpmtest.P256(), f.time()), tpmtest.RSA(2048)}
}

func (p plant) anchor() devicev1.TrustAnchor {
	return devicev1.TrustAnchor{Use: devicev1.TrustUse_TRUST_USE_EK_ROOT, Name: "chip maker", Certificate: p.root.Certificate.Raw}
}

// evidence is a chip's about a device, with one attester's activation.
func (p plant) evidence(t *testing.T, f *fixture, owner sdk.AccAddress, id uint64, chip *tpmtest.Chip) *devicev1.MsgAttest {
	t.Helper()
	s := f.subject(owner, id, chip.DeviceKey())
	e := chip.Evidence(s, device.DefaultParams().Attestation.PcrMask)
	leaf := p.root.Issue(&chip.EK.PublicKey, f.time(), func(c *x509.Certificate) {
		c.KeyUsage, c.UnknownExtKeyUsage = x509.KeyUsageKeyEncipherment, []asn1.ObjectIdentifier{tpmtest.PurposeEK}
	})
	parsed, err := attest.ParseCertificate(leaf)
	if err != nil {
		t.Fatal(err)
	}
	root, expiry := p.root.Parsed().Key, f.Now()+1_000_000
	return &devicev1.MsgAttest{Operator: stage.Spell(owner), Device: id, Epoch: s.Epoch, Tpm: &devicev1.TPMEvidence{
		AkPublic: e.AKPublic, DevicePublic: e.DevicePublic, Certify: e.Certify, CertifySignature: e.CertifySig,
		Quote: e.Quote, QuoteSignature: e.QuoteSig, Chain: [][]byte{leaf}, Root: root[:],
		Activations: []devicev1.Activation{{
			Attester: fingerprintOf(attesterAnchor), Expiry: expiry,
			Signature: ed25519.Sign(attesterKey, attest.ActivationBytes(stage.ChainID, parsed.Key, chip.AKName(), expiry)),
		}},
	}}
}

// tpmStage is a chain on which a device has a chip of a trusted maker.
func tpmStage(t *testing.T) (*fixture, plant, *tpmtest.Chip, uint64) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner, stage.Account(1))
	p := newPlant(f)
	params := device.DefaultParams()
	params.Attestation.Attesters = 1
	params.Attestation.BeaconEpochs = 2
	if _, err := f.msg.UpdateParams(f.Ctx, &devicev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
		t.Fatal(err)
	}
	f.trust(t, p.anchor(), attesterAnchor, manufacturerAnchor)
	chip := tpmtest.NewChip(p.ek)
	return f, p, chip, f.chipped(t, owner, chip)
}

func TestTPMIsTierTwo(t *testing.T) {
	f, p, chip, id := tpmStage(t)
	owner := stage.Account(0)
	if _, err := f.msg.Attest(f.Ctx, p.evidence(t, f, owner, id, chip)); err != nil {
		t.Fatal(err)
	}
	f.tier(t, id, 2)
	f.check(t)
	f.restart(t)
	f.tier(t, id, 2)

	// The same chip vouches for no second device while it vouches for this one.
	twin := tpmtest.NewChip(p.ek)
	second := f.chipped(t, owner, twin)
	if _, err := f.msg.Attest(f.Ctx, p.evidence(t, f, owner, second, twin)); !errors.Is(err, device.ErrHardware) {
		t.Fatalf("one chip for two devices: %v", err)
	}
	f.retire(t, owner, id)
	f.trust(t, p.anchor())
	if _, err := f.msg.Attest(f.Ctx, p.evidence(t, f, owner, second, twin)); err != nil {
		t.Fatalf("after the first device has left: %v", err)
	}
	f.tier(t, second, 2)
	f.distrust(t, devicev1.TrustRef{Use: devicev1.TrustUse_TRUST_USE_ATTESTER, Fingerprint: fingerprintOf(attesterAnchor)})
	f.tier(t, second, 0)
	f.check(t)
}

// Every way to be wrong gives its registered error and changes nothing.
func TestBadEvidence(t *testing.T) {
	f, p, chip, id := tpmStage(t)
	owner, stranger := stage.Account(0), stage.Account(1)
	other := f.register(t, owner, 7)
	for range 4 {
		f.epochs.turn()
	}
	weak := uint64(len(f.epochs.list))
	f.epochs.list[weak-1].Weak = true
	f.epochs.turn()
	good := func() *devicev1.MsgAttest { return p.evidence(t, f, owner, id, chip) }
	spoiled := func(spoil func(*devicev1.MsgAttest)) *devicev1.MsgAttest {
		msg := good()
		spoil(msg)
		return msg
	}
	made := func(spoil func(*devicev1.MsgAttest)) *devicev1.MsgAttest {
		msg := f.made(owner, other, 7)
		spoil(msg)
		return msg
	}
	for name, c := range map[string]struct {
		msg  *devicev1.MsgAttest
		want error
	}{
		"no such device":      {spoiled(func(m *devicev1.MsgAttest) { m.Device = 99 }), device.ErrNotFound},
		"stranger":            {spoiled(func(m *devicev1.MsgAttest) { m.Operator = stage.Spell(stranger) }), device.ErrNotOperator},
		"bad operator":        {spoiled(func(m *devicev1.MsgAttest) { m.Operator = "x" }), device.ErrAddress},
		"nothing":             {spoiled(func(m *devicev1.MsgAttest) { m.Tpm = nil }), device.ErrEvidence},
		"two kinds":           {spoiled(func(m *devicev1.MsgAttest) { m.Tls = &devicev1.TLSEvidence{} }), device.ErrEvidence},
		"huge":                {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Chain = append(m.Tpm.Chain, make([]byte, 1<<20)) }), device.ErrEvidence},
		"stale":               {spoiled(func(m *devicev1.MsgAttest) { m.Epoch -= 2 }), device.ErrStale},
		"weak beacon":         {spoiled(func(m *devicev1.MsgAttest) { m.Epoch = weak }), device.ErrStale},
		"future":              {spoiled(func(m *devicev1.MsgAttest) { m.Epoch++ }), device.ErrStale},
		"for another device":  {spoiled(func(m *devicev1.MsgAttest) { m.Device = other }), device.ErrPolicy},
		"root not trusted":    {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Root = make([]byte, 32) }), device.ErrUntrusted},
		"root of another use": {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Activations = nil }), device.ErrUntrusted},
		"no root":             {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Root = nil }), device.ErrUntrusted},
		"attester not trusted": {spoiled(func(m *devicev1.MsgAttest) {
			m.Tpm.Activations[0].Attester = bytes.Repeat([]byte{1}, 32)
		}), device.ErrUntrusted},
		"attester's name cut short": {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Activations[0].Attester = []byte{1} }), device.ErrEvidence},
		"forged activation":         {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Activations[0].Signature[0] ^= 1 }), device.ErrForged},
		"expired activation":        {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Activations[0].Expiry = 1 }), device.ErrExpired},
		"forged quote":              {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Quote[70] ^= 1 }), device.ErrForged},
		"forged certificate":        {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Chain[0][40] ^= 1 }), device.ErrChain},
		"certificate of nothing":    {spoiled(func(m *devicev1.MsgAttest) { m.Tpm.Chain[0] = []byte("certificate") }), device.ErrEvidence},
		"manufacturer not trusted":  {made(func(m *devicev1.MsgAttest) { m.Manufacturer.Manufacturer = fingerprintOf(issuerAnchor) }), device.ErrUntrusted},
		"manufacturer forged":       {made(func(m *devicev1.MsgAttest) { m.Manufacturer.Signature[1] ^= 1 }), device.ErrForged},
		"manufacturer prolonged":    {made(func(m *devicev1.MsgAttest) { m.Manufacturer.Expiry++ }), device.ErrForged},
		"manufacturer's replayed":   {made(func(m *devicev1.MsgAttest) { m.Device = id }), device.ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.Hash()
			if _, err := f.msg.Attest(f.Ctx, c.msg); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if f.Hash() != before {
				t.Error("the state has changed")
			}
		})
	}
	revoked := good()
	anchor := p.root.Parsed() // any anchor of the evidence: here of the endorsement key
	_ = anchor
	leaf, err := attest.ParseCertificate(revoked.Tpm.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	f.revoke(t, devicev1.MsgRevoke{Sender: stage.Spell(authority), Anchor: leaf.Key[:], Reason: "lost in transit"})
	if _, err := f.msg.Attest(f.Ctx, revoked); !errors.Is(err, device.ErrRevoked) {
		t.Errorf("revoked hardware: %v", err)
	}
}

func TestChallengeQueryLooksPastWeakBeacons(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	id := f.register(t, owner, 1)
	f.epochs.list = append(f.epochs.list, auditv1.Epoch{Number: 2, Beacon: make([]byte, 32), Weak: true})
	res, err := f.query.Challenge(f.Ctx, &devicev1.QueryChallengeRequest{Device: id})
	if err != nil || res.Epoch != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	f.trust(t, manufacturerAnchor)
	msg := f.made(owner, id, 1)
	msg.Epoch = res.Epoch
	msg.Manufacturer.DeviceSignature = ed25519.Sign(key(1), res.Challenge)
	if _, err := f.msg.Attest(f.Ctx, msg); err != nil {
		t.Fatal(err)
	}
}

func TestRegionRules(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	id := f.register(t, owner, 1) // in DE
	permitted := func(resource string, want error) {
		t.Helper()
		if err := f.keeper.Permitted(f.Ctx, id, resource); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	rules := func(msg devicev1.MsgUpdateRules) {
		t.Helper()
		msg.Authority = stage.Spell(authority)
		if _, err := f.msg.UpdateRules(f.Ctx, &msg); err != nil {
			t.Fatal(err)
		}
	}
	permitted("charge", nil)
	rules(devicev1.MsgUpdateRules{Set: []devicev1.Rule{
		{Region: "DE", Resource: "charge", Credentials: []string{"calibration"}, Reason: "MessEV"},
		{Region: "DE", Resource: "wireless", Refused: true},
		{Region: "DE", Resource: "compute", MinTier: 1},
		{Region: "", Resource: "charge", Refused: true},
	}})
	permitted("storage", nil)
	permitted("wireless", device.ErrNotPermitted)
	permitted("compute", device.ErrNotPermitted)
	permitted("charge", device.ErrNotPermitted)

	f.trust(t, manufacturerAnchor, issuerAnchor)
	if _, err := f.msg.Attest(f.Ctx, f.made(owner, id, 1)); err != nil {
		t.Fatal(err)
	}
	permitted("compute", nil)
	if _, err := f.msg.PresentCredential(f.Ctx, f.credential(owner, 0)); err != nil { // for all devices
		t.Fatal(err)
	}
	permitted("charge", nil)
	f.check(t)
	f.restart(t)
	permitted("charge", nil)

	// Not naming a region does not get around the rule.
	if _, err := f.msg.Relocate(f.Ctx, &devicev1.MsgRelocate{Owner: stage.Spell(owner), Id: id}); err != nil {
		t.Fatal(err)
	}
	permitted("charge", device.ErrNotPermitted)
	rules(devicev1.MsgUpdateRules{Remove: []devicev1.RuleRef{{Resource: "charge"}}})
	permitted("charge", nil)
	if _, err := f.msg.Relocate(f.Ctx, &devicev1.MsgRelocate{Owner: stage.Spell(owner), Id: id, Region: "DE"}); err != nil {
		t.Fatal(err)
	}
	permitted("charge", nil)

	// The issuer takes it back; a better one of the device's own counts again; it runs out.
	c := f.credential(owner, 0)
	by := attest.Fingerprint(fingerprintOf(issuerAnchor))
	f.revoke(t, devicev1.MsgRevoke{
		Sender: stage.Spell(owner), Anchor: c.Hash, By: refOf(issuerAnchor),
		Signature: ed25519.Sign(issuerKey, attest.RevocationBytes(stage.ChainID, by, attest.Fingerprint(c.Hash))),
	})
	permitted("charge", device.ErrNotPermitted)
	if _, err := f.msg.PresentCredential(f.Ctx, c); !errors.Is(err, device.ErrRevoked) {
		t.Fatal(err)
	}
	document, expiry := sha256.Sum256([]byte("another")), f.Now()+100
	c = &devicev1.MsgPresentCredential{
		Owner: stage.Spell(owner), Device: id, Kind: "calibration", Issuer: fingerprintOf(issuerAnchor), Hash: document[:], Expiry: expiry,
		Signature: ed25519.Sign(issuerKey, attest.CredentialBytes(stage.ChainID, stage.Spell(owner), id, "calibration", document, expiry)),
	}
	if _, err := f.msg.PresentCredential(f.Ctx, c); err != nil {
		t.Fatal(err)
	}
	permitted("charge", nil)
	f.Pass(101)
	permitted("charge", device.ErrNotPermitted)
}

func TestBadCredentials(t *testing.T) {
	f := newFixture(t)
	owner, stranger := stage.Account(0), stage.Account(1)
	f.rich(owner)
	id := f.register(t, owner, 1)
	f.trust(t, issuerAnchor)
	for name, c := range map[string]struct {
		spoil func(*devicev1.MsgPresentCredential)
		want  error
	}{
		"of another owner":    {func(m *devicev1.MsgPresentCredential) { m.Owner = stage.Spell(stranger) }, device.ErrNotOwner},
		"for all devices":     {func(m *devicev1.MsgPresentCredential) { m.Device = 0 }, device.ErrForged},
		"another kind":        {func(m *devicev1.MsgPresentCredential) { m.Kind = "licence" }, device.ErrUntrusted},
		"kind of nothing":     {func(m *devicev1.MsgPresentCredential) { m.Kind = "" }, device.ErrCredential},
		"unknown issuer":      {func(m *devicev1.MsgPresentCredential) { m.Issuer = make([]byte, 32) }, device.ErrUntrusted},
		"another document":    {func(m *devicev1.MsgPresentCredential) { m.Hash[0] ^= 1 }, device.ErrForged},
		"hash cut short":      {func(m *devicev1.MsgPresentCredential) { m.Hash = m.Hash[:31] }, device.ErrCredential},
		"prolonged":           {func(m *devicev1.MsgPresentCredential) { m.Expiry++ }, device.ErrForged},
		"over":                {func(m *devicev1.MsgPresentCredential) { m.Expiry = f.Now() }, device.ErrCredential},
		"for ever":            {func(m *devicev1.MsgPresentCredential) { m.Expiry = 1 << 62 }, device.ErrCredential},
		"forged":              {func(m *devicev1.MsgPresentCredential) { m.Signature[5] ^= 1 }, device.ErrForged},
		"without a signature": {func(m *devicev1.MsgPresentCredential) { m.Signature = nil }, device.ErrForged},
	} {
		msg := f.credential(owner, id)
		c.spoil(msg)
		if _, err := f.msg.PresentCredential(f.Ctx, msg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestBanAppealAndItsEnds(t *testing.T) {
	owner := stage.Account(0)
	deposit := device.DefaultParams().AppealDeposit
	decide := func(f *fixture, t *testing.T, v devicev1.Verdict) {
		t.Helper()
		if _, err := f.msg.DecideAppeal(f.Ctx, &devicev1.MsgDecideAppeal{Authority: stage.Spell(authority), Device: 1, Verdict: v}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		end    func(*fixture, *testing.T)
		banned bool
		back   bool // the deposit
	}{
		"lifted":    {func(f *fixture, t *testing.T) { decide(f, t, devicev1.Verdict_VERDICT_LIFT) }, false, true},
		"upheld":    {func(f *fixture, t *testing.T) { decide(f, t, devicev1.Verdict_VERDICT_UPHOLD) }, true, true},
		"dismissed": {func(f *fixture, t *testing.T) { decide(f, t, devicev1.Verdict_VERDICT_DISMISS) }, true, false},
		"lapsed": {func(f *fixture, t *testing.T) {
			f.Pass(device.DefaultParams().AppealSeconds)
			if banned, err := f.keeper.Banned(f.Ctx, 1); banned || err != nil {
				t.Fatal("the ban outlives the deadline until a message comes")
			}
			if _, err := f.msg.ReclaimAppeal(f.Ctx, &devicev1.MsgReclaimAppeal{Owner: stage.Spell(owner), Device: 1}); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		"lapsed, then banned again": {func(f *fixture, t *testing.T) {
			f.Pass(device.DefaultParams().AppealSeconds)
			f.ban(t, 1)
		}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.rich(owner)
			f.register(t, owner, 1)
			before, supply := f.Bank.GetBalance(f.Ctx, owner, denom), f.Bank.Supply(f.Ctx, denom)
			f.ban(t, 1)
			if _, err := f.keeper.Active(f.Ctx, 1); !errors.Is(err, device.ErrBanned) {
				t.Fatal(err)
			}
			if err := f.keeper.Permitted(f.Ctx, 1, "storage"); !errors.Is(err, device.ErrBanned) {
				t.Fatal(err)
			}
			f.appeal(t, owner, 1)
			if has := f.Bank.GetBalance(f.Ctx, owner, denom); !has.Equal(before.Sub(deposit)) {
				t.Fatalf("owner has %s", has)
			}
			if banned, _ := f.keeper.Banned(f.Ctx, 1); !banned {
				t.Fatal("an appeal lifts the ban at once")
			}
			f.check(t)
			f.restart(t)
			c.end(f, t)
			f.check(t)
			if banned, err := f.keeper.Banned(f.Ctx, 1); banned != c.banned || err != nil {
				t.Errorf("banned: %t, %v", banned, err)
			}
			want, burned := before, math.ZeroInt()
			if !c.back {
				want, burned = before.Sub(deposit), deposit.Amount
			}
			if has := f.Bank.GetBalance(f.Ctx, owner, denom); !has.Equal(want) {
				t.Errorf("owner has %s, want %s", has, want)
			}
			if got := supply.Sub(f.Bank.Supply(f.Ctx, denom)); !got.Equal(burned) {
				t.Errorf("burned %s, want %s", got, burned)
			}
			f.restart(t)
		})
	}
}

func TestBadBansAndAppeals(t *testing.T) {
	f := newFixture(t)
	owner, stranger := stage.Account(0), stage.Account(1)
	f.rich(owner, stranger)
	id, free := f.register(t, owner, 1), f.register(t, owner, 2)
	retired := f.register(t, owner, 3)
	f.retire(t, owner, retired)
	f.ban(t, id)
	gov := stage.Spell(authority)
	ban := func(m devicev1.MsgBan) func() error {
		return func() error { _, err := f.msg.Ban(f.Ctx, &m); return err }
	}
	appeal := func(m devicev1.MsgAppeal) func() error {
		return func() error { _, err := f.msg.Appeal(f.Ctx, &m); return err }
	}
	decide := func(m devicev1.MsgDecideAppeal) func() error {
		return func() error { _, err := f.msg.DecideAppeal(f.Ctx, &m); return err }
	}
	hash := make([]byte, 32)
	const reason = devicev1.BanReason_BAN_REASON_FORGED_EVIDENCE
	for name, c := range map[string]struct {
		run  func() error
		want error
	}{
		"ban by a stranger":       {ban(devicev1.MsgBan{Authority: stage.Spell(owner), Device: free, Reason: reason, Evidence: hash}), device.ErrNotAuthority},
		"ban without reason":      {ban(devicev1.MsgBan{Authority: gov, Device: free, Evidence: hash}), device.ErrField},
		"ban without evidence":    {ban(devicev1.MsgBan{Authority: gov, Device: free, Reason: reason}), device.ErrField},
		"ban of nothing":          {ban(devicev1.MsgBan{Authority: gov, Device: 77, Reason: reason, Evidence: hash}), device.ErrNotFound},
		"ban of a retired device": {ban(devicev1.MsgBan{Authority: gov, Device: retired, Reason: reason, Evidence: hash}), device.ErrRetired},
		"ban twice":               {ban(devicev1.MsgBan{Authority: gov, Device: id, Reason: reason, Evidence: hash}), device.ErrBanned},
		"appeal of no ban":        {appeal(devicev1.MsgAppeal{Owner: stage.Spell(owner), Device: free, Statement: hash}), device.ErrNotBanned},
		"appeal by a stranger":    {appeal(devicev1.MsgAppeal{Owner: stage.Spell(stranger), Device: id, Statement: hash}), device.ErrNotOwner},
		"appeal without words":    {appeal(devicev1.MsgAppeal{Owner: stage.Spell(owner), Device: id}), device.ErrField},
		"verdict by a stranger":   {decide(devicev1.MsgDecideAppeal{Authority: stage.Spell(owner), Device: id, Verdict: devicev1.Verdict_VERDICT_LIFT}), device.ErrNotAuthority},
		"verdict without appeal":  {decide(devicev1.MsgDecideAppeal{Authority: gov, Device: id, Verdict: devicev1.Verdict_VERDICT_UPHOLD}), device.ErrAppeal},
		"verdict without ban":     {decide(devicev1.MsgDecideAppeal{Authority: gov, Device: free, Verdict: devicev1.Verdict_VERDICT_LIFT}), device.ErrNotBanned},
		"reclaim without appeal": {func() error {
			_, err := f.msg.ReclaimAppeal(f.Ctx, &devicev1.MsgReclaimAppeal{Owner: stage.Spell(owner), Device: id})
			return err
		}, device.ErrAppeal},
	} {
		before := f.Hash()
		if err := c.run(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if f.Hash() != before {
			t.Errorf("%s: the state has changed", name)
		}
	}
	f.appeal(t, owner, id)
	if err := appeal(devicev1.MsgAppeal{Owner: stage.Spell(owner), Device: id, Statement: hash})(); !errors.Is(err, device.ErrAppeal) {
		t.Errorf("second appeal: %v", err)
	}
	if _, err := f.msg.ReclaimAppeal(f.Ctx, &devicev1.MsgReclaimAppeal{Owner: stage.Spell(owner), Device: id}); !errors.Is(err, device.ErrAppeal) {
		t.Errorf("reclaim before the deadline: %v", err)
	}
	f.Pass(device.DefaultParams().AppealSeconds)
	if err := decide(devicev1.MsgDecideAppeal{Authority: gov, Device: id, Verdict: devicev1.Verdict_VERDICT_DISMISS})(); !errors.Is(err, device.ErrAppeal) {
		t.Errorf("verdict after the deadline: %v", err)
	}
}
