package attestation_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient/attestation"
	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/internal/clock"
)

// registry is a chain that takes any evidence for a term.
type registry struct {
	clock  clock.Clock
	term   time.Duration
	last   *devicev1.AttestationStatus
	brings []*devicev1.MsgAttest
	refuse error
}

func (r *registry) Tier(context.Context, uint64) (devicev1.QueryTierResponse, error) {
	var t devicev1.QueryTierResponse
	if r.last != nil {
		s := *r.last
		if s.Attestation.ExpiresAt < r.clock.Now().Unix() {
			s.Void = "expired"
		}
		t.Attestations = append(t.Attestations, s)
	}
	return t, nil
}

func (r *registry) Challenge(context.Context, uint64) (uint64, []byte, error) {
	return 7, []byte("statement"), nil
}

func (r *registry) DeviceParams(context.Context) (devicev1.Params, error) {
	return devicev1.Params{Attestation: devicev1.AttestationParams{PcrMask: 0xff}}, nil
}

func (r *registry) Attest(_ context.Context, m *devicev1.MsgAttest) (devicev1.MsgAttestResponse, error) {
	if r.refuse != nil {
		return devicev1.MsgAttestResponse{}, r.refuse
	}
	r.brings = append(r.brings, m)
	now := r.clock.Now()
	r.last = &devicev1.AttestationStatus{Attestation: devicev1.Attestation{
		Kind: devicev1.AttestationKind_ATTESTATION_KIND_TPM, AttestedAt: now.Unix(), ExpiresAt: now.Add(r.term).Unix(),
	}}
	return devicev1.MsgAttestResponse{Tier: 2, ExpiresAt: r.last.Attestation.ExpiresAt}, nil
}

// chip gives evidence that names what it was asked.
type chip struct{ certificate []byte }

func (chip) Gather(pcrs uint32, challenge [32]byte) (attest.TPM, error) {
	return attest.TPM{Quote: append([]byte{byte(pcrs)}, challenge[:]...)}, nil
}

func (c chip) EndorsementCertificate() ([]byte, error) {
	if c.certificate == nil {
		return nil, errors.New("none")
	}
	return c.certificate, nil
}

func root() string { return hex.EncodeToString(make([]byte, 32)) }

// An attestation is made at once, left alone while more than a third of its time is left, and renewed
// then; after a refusal and after it has ended, too.
func TestLoopRenews(t *testing.T) {
	fake := clock.NewFake(time.Unix(1_800_000_000, 0))
	r := &registry{clock: fake, term: 90 * time.Hour}
	l := &attestation.Loop{
		Chain: r, Chip: chip{[]byte("leaf")}, Files: attestation.Files{Root: root()}, Device: 5, Clock: fake, Log: slog.New(slog.DiscardHandler),
	}
	step := func(want bool) {
		t.Helper()
		did, err := l.Step(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, did)
	}
	step(true)
	require.EqualValues(t, 7, r.brings[0].Epoch)
	require.Equal(t, [][]byte{[]byte("leaf")}, r.brings[0].Tpm.Chain)
	require.EqualValues(t, 0xff, r.brings[0].Tpm.Quote[0])
	step(false)
	fake.Advance(59 * time.Hour)
	step(false)
	fake.Advance(2 * time.Hour)
	r.refuse = errors.New("no")
	_, err := l.Step(t.Context())
	require.ErrorIs(t, err, r.refuse)
	r.refuse = nil
	step(true)
	fake.Advance(1000 * time.Hour)
	step(true)
	require.Len(t, r.brings, 3)
}

func TestPapersAreRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	word, err := json.Marshal(devicev1.Activation{Attester: []byte{1}, Expiry: 3, Signature: []byte{2}})
	require.NoError(t, err)
	chain := write("chain.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n-----BEGIN OTHER-----\nMAA=\n-----END OTHER-----\n")
	p, err := attestation.Files{Root: root(), Chain: chain, Activations: []string{write("word.json", string(word))}}.Read()
	require.NoError(t, err)
	require.Len(t, p.Chain, 1)
	require.EqualValues(t, 3, p.Activations[0].Expiry)
	for name, bad := range map[string]attestation.Files{
		"no root":     {},
		"short root":  {Root: root()[2:]},
		"no PEM":      {Root: root(), Chain: write("empty.pem", "hello")},
		"no JSON":     {Root: root(), Activations: []string{write("bad.json", "{")}},
		"no such one": {Root: root(), Chain: filepath.Join(dir, "none")},
	} {
		_, err := bad.Read()
		require.Error(t, err, name)
		if name != "no such one" {
			require.ErrorIs(t, err, attestation.ErrPapers, name)
		}
	}
}
