package tpm_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/tpm"
	"github.com/cairn-network/cairn/internal/tpm/tpmtest"
)

const pcrs = 0xff

// A real TPM (emulated chip, real protocol, real keys, certificate from its own manufacturer) shows
// that a device key lives in it, and nothing that it says can be bent to another device.
func TestRealTPMAttestsADeviceKey(t *testing.T) {
	emulator := tpmtest.Start(t)
	chip, err := tpm.Open(emulator.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	key, err := chip.DeviceKey("1")
	if err != nil {
		t.Fatal(err)
	}
	subject := attest.Subject{
		ChainID: "cairn-test-1", Device: 5, Owner: "cairn1owner", Epoch: 9, Beacon: [32]byte{1, 2, 3},
		Key: attest.Key{Type: device.P256, Bytes: key.Compressed()},
	}
	sig, err := key.Sign([]byte("a receipt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Verify(device.P256, subject.Key.Bytes, []byte("a receipt"), sig[:]); err != nil {
		t.Fatalf("the chain does not take the TPM's signature: %v", err)
	}
	again := remade(t, chip, key)
	if string(again) != string(subject.Key.Bytes) {
		t.Fatal("the chip made another device key from the same label")
	}

	certificate, err := chip.EndorsementCertificate()
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := chip.Gather("1", pcrs, subject.Challenge())
	if err != nil {
		t.Fatal(err)
	}
	evidence.Chain = [][]byte{certificate, emulator.Issuer}
	root, err := attest.ParseCertificate(emulator.Root)
	if err != nil {
		t.Fatal(err)
	}

	// An attester sends a secret that only this chip can read.
	challenge, secret, err := tpm.Challenge(rand.Reader, certificate, evidence.AKPublic)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := chip.Activate(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if !tpm.Matches(secret, answer) {
		t.Fatal("the chip gave back another secret")
	}
	_, attester, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	public := attest.Key{Type: device.Ed25519, Bytes: attester.Public().(ed25519.PublicKey)}
	ek, err := attest.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	name, err := attest.NameOf(evidence.AKPublic)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	expiry := now.AddDate(0, 1, 0).Unix()
	evidence.Activations = []attest.Activation{{
		Attester: public.Fingerprint(), Expiry: expiry,
		Signature: ed25519.Sign(attester, attest.ActivationBytes(subject.ChainID, ek.Key, name, expiry)),
	}}
	policy := attest.TPMPolicy{
		Endorsement: true, Attesters: 1, PCRs: pcrs,
		Attester: func(f attest.Fingerprint) (attest.Key, error) {
			if f != public.Fingerprint() {
				return attest.Key{}, errors.New("not trusted")
			}
			return public, nil
		},
	}
	f, err := evidence.Verify(subject, root, policy, now.Unix())
	if err != nil {
		t.Fatal(err)
	}
	if f.Hardware != ek.Key || f.Until != expiry {
		t.Errorf("found %+v", f)
	}

	other := subject
	other.Device = 6
	if _, err := evidence.Verify(other, root, policy, now.Unix()); !errors.Is(err, attest.ErrStatement) {
		t.Errorf("for another device: %v", err)
	}
	stale := subject
	stale.Beacon[0]++
	if _, err := evidence.Verify(stale, root, policy, now.Unix()); !errors.Is(err, attest.ErrStatement) {
		t.Errorf("for another beacon: %v", err)
	}
	policy.PCRs = 1
	if _, err := evidence.Verify(subject, root, policy, now.Unix()); !errors.Is(err, attest.ErrPolicy) {
		t.Errorf("for other PCRs: %v", err)
	}
}

// remade frees a key and has the chip make it again.
func remade(t *testing.T, chip *tpm.TPM, key *tpm.Key) []byte {
	t.Helper()
	if err := key.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := chip.DeviceKey("1")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	return again.Compressed()
}

// A secret encrypted for another attestation key does not come back.
func TestActivationIsForOneAttestationKey(t *testing.T) {
	emulator := tpmtest.Start(t)
	chip, err := tpm.Open(emulator.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	certificate, err := chip.EndorsementCertificate()
	if err != nil {
		t.Fatal(err)
	}
	key, err := chip.DeviceKey("1") // any key that is not the attestation key
	if err != nil {
		t.Fatal(err)
	}
	challenge, _, err := tpm.Challenge(rand.Reader, certificate, key.Public)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Close(); err != nil {
		t.Fatal(err)
	}
	if secret, err := chip.Activate(challenge); err == nil {
		t.Fatalf("the chip gave %x", secret)
	}
}
